# `make run` and `make test` work on a fresh clone: both make the environment first.
PYTHON ?= python3
VENV   ?= .venv
BIN    := $(VENV)/bin
READY  := $(VENV)/.ready
OUT    ?= bench

.PHONY: run test test-fast bench lint tasks founders clean help

help:            ## list what can be made
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/\t/'

run: $(READY)    ## run a campaign on the shipped founders, then report
	$(BIN)/colony run $(ARGS)

# Dozens of processes load the same modules: the first compiles them for all, whatever is usual here.
test test-fast: export PYTHONDONTWRITEBYTECODE =

# Workers take neighbouring tests, which share what they need, and steal when they have none left.
test: $(READY)   ## lint, type check, and the whole suite
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy
	$(BIN)/pytest -n logical --maxprocesses 4 --dist worksteal $(ARGS)

test-fast: $(READY) ## the tests that run no campaign and no fuzz
	$(BIN)/pytest -n logical --maxprocesses 4 --dist worksteal -m "not slow" $(ARGS)

bench: $(READY)  ## every benchmark in its quick form, as JSON in $(OUT)
	mkdir -p $(OUT)
	$(BIN)/python -m tests.benchmarks.digits --passes 200 --seeds 1 --methods colony,cma_es --json $(OUT)/digits.json
	$(BIN)/python -m tests.benchmarks.search --budget 24000 --seeds 1 --methods colony,cma_es --json $(OUT)/search.json
	$(BIN)/python -m tests.benchmarks.improvement --budget 20000 --seeds 1 --methods keyless --json $(OUT)/improvement.json
	$(BIN)/python -m tests.benchmarks.foundings --generations 2 --json $(OUT)/foundings.json
	$(BIN)/python -m tests.benchmarks.study --budget 24000 --seeds 1 --methods merging_alone --json $(OUT)/study.json
	$(BIN)/python -m tests.benchmarks.arena --budget 24000 --items 60 --seeds 1 --generations 1 --json $(OUT)/arena.json
	$(BIN)/python -m tests.benchmarks.item_choice --generations 4 --fewest 12 --json $(OUT)/item_choice.json
	$(BIN)/python -m tests.benchmarks.candidate --budget 24000 --repeat 2 --json $(OUT)/candidate.json
	$(BIN)/python -m tests.benchmarks.cluster --repeat 1 --simulate-workers 1,10,100 --json $(OUT)/cluster.json
	$(BIN)/python -m tests.benchmarks.ratings --seeds 2 --json $(OUT)/ratings.json
	$(BIN)/python -m tests.benchmarks.lineage --models 20000 --json $(OUT)/lineage.json
	$(BIN)/python -m tests.benchmarks.tui --models 20000 --json $(OUT)/tui.json
	$(BIN)/python -m tests.benchmarks.trace --merges 12 --json $(OUT)/trace.json
	$(BIN)/python -m tests.benchmarks.merge --founders data/founders/base data/founders/kanji data/founders/sum data/founders/sort --repeat 1 --json $(OUT)/merge.json
	$(BIN)/python -m tests.benchmarks.lm_eval_agreement --items 40 --json $(OUT)/lm_eval_agreement.json

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
