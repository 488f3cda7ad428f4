# kubectl prod: everything a newcomer needs. `make` alone lists the targets.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help

GOLANGCI_LINT_VERSION := v2.15.0
TOOLS := $(or $(XDG_CACHE_HOME),$(HOME)/.cache)/kubectl-prod/tools
GOLANGCI_LINT := $(TOOLS)/golangci-lint-$(GOLANGCI_LINT_VERSION)/golangci-lint
# The newest whose modules the proxy has and that this Go builds.
GORELEASER_VERSION := v2.15.4
GORELEASER := $(TOOLS)/goreleaser-$(GORELEASER_VERSION)/goreleaser
CLUSTER := bin/test-cluster

export CGO_ENABLED := 0
# One set of flags, so that what the plugin is built of is compiled once, and not
# again for its tests, the linter and the release.
export GOFLAGS := -trimpath

.PHONY: help
help: ## List the targets
	@awk 'BEGIN {FS = ":.*## "} /^[a-z-]+:.*## / {printf "  %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

.PHONY: build
build: ## Build the plugin into bin/ (RACE=1: with the race detector)
	$(if $(RACE),CGO_ENABLED=1) go build $(if $(RACE),-race )-trimpath -ldflags "-s -w" -o bin/ ./cmd/kubectl-prod

.PHONY: install
install: ## Install the plugin where `go install` puts it
	go install -trimpath -ldflags "-s -w" ./cmd/kubectl-prod

.PHONY: demo
demo: build $(CLUSTER) ## Bring a cluster up, put a shop in trouble on it, and ask the doctor
	@hack/demo

.PHONY: test
test: verify unit cluster-unit fuzz-short e2e krew-local ## Everything: lint, unit tests, krew, and the binary on real clusters

.PHONY: unit
unit: ## Test the pure parts; no cluster, seconds
	go test ./...

.PHONY: race
race: ## The unit tests under the race detector (cgo and a C compiler; minutes when cold)
	CGO_ENABLED=1 go test -race ./pkg/... ./test/fault/...

.PHONY: cluster-unit
cluster-unit: ## Test the parts of the test cluster that need no cluster
	cd test/cluster && go vet ./... && go test ./...

.PHONY: e2e
e2e: build $(CLUSTER) ## Run the built binary through a real kubectl on real clusters (KUBERNETES=1.34: older ones; RACE=1)
	go test -tags e2e -count=1 -timeout 60m -parallel 12 -v ./test/e2e/... 2>&1 | hack/failures

.PHONY: differential
differential: build $(CLUSTER) ## Hold drain-check against real drains of random clusters, a line each (SEEDS=204)
	DRAIN_SEEDS=$(or $(SEEDS),204) go test -tags e2e -count=1 -timeout 90m -v -run 'TestDrainDifferential$$' ./test/e2e/...

.PHONY: differential-node
differential-node: build $(CLUSTER) ## The same where a real node is drained (root on Linux; SEEDS=6)
	DRAIN_NODE_SEEDS=$(or $(SEEDS),6) go test -tags e2e -count=1 -timeout 60m -v -run 'TestDrainDifferentialOnARealNode$$' ./test/e2e/...

.PHONY: backup-rate
backup-rate: build $(CLUSTER) ## Measure backup-etcd against etcdctl on a large database (MIB=2048; root, 10 GB of disk)
	BACKUP_MIB=$(or $(MIB),2048) go test -tags e2e -count=1 -timeout 60m -v -run TestBackupRate ./test/e2e/...

.PHONY: krew-local
krew-local: $(GORELEASER) $(CLUSTER) ## Release for this machine, and install that with real krew (DIST=dist: what release-snapshot made)
	GORELEASER=$(GORELEASER) DIST=$(abspath $(DIST)) go test -tags krew -count=1 -timeout 20m -v ./test/krew/...

.PHONY: release-snapshot
release-snapshot: $(GORELEASER) ## Build the archives of all six platforms into dist/, as a release does
	$(GORELEASER) release --snapshot --clean --skip=publish,sign,sbom,ko

