# Everything here needs make and Python 3.11 or newer, nothing else: the set-up makes its own .venv.

PYTHON ?= python3
VENV   := .venv
BIN    := $(VENV)/bin
PIP    := $(BIN)/python -m pip
LOG    := $(VENV)/setup.log

# More arguments for a target:  make test PYTEST_ARGS='-k boundary',  make demo ARGS=--stories
ARGS        ?=
PYTEST_ARGS ?=
# make pins PINS_FLAGS=--upgrade  takes the newest versions that pyproject.toml allows.
PINS_FLAGS  ?=

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.NOTPARALLEL:
.PHONY: help setup demo dev test testall testduckdb testlake lint format bench pictures pins clean

# A user's own pip or Python settings must not change what is installed here.
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export PIP_NO_INPUT := 1
export PIP_ROOT_USER_ACTION := ignore
export PIP_USER := 0
unexport PIP_CONSTRAINT PIP_NO_DEPS PIP_PREFIX PIP_REQUIRE_VIRTUALENV PIP_ROOT PIP_TARGET PIP_UPGRADE
unexport PYTHONHOME PYTHONPATH
export DAGSTER_DISABLE_TELEMETRY := 1

help: ## show this list
	@printf 'cavra-pipeline\n\n'
	@sed -n 's/^\([a-z]*\):.*## \(.*\)$$/\1\t\2/p' $(MAKEFILE_LIST) \
		| while IFS=$$'\t' read -r name text; do printf '  make %-10s %s\n' "$$name" "$$text"; done
	@printf '\nAnother Python than python3: make demo PYTHON=python3.12\n'

setup: $(VENV)/.ready ## make .venv with everything pinned in constraints.txt

