# Every target sets up what it needs in .venv, once; nothing is installed outside this folder.
.DEFAULT_GOAL := help
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check --quiet

.PHONY: help demo test check format bench chaos clean

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-8s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/installed  ## run the demo job against the endpoint played on this machine
	@$(BIN)/pipeline run jobs/demo.yaml --rehearse --profile demo || [ $$? -eq 3 ]

test: $(VENV)/installed-dev $(VENV)/browser  ## run the whole test suite
	@$(BIN)/python -m pytest -n auto

check: $(VENV)/installed-dev  ## check format, lint and types
	@$(BIN)/ruff format --check --quiet . && $(BIN)/ruff check --quiet . && $(BIN)/mypy

format: $(VENV)/installed-dev  ## format the code and mend what lint can mend
	@$(BIN)/ruff format --quiet . && $(BIN)/ruff check --fix --quiet .

bench: $(VENV)/installed-dev  ## measure, and write the table into docs/performance.md
	@$(BIN)/python -m benchmarks

chaos: $(VENV)/installed-dev  ## kill a job a hundred times, and count what is lost and paid twice
	@$(BIN)/python -m benchmarks.chaos --kills 100

clean:  ## remove .venv and the caches; outputs stay
	@rm -rf $(VENV) .pytest_cache .mypy_cache .ruff_cache dist build

$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "Python 3.11 or later is needed; '$(PYTHON)' is older or missing (try: make PYTHON=python3.12 $(MAKECMDGOALS))"; exit 2; }
	@$(PYTHON) -m venv $(VENV) || { \
	  echo "'$(PYTHON) -m venv' does not work here (on Debian and Ubuntu: apt-get install python3-venv)"; rm -rf $(VENV); exit 2; }

$(VENV)/installed: pyproject.toml | $(BIN)/python
	@echo "Setting up .venv (once, less than a minute) ..."
	@$(PIP) install --editable . >$(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log; exit 1; }
	@touch $@

$(VENV)/installed-dev: pyproject.toml | $(BIN)/python
	@echo "Setting up .venv with the development tools (once, about a minute) ..."
	@$(PIP) install --editable '.[dev]' >$(VENV)/pip.log 2>&1 || { cat $(VENV)/pip.log; exit 1; }
	@touch $@ $(VENV)/installed

# Tried once; tests look for an installed browser themselves, and skip without one.
$(VENV)/browser: $(VENV)/installed-dev
	@$(BIN)/python -m tests.browser.chromium $@
