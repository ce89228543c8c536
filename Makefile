PYTHON ?= $(shell command -v python3.11 || command -v python3)
BIN := .venv/bin
READY := .venv/.ready
DOCS := .venv/.docs-ready
MINUTES ?= 10
SCALE ?= 1
SEEDS ?= 3
WHEELS := gpu-wheels
COUNT ?= 300

.PHONY: help setup demo test test-backends test-instructions fuzz sanitize torture mutate lint format docs docs-serve notebooks bench quality gpu-wheels gpu-check models corpora clean
.DEFAULT_GOAL := help

help: ## list the targets
	@sed -n 's/^\([a-z-]*\):.*## /\1|/p' Makefile | awk -F'|' '{ printf "  make %-17s  %s\n", $$1, $$2 }'

setup: $(READY) ## make the environment in .venv

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	@touch $@

demo: $(READY) ## train an LSTM on male.txt and print new names
	$(BIN)/chargen train --config demo
	$(BIN)/chargen sample --count 20

test: $(READY) ## run the whole test suite
	$(BIN)/python -m pytest -n auto

# On Linux pip may install a PyTorch with CUDA; set PIP_EXTRA_INDEX_URL to the index of its CPU builds.
test-backends: $(READY) ## install JAX and PyTorch and test training with them
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,jax,torch]'
	$(BIN)/python -m pytest -n auto tests/training/test_backends.py tests/training/test_clusters.py tests/training/test_distribution.py tests/training/test_gpu.py tests/training/test_jax_program.py tests/training/test_torch_layers.py tests/keras/test_backends.py tests/test_benchmarks.py

test-instructions: $(READY) ## test networks and writing in NumPy, and with the C code for processors that have only AVX2
	CHARGEN_NATIVE=0 $(BIN)/python -m pytest -n auto tests/network tests/writing
	CHARGEN_NATIVE=avx2 $(BIN)/python -m pytest -n auto tests/network tests/writing

fuzz: $(READY) ## damage model files for ten minutes (MINUTES=10): each must load, or be refused in one line
	$(BIN)/python -m tests.hostile.fuzz_model_file --minutes $(MINUTES)

sanitize: $(READY) ## test the C kernels with the compiler's sanitizers of addresses and of undefined behaviour
	LD_PRELOAD="$$($${CC:-cc} -print-file-name=libasan.so)" ASAN_OPTIONS=detect_leaks=0:allocator_may_return_null=1 \
		KERNEL_TEST_FLAGS="-g -O1 -fsanitize=address,undefined -fno-sanitize-recover=all" \
		$(BIN)/python -m pytest -n 0 tests/native/test_kernels.py tests/native/test_dense.py tests/native/test_adam.py tests/native/test_writing.py tests/memory/test_cache.py

torture: $(READY) ## run the long loops: kill, resume, faults, attacks, terminal, several processes (about an hour)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,jax,torture]'
	$(BIN)/python -m tests.torture

mutate: $(READY) ## change the code in COUNT=300 places, one at a time, and count how many changes the tests find (an hour)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,mutation]'
	$(BIN)/python -m tests.mutation --count $(COUNT)

lint: $(READY) ## check style and types
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/python -m tests.typed_keywords --check
	$(BIN)/mypy

format: $(READY) ## format the code, and write what is generated from the settings
	$(BIN)/python -m tests.typed_keywords
	$(BIN)/ruff check --fix-only --quiet .
	$(BIN)/ruff format .

docs: $(READY) $(DOCS) ## build the manual into build/manual; a broken link or a missing page fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

docs-serve: $(READY) $(DOCS) ## show the manual in a browser while you write it
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs serve

$(DOCS): pyproject.toml constraints.txt | $(READY)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,docs]'
	@touch $@

notebooks: $(READY) ## execute the notebooks of the manual again, and store their outputs
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev,notebooks]'
	$(BIN)/python -m tests.notebooks

bench: $(READY) ## measure start-up, sampling and training, and compare with Keras and PyTorch (which it installs)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[bench]'
	$(BIN)/python -m benchmarks
	$(BIN)/python -m benchmarks plot

quality: $(READY) ## measure the quality of the defaults, and the effect of each part of the recipe (hours; SCALE=0.02 SEEDS=1 for a try)
	$(BIN)/python -m benchmarks quality --seeds $(SEEDS) --scale $(SCALE)
	$(BIN)/python -m benchmarks ablation --seeds $(SEEDS) --scale $(SCALE)
	$(BIN)/python -m benchmarks short-texts --seeds $(SEEDS)
	$(BIN)/python -m benchmarks grid --scale $(SCALE)
	$(BIN)/python -m benchmarks dropout --seeds $(SEEDS) --scale $(SCALE)
	$(BIN)/python -m benchmarks ngram-memory
	$(BIN)/python -m benchmarks min-cells --scale $(SCALE)
	$(BIN)/python -m benchmarks mogrifier --scale $(SCALE)
	$(BIN)/python -m benchmarks distillation --scale $(SCALE)

gpu-wheels: $(READY) ## download what a GPU machine without a network needs in addition to JAX or PyTorch
	$(BIN)/python -m benchmarks.gpu_wheels $(WHEELS)

# Without .venv, on a machine that has only the sources, the system's Python has JAX or PyTorch.
gpu-check: ## check and measure chargen on a GPU, within nine minutes
	$(if $(wildcard $(READY)),$(BIN)/python,python3) -m benchmarks.gpu_check --minutes 9 $(if $(wildcard $(WHEELS)),--wheels $(WHEELS))

models: $(READY) ## train the networks that come with chargen again (with the same packages and CPU, to the same bytes)
	mkdir -p build/models && cat corpora/male.txt corpora/female.txt > build/models/names.txt
	cp "$$($(BIN)/chargen train --config models/names.toml --runs-dir build/models)/model.safetensors" models/names.safetensors
	cp "$$($(BIN)/chargen train --config models/book.toml --runs-dir build/models)/model.safetensors" models/book.safetensors

corpora: ## write corpora/code.txt from our own source
	find chargen -name '*.py' | LC_ALL=C sort | xargs cat > corpora/code.txt
	@wc -m corpora/*.txt

clean: ## remove everything that make created, except the runs
	rm -rf .venv build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis corpora/code.txt
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
