# demo: the whole chain on sample data.  test: all tests.  check: format, lint, types.
# soak: the service for half an hour.  fuzz: 20,000 requests that nobody would send.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip --disable-pip-version-check install -q -c constraints.txt

MINUTES ?= 30
CASES ?= 20000

.PHONY: demo test check bench soak fuzz docs clean

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# torch goes first: see constraints.txt
$(VENV)/.demo: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) torch==2.13.0
	$(PIP) -e ".[train,serve]"
	touch $@

$(VENV)/.dev: pyproject.toml constraints.txt | $(BIN)/python
	$(PIP) torch==2.13.0
	$(PIP) -e ".[dev]"
	touch $@

demo: $(VENV)/.demo
	$(BIN)/mw demo

test: $(VENV)/.dev
	$(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations 25

check: $(VENV)/.dev
	$(BIN)/ruff format --check src tests bench
	$(BIN)/ruff check src tests bench
	$(BIN)/pyright

bench: $(VENV)/.dev
	for program in bench/*.py; do $(BIN)/python $$program --data $(DATA) --json bench/results/$$(basename $$program .py).json || exit 1; done

soak: $(VENV)/.dev
	$(BIN)/python bench/soak.py --minutes $(MINUTES) --json bench/results/soak.json

fuzz: $(VENV)/.dev
	$(BIN)/python bench/fuzz.py --cases $(CASES) --json bench/results/fuzz.json

clean:
	rm -rf $(VENV) .bench build dist
