# What other people's scripts rely on; `make help` lists it. Only Go, Python, git and make have to be there.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s

# The version is ours to say, and git refuses to answer in a checkout that another user owns.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

TOOL := go tool -modfile=tools/go.mod
LINT := go tool -modfile=$(CURDIR)/tools/lint/go.mod golangci-lint
CHART_TOOL := go tool -modfile=$(CURDIR)/tools/chart/go.mod
HELM := go tool -modfile=$(CURDIR)/tools/helm/go.mod helm
PYTHON_TOOLS := python3 tools/pyenv.py tools/requirements.txt

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: demo
demo: ## a bare pod goes in, a fitted one comes out, on a real API server (DEMO_KUBECONFIG=FILE: on yours)
	@echo "Compiling the demo: minutes with an empty Go cache, seconds after that."
	@go build -o bin/ ./test/demo ./cmd/slipway
	@exec bin/demo

.PHONY: test
test: ## every test; closes with one line: N passed, N failed, N skipped
	@echo "Compiling the tests: minutes with an empty Go cache, seconds after that."
	@go build -o bin/tests ./test/all
	@exec bin/tests

.PHONY: bench
bench: ## benchmarks, as a table and as JSON in test/results/
	@mkdir -p test/results
	@$(TOOL) gotestsum --format standard-verbose --jsonfile test/results/bench.json -- -run '^$$' -bench . -benchmem ./policy/... ./webhook/... ./cmd/... | tee test/results/bench.txt

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each, and 50,000 random servers beside the real KubeSpawner's
	@FUZZTIME=$(FUZZTIME) test/fuzz.sh
	@echo "== 50,000 random servers in ./test/parity"
	@go test ./test/parity -count=1 -v -run Random -parity.cases=50000 -parity.seed=0 -timeout 1h

.PHONY: build
build: ## the programs, in bin/
	go build -ldflags '-s -w -X main.version=$(VERSION)' -o bin/ ./cmd/...

.PHONY: generate
generate: ## the CRDs and the deepcopy code, from policy/v1alpha1; the chart's README, from its values
	$(TOOL) controller-gen object paths=./policy/v1alpha1 crd:maxDescLen=200 output:crd:dir=charts/slipway/files/crds
	$(CHART_TOOL) helm-docs --chart-search-root charts --sort-values-order file --skip-version-footer --log-level warning

.PHONY: verify
verify: ## a check that generated files and go.mod files are current
	@test/verify.sh

.PHONY: lint
lint: ## golangci-lint, ruff, shellcheck, helm lint
	@$(LINT) run ./...
	@cd test/cluster/programs/kubernetes && $(LINT) run --config $(CURDIR)/.golangci.yml ./...
	@$(HELM) lint --quiet --strict charts/slipway
	@tools=$$($(PYTHON_TOOLS)); \
		"$$tools/ruff" check --quiet .; \
		"$$tools/ruff" format --quiet --diff .; \
		git ls-files -z --cached --others --exclude-standard '*.sh' .ci/run | xargs -0 "$$tools/shellcheck"

.PHONY: clean
clean: ## removes what was built here; what is cached for other checkouts stays
	rm -rf bin dist test/results
