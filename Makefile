# The commands of this repository. CI runs `make ci`. The other targets are steps of it that are useful alone.

GOLANGCI_LINT_VERSION := v2.15.0
GOVULNCHECK_VERSION   := v1.8.0
CYCLONEDX_VERSION     := v1.10.0

# How long `make fuzz` runs each fuzz target.
FUZZTIME ?= 10s
# How often `make bench` runs each variant.
ROUNDS ?= 7
# How many purchases the full journals of `make bench` and `make bench-console` have. With 0, `make bench` measures only empty ones.
PURCHASES ?= 1000000
# An older gigagate binary that `make bench` compares with.
BASELINE ?=
# With SHORT=-short, `make bench-console` only shows that it runs.
SHORT ?=
# How many histories a part of `make proof` plays, or how many times it breaks something, from which seed on, and the
# binary of the release before this tree. If they are empty, .ci/proof decides.
HISTORIES ?=
TIMES ?=
SEED ?=
OLDER ?=
# What `make breaking` compares the contract with.
AGAINST ?= origin/main
# The version that `gigagate version` prints. If empty, the Go toolchain decides.
VERSION ?=
# The commit that `make release` builds, if it is not the tag VERSION.
COMMIT ?=

BIN := $(CURDIR)/bin
# The pinned linter, from PATH or Go's own bin folder. If it is in neither, it is installed in bin/.
GOLANGCI_LINT = "$$(.ci/linter $(GOLANGCI_LINT_VERSION) $(BIN))"

UV ?= uv
PIN = $(UV) pip compile -q --universal --generate-hashes --no-annotate --custom-compile-command 'make pin'

.PHONY: help generate check-generate pin lint fmt test race fuzz sabotage proof bench bench-console scenarios rest-docs console deploy vuln build run breaking release ci

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

pin: ## Pin what each requirements.in needs, by version and hash (needs uv)
	cd clients/python && $(PIN) --python-version 3.10 requirements.in -o requirements.txt
	cd .ci/restdocs && $(PIN) --python-version 3.11 requirements.in -o requirements.txt
	cd .ci/manifests && $(PIN) --python-version 3.11 requirements.in -o requirements.txt

lint: ## Check formatting, lint rules, import directions and the contract's style
	go vet ./...
	go -C internal/riverbench vet ./...
	$(GOLANGCI_LINT) fmt --diff
	$(GOLANGCI_LINT) run ./...
	test -d .protodeps || go run ./internal/protodeps
	go tool buf lint

fmt: ## Format the Go code
	$(GOLANGCI_LINT) fmt

test: ## Run the tests
	go test ./...

race: ## Run the tests under the race detector
	go test -race -timeout=30m ./...

fuzz: ## Run every fuzz target for FUZZTIME (10s)
	.ci/fuzz $(FUZZTIME)

sabotage: ## Remove each safety rule in turn, and check that a test fails
	go run ./internal/sabotage

proof: ## Play what a release must survive, and count what was double, lost or untrue: see CONTRIBUTING.md
	OLDER='$(OLDER)' .ci/proof

proof-%: # One part of it: make proof-memory HISTORIES=100000 SEED=1
	OLDER='$(OLDER)' .ci/proof $* '$(or $(HISTORIES),$(TIMES))' $(SEED)

bench: ## Measure whole registers, and fail if a target is missed (ROUNDS, PURCHASES, BASELINE=older binary)
	go test ./cmd/gigagate -run '^$$' -bench '^Benchmark(Register|Turns)$$' -timeout 6h \
		-args -register.rounds $(ROUNDS) -register.purchases $(PURCHASES) -register.baseline '$(abspath $(BASELINE))'

bench-console: ## Measure the pages of the console with full journals, and fail if one is too slow (PURCHASES, SHORT=-short)
	go test ./cmd/gigagate $(SHORT) -run '^$$' -bench '^BenchmarkConsole$$' -benchtime 1x -timeout 6h -args -console.purchases $(PURCHASES)

scenarios: ## Play proto/scenarios in every language whose tools are installed
	go run ./internal/scenarios

rest-docs: ## Check the REST documentation: a strict validator, schemathesis, a browser
	.ci/rest-docs

console: ## Walk through the console in a browser (PICTURES=folder keeps a picture of each page)
	.ci/console $(PICTURES)

deploy: ## Check the manifests for Kubernetes and the systemd unit
	.ci/deploy

vuln: ## Look for known vulnerabilities
	.ci/vuln $(GOVULNCHECK_VERSION)

build: ## Build bin/gigagate as a static binary, as in the container image
	VERSION=$(VERSION) cmd/gigagate/build.sh $(BIN)/gigagate

run: ## Serve with a sandbox
	go run ./cmd/gigagate serve --sandbox

breaking: ## Check proto/ for breaking changes against AGAINST (origin/main)
	go run ./internal/protodeps -against $(AGAINST)

release: ## Write a release of a tag to dist/: make release VERSION=v1.2.3
	.ci/release '$(VERSION)' $(COMMIT)

ci: ## Run everything, as CI does
	.ci/run
