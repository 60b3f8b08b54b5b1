# Everything is built with GoMLX's vector kernels for the Go backend. Without them,
# matrix products are ten times slower.
export GOEXPERIMENT := simd
export GOFLAGS := -buildvcs=false
ifeq ($(shell uname -m),x86_64)
export GODEBUG := cpu.fma=off# the Go backend's exponentials are slow otherwise: docs/decisions/0028
endif

GO ?= go
STATICCHECK := honnef.co/go/tools/cmd/staticcheck@v0.7.0

.PHONY: help
help: ## list the targets
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*## /\t/' | expand -t 18

.PHONY: build
build: ## build bin/bridge, with the commit in it if git knows one
	$(GO) build -buildvcs=$$(git rev-parse --verify --quiet HEAD >/dev/null 2>&1 && echo true || echo false) -o bin/bridge ./cmd/bridge

.PHONY: demo
demo: build ## run the demo on the built-in kit: swap the LLM, retrain stage 2, caption held-out pictures
	bin/bridge demo

# make lint vets the code. Without symbols the linker takes half the time: eighty test binaries are
# linked.
FAST_LINK := -vet=off -ldflags='-s -w'

# The packages whose tests take longest start first, so that none of them runs alone at the end.
.PHONY: test
test: ## run all tests on the Go backend. TESTFLAGS=-short
	$(GO) test $(FAST_LINK) -timeout 20m $(TESTFLAGS) ./cmd/bridge ./runs ./train ./...

.PHONY: test-race
test-race: ## run the race detector on every package that starts a goroutine. PACKAGES=./train
	GO=$(GO) tools/race.sh $(PACKAGES)

.PHONY: vet-macos
vet-macos: ## type-check all code and tests for macOS, on any system
	GOOS=darwin GOARCH=arm64 GOEXPERIMENT= $(GO) vet ./...

FUZZTIME ?= 10s
.PHONY: fuzz
fuzz: ## run every fuzzer for FUZZTIME (10s)
	GO=$(GO) tools/fuzz.sh $(FUZZTIME)

.PHONY: lint
lint: ## check formatting, vet and staticcheck
	@files=$$(gofmt -l $$(git ls-files '*.go')); test -z "$$files" || { echo "gofmt would change: $$files"; exit 1; }
	$(GO) vet ./...
	$(GO) run $(STATICCHECK) ./...

.PHONY: xla-cpu
xla-cpu: ## install XLA for the CPU with pip; --backend auto then finds it
	tools/xla/install-cpu.sh

# A golden folder has dozens of shapes, and compiling their graphs takes nearly all of the
# time. Switching LLVM's optimization off halves it, and does not change XLA's own passes.
# -short skips the runs of each example on its own, which the tests on the Go backend do.
UNOPTIMIZED := XLA_FLAGS=--xla_backend_optimization_level=0
.PHONY: test-xla
test-xla: ## run the parity tests on XLA CPU; first: make xla-cpu
	BRIDGE_TEST_BACKEND=xla:cpu $(GO) test $(FAST_LINK) -timeout 20m ./qformer/... ./train/optim ./bridge
	BRIDGE_TEST_BACKEND=xla:cpu $(UNOPTIMIZED) $(GO) test $(FAST_LINK) -short -run Golden -timeout 20m ./adapters/...
	BRIDGE_TEST_BACKEND=xla:cpu $(UNOPTIMIZED) $(GO) test $(FAST_LINK) -timeout 20m -run TestVerifyBridges ./cmd/bridge

.PHONY: test-xla-long
test-xla-long: ## run all tests of frozen models on XLA CPU (half an hour)
	BRIDGE_TEST_BACKEND=xla:cpu $(UNOPTIMIZED) $(GO) test -timeout 60m ./adapters/internal/vision ./adapters/...

.PHONY: test-long
test-long: ## run the long form of tests that have one: every adapter killed at every stage, 200 loads, every tensor and setting of every golden folder (an hour)
	BRIDGE_TEST_LONG=1 $(GO) test -timeout 60m ./plugins/... ./cmd/bridge
	BRIDGE_TEST_LONG=1 $(GO) test -timeout 60m ./adapters/... ./bridge ./convert ./imaging ./registry ./runs ./tokenizer ./train

# The environment has torch and transformers for the CPU, and the packages of the Python SDK.
TORCH := .venv/torch
.PHONY: test-torch
test-torch: ## test plugins that need PyTorch: the Python examples on golden folders, in training, and killed at every stage (makes its own Python environment)
	@[ -x $(TORCH)/bin/python ] || python3 -m venv $(TORCH)
	$(TORCH)/bin/python -m pip install --quiet --requirement tools/kit/requirements.txt --requirement sdk/python/tests/requirements.txt --requirement examples/adapter-python-hf/requirements.txt
	BRIDGE_TEST_TORCH=$(CURDIR)/$(TORCH)/bin/python $(GO) test -timeout 60m -run 'Golden|Conformance|PromptEmbeddings' ./examples/adapter-python-hf ./examples/adapter-python-hf-vision ./examples/adapter-python-remote
	BRIDGE_TEST_TORCH=$(CURDIR)/$(TORCH)/bin/python $(GO) test -timeout 60m -run 'Stage2ThroughPython|KillMatrix/adapter-python-hf' ./cmd/bridge

