# `make dev` and `make test` need nothing but python3 (3.11 or newer), make and a package index.
.DEFAULT_GOAL := help
PYTHON ?= python3
PORT ?= 8787
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt
CODE := __init__.py runtime bindings wrangler_config
# Below tests/, so that pytest does not import the checkout's folder, whatever its name, as a package.
PYTEST := $(BIN)/pytest --rootdir=tests -q tests
WORKER ?= handlers/hello

help: ## what there is to make
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "Edge needs Python 3.11 or newer; say which with: make PYTHON=/path/to/python3"; exit 1; }
	@$(PYTHON) -m venv $(VENV) || { rm -rf $(VENV); echo "python3 cannot make a virtual environment; on Debian and Ubuntu: apt-get install python3-venv"; exit 1; }

$(VENV)/.runtime: pyproject.toml constraints.txt | $(BIN)/python
	@echo "Installing Edge into $(VENV) ..."
	@$(PIP) setuptools && $(PIP) --no-build-isolation -e .
	@touch $@

$(VENV)/.pipelines: $(VENV)/.runtime
	@echo "Installing what pipelines need ..."
	@$(PIP) --no-build-isolation -e ".[pipelines]"
	@touch $@

$(VENV)/.tests: $(VENV)/.runtime
	@echo "Installing what the tests need ..."
	@$(PIP) --no-build-isolation -e ".[dev]"
	@touch $@

$(VENV)/.bench: $(VENV)/.tests
	@$(PIP) --no-build-isolation -e ".[dev,bench]"
	@touch $@

.PHONY: help dev test lint types unit fix slow oracle bench coverage clean

# An example with sinks and pipelines has an edge.toml.
dev: $(VENV)/.runtime $(if $(wildcard $(WORKER)/edge.toml),$(VENV)/.pipelines) ## run `edge dev` on an example (WORKER=handlers/events for another, PORT=0 for a free one)
	@$(BIN)/edge dev --config $(WORKER)/wrangler.jsonc --port $(PORT)

test: lint types unit ## lint, types, tests: what CI runs

lint: $(VENV)/.tests ## format check and lint
	@$(BIN)/ruff format --check --quiet . || { echo "Not formatted: run make fix"; exit 1; }
	@$(BIN)/ruff check --quiet .

types: $(VENV)/.tests ## mypy, strict; through a link, so that the checkout may have any name
	@mkdir -p $(VENV)/types && ln -sfn ../.. $(VENV)/types/edge
	@cd $(VENV)/types && ../bin/mypy --config-file edge/pyproject.toml $(addprefix edge/,$(CODE))

unit: $(VENV)/.tests ## tests, without the slow ones, on all cores
	@$(PYTEST) -n auto --dist worksteal

fix: $(VENV)/.tests ## format and mend what lint can mend
	@$(BIN)/ruff check --quiet --fix . ; $(BIN)/ruff format --quiet .

# fakesnow pins duckdb and sqlglot to versions of its own, so it lives apart from the other tests' libraries.
SNOWFLAKE := .venv-snowflake

$(SNOWFLAKE)/.made: pyproject.toml | $(BIN)/python
	@echo "Installing fakesnow into $(SNOWFLAKE) ..."
	@$(BIN)/python -m venv $(SNOWFLAKE)
	@$(SNOWFLAKE)/bin/pip install --quiet --disable-pip-version-check 'setuptools>=77'
	@$(SNOWFLAKE)/bin/pip install --quiet --disable-pip-version-check --no-build-isolation -e ".[snowflake]" fakesnow==0.12.1 pyarrow==26.0.1
	@touch $@

.PHONY: snowflake-env
snowflake-env: $(SNOWFLAKE)/.made ## what the slow tests of the Snowflake sink run in

slow: $(VENV)/.tests snowflake-env ## the long tests: 1,000 kills, 10,000 power-cut images ...
	@$(PYTEST) -m slow -o faulthandler_timeout=0

oracle: $(VENV)/.tests ## compare with what Cloudflare ships
	@$(PYTEST) -m oracle -o faulthandler_timeout=0

bench: $(VENV)/.bench ## the figures of README, measured here (needs wrk)
	@$(BIN)/python bench/run.py $(ONLY)

coverage: $(VENV)/.tests ## branch coverage of the fast tests
	@$(BIN)/coverage run -m pytest --rootdir=tests -q tests && $(BIN)/coverage report --skip-covered

clean: ## remove the environment and everything generated
	@rm -rf $(VENV) $(SNOWFLAKE) build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
