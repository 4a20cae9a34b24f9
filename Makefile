# One command each, the same on a laptop and in CI. Every target sets up what it needs in .venv (test-agents: .venv-agents).
# Another interpreter: make PYTHON=python3.12 test

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
AGENTS_VENV := .venv-agents
NEEDS := pyproject.toml constraints.txt

.DEFAULT_GOAL := help
.PHONY: help demo test lint types docs bench proof test-agents build constraints clean

help: ## Print the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-14s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

demo: $(VENV)/.app ## Run calls out and in on all three carriers, on the simulator, in a live table
	@$(BIN)/gateway demo

test: $(VENV)/.dev ## Run the tests (all but the long proofs and the agent runtime)
	@$(BIN)/python -m pytest -n auto -m "not proof and not agents"

coverage: $(VENV)/.dev ## Measure branch coverage, by the tests of the core and the adapters, against its floor
	@$(BIN)/python -m pytest -n auto -m "not proof and not agents" tests/core tests/adapters \
	  --cov --cov-report=term:skip-covered

lint: $(VENV)/.dev ## Check style, formatting and the borders between the packages
	@$(BIN)/ruff check .
	@$(BIN)/ruff format --check .
	@$(BIN)/lint-imports --no-cache

types: $(VENV)/.dev ## Check the types, strictly
	@$(BIN)/mypy

docs: $(VENV)/.dev ## Write the generated parts of the docs anew, then run the docs' own tests
	@$(BIN)/python -m docs.generate
	@$(BIN)/python -m pytest -q tests/docs

bench: $(VENV)/.dev ## Measure against floors taken in the same run
	@$(BIN)/python -m bench

proof: $(VENV)/.dev ## Run the long proofs (kills, races, fault matrices, hostile input), an hour or more
	@$(BIN)/python -m pytest -m proof

test-agents: $(AGENTS_VENV)/.agents ## Run a real agent runtime on the media socket (downloads about 0.5 GB)
	@GATEWAY_TEST_AGENTS=1 $(AGENTS_VENV)/bin/python -m pytest -n auto -m agents tests/agents

build: $(VENV)/.dev ## Build the wheel into dist/
	@$(BIN)/python -m pip wheel --quiet --no-deps --wheel-dir dist .

constraints: ## Write the constraints anew from a fresh environment with the newest versions allowed
	@$(call check_python)
	rm -rf .venv-constraints
	$(PYTHON) -m venv .venv-constraints
	.venv-constraints/bin/python -m pip install --quiet --upgrade pip
	.venv-constraints/bin/python -m pip install --quiet --editable '.[all]' --group test --group lint
	{ sed '/^[^#]/,$$d' constraints.txt; \
	  .venv-constraints/bin/python -m pip freeze --all --exclude-editable --exclude setuptools; } > constraints.new
	mv constraints.new constraints.txt
	.venv-constraints/bin/python -m pip install --quiet --constraint constraints.txt --group agents
	{ sed '/^[^#]/,$$d' constraints-agents.txt; \
	  .venv-constraints/bin/python -m pip freeze --all --exclude-editable --exclude setuptools | \
	  grep -vxFf constraints.txt; } > constraints.new
	mv constraints.new constraints-agents.txt
	rm -rf .venv-constraints

clean: ## Remove environments, caches and builds
	rm -rf $(VENV) $(AGENTS_VENV) .venv-constraints dist build .pytest_cache .mypy_cache .ruff_cache \
	  .import_linter_cache .hypothesis .coverage .coverage.* htmlcov
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

# -- environments: a stamp is older than what it was made from, or absent: install again -----------------------------

check_python = $(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
	echo "This needs Python 3.11 or newer, and $(PYTHON) is $$($(PYTHON) --version 2>&1 | tail -n 1). Name another: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 1; }
pip_install = -m pip install --quiet --constraint constraints.txt

$(VENV)/.app: $(NEEDS)
	@$(check_python)
	@echo "Setting up $(VENV) (once) ..."
	@$(PYTHON) -m venv $(VENV)
	@$(BIN)/python $(pip_install) --upgrade pip
	@$(BIN)/python $(pip_install) --editable '.[all]'
	@touch $@

$(VENV)/.dev: $(VENV)/.app
	@echo "Adding what the tests need to $(VENV) (once) ..."
	@$(BIN)/python $(pip_install) --group test --group lint
	@touch $@

$(AGENTS_VENV)/.agents: $(NEEDS) constraints-agents.txt
	@$(check_python)
	@echo "Setting up $(AGENTS_VENV) (once, about 0.5 GB) ..."
	@$(PYTHON) -m venv $(AGENTS_VENV)
	@$(AGENTS_VENV)/bin/python $(pip_install) --upgrade pip
	@$(AGENTS_VENV)/bin/python $(pip_install) --constraint constraints-agents.txt \
	  --editable '.[all]' --group test --group agents
	@touch $@
