# make fetch      real data from its public homes, 18 MB (needs the internet)
# make demo       all of it on phantoms, in minutes, without data; with
#                 DATASET=fib25, Google's network on a real crop (make fetch)
# make test       lint and the tests; a quarter of an hour on two idle cores
# make test-all   the slow ones too
# make bench      the benchmarks, quick ones
# make clean      removes the virtual environment; results in out/ stay
#
# Each target sets up what it needs: a virtual environment in .venv with the
# pinned versions of requirements.txt. PYTHON is only used for that.

PYTHON ?= $(shell command -v python3.11 || command -v python3)
DATASET := phantom
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready
# TensorFlow's build for CPUs where there is no NVIDIA GPU.
DEVICE := $(if $(shell command -v nvidia-smi 2>/dev/null),gpu,cpu)
PYTEST := $(BIN)/python -m pytest

.PHONY: setup fetch demo test test-all lint format bench clean

setup: $(READY)

$(READY): setup.py requirements.txt requirements-$(DEVICE).txt
	@echo "Installing into $(VENV), once: a few minutes"
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    -r requirements.txt -r requirements-$(DEVICE).txt
	$(BIN)/python -m pip install --quiet --disable-pip-version-check \
	    --no-deps --no-build-isolation -e .
	touch $@

fetch: $(READY)
	$(BIN)/python third_party/fetch.py fib25

demo: $(READY)
	$(BIN)/python -m ffn_tf.demo --dataset=$(DATASET) --output_dir=out/$(DATASET)
ifeq ($(DATASET),phantom)
	$(BIN)/python -m segclr.demo --output_dir=out/$(DATASET)/segclr
endif

lint: $(READY)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

test: lint
	$(PYTEST) -n 2 -m "not slow"

test-all: lint
	$(PYTEST) -n 2

bench: $(READY)
	$(BIN)/python benchmarks/bench_fov.py --quick
	$(BIN)/python benchmarks/bench_segment.py --quick
	$(BIN)/python benchmarks/bench_volumes.py --quick
	$(BIN)/python benchmarks/bench_partitions.py --quick
	$(BIN)/python benchmarks/bench_input.py --quick
	$(BIN)/python benchmarks/bench_train.py --quick
	$(BIN)/python benchmarks/bench_inference.py --quick
	$(BIN)/python benchmarks/bench_reconcile.py --quick
	$(BIN)/python benchmarks/bench_jobs.py --quick
	$(BIN)/python benchmarks/bench_embed.py --quick
	$(BIN)/python benchmarks/bench_embeddings_io.py --quick
	$(BIN)/python benchmarks/bench_types.py --quick
	$(BIN)/python benchmarks/bench_retrieval.py --quick

format: $(READY)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) build *.egg-info
