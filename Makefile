# Every verb of the project. `make demo` and `make test` are all that a newcomer needs; each sets up what it needs.
PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
UI     := src/partita/server/ui/index.html
EXTRAS := nightly calendars notify objects oidc vault keyring postgres dask ray kubernetes
CORES  := $(shell nproc 2>/dev/null || sysctl -n hw.ncpu 2>/dev/null || echo 2)

.PHONY: help setup demo test test-all test-ui test-engines lint format types bench sim ui ui-types ui-check lock clean

help:            ## what there is to say
	@grep -E '^[a-z-]+: .*##|^[a-z-]+:  *##' $(MAKEFILE_LIST) | sed -E 's/^([a-z-]+):.*## */  make \1\t/' | expand -t 22

setup: $(READY) $(UI)  ## a virtual environment with pinned, hashed dependencies

$(READY): constraints.txt pyproject.toml
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Partita needs Python 3.11 or newer; say: make PYTHON=python3.12 ...")'
	@echo "setting up $(VENV) (once, a minute or two)"
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --require-hashes -r constraints.txt
	@$(BIN)/python -m pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

$(UI): $(READY) ui/package-lock.json ui/index.html ui/vite.config.ts $(shell find ui/src ui/public -type f)
	@$(BIN)/python ui/build.py build
	@touch $@

demo: $(READY)   ## the nightly on real data; `make demo BREAK=1` with faults that happen
	@PARTITA_NIGHTLY_BREAK=$(BREAK) $(BIN)/python examples/nightly/demo.py

test: $(READY) $(UI)   ## everything that runs in minutes
	$(BIN)/python -m pytest -q -n $(CORES) -m "not slow"

test-all: $(READY) $(UI)  ## also what takes longer: crash tests and seeded bugs at full size
	$(BIN)/python -m pytest -q -n $(CORES)

test-ui: $(READY) $(UI)  ## the longer tests of the screens: every screen by axe, 232 payloads
	$(BIN)/python -m pytest -q -n $(CORES) -m slow tests/ui

test-engines: $(READY)  ## steps on real clusters of Dask, Ray and Slurm, on a double of Kubernetes, in containers
	$(BIN)/python -m pytest -q -n $(CORES) -m slow tests/executors tests/containers

lint: $(READY) ui-check  ## style, types, layers; of the screens too
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

format: $(READY) ## put the code in order
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

bench: $(READY)  ## the figures of docs/benchmarks.md, each beside its bare counterpart
	$(BIN)/python bench/run.py

sim: $(READY)    ## 10,000 simulated histories and the seeded bugs
	$(BIN)/python bench/sim.py

ui: $(READY)     ## build the screens into the package
	@$(BIN)/python ui/build.py build

ui-types: $(READY) ## the screens' types anew, of the API's OpenAPI document
	@$(BIN)/python ui/build.py types

ui-check: $(READY) ## types, style and unit tests of the screens
	@$(BIN)/python ui/build.py check

lock:            ## resolve the dependencies anew into constraints.txt
	$(BIN)/uv pip compile pyproject.toml $(EXTRAS:%=--extra %) --group dev --generate-hashes --universal \
	  --python-version 3.11 --no-emit-index-url --no-emit-find-links --no-header -q -o constraints.txt

clean:           ## remove what was built (not what you ran)
	rm -rf $(VENV) build dist .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +
