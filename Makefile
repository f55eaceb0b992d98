# Two commands for a newcomer: `make demo` and `make test`. Each sets up all it needs in .venv/ first.
#
#   make demo                                  the whole loop on this machine, until Ctrl-C
#   make demo ARGS='--check --headless'        drive the loop, print what was proven, exit 0 or 1
#   make test                                  format, lint, types, layers, tests with coverage
#   make install                               only build .venv/ (then: .venv/bin/telerad --help)
#   make audit                                 known vulnerabilities of what is pinned, where they can be asked
#   make lock                                  renew the pinned, hashed requirements

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
PIP := $(BIN)/python -m pip --disable-pip-version-check
WEB := $(shell git ls-files hub/portal/web hatch_build.py build_steps 2>/dev/null)

.PHONY: demo test check unit install audit lock screenshots clean

demo: $(VENV)/.installed
	$(BIN)/telerad demo $(ARGS)

test: check unit

install: $(VENV)/.installed

# Everything that reads the code without running it.
check: $(VENV)/.tested
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/lint-imports
	$(BIN)/codespell

unit: $(VENV)/.tested
	$(BIN)/python -m pytest --cov --cov-report=term $(ARGS)

audit: $(VENV)/.tested
	$(BIN)/python -m build_steps.audit requirements.lock requirements-dev.lock

$(VENV)/.python:
	$(PYTHON) -c 'import sys; sys.exit("Python 3.11 or newer is needed" if sys.version_info < (3, 11) else 0)'
	$(PYTHON) -m venv $(VENV)
	touch $@

# --no-deps with hashes: what is installed is exactly what the lock file names.
$(VENV)/.installed: $(VENV)/.python requirements.lock pyproject.toml $(WEB)
	$(PIP) install --quiet --require-hashes --no-deps -r requirements.lock
	$(PIP) install --no-deps --no-build-isolation --editable .
	touch $@

$(VENV)/.tested: $(VENV)/.installed requirements-dev.lock
	$(PIP) install --quiet --require-hashes --no-deps -r requirements-dev.lock
	touch $@

LOCK := $(BIN)/pip-compile --quiet --generate-hashes --strip-extras --allow-unsafe --no-header --no-annotate \
	--no-emit-index-url --no-emit-find-links --no-emit-trusted-host --no-emit-options
lock: $(VENV)/.python
	$(PIP) install --quiet pip-tools
	$(LOCK) --all-build-deps --output-file requirements.lock pyproject.toml
	$(LOCK) --all-build-deps --extra test --output-file requirements-dev.lock pyproject.toml

# The README's pictures, from a demo that runs: make demo ARGS=--headless & make screenshots
DEMO ?= demo-data
screenshots: $(VENV)/.tested
	$(BIN)/python -m tests.browser.screenshots docs $(DEMO)

clean:
	rm -rf $(VENV) hub/portal/static hub/portal/web/node_modules hub/portal/web/dist
