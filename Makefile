# Every verb does all of its own set-up: Python 3.11 or newer, git and make are enough.

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Named after the content of pyproject.toml, so that a second call costs nothing and a changed dependency is noticed.
STAMP := $(VENV)/set-up-$(shell cksum < pyproject.toml | tr -s ' \t' '--')

# Where files of tests may lie: in memory, if there is room for the 2 GB that they come to. Thousands of stores are made, each
# of which waits for the disk whenever it says that something is kept. What a failed run leaves is at the path that it prints.
MEMORY = $(shell { df -Pk /dev/shm; cat /proc/meminfo; } 2>/dev/null | \
  awk '/ \/dev\/shm$$/ {room = $$4} /^MemAvailable/ {free = $$2} END {if (room > 6e6 && free > 6e6) print "/dev/shm"}')

# One hash seed for all processes that share the work: names of tests that show a set must be alike in them. Compiled files
# are kept, or each of the thousand processes that tests start would compile all that it imports.
PYTEST := env -u PYTHONDONTWRITEBYTECODE PYTHONHASHSEED=0 $(BIN)/pytest -n 2 --dist worksteal

.DEFAULT_GOAL := help
.PHONY: help setup demo check test campaign bench bench-data bench-models bench-serving docs clean

help:  ## list the verbs
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-9s %s\n", $$1, $$2 }' Makefile

setup: $(STAMP)  ## make .venv with the package and all that its development needs

$(STAMP):
	@$(PYTHON) .ci/set_up.py $(VENV) $@

demo: $(STAMP)  ## raw flows → dataset → model → service → monitoring verdict, in .demo/flows-demo
	@$(BIN)/filiera demo .demo/flows-demo

check: $(STAMP)  ## style, types and the import rule
	$(BIN)/ruff check
	$(BIN)/ruff format --check
	$(BIN)/mypy
	$(BIN)/lint-imports

test: check  ## check, then all tests
	$(if $(MEMORY),set -e; folder=$$(mktemp -d $(MEMORY)/filiera-XXXX); $(PYTEST) --basetemp=$$folder; rm -rf $$folder,$(PYTEST))

campaign: $(STAMP)  ## the long tests, with their figures: many killed processes, faults at each call, generated examples
	$(PYTEST) -m campaign -rP
	$(PYTEST) -m "hypothesis and not campaign" --hypothesis-profile=campaign

bench: $(STAMP)  ## measure against peers, each in a virtual environment of its own under .venvs
	$(BIN)/python benchmarks/run.py

bench-data: $(STAMP)  ## measure checks, profiles, databases, XML and images beside what one would write by hand
	for program in checks profiles databases xml_records images; do \
	  echo "\n## $$program\n"; $(BIN)/python benchmarks/$$program.py || exit 1; done | tee benchmarks/results/data.md

bench-models: $(STAMP)  ## measure fits, studies, recorded runs, metric points and gates beside Optuna, MLflow and SQLite
	$(BIN)/python benchmarks/models.py

bench-serving: $(STAMP)  ## measure services beside a bare limit, LitServe, MLServer, BentoML, FastAPI, MLflow, Ray Serve
	$(BIN)/python benchmarks/serving.py

docs: $(STAMP)  ## renew the generated pages and check the links between pages
	$(BIN)/python docs/build.py

clean:  ## remove what the verbs made
	rm -rf $(VENV) .venvs .demo build dist .mypy_cache .pytest_cache .ruff_cache .import_linter_cache .hypothesis
	find src tests -name __pycache__ -type d -prune -exec rm -rf {} +