.PHONY: release
release: $(GORELEASER) ## Build, sign and draft the release of the present tag (CI does)
	$(GORELEASER) release --clean

$(GORELEASER):
	@echo "goreleaser $(GORELEASER_VERSION): building (some minutes, once)"
	GOBIN=$(dir $@) go install github.com/goreleaser/goreleaser/v2@$(GORELEASER_VERSION)

.PHONY: fuzz
fuzz: ## Give each parser of foreign bytes random ones (INPUTS=2000 each; no time: go.dev/issue/75804)
	@for package in $$(git grep -l 'func Fuzz' -- '*_test.go' | xargs -n1 dirname | sort -u); do \
		for target in $$(grep -ho 'func Fuzz[A-Za-z]*' $$package/*_test.go | cut -d' ' -f2); do \
			echo "$$package $$target"; \
			go test ./$$package -run '^$$' -fuzz "^$$target$$" -fuzztime $(or $(INPUTS),2000)x -fuzzminimizetime 20x; \
		done; \
	done

.PHONY: fuzz-short
fuzz-short: ## The same with 400 each, on top of the inputs that are kept
	@$(MAKE) --no-print-directory fuzz INPUTS=400

.PHONY: fuzz-keep
fuzz-keep: ## Keep inputs that the fuzzer found interesting as seeds: the 20 shortest a target
	@cd $$(go env GOCACHE)/fuzz/$$(go list -m) && for dir in $$(find * -type d -name 'Fuzz*'); do \
		kept=$(CURDIR)/$$(dirname $$dir)/testdata/fuzz/$$(basename $$dir); \
		mkdir -p $$kept; \
		find $$dir -type f -size -2k -printf '%s %p\n' | sort -n | head -20 | cut -d' ' -f2 | xargs -I{} cp {} $$kept; \
	done

.PHONY: bench
bench: build $(CLUSTER) ## Measure every verb on a fleet, against a bare LIST and etcdctl (NODES=100 PODS=2000 ARGS='--frozen --brief')
	go run ./test/scale bench --nodes $(or $(NODES),100) --pods $(or $(PODS),2000) --write docs/benchmarks.md $(ARGS)

.PHONY: cluster
cluster: $(CLUSTER) ## Bring up a real Kubernetes for trying things (ARGS=--node for a real kubelet)
	$(CLUSTER) up $(ARGS)
	@echo 'eval "$$($(CLUSTER) env)" points kubectl at it'

.PHONY: cluster-down
cluster-down: $(CLUSTER) ## Take that Kubernetes down
	$(CLUSTER) down

.PHONY: $(CLUSTER)
$(CLUSTER):
	@cd test/cluster && go build -o $(CURDIR)/$(CLUSTER) .

.PHONY: verify
verify: verify-fmt verify-modules vet lint ## Hold the code to its rules

.PHONY: verify-fmt
verify-fmt:
	@test -z "$$(gofmt -l $$(git ls-files '*.go') | tee /dev/stderr)"

.PHONY: verify-modules
verify-modules:
	go mod tidy -diff
	cd test/cluster && go mod tidy -diff
	cd test/stores && go mod tidy -diff

.PHONY: vet
vet:
	go vet ./...
	go vet -tags 'e2e krew' ./test/...

.PHONY: lint
lint: $(GOLANGCI_LINT) ## Lint, the direction of the imports included
	$(GOLANGCI_LINT) run ./...

$(GOLANGCI_LINT):
	@echo "golangci-lint $(GOLANGCI_LINT_VERSION): building (some minutes, once)"
	GOBIN=$(dir $@) go install github.com/golangci/golangci-lint/v2/cmd/golangci-lint@$(GOLANGCI_LINT_VERSION)

.PHONY: fmt
fmt: ## Format the code
	gofmt -w $$(git ls-files '*.go')

.PHONY: golden
golden: ## Write the golden files anew; read the diff before committing it
	go test ./pkg/... -update

.PHONY: docs
docs: ## Write the docs that follow from the code anew
	go run ./cmd/gen-docs

.PHONY: clean
clean: ## Remove what was built here (the caches stay)
	rm -rf bin dist
