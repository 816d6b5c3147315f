# A fresh machine needs Python 3.11 or newer and the package registries, nothing else.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-out
PYTEST = OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile --cov
COVERED = echo "Lines covered, without those that only other processes run: $$($(BIN)/python -m coverage report --format=total)%"

.PHONY: help demo test test-slow coverage lint docs wheel minimums clean

help:  ## list these targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-10s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

demo: $(VENV)/.installed  ## run the full pipeline on scikit-learn's digits: a minute on a CPU
	$(BIN)/mendsearch demo --out $(OUT)

test: $(VENV)/.installed  ## run the unit tests and the laws over many networks, and print the coverage: ten minutes on two cores
	$(PYTEST) --cov-report= tests/unit tests/laws tests/conformance
	@$(COVERED)

test-slow: $(VENV)/.installed  ## run all other tests: whole searches, real processes and signals, browser; half an hour
	$(PYTEST) --cov-append --cov-report= tests/integration tests/acceptance tests/browser tests/gpu
	@$(COVERED)

coverage: $(VENV)/.installed  ## print the coverage of the last `make test`, file by file
	$(BIN)/python -m coverage report

lint: $(VENV)/.installed  ## check style, types and imports between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

docs: $(VENV)/.installed  ## build the site of the documents in build/site; a broken link is an error
	NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --quiet --strict

wheel: $(VENV)/.installed  ## build the wheel, and use it in an environment without torch
	$(BIN)/python tests/check_wheel.py

minimums: $(VENV)/.installed  ## run unit tests on the lowest versions of the dependencies
	$(BIN)/python tests/check_minimums.py

clean:  ## remove the environment, the demo's output and the embedded database
	rm -rf $(VENV) $(OUT) .mendsearch .coverage build dist

# torch comes first, by its pinned version: asked for in any other way, gigabytes may be downloaded that are not needed
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[torch,dev,docs]"
	touch $@
