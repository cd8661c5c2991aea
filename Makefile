# make run          the console (ARGS="--demo" and so on are passed on)
# make test         ruff, mypy and every test; as root on Debian or Ubuntu with real LXD and Incus daemons
# make lab          real daemons to try things on (ARGS="--lxd 5 --incus 2"); make lab-down ends them
# make screenshots  made anew from the running console
# make bench        every benchmark

PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
INSTALLED := $(VENV)/.installed
TEST_INSTALLED := $(VENV)/.installed-test
PIP := $(BIN)/python -m pip install --quiet --disable-pip-version-check

.PHONY: run test lab lab-down lab-packages screenshots bench
.NOTPARALLEL:

run: $(INSTALLED)
	@exec $(BIN)/lxdpm-tui $(ARGS)

test: $(TEST_INSTALLED) lab-packages
	$(BIN)/ruff check .
	$(BIN)/mypy
	$(BIN)/python -m pytest $(ARGS)

lab: $(INSTALLED) lab-packages
	@$(BIN)/python -m tests.lab up $(ARGS)

lab-down:
	@$(PYTHON) -m tests.lab down

lab-packages:
	@$(PYTHON) -m tests.lab deps || echo "LEFT OUT: packages for tests on real daemons (see above)"

screenshots: $(TEST_INSTALLED)
	@set -e; for script in screenshots/*.py; do echo "+ $$script"; $(BIN)/python $$script; done

bench: $(TEST_INSTALLED)
	@set -e; for script in benchmarks/*.py; do echo "+ $$script"; PYTHONPATH=. $(BIN)/python $$script; done

# pip is asked again only when pyproject.toml changed
$(INSTALLED): pyproject.toml $(BIN)/python
	$(PIP) --editable .
	@touch $@

$(TEST_INSTALLED): pyproject.toml $(BIN)/python
	$(PIP) --editable '.[test]'
	@touch $@ $(INSTALLED)

# Debian ships venv apart from Python: as root it is installed here, else we say what to type.
$(BIN)/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { \
	  echo "This needs Python 3.11 or newer, and '$(PYTHON)' is `$(PYTHON) --version 2>&1`."; \
	  echo "With a newer one installed, type for example: make $(MAKECMDGOALS) PYTHON=python3.12"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' 2>/dev/null || { \
	  if command -v apt-get >/dev/null && [ "`id -u`" = 0 ]; then \
	    apt-get -qq update && DEBIAN_FRONTEND=noninteractive apt-get -qq install -y --no-install-recommends python3-venv; \
	  else \
	    echo "Python's venv is missing here. On Debian or Ubuntu type: sudo apt install python3-venv"; \
	    echo "and then again: make $(MAKECMDGOALS)"; exit 1; \
	  fi; }
	$(PYTHON) -m venv --clear $(VENV)
