# make test: everything that CI checks.  make demo: the main job, end to end.  make install: hepdann alone.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo $$p && break; done)
BIN := .venv/bin
JOBS ?= 2
PIP := $(BIN)/python -m pip --disable-pip-version-check -q

.PHONY: demo test lint types pytest install clean

demo: .venv/installed
	$(BIN)/hepdann demo -o demo

test: lint types pytest

lint: .venv/tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/tested
	$(BIN)/mypy

pytest: .venv/tested
	$(BIN)/pytest -n $(JOBS)

install: .venv/installed
	@echo "hepdann is installed: $(BIN)/hepdann --help"

.venv/python:
	@test -n "$(PYTHON)" || { echo "hepdann needs Python 3.11 or newer; set PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e .
	@touch $@

.venv/tested: .venv/python pyproject.toml constraints.txt
	$(PIP) install -c constraints.txt -e '.[test]'
	@touch $@ .venv/installed

clean:
	rm -rf .venv build dist demo .mypy_cache .pytest_cache .ruff_cache *.egg-info
