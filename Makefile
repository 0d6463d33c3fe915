# Two commands are enough: `make run` and `make test`. Each sets up what it needs; the second time it only checks.

SHELL := bash
.SHELLFLAGS := -euo pipefail -c
MAKEFLAGS += --no-print-directory
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV ?= .venv
# Tests run in as many processes as there are cores; `make test WORKERS=0` runs them in one.
WORKERS ?= auto
PYTEST_ARGS ?=

BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip install -qq --disable-pip-version-check -c constraints.txt

# $(call timed,name,command): one part of `make test`, with the time it took.
timed = @echo "== $(1)"; TIMEFORMAT="== $(1): %1R s"; time { $(2); }

.PHONY: help run test format bench clean

help:
	@echo "make run     set up, then train and replay the demo desk: whydesk demo"
	@echo "make test    set up, then check format, style, types and contracts, and run every test"
	@echo "make format  put the code into its form"
	@echo "make bench   measure the desk against its floors"
	@echo "make clean   remove the environment and what tools left; the desk's records in var/ stay"
	@echo
	@echo "PYTHON=$(PYTHON) (3.11 or newer) makes the environment VENV=$(VENV)"

run: $(VENV)/.installed-demo
	@$(BIN)/whydesk demo

test:
	$(call timed,system packages,tests/setup_system.sh)
	$(call timed,install,$(MAKE) -s $(VENV)/.installed-dev)
	$(call timed,ruff format,$(BIN)/ruff format --check .)
	$(call timed,ruff check,$(BIN)/ruff check .)
	$(call timed,mypy,$(BIN)/mypy)
	$(call timed,lint-imports,$(BIN)/lint-imports --no-logo)
	@echo "== pytest"; $(BIN)/python -m pytest tests engine/core --doctest-modules --ignore tests/simulation -n $(WORKERS) --cov $(PYTEST_ARGS)
	$(if $(PYTEST_ARGS),,$(call timed,simulation,$(BIN)/python -m pytest tests/simulation -n $(WORKERS)))

format: $(VENV)/.installed-dev
	@$(BIN)/ruff format .
	@$(BIN)/ruff check --fix .

bench: $(VENV)/.installed-dev
	@$(BIN)/python -m tests.bench

clean:
	rm -rf $(VENV) build dist *.egg-info htmlcov .coverage .coverage.* .hypothesis .import_linter_cache .mypy_cache .pytest_cache .ruff_cache
	find bot configs engine explain jobs knowledge tests -type d -name __pycache__ -prune -exec rm -rf {} +

# pip appears only when venv has wholly succeeded.
$(BIN)/pip:
	@$(PYTHON) -c 'import sys; sys.version_info >= (3, 11) or sys.exit("Whydesk needs Python 3.11 or newer; this is " + sys.version.split()[0] + ". Name another: make PYTHON=python3.12")'
	@$(PYTHON) -m venv $(VENV)

$(VENV)/.installed-demo: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing into $(VENV) (a minute or two, once) ..."
	@$(PIP) -e '.[demo,live,chat]'
	@touch $@

$(VENV)/.installed-dev: pyproject.toml constraints.txt | $(BIN)/pip
	@echo "Installing into $(VENV) (a minute or two, once) ..."
	@$(PIP) -e '.[all,dev]'
	@touch $@ $(VENV)/.installed-demo
