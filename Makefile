# Five commands: make repro, make test, make lint, make docs, make bench. Everything happens inside .venv.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# DVC runs each stage as `rine ...`: let it find ours without an activated environment
export PATH := $(CURDIR)/$(BIN):$(PATH)
# quiet twice: errors pass, warnings of a mirror that lacks a page, say, do not
PIP := $(BIN)/pip --disable-pip-version-check install --quiet --quiet --constraint requirements.lock

.PHONY: repro test lint docs format bench report audit clean
.DELETE_ON_ERROR:

repro: $(VENV)/.study  ## the sample study: pictures, every stage, the report
	rine sample
	dvc add --quiet data  # into DVC's cache, where queued experiments find it
	dvc repro --quiet
	@rine verify
	@test report/index.html -nt dvc.lock || rine report --page-only

test: $(VENV)/.test  ## the tests
	python -m pytest -n auto --dist loadfile --no-loadscope-reorder  # a process a core

lint: $(VENV)/.test  ## format and lint checks, types
	ruff format --check .
	ruff check .
	mypy

docs: $(VENV)/.test  ## the documentation as a site, in site/; warnings are errors
	python -m mkdocs build --strict --quiet
	@echo site/index.html

format: $(VENV)/.test
	ruff format .
	ruff check --fix .

bench: $(VENV)/.study  ## speed, as ratios measured in one run
	python -m benchmarks

report: $(VENV)/.study  ## the pages again, from the scores that are there
	rine report

audit: $(VENV)/.study  ## known holes in the locked packages; needs a network
	$(PIP) pip-audit
	$(BIN)/pip-audit --requirement requirements.lock --no-deps --disable-pip --strict || \
	  { echo "audit: a hole was found, or no database could be reached: see above" >&2; exit 1; }

$(BIN)/python:
	$(PYTHON) -m venv $(VENV)

# A stamp each, newer than what it was made from, so that a second call takes no time.
$(VENV)/.study: pyproject.toml requirements.lock | $(BIN)/python
	$(PIP) --editable .
	python -m rine.report.offline
	touch $@

$(VENV)/.test: $(VENV)/.study
	$(PIP) --editable ".[test,lint]"
	touch $@

clean:  ## what git does not keep, but for data/ and the environment
	rm -rf artifacts report dvc_plots .rine .pytest_cache .mypy_cache .ruff_cache
