# Ringfence from a fresh checkout: Python 3.11 or newer, pip and make are all that must be there.

.DEFAULT_GOAL := help
.PHONY: help setup serve test bench check contract charts lock clean

# The first of these that runs and is new enough; only looked for when it is needed.
PYTHON ?= $(or $(shell for python in python3.11 python3; do \
    "$$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2>/dev/null && echo "$$python" && break; \
  done),$(error Ringfence needs Python 3.11 or newer; say which with PYTHON=/path/to/python3))

# uv of this machine, or one of this checkout's own.
UV_VERSION := 0.13.9
UV := $(shell uv --version >/dev/null 2>&1 && echo uv || echo .uv/bin/uv)

# Where bytecode is not kept, each start of a process compiles every module again: seconds.
unexport PYTHONDONTWRITEBYTECODE
export UV_PYTHON_DOWNLOADS := never
export UV_LINK_MODE ?= copy
ifneq ($(wildcard /etc/ssl/certs/ca-certificates.crt),)
export UV_SYSTEM_CERTS ?= true
endif

# uv does not read pip's settings: where pip has been given another package index, uv is given it too.
SAME_INDEX = index="$${UV_DEFAULT_INDEX:-$${UV_INDEX_URL:-$${PIP_INDEX_URL:-$$($(PYTHON) -m pip config get global.index-url 2>/dev/null)}}}"; \
  if [ -n "$$index" ]; then export UV_DEFAULT_INDEX="$$index"; fi;

help:  ## list the targets
	@awk -F ':.*## ' '/^[a-z]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(firstword $(MAKEFILE_LIST))

setup: .venv/.synced  ## make .venv with exactly what requirements.lock names, and ringfence itself

serve: .venv/.synced  ## run the demo centre; more options with ARGS="…"
	@exec .venv/bin/ringfence serve --demo $(ARGS)

test: .venv/.synced  ## run the tests, on SQLite unless RINGFENCE_TEST_DATABASE says otherwise; PYTEST_ARGS="…"
	.venv/bin/python -m pytest $(PYTEST_ARGS)

bench: .venv/.synced  ## run the benchmarks; ARGS="…"
	.venv/bin/python -m benchmarks $(ARGS)

check: .venv/.synced  ## lint, formatting, types, layers, and that contract/ is fresh
	.venv/bin/ruff check .
	.venv/bin/ruff format --check .
	.venv/bin/mypy
	.venv/bin/lint-imports --no-logo
	.venv/bin/ringfence contract --check

contract: .venv/.synced  ## write contract/ anew
	.venv/bin/ringfence contract --write

charts: .venv/.synced  ## draw the charts of the API reference anew
	.venv/bin/python -m ringfence.sandbox.gallery

lock: $(filter .uv/bin/uv,$(UV))  ## write requirements.lock anew; newer versions with LOCK_ARGS=--upgrade
	@$(SAME_INDEX) $(UV) pip compile pyproject.toml --group dev --universal --python-version 3.11 \
	  --generate-hashes --no-header --no-annotate --no-emit-index-url --quiet $(LOCK_ARGS) --output-file requirements.lock

clean:  ## remove .venv, .uv and every cache; databases and keys stay
	rm -rf .venv .uv dist .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/.synced: pyproject.toml requirements.lock $(filter .uv/bin/uv,$(UV))
	@test -x .venv/bin/python || $(UV) venv --quiet --clear --python "$(PYTHON)" .venv
	@$(SAME_INDEX) $(UV) pip sync --quiet --python .venv/bin/python --require-hashes requirements.lock
	@$(UV) pip install --quiet --python .venv/bin/python --no-deps --no-build-isolation --editable .
	@touch $@

# Debian's Python comes without ensurepip; there the pip beside it fills the environment.
.uv/bin/uv:
	@python="$(PYTHON)"; \
	if "$$python" -m ensurepip --version >/dev/null 2>&1; \
	then "$$python" -m venv --clear .uv && pip=".uv/bin/python -m pip"; \
	else "$$python" -m venv --clear --without-pip .uv && pip="$$python -m pip --python .uv/bin/python"; \
	fi && \
	$$pip install --quiet --disable-pip-version-check "uv==$(UV_VERSION)"
