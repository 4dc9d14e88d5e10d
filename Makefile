# What other people's scripts rely on; `make help` lists it. Only Go, Python, git and make have to be there.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help

VERSION ?= $(shell git describe --tags --always --dirty 2>/dev/null || echo unknown)
FUZZTIME ?= 30s
CHAOS_SEED ?= 0

export REGISTRY ?= ghcr.io/slipway-hub
IMAGE_ARCH ?= $(shell go env GOARCH)
LDFLAGS := -s -w -X main.version=$(VERSION)

# The version is ours to say, and git refuses to answer in a checkout that another user owns.
export GOFLAGS := $(GOFLAGS) -buildvcs=false

TOOL := go tool -modfile=tools/go.mod
LINT := go tool -modfile=$(CURDIR)/tools/lint/go.mod golangci-lint
CHART_TOOL := go tool -modfile=$(CURDIR)/tools/chart/go.mod
REFERENCE := go tool -modfile=tools/reference/go.mod crd-ref-docs
HELM := go tool -modfile=$(CURDIR)/tools/helm/go.mod helm
RELEASE := go tool -modfile=tools/release/go.mod goreleaser
PYTHON_TOOLS := python3 tools/pyenv.py tools/requirements.txt

.PHONY: help
help: ## this list
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## /{printf "  make %-13s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

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

.PHONY: e2e
e2e: ## the whole product on a real node, as root: the chart by helm, servers, upgrades, rotations, uninstall
	@echo "Compiling the tests: minutes with an empty Go cache, seconds after that."
	@go build -o bin/tests ./test/all
	@exec bin/tests e2e

.PHONY: e2e-full
e2e-full: ## the same with cert-manager and Prometheus from source, the long rotations, and schemathesis on the API
	@go build -o bin/tests ./test/all
	@exec bin/tests e2e-full

.PHONY: promtool
promtool: ## the chart's alerts by real Prometheus' promtool, and each expression of dashboard and alerts by its parser (minutes the first time)
	@cd test/cluster/programs/prometheus && export CGO_ENABLED=0 GOFLAGS="$$GOFLAGS -tags=remove_all_sd" && \
		go test -count=1 . && go tool promtool test rules ../../../observability/alerts_test.yaml

.PHONY: bench
bench: ## benchmarks, and the launcher with 10,000 servers, as tables and as JSON in test/results/ (minutes more the first time)
	@mkdir -p test/results
	@$(TOOL) gotestsum --format standard-verbose --jsonfile test/results/bench.json -- -run '^$$' -bench . -benchmem ./policy/... ./webhook/... ./cmd/... | tee test/results/bench.txt
	@go run ./test/cluster build --fake-nodes 1
	@go test -tags scale -count=1 -v -timeout 10m ./test/scale

.PHONY: chaos
chaos: ## launchers, a JupyterHub and webhooks are killed at random moments over 300 starts; CHAOS_SEED=N repeats one run
	@echo "Compiling the tests, and the first time Kubernetes and kwok: minutes."
	@go run ./test/cluster build --fake-nodes 1
	@go test -tags chaos -count=1 -v -timeout 30m ./test/chaos -chaos.seed $(CHAOS_SEED)

.PHONY: fuzz
fuzz: ## every fuzz target for FUZZTIME each, and 50,000 random servers beside the real KubeSpawner's
	@FUZZTIME=$(FUZZTIME) test/fuzz.sh
	@echo "== 50,000 random servers in ./test/parity"
	@go test ./test/parity -count=1 -v -run Random -parity.cases=50000 -parity.seed=0 -timeout 1h

.PHONY: build
build: ## the programs, in bin/
	CGO_ENABLED=0 go build -trimpath -ldflags '$(LDFLAGS)' -o bin/ ./cmd/...

.PHONY: images
images: ## images of the webhook and the launcher as tars, each with an SBOM, in dist/
	@mkdir -p dist
	@for name in slipway-webhook slipway-launcher; do \
		CGO_ENABLED=0 GOOS=linux GOARCH=$(IMAGE_ARCH) go build -trimpath -ldflags '$(LDFLAGS)' -o dist/$$name ./cmd/$$name; \
		tools/release/image.sh $$name '$(VERSION)' --binary "$$PWD/dist/$$name" --out "$$PWD/dist/$$name.tar"; \
		: 'An SBOM names the tool that wrote it, by its hash.'; \
		GOFLAGS="$$GOFLAGS -trimpath" go tool -modfile=tools/images/go.mod cyclonedx-gomod bin -json -noserial -notimestamp -std \
			-version '$(VERSION)' -output dist/$$name.cdx.json dist/$$name; \
		echo "dist/$$name.tar: $(REGISTRY)/$$name:$(VERSION)"; \
	done

# Without a remote, which a release always has, goreleaser doesn't even look for the commit's time.
.PHONY: release-check
release-check: export GIT_CONFIG_COUNT = 1
release-check: export GIT_CONFIG_KEY_0 = remote.origin.url
release-check: export GIT_CONFIG_VALUE_0 = https://github.com/slipway-hub/slipway
release-check: ## everything that a release does but publishing and signing, in dist/release/
	@$(RELEASE) check --quiet
	@$(RELEASE) release --snapshot --clean --skip=publish,sign
	@# Where a signal ends goreleaser, go tool exits with 0. This file is the last that it writes.
	@test -f dist/release/artifacts.json

.PHONY: release
release: ## a release of the tag that is checked out; takes cosign, GITHUB_TOKEN and docker login
	@$(RELEASE) release --clean

.PHONY: generate
generate: ## the CRDs, the deepcopy code and docs/reference, from types and commands; the API's description; the chart's README, from its values
	$(TOOL) controller-gen object paths=./policy/v1alpha1 crd:maxDescLen=200 output:crd:dir=charts/slipway/files/crds
	go run ./cmd/slipway-launcher openapi > launcher/api/openapi.yaml
	@mkdir -p docs/reference
	go run ./cmd/slipway docs markdown > docs/reference/slipway.md
	$(REFERENCE) --source-path policy/v1alpha1 --config tools/reference/config.yaml --templates-dir tools/reference --renderer markdown \
		--output-path docs/reference/api.md --log-level WARN
	$(CHART_TOOL) helm-docs --chart-search-root charts --sort-values-order file --skip-version-footer --log-level warning

.PHONY: verify
verify: ## a check that generated files and go.mod files are current
	@test/verify.sh

.PHONY: lint
lint: ## golangci-lint, ruff, mypy, shellcheck, helm lint
	@$(LINT) run ./...
	@$(LINT) run --build-tags e2e,full,scale,chaos ./test/cluster/kube ./test/e2e ./test/certificates ./test/observability ./test/schemathesis ./test/scale ./test/chaos
	@for module in test/cluster/programs/*/ tools/images/; do (cd "$$module" && $(LINT) run --config $(CURDIR)/.golangci.yml --build-tags remove_all_sd ./...); done
	@$(HELM) lint --quiet --strict charts/slipway
	@tools=$$($(PYTHON_TOOLS)); \
		"$$tools/ruff" check --quiet .; \
		"$$tools/ruff" format --quiet --diff .; \
		hub=$$(python3 tools/pyenv.py launcher/jupyterhub/requirements.txt); \
		(cd launcher/jupyterhub && "$$hub/mypy" --no-error-summary); \
		git ls-files -z --cached --others --exclude-standard '*.sh' .ci/run | xargs -0 "$$tools/shellcheck"

.PHONY: clean
clean: ## removes what was built here; what is cached for other checkouts stays
	rm -rf bin dist test/results
