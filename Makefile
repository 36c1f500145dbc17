# make demo: train and compare on the embedded images.   make test: the test suite.   make help: the rest.
PYTHON ?= python3
VENV ?= .venv
BIN = $(VENV)/bin
DEMO = compare --labels one-hot ls:0.1 ls:0.3 vs:0.3 --seeds 3 --data embedded --model small --epochs 12 \
	--crop-padding 0 --no-flip --out demo

.PHONY: help demo test check bench clean

help: ## this list
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/'

$(VENV)/.installed: pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "vsmooth needs Python 3.11 or newer: make PYTHON=python3.11 ...")'
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable ".[lab,dev]"
	touch $@

demo: $(VENV)/.installed ## train one network with one-hot, smoothed and virtual labels, 3 seeds; write demo/report.html
	$(BIN)/vsmooth $(DEMO)

test: $(VENV)/.installed ## the test suite, in two processes of one thread each
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2

check: $(VENV)/.installed ## lint, types, import contracts
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports

bench: $(VENV)/.installed ## every speed claim, as ratios measured in this run
	$(BIN)/python -m benchmarks

clean: ## remove the environment and what the demo wrote
	rm -rf $(VENV) demo build dist
