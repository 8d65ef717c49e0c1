# The commands of this repository. CI runs `make ci`. The other targets are steps of it that are useful alone.

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.8.0

# How long `make fuzz` runs each fuzz target.
FUZZTIME ?= 10s
# How often `make bench` runs each variant.
ROUNDS ?= 7
# What `make breaking` compares the contract with.
AGAINST ?= origin/main
# The version that `gigagate version` prints. If empty, the Go toolchain decides.
VERSION ?=

BIN := $(CURDIR)/bin
# The pinned linter, from PATH or Go's own bin folder. If it is in neither, it is installed in bin/.
GOLANGCI_LINT = "$$(.ci/linter $(GOLANGCI_LINT_VERSION) $(BIN))"

.PHONY: help generate check-generate lint fmt test race fuzz sabotage bench scenarios rest-docs vuln build run breaking ci

help: ## Show this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  %-16s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

generate: ## Write the generated files in gen/, clients/ and docs/ (needs Python and Node.js)
	go generate ./...
	$(MAKE) -C clients/python generate
	npm ci --no-fund --no-audit --prefix clients/typescript
	npm run generate --prefix clients/typescript

check-generate: generate ## Fail if the generated files differ from their sources
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

sabotage: ## Remove each safety rule in turn, and check that a test fails
	go run ./internal/sabotage

bench: ## Measure whole registers on each journal, ROUNDS times (7), on an otherwise idle machine
	go test ./cmd/gigagate -run '^$$' -bench '^BenchmarkRegister$$' -args -register.rounds $(ROUNDS)

scenarios: ## Play proto/scenarios in every language whose tools are installed
	go run ./internal/scenarios

rest-docs: ## Check the REST documentation: a strict validator, schemathesis, a browser
	.ci/rest-docs

vuln: ## Look for known vulnerabilities
	.ci/vuln $(GOVULNCHECK_VERSION)

build: ## Build bin/gigagate as a static binary, as in the container image
	CGO_ENABLED=0 go build -trimpath -tags grpcnotrace -ldflags="-s -w -X main.stamped=$(VERSION)" -o $(BIN)/gigagate ./cmd/gigagate

run: ## Serve with a sandbox
	go run ./cmd/gigagate serve --sandbox

breaking: ## Check proto/ for breaking changes against AGAINST (origin/main)
	go run ./internal/protodeps -against $(AGAINST)

ci: ## Run everything, as CI does
	.ci/run
