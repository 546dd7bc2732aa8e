# `make demo` shows what regsvc does, `make test` that it holds. Every target makes what it needs first.

PYTHON ?= python3
PYTEST_ARGS ?=
BENCH_ARGS ?=

PY := .venv/bin/python
BIN := $(CURDIR)/.venv/bin
GO := clients/go
TS := clients/typescript
PROTOS = $(wildcard protos/regsvc/v1/*.proto)

export BUF := $(BIN)/buf

.PHONY: help demo test lint format bench rivals generate landed lock clean python node
.PHONY: style types layers contract go-style ts-types
.DEFAULT_GOAL := help

help: ## Show the targets
	@sed -n 's/^\([a-z]*\):[^#]*## \(.*\)/\1|\2/p' $(MAKEFILE_LIST) | while IFS='|' read -r name text; do \
		printf '  make %-10s %s\n' "$$name" "$$text"; done

demo: python ## Push a real model through a live build, pull it back, prove it
	@$(PY) -m demo

test: python ## Run all tests: Python, Go and Node
	@$(PY) -m pytest -n 3 --dist loadfile $(PYTEST_ARGS)

lint: style types layers contract go-style ts-types ## Check style, types, layers, the contract, and the Go and TypeScript clients

# Targets of their own, so that `make -k lint` tells everything that is wrong.
style: python
	$(PY) -m ruff check .
	$(PY) -m ruff format --check .

types: python
	$(PY) -m mypy

layers: python
	$(BIN)/lint-imports --no-logo

contract: python
	$(BUF) lint protos
	$(BUF) breaking protos --against protos/landed.binpb

go-style:
	@unformatted=$$(gofmt -l $(GO)) && test -z "$$unformatted" || { echo "gofmt: $$unformatted"; exit 1; }
	cd $(GO) && go vet ./...

ts-types: node
	cd $(TS) && node_modules/.bin/tsc --noEmit -p tsconfig.json

format: python ## Format and fix what can be fixed by itself
	$(PY) -m ruff check --fix .
	$(PY) -m ruff format .
	gofmt -w $(GO)

bench: python ## Measure every figure that is promised, beside cp, a raw stream and what others use
	@$(PY) bench/run.py $(BENCH_ARGS)

rivals: ## Install MLflow and boto3 in .cache/rivals, for `make bench` to compare with
	@$(PYTHON) -m venv .cache/rivals
	.cache/rivals/bin/pip --disable-pip-version-check install --quiet mlflow==3.17.2 boto3==1.44.5

generate: python node ## Generate the code of all languages from the protos
	$(PY) -m grpc_tools.protoc -Iprotos --python_out=src --pyi_out=src --grpc_python_out=src $(PROTOS)
	$(GO)/generate.sh
	$(TS)/generate.sh

landed: python ## Note the protos as landed: `make lint` holds later ones compatible with them
	$(BUF) build protos --exclude-source-info -o protos/landed.binpb

lock: ## Write requirements.lock anew from pyproject.toml
	@$(PYTHON) tools/environment.py lock

clean: ## Remove what the targets made
	rm -rf .venv .cache .pytest_cache .mypy_cache .ruff_cache .hypothesis .import_linter_cache build dist
	rm -rf $(GO)/bin $(TS)/node_modules $(TS)/dist $(TS)/build

python:
	@$(PYTHON) tools/environment.py python

node:
	@$(PYTHON) tools/environment.py node
