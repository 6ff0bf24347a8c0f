.DEFAULT_GOAL := help
SHELL := /bin/sh
PYTHON ?= python3
BIN := .venv/bin
export PYTHONDONTWRITEBYTECODE =# empty: the tests start hundreds of processes, and each would compile us anew

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## /{printf "  make %-14s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

install: .venv/installed ## a virtual environment in .venv with everything pinned
.venv/installed: requirements.txt requirements-dev.txt
	$(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --require-hashes --only-binary :all: -r requirements.txt -r requirements-dev.txt
	@touch $@

demo: install ## sample cards through real Redis, a real worker and a fake i'mport; leaves nothing behind
	@$(BIN)/python -m tests.demo

PATIENT = $(shell env --block-signal=INT true 2>/dev/null && echo env --block-signal=INT)# Ctrl-C waits until we can take it
dev: install ## the demo's servers, left running until Ctrl-C, with their URLs
	@$(PATIENT) $(BIN)/python -m tests.dev

test: install ## the whole suite, real Redis and real worker processes included
	$(BIN)/python -m tests.half -n 4 --dist loadfile
	$(BIN)/python -m pytest -n 4 --dist loadfile --no-loadscope-reorder

check: install ## lint, format, types and imports; no tests
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports
	$(BIN)/python -m tests.architecture.wall

bench: install ## what a job costs, beside its floor, the usual way and, with AGAINST=REVISION, another one of ours; 15 min
	@$(BIN)/python -m tests.bench $(if $(AGAINST),--against $(AGAINST))

bench-endpoint: install ## the endpoint at 50 cards a second, everything else running; the last line is one JSON object
	@$(BIN)/python -m tests.bench.endpoint

chaos: install ## workers killed under load; the last line is one JSON object; half an hour
	@$(BIN)/python -m tests.chaos

alerts: install ## every alert fired and resolved by its cause, every panel's query asked of a real Prometheus (Debian: prometheus); 10 min
	@$(BIN)/python -m tests.alerts

mutants: install ## the model finds each old fault when it is put in again; the last line is one JSON object
	@$(BIN)/python -m tests.mutants

proof: install ## chaos, restarts, power cuts and canary on the server REDIS=PATH names (or the embedded one)
	@REDIS_SERVER=$(REDIS) $(BIN)/python -m tests.chaos --redis-restarts 2
	@REDIS_SERVER=$(REDIS) $(BIN)/python -m tests.chaos restarts
	@REDIS_SERVER=$(REDIS) $(BIN)/python -m tests.chaos power
	@REDIS_SERVER=$(REDIS) $(BIN)/python -m tests.canary

proof-install: install ## each half alone in a clean environment, every command started, the quickstart run; the last line is one JSON object
	@$(BIN)/python -m tests.proof.install

proof-compose: install ## the compose stack on a real Docker engine: started by the quickstart's words, killed, examined; the last line is one JSON object
	@$(BIN)/python -m tests.proof.compose

canary: install ## the search for card data in every place; the last line is one JSON object; under 10 minutes
	@$(BIN)/python -m tests.canary

web: install ## the card page in a real browser; needs chromium and npm
	npm ci --ignore-scripts --no-audit --no-fund --prefix tests/web
	$(BIN)/python -m pytest tests/web -n 2 --dist loadfile

pictures: install ## Flower's pages as docs/pictures shows them, anew; needs chromium
	@$(BIN)/python -m tests.pictures

fuzz: install ## a million mutated jobs and envelopes, card numbers (NUMBERS=1000000) to redact; the last line is one JSON object
	@$(BIN)/python -m tests.fuzz $(if $(NUMBERS),--numbers $(NUMBERS))

audit: install ## ask an advisory service about every pinned package; findings are explained in .ci/audit.toml
	@$(BIN)/python -m tests.audit

SBOM ?= dist/sbom.json
sbom: install ## the bill of materials of the product, CycloneDX JSON made of requirements.txt, into dist/
	@mkdir -p $(dir $(SBOM))
	@$(BIN)/python -W ignore -m cyclonedx_py requirements --output-reproducible --pyproject pyproject.toml --output-file $(SBOM) requirements.txt

wheels: install ## both distributions into dist/: iamport-billing for merchants, iamport-billing-worker
	@$(BIN)/python wheels.py dist

up: ## the docker compose stack
	docker compose --profile "*" build
	docker compose up --detach

down: ## end the docker compose stack
	docker compose down

LOCK = $(BIN)/uv pip compile --quiet --upgrade --universal --fork-strategy fewest --python-version 3.11 --only-binary :all: --generate-hashes --no-header
lock: install ## write requirements.txt (what users get) and requirements-dev.txt (tests and tools) anew, with hashes
	$(LOCK) --all-extras --output-file requirements.txt pyproject.toml
	$(LOCK) --group dev --constraint requirements.txt --output-file requirements-dev.txt

.PHONY: help install demo dev test check bench bench-endpoint chaos alerts mutants proof proof-install proof-compose canary fuzz web pictures audit sbom wheels up down lock
