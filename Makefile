# Everything is relative to this folder, so that its own path may hold spaces.
.DEFAULT_GOAL := help
.PHONY: bench-ledger bench-reports bench-objects bench-search eval-search help demo picture up up-docker down status test test-slow scenarios load bench bench-vendor eval-read soak soak-outages lint proto proto-check lock wheel configuration call clean run-env dev-env
MAKEFLAGS += --no-print-directory
PYTHON ?=
export PYTHON SVC METHOD DATA TENANT
export BUF_CACHE_DIR = $(CURDIR)/.venv/buf
WORKERS ?= 2
BIN := .venv/bin
CODE := waybill services tests bench evals
BUF := $(BIN)/buf

help: ## show this
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-13s %s\n", $$1, $$2 }' Makefile

demo: run-env ## ingest the examples, ask the questions, show trace and bill
	@$(BIN)/waybill demo $(if $(MODE),--mode "$(MODE)")

picture: run-env ## the demo on an empty stack of its own, its waterfall and receipt drawn into docs/demo.svg
	@home=$$(mktemp -d) && trap 'rm -rf "$$home"' EXIT INT TERM && \
	WAYBILL_HOME="$$home" $(BIN)/waybill demo --picture docs/demo.svg

up: run-env ## start the stack on fixed ports (MODE=simulator: real backends against the vendors' simulators)
	@$(BIN)/waybill up $(if $(MODE),--mode "$(MODE)")

up-docker: ## start the stack by docker compose (stop: sh scripts/docker.sh down)
	@sh scripts/docker.sh up --build --detach --wait
	@echo 'traces: http://localhost:16686 (Jaeger), or .venv/bin/waybill trace ID'

down: run-env ## stop the stack; the data stays
	@$(BIN)/waybill down

status: run-env ## show every program of the stack
	@$(BIN)/waybill status

PYTEST = $(BIN)/python -m pytest -n $(WORKERS) --dist loadfile

test: dev-env ## the tests, but for the slow ones (ARGS="tests/unit -k name": these, slow or not)
	@$(PYTEST) $(if $(ARGS),$(ARGS),-m "not slow")

test-slow: dev-env ## the rest: kills, stacks of their own, whole tables of faults; .ci/run has both
	@$(PYTEST) -m slow

scenarios: dev-env ## the predecessor's 24 scenarios, local and against simulators at its latencies: its own table
	@$(BIN)/python -m pytest tests/scenarios/test_scenarios.py $(ARGS)

lint: dev-env proto-check ## style, types, import arrows, protos, container files
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy $(CODE)
	@$(BIN)/lint-imports --no-cache
	@$(BUF) lint protos
	@$(BUF) format protos --diff --exit-code
	@$(BUF) breaking protos --against protos/baseline.binpb
	@$(BIN)/hadolint Dockerfile
	@$(BIN)/check-jsonschema --quiet --builtin-schema vendor.compose-spec docker-compose.yml
	@! docker compose version >/dev/null 2>&1 || sh scripts/docker.sh config --quiet

proto: dev-env ## generate the code of protos/ again
	@sh scripts/protos.sh .

proto-check: dev-env ## fail where the committed generated code is not what protos/ gives
	@sh scripts/protos.sh --check

wheel: dev-env ## build a wheel of everything into dist/: pip install 'dist/waybill-….whl[stack]'
	@$(BIN)/python -m hatchling build -t wheel

configuration: dev-env ## write docs/configuration.md from the settings that the code declares
	@$(BIN)/python -m tests.configuration

lock: ## resolve both lock files again (needs uv)
	@sh scripts/lock.sh

bench: dev-env ## the stack beside a hand-written lower bound, at a vendor's latency (ARGS="--latency 150 --rounds 1")
	@$(BIN)/python -m bench $(ARGS)

bench-env: run-env ## install LangChain and LlamaIndex for `make bench`, in .venv-bench
	@$(BIN)/python -m venv .venv-bench && .venv-bench/bin/pip install -q -r bench/frameworks/requirements.txt

load: dev-env ## documents a minute, seconds by step, memory at 1, 4, 16 callers (ARGS="--soak 1000": availability under faults)
	@$(BIN)/python -m bench.load $(ARGS)

bench-vendor: dev-env ## the embedder against a simulated OpenAI, the parser against LlamaCloud at 20 requests a minute (minutes)
	@$(BIN)/python -m bench.vendor $(ARGS)

eval-read: dev-env ## read 1,100 real documents with the local engine: a table by format (fetches 85 MB once)
	@$(BIN)/python -m evals.read $(ARGS)

bench-search: dev-env ## how long a search by words takes (ARGS="--chunks 1000000": some 40 minutes, 15 GB)
	@$(BIN)/python -m bench.search $(ARGS)

bench-vectors: dev-env ## what keeping HNSW costs: row by row as before, beside bulk (five minutes)
	@$(BIN)/python -m bench.vectors $(ARGS)

bench-objects: dev-env ## one 512 MB object up and down, on disk and at a simulated Supabase: seconds, growth of memory (two minutes)
	@$(BIN)/python -m bench.objects $(ARGS)

bench-ledger: dev-env ## how long a hold takes with 10,000, 100,000 and 1,000,000 entries (three minutes)
	@$(BIN)/python -m bench.ledger $(ARGS)

bench-reports: dev-env ## each report over 1,000,000 entries beside the same sums in SQL by hand (three minutes)
	@$(BIN)/python -m bench.reports $(ARGS)

eval-search: dev-env ## how well questions about real documents find their passages, beside plain BM25
	@$(BIN)/python -m evals.search $(ARGS)

soak: dev-env ## random faults for as long as you like (ARGS="--rounds 300 --minutes 40 --seed 7")
	@$(BIN)/python -m tests.soak $(ARGS)

soak-outages: dev-env ## vendors go away in hybrid runs, come back, and all is healed (ARGS="--seeds 50"; half an hour)
	@$(BIN)/python -m tests.soak.outages $(ARGS)

call: run-env ## call a service; starts the stack where none runs (SVC=storage METHOD=StatObject DATA='{…}' TENANT=local)
	@$(BIN)/waybill status >/dev/null 2>&1 || $(BIN)/waybill up >&2
	@$(BIN)/waybill call "$$SVC" "$$METHOD" "$$DATA" --tenant "$${TENANT:-local}"

clean: ## remove the environment and caches; data in .waybill stays
	rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis build dist

run-env:
	@sh scripts/environment.sh run

dev-env:
	@sh scripts/environment.sh dev
