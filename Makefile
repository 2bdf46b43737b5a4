# make demo: the main job, end to end.  make test: everything that CI checks.
# make bench: whole commands against the last release.  make install: hepdann alone, into .venv.
# None needs anything done before it but Python >= 3.11.
SHELL := /bin/bash
PYTHON ?= $(shell for p in python3 python3.13 python3.12 python3.11 python; do \
	$$p -c 'import ensurepip, sys, venv; sys.exit(sys.version_info < (3, 11))' 2>/dev/null \
	&& echo $$p && break; done)
BIN := .venv/bin
JOBS ?= 2
# The build backend comes from constraints.txt too: no isolated environment, nothing unpinned.
# Bytecode is written where a module is first imported: pip would compile all of torch, for 40 s.
PIP := $(BIN)/python -m pip --disable-pip-version-check -q install --no-compile -c constraints.txt
export PYTHONDONTWRITEBYTECODE :=
HERE := --no-build-isolation -e

.PHONY: demo test lint types pytest bench install clean

demo: .venv/installed
	rm -rf demo
	$(BIN)/hepdann demo -o demo

# mypy runs on one processor and would leave the others idle: pytest runs beside it.
test: lint
	@$(MAKE) --no-print-directory -j 2 types pytest

lint: .venv/tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .

types: .venv/tested
	$(BIN)/mypy

# A module stays on one worker, so that what its tests share is made once.
pytest: .venv/tested
	$(BIN)/pytest -n $(JOBS) --dist loadscope

# Whole commands against those of the last release, in 3 minutes on an idle machine.
bench: .venv/tested
	$(BIN)/python benchmarks/speed/regression.py

install: .venv/installed
	@echo "hepdann is installed: $(BIN)/hepdann --help"

.venv/python:
	@test -n "$(PYTHON)" || { echo "hepdann needs Python 3.11 or newer with venv and ensurepip;" \
		"set PYTHON=/path/to/python3" >&2; exit 2; }
	$(PYTHON) -m venv .venv
	@touch $@

.venv/installed: .venv/python pyproject.toml constraints.txt $(shell find hepdann -name '*.[ch]')
	$(PIP) setuptools
	$(PIP) $(HERE) .
	@touch $@

.venv/tested: .venv/python pyproject.toml constraints.txt $(shell find hepdann -name '*.[ch]')
	$(PIP) setuptools
	$(PIP) $(HERE) '.[test]'
	@touch $@ .venv/installed

clean:
	rm -rf .venv build dist demo .mypy_cache .pytest_cache .ruff_cache .hypothesis *.egg-info