# Rebuilt when the pins change.
$(VENV)/.made: constraints.txt constraints-runtime.txt
	@command -v "$(PYTHON)" >/dev/null 2>&1 || { \
		echo "make: no '$(PYTHON)' found. Install Python 3.11 or newer, or name one: make PYTHON=/path/to/python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null || { \
		echo "make: '$(PYTHON)' is $$("$(PYTHON)" --version 2>&1), and Python 3.11 or newer is needed." \
			"Name one: make PYTHON=python3.12" >&2; exit 1; }
	@"$(PYTHON)" -c 'import ensurepip, venv' 2>/dev/null || { \
		echo "make: '$(PYTHON)' has no venv module." \
			"Install it (on Debian and Ubuntu: apt-get install python3-venv) and try again." >&2; exit 1; }
	@[ ! -L $(VENV) ] || { \
		echo "make: $(VENV) is a symbolic link, and what it points to would be emptied. Remove it." >&2; exit 1; }
	@"$(PYTHON)" -m venv --clear $(VENV) || { \
		echo "make: could not create $(VENV) in this folder (see above)." >&2; exit 1; }
	@touch $@

# Everything pinned, and what runs alone: the demo needs no tools of the tests.
$(VENV)/.packages: $(VENV)/.made
	@$(call packages,constraints.txt)
	@touch $@

$(VENV)/.runtime: $(VENV)/.made
	@[ -e $(VENV)/.packages ] || { $(call packages,constraints-runtime.txt); }
	@touch $@

# Most modules are never imported: what is, Python compiles then.
define packages
	echo "Setting up $(VENV): packages from $(1) (about a minute, once) ..."; \
	$(PIP) install --no-compile --require-hashes -r $(1) >$(LOG) 2>&1 || { tail -n 20 $(LOG) >&2; \
		echo "make: the packages could not be installed; the whole log is in $(LOG)." >&2; exit 1; }
endef

# The project itself; again when pyproject.toml changes. `pip check` fails when the pins no longer fit it.
$(VENV)/.installed: $(VENV)/.runtime pyproject.toml
	@{ $(PIP) install --no-deps --no-build-isolation -e . && $(PIP) check; } >$(LOG) 2>&1 || { tail -n 20 $(LOG) >&2; \
		echo "make: the project could not be installed (whole log: $(LOG))." \
			"If the pins do not fit pyproject.toml: make pins" >&2; exit 1; }
	@touch $@

$(VENV)/.ready: $(VENV)/.packages $(VENV)/.installed
	@touch $@

demo: $(VENV)/.installed ## a recorded bad month: import it, run Dagster on it, say what is wrong
	@$(BIN)/cavra-pipeline demo $(ARGS)

dev: $(VENV)/.installed ## the Dagster UI and the console on what the demo imported
	@$(BIN)/cavra-pipeline dev $(ARGS)

lint: $(VENV)/.ready ## ruff and mypy
	@$(BIN)/ruff check
	@$(BIN)/ruff format --check
	@$(BIN)/mypy

format: $(VENV)/.ready ## let ruff put the code in order
	@$(BIN)/ruff check --fix
	@$(BIN)/ruff format

test: lint ## lint, then the tests but for the long ones, on all cores
	@$(BIN)/pytest -n auto --dist worksteal -m "not slow" $(PYTEST_ARGS)

testall: lint ## the same with the long ones: daemon, browser, kill -9, simulations
	@$(BIN)/pytest -n auto --dist worksteal $(PYTEST_ARGS)

# The folders whose tests run the SQL, on the oldest DuckDB that pyproject.toml allows.
SQL_TESTS := warehouse retention reports cases

testduckdb: $(VENV)/.ready ## the tests of the SQL on DuckDB 1.5.5
	@$(PIP) install --quiet --require-hashes --no-deps --upgrade --target $(VENV)/duckdb-1.5 -r constraints-duckdb-1.5.txt
	@PYTHONPATH=$(VENV)/duckdb-1.5 $(BIN)/python -c 'import duckdb; assert duckdb.__version__ == "1.5.5", duckdb.__version__'
	@PYTHONPATH=$(VENV)/duckdb-1.5 $(BIN)/pytest -n auto --dist worksteal -m "not slow" $(addprefix tests/,$(SQL_TESTS)) \
		$(PYTEST_ARGS)

testlake: $(VENV)/.ready ## the tests of a lake, on DuckDB 1.5.5 with its extensions and a real PostgreSQL
	@$(PIP) install --quiet --require-hashes --no-deps --upgrade --target $(VENV)/scale -r constraints-scale.txt
	@PYTHONPATH=$(VENV)/scale $(BIN)/python -c 'from cavra_pipeline.warehouse.lake_engine import extension; extension("ducklake")'
	@PYTHONPATH=$(VENV)/scale $(BIN)/pytest -n auto --dist worksteal tests/lake $(PYTEST_ARGS)

bench: $(VENV)/.ready ## the benchmarks
	@$(BIN)/python -m benchmarks $(ARGS)

pictures: $(VENV)/.ready ## the pictures of docs/images again, from the recorded month (needs Chromium)
	@$(BIN)/python -m tests.console.screenshots
	@$(BIN)/python -m tests.dagster_tests.screenshots

# What runs is pinned apart from what tests: a server, and make demo, install the first alone.
pins: ## rewrite constraints.txt and constraints-runtime*.txt from pyproject.toml
	@"$(PYTHON)" -m venv --clear .venv-pins
	@.venv-pins/bin/python -m pip install --quiet --quiet uv
	@$(call pin,constraints.txt,constraints.txt,--extra dev,and of its "dev" extra)
	@$(call pin,constraints-runtime.txt,constraints.txt,--extra postgres --extra proof --extra build,and of its extras "postgres"$(comma) "proof" and "build")
	@$(call pin,constraints-runtime-scale.txt,constraints.txt,$(addprefix --extra ,postgres proof build scale kubernetes),and of its extras for many hosts)
	@rm -rf .venv-pins
	@grep -c '==' constraints.txt constraints-runtime*.txt
	@echo "The next make target installs them."

comma := ,
# $(call pin,file,file whose versions stay where they fit,extras,what it holds)
define pin
	cp $(2) .venv-pins/pins.txt 2>/dev/null || :; \
	.venv-pins/bin/uv pip compile pyproject.toml $(3) --universal --python-version 3.11 \
		--fork-strategy fewest --generate-hashes --no-strip-extras --no-header --no-annotate \
		--no-emit-index-url --no-emit-find-links --quiet $(PINS_FLAGS) -o .venv-pins/pins.txt; \
	! grep -nE '://|^-[^-]| @ |^--' .venv-pins/pins.txt || { \
		echo "make: the new pins name an address or a path (above); $(1) was left as it was." >&2; exit 1; }; \
	{ printf '%s\n' \
		'# Every package of cavra-pipeline $(4), for Python 3.11 to 3.13: name, version, sha256.' \
		'# Made from pyproject.toml; do not edit. To renew: make pins' \
		'# (keeps what still fits; PINS_FLAGS=--upgrade takes the newest that pyproject.toml allows).'; \
		cat .venv-pins/pins.txt; } > $(1)
endef

clean: ## remove .venv, caches and build output (the data in .cavra stays)
	@rm -rf $(VENV) .venv-pins build dist *.egg-info .mypy_cache .ruff_cache .pytest_cache .hypothesis
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
