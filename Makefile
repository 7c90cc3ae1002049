# Two commands matter: `make demo` and `make test`. Both make what they need and do no work twice.
SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
READY := $(VENV)/.ready

.PHONY: help env demo test lint types imports audit bench docs lock clean
help: ## say what each target does
	@grep -hE '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 10

env: $(READY) ## make the environment in .venv

$(READY): requirements.lock pyproject.toml .ci/environment.sh
	@PYTHON="$(PYTHON)" VENV="$(VENV)" bash .ci/environment.sh

demo: $(READY) ## from real orders to a served answer (DEMO_ONCE=1 stops after the answers)
	@$(BIN)/regulars demo $(if $(DEMO_ONCE),--once,)

lint: $(READY)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(READY)
	$(BIN)/mypy

imports: $(READY)
	$(BIN)/lint-imports

audit: $(READY) ## ask the advisory database about every locked package
	@BIN="$(BIN)" bash .ci/audit.sh

test: $(READY) ## lint, types, import rules and the whole test suite (PYTEST_ARGS="..." for a part, COVERAGE=1 for what no test ran)
	@BIN="$(BIN)" PYTHON="$(PYTHON)" AGAIN="$(AGAIN)" COVERAGE="$(COVERAGE)" bash .ci/test.sh $(PYTEST_ARGS)

bench: $(READY) ## the short form of every benchmark, at most 20 minutes (needs wrk); the page is benchmarks/results.html
	@$(BIN)/python -m benchmarks.bench

docs: $(READY) ## build the documentation into site/, to read without a network
	@NO_MKDOCS_2_WARNING=1 $(BIN)/mkdocs build --strict --quiet && echo "Open site/index.html"

lock: $(READY) ## resolve the locked versions anew (names, versions and hashes; no addresses)
	$(BIN)/uv pip compile pyproject.toml --all-extras --universal --python-version 3.11 --generate-hashes \
	  --no-emit-index-url --no-annotate --upgrade -q -o requirements.lock

clean: ## remove the environment and what tests left (never the data home)
	rm -rf $(VENV) .coverage .coverage.* .pytest_cache .mypy_cache .ruff_cache .hypothesis
