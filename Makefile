# `make run` and `make test` work on a fresh clone: both make the environment first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready

.PHONY: run test lint tasks founders clean help

help:            ## list what can be made
	@grep -E '^[a-z]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(READY)    ## run a campaign on the shipped founders, then report
	$(BIN)/colony run $(ARGS)

# Workers take neighbouring tests, which share what they need, and steal when they have none left.
test: $(READY)   ## lint, type check, and the whole suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n logical --maxprocesses 4 --dist worksteal $(ARGS)

lint: $(READY)   ## repair what a machine can repair, then lint and type check
	$(BIN)/ruff check --fix .
	$(BIN)/ruff format .
	$(BIN)/mypy

tasks: $(READY)  ## make data/tasks again
	$(BIN)/python data/make_tasks.py

founders: $(READY) ## train the shipped founders again (minutes; not needed to use them)
	$(BIN)/python data/make_founders.py

clean:           ## remove the environment
	rm -rf $(VENV)

$(READY): pyproject.toml constraints.txt
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/pip install --quiet --disable-pip-version-check -c constraints.txt -e '.[dev]'
	touch $@
