# Every target makes the virtual environment that it needs: only Python and make are assumed.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
CONFIG ?= configs/quick.yaml
MINUTES ?= 20
SAMPLE ?= 300
SEED ?= 0

.PHONY: bench results smoke test cluster interop fuzz coverage mutate docs lint format clean

bench: $(VENV)/installed
	$(BIN)/qc-gym bench $(CONFIG)

# The published results, docs/results: two hours on two cores. It goes on where it was broken off.
results: $(VENV)/installed
	$(BIN)/qc-gym bench configs/full.yaml
	$(BIN)/qc-gym report results/full --pages docs/results

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
	PYTHONPATH=. $(BIN)/python tests/mutated_inputs.py 4400

# Which lines run, in which tests, and how long each test takes: twelve minutes and more.
coverage: $(VENV)/installed
	rm -rf build/coverage && mkdir -p build/coverage
	$(BIN)/python -m coverage run -m pytest -n 2 --dist loadfile --junitxml=build/coverage/tests.xml
	$(BIN)/python -m coverage combine --quiet
	$(BIN)/python -m coverage report

# What of that fails when the code is changed: hours. It goes on where it was broken off.
mutate: $(VENV)/installed
	$(BIN)/python tests/mutation.py --sample $(SAMPLE) --seed $(SEED)

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
