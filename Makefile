# make demo: see it work.  make test: all tests.  Both need only Python >= 3.11 and make.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
STAMP := $(VENV)/.installed
PEERS := .venv-peers
TOOLS := .venv-tools

.PHONY: demo up seed-demo recompute import setup test check lint format clean browser peers tools audit screenshots
.DEFAULT_GOAL := demo

setup: $(STAMP)

# Installed again only when the metadata or a pin has changed.
$(STAMP): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Wattle needs Python 3.11 or newer: make PYTHON=python3.12")'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet --disable-pip-version-check --constraint constraints.txt --editable '.[dev]'
	touch $@

demo: $(STAMP)
	@$(BIN)/python -m cli.demo $(if $(ONCE),--once)

up: $(STAMP)
	@$(BIN)/python -m cli.demo --no-runs

# Into WATTLE_REDIS_URL, by default where make demo and make up have their Redis.
seed-demo: $(STAMP)
	@$(BIN)/python -m work.seed_demo $(if $(RUNS),--runs $(RUNS))

# All done runs, through the API at WATTLE_API_URL, with the present intensity of its WATTLE_COUNTRY.
recompute: $(STAMP)
	@$(BIN)/python -m cli.main recompute

# The runs of a leaderboard.csv, through the API at WATTLE_API_URL: make import FILE=leaderboard.csv
import: $(STAMP)
	@$(BIN)/python -m cli.main import-results $(FILE)

browser: $(STAMP)
	@$(BIN)/python -m tests.provide_browser

# Every page in both themes, with real runs made for it, in docs/images/screenshots.
screenshots: $(STAMP) browser
	@$(BIN)/python -m tests.browser.photographs

# What benchmarks compare with, in an environment of its own: its pins are not the product's.
peers: $(PEERS)/.installed

$(PEERS)/.installed: bench/peers.txt
	test -x $(PEERS)/bin/python || $(PYTHON) -m venv $(PEERS)
	$(PEERS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement bench/peers.txt
	touch $@

# What looks at deploy/ and at the pins, in an environment of its own (docs/decisions/086-tools-of-their-own.md).
tools: $(TOOLS)/.installed

$(TOOLS)/.installed: tests/tools.txt
	test -x $(TOOLS)/bin/python || $(PYTHON) -m venv $(TOOLS)
	$(TOOLS)/bin/python -m pip install --quiet --disable-pip-version-check --requirement tests/tools.txt
	touch $@

# Known vulnerabilities of what constraints.txt pins; says so where nobody can be asked.
audit: $(STAMP) tools
	$(BIN)/python -m tests.audit

test: $(STAMP) browser
	@$(MAKE) --no-print-directory tools || echo "make tools failed: what needs them is skipped." >&2
	$(BIN)/python -m tests.second_look tests

lint: $(STAMP)
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy

check: lint
	$(BIN)/python -m pytest --quiet --numprocesses 2 -m 'not slow' tests/integration tests/test_house.py tests/unit

format: $(STAMP)
	$(BIN)/ruff format .
	$(BIN)/ruff check --fix .

clean:
	rm -rf $(VENV) $(PEERS) $(TOOLS) .mypy_cache .pytest_cache .ruff_cache build *.egg-info
