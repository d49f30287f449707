# Every target makes the virtual environment that it needs: only Python and make are assumed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONFIG ?= configs/quick.yaml
MINUTES ?= 20

.PHONY: bench smoke test cluster interop fuzz docs lint format clean

bench: $(VENV)/installed
	$(BIN)/qc-gym bench $(CONFIG)

smoke: $(VENV)/installed
	$(BIN)/qc-gym bench configs/smoke.yaml

test: $(VENV)/installed
	$(BIN)/python -m pytest -n 2 --dist loadfile

interop: $(VENV)/interop
	$(BIN)/python -m pytest tests/interop/libraries.py

# Sweeps on a Ray cluster of several nodes on this machine.
cluster: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[cluster]'
	$(BIN)/python -m pytest tests/cluster/sweeps.py

fuzz: $(VENV)/installed
	$(BIN)/python tests/fuzz.py --minutes $(MINUTES)

docs: $(VENV)/docs
	$(BIN)/python -m sphinx -q -W --keep-going docs build/docs

lint: $(VENV)/installed
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

format: $(VENV)/installed
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) build *.egg-info .mypy_cache .pytest_cache .ruff_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

$(VENV)/installed: pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	@# torch first and by itself: pip then takes the build that the constraints name.
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt torch
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[agents,render,dev]'
	touch $@

$(VENV)/interop: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[interop]'
	touch $@

$(VENV)/docs: $(VENV)/installed
	$(BIN)/python -m pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[docs]'
	touch $@
