# The commands of the course. `make help` lists them.

# The newest Python that runs here (a name may be a shim behind which there is nothing); or: make … PYTHON=/path/to/python
FITS := import sys; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))
PYTHON ?= $(firstword $(foreach name,python3.13 python3.12 python3.11 python3 python,$(shell $(name) -c '$(FITS)' 2>/dev/null && echo $(name))))
# Where the CPU build of torch comes from on Linux, so that nobody pulls gigabytes of CUDA. For a GPU: make … TORCH_INDEX=
TORCH_INDEX ?= https://download.pytorch.org/whl/cpu

# Where it is set, each of some hundred processes would compile every library anew.
unexport PYTHONDONTWRITEBYTECODE

BIN := .venv/bin
STAMP := .venv/.installed
RUNNER := $(BIN)/python -m tests.lessons
UNITS := $(BIN)/python -m pytest -n 2 --dist loadfile --no-loadscope-reorder --durations=10

.DEFAULT_GOAL := help
.PHONY: help book lab lessons sweep bench mutants test test-units test-lessons test-book test-fast lint assignments lock dated clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(STAMP): requirements.lock pyproject.toml
	@$(or $(PYTHON),false) -c '$(FITS)' || \
		{ echo "Python 3.11, 3.12 or 3.13 is needed: make … PYTHON=/path/to/python3.13"; exit 1; }
	test -x $(BIN)/python || $(PYTHON) -m venv .venv
	$(BIN)/python -m pip install --quiet --retries 1 $(if $(TORCH_INDEX),--extra-index-url $(TORCH_INDEX)) \
		$$(grep -E '^torch==' requirements.lock) $$(grep -E '^uv==' requirements.lock)
	$(BIN)/uv pip install --quiet --python $(BIN)/python -r requirements.lock || \
		$(BIN)/python -m pip install --quiet -r requirements.lock
	$(BIN)/python -m pip install --quiet --no-deps --no-build-isolation --editable .
	@touch $@

book: $(STAMP) ## render the book from the stored outputs into _build/html
	$(BIN)/python -m tests.book.build

lab: $(STAMP) ## JupyterLab on the lessons
	$(BIN)/jupyter lab --notebook-dir=book

lessons: $(STAMP) ## run the lessons in place and store their outputs; ONLY=3_03 for some
	$(RUNNER) execute $(ONLY)

sweep: $(STAMP) ## run every lesson with SEEDS=3 seeds and tabulate which claims hold; ONLY=3_03 for some
	$(RUNNER) sweep --seeds $(or $(SEEDS),3) $(ONLY)

bench: $(STAMP) ## against transformers, x-transformers, diffusers and nanoGPT's recipe; the results go to the status page
	$(BIN)/python -m tests.benchmarks

mutants: $(STAMP) ## does a test notice each mutant? SAMPLE=300 SEED=0 of the package, MODULE=companion/nn/norms.py, or AGAIN=1
	$(BIN)/python -m tests.mutants $(if $(AGAIN),--again,$(if $(MODULE),--module $(MODULE) $(if $(SAMPLE),--sample $(SAMPLE)),--sample $(or $(SAMPLE),300)) --seed $(or $(SEED),0))

test: lint ## everything that CI proves: test-units, test-lessons and test-book, one after the other
	$(MAKE) test-units
	$(MAKE) test-lessons
	$(MAKE) test-book

test-units: $(STAMP) ## the tests of the package, the graders and the lessons' form
	$(UNITS) -m "not built_book"

test-lessons: $(STAMP) ## every lesson at smoke with another seed, and again as stored; ONLY=3_03 for some
	$(RUNNER) smoke $(ONLY)
	$(RUNNER) nbval $(ONLY)

test-book: book ## build the book and look at it
	$(BIN)/python -m pytest -n 2 --durations=5 -m built_book tests/book

test-fast: lint ## lint and the unit tests that take seconds
	$(UNITS) -m "not slow and not built_book"

lint: $(STAMP) ## ruff (notebooks too), codespell, import-linter
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/codespell
	$(BIN)/lint-imports

assignments: $(STAMP) ## the students' versions of the exercises, into book/assignments
	$(BIN)/python -m tests.book.build --assignments-only

lock: $(STAMP) ## resolve pyproject.toml anew into requirements.lock
	$(BIN)/python -m tests.book.lock

dated: $(STAMP) ## write the statements that age into their pages; list those checked longest ago first
	$(BIN)/python -m tests.book.dated

clean: ## remove what the other commands made, but not .venv
	rm -rf _build book/assignments .pytest_cache .ruff_cache .hypothesis .import_linter_cache