# The environment has the openai package and schemathesis. Node and npm must be installed.
SERVE := .venv/serve
SERVE_ENV = BRIDGE_TEST_REQUIRE=1 BRIDGE_TEST_PYTHON=$(CURDIR)/$(SERVE)/bin/python
.PHONY: serve-clients
serve-clients: # installs the packages that test-serve-clients and fuzz-serve need
	@[ -x $(SERVE)/bin/python ] || python3 -m venv $(SERVE)
	$(SERVE)/bin/python -m pip install --quiet --requirement tools/serve/requirements.txt
	npm ci --silent --no-audit --no-fund --prefix tools/serve/clients

.PHONY: test-serve-clients
test-serve-clients: serve-clients ## test the server with the openai packages of PyPI and npm, the examples of docs/serving.md, and schemathesis
	$(SERVE_ENV) $(GO) test -count=1 ./tools/serve

EXAMPLES ?= 200
.PHONY: fuzz-serve
fuzz-serve: serve-clients ## send requests that schemathesis generates from /openapi.json. EXAMPLES=200 for each path, SEED=1
	BRIDGE_TEST_LONG=1 BRIDGE_TEST_EXAMPLES=$(EXAMPLES) BRIDGE_TEST_SEED=$(SEED) $(SERVE_ENV) $(GO) test -count=1 -timeout 60m -v -run TestTheDescriptionHolds ./tools/serve

MINUTES ?= 10
.PHONY: soak-serve
soak-serve: build ## load a server while its processes are killed, and check each answer. MINUTES=10 MODELS=warm=runs/demo/warm
	$(GO) run ./tools/serve soak -bridge bin/bridge -minutes $(MINUTES) -models '$(MODELS)'

.PHONY: bench-serve
bench-serve: build ## compare the server's speed with generation in process. OPTIONS="-isolation process"
	$(GO) run ./tools/serve bench -bridge bin/bridge $(OPTIONS)

.PHONY: verify-hf
verify-hf: build ## compare captions and conversions of whole BLIP-2 folders with transformers (makes its own Python environment)
	tools/reference/verify-hf.sh

.PHONY: conformance-page
conformance-page: ## write docs/conformance.md from the cases of the conformance suite
	BRIDGE_WRITE_PAGE=1 $(GO) test -run TestPage ./plugins/conformance

.PHONY: bench
bench: ## run the benchmarks of the parts
	$(GO) test -run '^$$' -bench . ./...

# Measure on an idle machine. Counts in a run's summary.json times these seconds are its cost.
.PHONY: bench-passes
bench-passes: ## measure the seconds of one pass of each kind. MODELS=tiny-vit+tiny-opt,tiny-vit+/models/llm BATCH=32 BACKEND=xla:cpu PRICES=$PWD/prices.json
	BRIDGE_BENCH_MODELS=$(MODELS) BRIDGE_BENCH_BATCH=$(BATCH) BRIDGE_BENCH_PRICES=$(PRICES) BRIDGE_TEST_BACKEND=$(BACKEND) \
		$(GO) test -run '^$$' -bench BenchmarkPasses -benchtime 1x -timeout 60m ./runs

.PHONY: bench-torch
bench-torch: ## compare speed and memory with PyTorch; first: make xla-cpu. OPTIONS="--row opt-loss --rounds 1"
	tools/bench/run.sh $(OPTIONS)

.PHONY: check-memory
check-memory: build ## compare the estimated memory of runs with runs of the kit (ten minutes); first: make xla-cpu. CASES="stage1 stage2"
	$(GO) run ./tools/memory -bridge bin/bridge $(CASES)

.PHONY: gpu-bundle
gpu-bundle: ## pack dist/bridge-gpu.tar.gz, which proves and measures bridge on a machine with a GPU
	GO=$(GO) tools/gpu/bundle.sh

PROVE ?=
.PHONY: prove-gpu
prove-gpu: gpu-bundle ## unpack the bundle and run it here. PROVE="--platform cpu --small" takes XLA's CPU plugin
	rm -rf dist/prove && mkdir -p dist/prove && tar -C dist/prove -xzf dist/bridge-gpu.tar.gz
	dist/prove/bridge-gpu/prove.sh --out dist/prove/result $(PROVE)

VQA_DATA ?= ../shared/data
.PHONY: bench-vqa
bench-vqa: build ## compare VQA accuracy of VizWiz val with a plain Python scorer. VQA_DATA=folder
	$(GO) test -c -vet=off -o bin/metrics.test ./eval/metrics
	python3 tools/bench/vqa_score.py bin/bridge bin/metrics.test $(VQA_DATA)

.PHONY: kit
kit: build ## rebuild the kit: sprites, frozen models (Python), bridges (bridge itself)
	began=$$(date +%s) && tools/kit/build.sh all && tools/kit/bridges.sh && \
	echo "the kit took $$((($$(date +%s) - began) / 60)) minutes"
