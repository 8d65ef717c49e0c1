# One list of verbs. CI runs `make ci`; everything else is a step of it that is useful alone.

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.8.0

# What `make fuzz` gives each fuzz target.
FUZZTIME ?= 10s
# How often `make bench` runs each variant.
ROUNDS ?= 7
# What `make breaking` compares the contract with.
AGAINST ?= origin/main
# Stamped into `gigagate version`; empty leaves it to the Go toolchain.
VERSION ?=

BIN := $(CURDIR)/bin
# The pinned linter: found in PATH or in Go's own bin folder, else installed in bin/.
GOLANGCI_LINT = "$$(.ci/linter $(GOLANGCI_LINT_VERSION) $(BIN))"

.PHONY: help generate check-generate lint fmt test race fuzz sabotage bench scenarios rest-docs vuln build run breaking ci

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

generate: ## Make what is generated in gen/, clients/ and docs/ (needs Python and Node.js)
	go generate ./...
	$(MAKE) -C clients/python generate
	npm ci --no-fund --no-audit --prefix clients/typescript
	npm run generate --prefix clients/typescript

check-generate: generate ## Fail if what is generated is not what its sources say
	git diff --exit-code -- gen clients docs
	@test -z "$$(git ls-files --others --exclude-standard -- gen clients docs)" || { echo "gen/, clients/ or docs/ has files that are not in git" >&2; exit 1; }

lint: ## Check formatting, lint rules, import directions and the contract's style
	go vet ./...
	$(GOLANGCI_LINT) fmt --diff
	$(GOLANGCI_LINT) run ./...
	test -d .protodeps || go run ./internal/protodeps
	go tool buf lint

fmt: ## Format the Go code
	$(GOLANGCI_LINT) fmt

test: ## Run the tests
	go test ./...

race: ## Run the tests under the race detector
	go test -race ./...

fuzz: ## Run every fuzz target for FUZZTIME (10s)
	.ci/fuzz $(FUZZTIME)

sabotage: ## Remove each safety rule in turn, and see a test notice
	go run ./internal/sabotage

bench: ## Measure whole registers on each journal, ROUNDS times (7): wants the machine for itself
	go test ./cmd/gigagate -run '^$$' -bench '^BenchmarkRegister$$' -args -register.rounds $(ROUNDS)

scenarios: ## Play proto/scenarios in every language whose tools are here
	go run ./internal/scenarios

rest-docs: ## Check the REST documentation: a strict validator, schemathesis, a browser
	.ci/rest-docs

vuln: ## Look for known vulnerabilities
	.ci/vuln $(GOVULNCHECK_VERSION)

build: ## Build bin/gigagate, static, as the container image has it
	CGO_ENABLED=0 go build -trimpath -tags grpcnotrace -ldflags="-s -w -X main.stamped=$(VERSION)" -o $(BIN)/gigagate ./cmd/gigagate

run: ## Serve with a sandbox
	go run ./cmd/gigagate serve --sandbox

breaking: ## Check proto/ for breaking changes against AGAINST (origin/main)
	go run ./internal/protodeps -against $(AGAINST)

ci: ## Run everything, as CI does
	.ci/run
