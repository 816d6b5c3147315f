# Everything that a fresh machine needs is Python 3.11 and the package registries.
PYTHON ?= $(shell command -v python3.11 || command -v python3)
VENV := .venv
BIN := $(VENV)/bin
OUT ?= demo-out

.PHONY: demo test lint wheel clean

demo: $(VENV)/.installed  ## the main job, on scikit-learn's digits: minutes on a CPU
	$(BIN)/mendsearch demo --out $(OUT)

test: $(VENV)/.installed  ## the whole default suite, on a real Postgres
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -n 2 --dist loadfile

lint: $(VENV)/.installed  ## style, types, and the arrows between packages
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

wheel: $(VENV)/.installed  ## the wheel has the right names, and runs without torch
	$(BIN)/python tests/check_wheel.py

# torch first, by its pinned version: any other way to ask for it may fetch gigabytes that are not wanted
$(VENV)/.installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt torch torchvision
	$(BIN)/python -m pip install --quiet -c constraints.txt -e ".[torch,dev]"
	touch $@

clean:
	rm -rf $(VENV) $(OUT) .mendsearch build dist
