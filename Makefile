# Two commands do all the set-up on a fresh machine: `make demo` and `make test`.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin

.PHONY: help demo test lint check mutate web clean
.DEFAULT_GOAL := help

help:
	@echo "make demo   phantom patient -> dose -> report -> decision (creates $(VENV) first)"
	@echo "make test   all tests that need no GPU"
	@echo "make lint   ruff, mypy --strict, import-linter, deptry, vulture"
	@echo "make mutate mutation testing of rules, units, decay, calibration and kinetics (an hour)"
	@echo "make web    rebuild the script of the look page (needs npm)"

$(VENV)/.installed: pyproject.toml constraints.txt
	@test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	@echo "installing into $(VENV) (about a minute)"
	@$(BIN)/python -m pip install -q --disable-pip-version-check -c constraints.txt -e ".[dev]"
	@touch $@

demo: $(VENV)/.installed
	@$(BIN)/prrt demo demo-out

test: $(VENV)/.installed
	@$(BIN)/python -m pytest -n auto --dist loadfile --no-loadscope-reorder

lint: $(VENV)/.installed
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/deptry .
	@$(BIN)/vulture

check: lint test

mutate: $(VENV)/.installed
	@$(BIN)/python benchmarks/mutate.py

web:
	@cd web && npm ci --silent && node build.mjs

clean:
	rm -rf $(VENV) demo-out mutants
