# Sendwright in two commands: `make run` and `make test`. `make help` lists the rest.

.DEFAULT_GOAL := help
VENV := .venv
BIN := $(VENV)/bin

# The first Python from 3.11 on; up to 3.13 preferred, for which an embedded Redis exists everywhere.
FIND_PYTHON = for range in "(3,11) <= v < (3,14)" "v >= (3,11)" "True"; do \
	for name in python3 python3.13 python3.12 python3.11 python3.14 python; do \
	"$$name" -c "import sys; v = sys.version_info[:2]; sys.exit(not ($$range))" 2>/dev/null \
	&& echo "$$name" && exit; done; done
PYTHON := $(or $(PYTHON),$(shell $(FIND_PYTHON)))

.PHONY: help run test lint types compiled format faults bench bench-batch bench-incoming bench-lists bench-small lock environment dev-environment clean

help: ## Say what each command does
	@sed -n 's/^\([a-z%-]*\):.*## \(.*\)/  make \1|\2/p' $(MAKEFILE_LIST) | awk -F'|' '{ printf "%-16s %s\n", $$1, $$2 }'

run: environment ## Start the portal, its worker, Redis and the local Google; Ctrl-C ends all
	@exec $(BIN)/python -m portal.launch

test: dev-environment ## Check style, types and house rules, and run every test
	@CHROMIUM_PATH="$$($(BIN)/python -m tools.chromium --install)" && export CHROMIUM_PATH \
	&& export PYTHONDONTWRITEBYTECODE= && $(MAKE) --no-print-directory -j2 types lint compiled \
	&& $(BIN)/python -m pytest -n 4 --dist worksteal

lint: dev-environment ## Check the style of the code
	@$(BIN)/python -m ruff check --quiet .
	@$(BIN)/python -m ruff format --check --quiet . || { echo "Run: make format"; exit 1; }

types: dev-environment ## Check the types of the code
	@$(BIN)/python -m mypy

# Else each of the processes that run the tests compiles every one of them.
compiled: dev-environment
	@$(BIN)/python -m pytest --collect-only -qq >/dev/null || true # what is wrong, the run says

format: dev-environment ## Put the code into the house style
	@$(BIN)/python -m ruff check --quiet --fix .
	@$(BIN)/python -m ruff format --quiet .

faults: dev-environment ## Prove the failure matrix: FAULTS=short takes minutes, long an hour or two
	@$(BIN)/python -m tests.faults

bench: dev-environment ## Measure sending beside its floors and peers, in one table (20 minutes)
	@$(BIN)/python -m tests.bench.table $(if $(KEEP),--keep)

bench-%: dev-environment ## Measure one part of it: quota, throughput, peers, soak, fair, accept, pages, flood
	@$(BIN)/python -m tests.bench.table $* $(if $(KEEP),--keep)

bench-batch: dev-environment ## Measure a batch of 10,000 on both stores
	@$(BIN)/python -m tests.bench.batch

bench-incoming: dev-environment ## Measure how well and how fast what comes in is read
	@$(BIN)/python -m tests.bench.incoming $(if $(KEEP),--keep)

bench-lists: dev-environment ## Measure a list of 1,000 and of 1,000,000 documents on both stores
	@$(BIN)/python -m tests.bench.lists

bench-small: dev-environment ## Measure a start, one click, and how fast PDFs are drawn
	@$(BIN)/python -m tests.bench.start
	@$(BIN)/python -m tests.bench.dispatch
	@$(BIN)/python -m tests.bench.pdf

lock: ## Lock requirements*.in again, newest versions that fit, with hashes
	@tools/lock

clean: ## Remove .venv and caches; the data in var/ stays
	rm -rf $(VENV) .venv-bench .mypy_cache .ruff_cache .pytest_cache .hypothesis test-results

environment:
	@test -n "$(PYTHON)" || { echo "sendwright: Python was not found. Install Python 3.11 or newer, then start again." >&2; exit 1; }
	@$(PYTHON) tools/environment.py requirements.txt

dev-environment: environment
	@$(PYTHON) tools/environment.py requirements-dev.txt
