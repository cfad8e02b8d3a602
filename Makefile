# Two commands matter: `make demo` and `make test`. Both set everything up in .venv first.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
COMPILE := $(BIN)/uv pip compile --quiet --system-certs --universal --generate-hashes --fork-strategy fewest --python-version 3.11 \
  --no-emit-index-url --no-emit-find-links --no-annotate --no-header --group build
.DEFAULT_GOAL := help
.PHONY: help demo test check docs bench lock lock-check clean

help: ## say what each target does
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:[^#]*## /\t/' | expand -t 12

$(VENV)/run.done: requirements/run.txt pyproject.toml scripts/setup
	@scripts/setup $(PYTHON) $(VENV) run
	@touch $@

$(VENV)/test.done: requirements/test.txt $(VENV)/run.done
	@scripts/setup $(PYTHON) $(VENV) test
	@touch $@

demo: $(VENV)/run.done ## a replicated trial, a forecast, and the app on a made-up clinic (on this machine alone)
	@$(BIN)/afterglow replicate examples/murrough2013.yaml --report out/murrough2013.html
	@printf '\n'
	@$(BIN)/afterglow forecast examples/maintenance.csv --report out/maintenance.html
	@printf '\n'
	@$(BIN)/afterglow demo

test: $(VENV)/test.done ## run every test
	@scripts/with_postgres $(BIN)/python -m pytest

check: $(VENV)/test.done lock-check ## lint, types, layers, generated documents, lock files, known vulnerabilities
	@$(BIN)/ruff format --check .
	@$(BIN)/ruff check .
	@$(BIN)/mypy
	@$(BIN)/lint-imports
	@$(BIN)/python scripts/house_rules.py
	@$(BIN)/python scripts/generate_docs.py --check
	@$(BIN)/python scripts/supply_chain.py bom --check
	@$(BIN)/python scripts/supply_chain.py audit

docs: $(VENV)/test.done ## write the generated documents again
	@$(BIN)/python scripts/generate_docs.py
	@$(BIN)/python scripts/supply_chain.py bom

bench: $(VENV)/run.done ## measure the engine against its peers and write docs/reference/benchmarks.md
	@scripts/setup $(PYTHON) .venv-bench bench
	@.venv-bench/bin/python benchmarks/run.py --write docs/reference/benchmarks.md

lock: $(VENV)/test.done ## resolve the lock files again (keeps pins that still fit)
	@$(COMPILE) --only-binary :all: pyproject.toml -o requirements/run.txt
	@$(COMPILE) --only-binary :all: pyproject.toml --extra test -c requirements/run.txt -o requirements/test.txt
	@$(COMPILE) pyproject.toml --extra bench -c requirements/run.txt -o requirements/bench.txt

lock-check: $(VENV)/test.done
	@for lock in run test bench; do \
	  cp requirements/$$lock.txt $(VENV)/$$lock.lock; \
	  extra=; [ $$lock = run ] || extra="--extra $$lock -c requirements/run.txt"; \
	  only="--only-binary :all:"; [ $$lock = bench ] && only=; \
	  $(COMPILE) $$only pyproject.toml $$extra -o $(VENV)/$$lock.lock || { \
	    echo "requirements/$$lock.txt could not be checked: resolving it needs the package index"; exit 1; }; \
	  cmp -s requirements/$$lock.txt $(VENV)/$$lock.lock || { \
	    echo "requirements/$$lock.txt does not follow pyproject.toml: run 'make lock'"; exit 1; }; \
	done

clean: ## remove what the other targets made
	rm -rf $(VENV) .venv-bench out build afterglow-demo .mypy_cache .ruff_cache .pytest_cache .hypothesis .coverage
