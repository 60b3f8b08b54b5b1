# Everything is built with GoMLX's vector kernels for the Go backend: matrix
# products are ten times slower without them.
export GOEXPERIMENT := simd
export GOFLAGS := -buildvcs=false

GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 16

.PHONY: build
build: ## build bin/bridge, with the commit in it where git knows one
	$(GO) build -buildvcs=$$(git rev-parse --verify --quiet HEAD >/dev/null 2>&1 && echo true || echo false) -o bin/bridge ./cmd/bridge

.PHONY: demo
demo: build ## the main job on the built-in kit: swap the LLM, retrain stage 2, caption what was never seen
	bin/bridge demo

.PHONY: test
test: lint ## all tests, on the Go backend
	$(GO) test -timeout 20m ./...

.PHONY: vet-macos
vet-macos: ## type-checks all code and tests for macOS, from any system
	GOOS=darwin GOARCH=arm64 GOEXPERIMENT= $(GO) vet ./...

FUZZTIME ?= 10s
.PHONY: fuzz
fuzz: ## every fuzzer for FUZZTIME (10s)
	GO=$(GO) tools/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: ## formatting, vet, staticcheck
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "gofmt would change: $$files"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

.PHONY: xla-cpu
xla-cpu: ## install XLA for the CPU (through pip), which --backend auto then finds
	tools/xla/install-cpu.sh

# Golden cases take dozens of shapes each folder, and compiling them is nearly all of
# the time. LLVM without optimization halves it, and leaves XLA's own passes as they
# are. -short leaves out each example alone, which the Go backend runs.
UNOPTIMIZED := XLA_FLAGS=--xla_backend_optimization_level=0
.PHONY: test-xla
test-xla: ## the parity tests on XLA CPU; after make xla-cpu
	BRIDGE_TEST_BACKEND=xla:cpu $(GO) test -timeout 20m ./qformer/... ./train/optim ./bridge
	BRIDGE_TEST_BACKEND=xla:cpu $(UNOPTIMIZED) $(GO) test -short -run Golden -timeout 20m ./adapters/...
	BRIDGE_TEST_BACKEND=xla:cpu $(UNOPTIMIZED) $(GO) test -timeout 20m -run TestVerifyBridges ./cmd/bridge

.PHONY: test-xla-long
test-xla-long: ## all tests of frozen models on XLA CPU: half an hour
	BRIDGE_TEST_BACKEND=xla:cpu $(UNOPTIMIZED) $(GO) test -timeout 60m ./adapters/internal/vision ./adapters/...

.PHONY: test-long
test-long: ## the long form of tests that have two: every adapter killed at every stage, 200 loads; half an hour
	BRIDGE_TEST_LONG=1 $(GO) test -timeout 60m ./plugins/... ./cmd/bridge

# The environment has torch and transformers for the CPU, and what the Python SDK needs.
TORCH := .venv/torch
.PHONY: test-torch
test-torch: ## plugins that need PyTorch: the Python examples on golden folders, in training, and killed at every stage (makes its own Python environment)
	@[ -x $(TORCH)/bin/python ] || python3 -m venv $(TORCH)
	$(TORCH)/bin/python -m pip install --quiet --requirement tools/kit/requirements.txt --requirement sdk/python/tests/requirements.txt --requirement examples/adapter-python-hf/requirements.txt
	BRIDGE_TEST_TORCH=$(CURDIR)/$(TORCH)/bin/python $(GO) test -timeout 60m -run 'Golden|Conformance|PromptEmbeddings' ./examples/adapter-python-hf ./examples/adapter-python-hf-vision ./examples/adapter-python-remote
	BRIDGE_TEST_TORCH=$(CURDIR)/$(TORCH)/bin/python $(GO) test -timeout 60m -run 'Stage2ThroughPython|KillMatrix/adapter-python-hf' ./cmd/bridge

.PHONY: verify-hf
verify-hf: build ## captions and conversions of whole BLIP-2 folders against transformers (makes its own Python environment)
	tools/reference/verify-hf.sh

.PHONY: conformance-page
conformance-page: ## write docs/conformance.md from the cases of the conformance suite
	BRIDGE_WRITE_PAGE=1 $(GO) test -run TestPage ./plugins/conformance

.PHONY: bench
bench: ## benchmarks of the parts
	$(GO) test -run '^$$' -bench . ./...

.PHONY: bench-torch
bench-torch: ## figures side by side with PyTorch; after make xla-cpu. OPTIONS="--row opt-loss --rounds 1"
	tools/bench/run.sh $(OPTIONS)

.PHONY: kit
kit: build ## rebuild the kit: sprites, frozen models (Python), bridges (bridge itself)
	began=$$(date +%s) && tools/kit/build.sh all && tools/kit/bridges.sh && \
	echo "the kit took $$((($$(date +%s) - began) / 60)) minutes"
