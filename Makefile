# `make help` lists the targets. Everything runs in .venv, which the first target creates.
#
#   PYTHON       interpreter for .venv (3.11 or newer)
#   TORCH_INDEX  address of the package index for torch; set it to the CPU index shown on PyTorch's
#                installation page to get the small CPU build (empty: the default index)
#   DAE_ARGS     options for dae, such as DAE_ARGS='--data-dir ~/data --jobs 4'

PYTHON ?= python3
TORCH_INDEX ?=
DAE_ARGS ?=

BIN := .venv/bin
READY := .venv/.ready
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv results smoke figures full search test full-test check format lint types test-wheel readme bench
.PHONY: torture fuzz mutants clean

help: ## list the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY) ## create the environment only

results: $(READY) ## replicate the table of ICML 2008 for rect-img and convex
	$(BIN)/dae replicate icml2008 $(DAE_ARGS)

smoke: $(READY) ## replicate a tiny study
	$(BIN)/dae replicate smoke --force $(DAE_ARGS)

figures: $(READY) ## draw the filters learned from MNIST and from natural images
	$(BIN)/dae replicate filters-mnist --seeds 3 $(DAE_ARGS)
	$(BIN)/dae replicate natural-images $(DAE_ARGS)
	$(BIN)/dae replicate natural-images --seeds 3 --only 'ae-*' --only masking $(DAE_ARGS)

full: $(READY) ## replicate all of Table 1 with the best settings known, three seeds per cell: hours on two cores
	$(BIN)/dae replicate table1-tuned --seeds 3 $(DAE_ARGS)

search: $(READY) ## select the settings of table1 on validation rows: half a day on two cores
	$(BIN)/dae search table1 $(DAE_ARGS)

test: $(READY) ## run the tests
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m 'not slow and not network'

full-test: $(READY) ## run all tests, including the slow ones
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m 'not network'

check: format lint types test test-wheel ## run the checks of CI except the tiny study

format: $(READY) ## check the formatting
	$(BIN)/ruff format --check .

lint: $(READY) ## run ruff, and check the layers of imports
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

types: $(READY) ## run mypy in strict mode
	$(BIN)/mypy

test-wheel: $(READY) ## test the built wheel from another folder
	rm -rf build/dist build/site
	$(BIN)/python -m build --wheel --outdir build/dist . > /dev/null
	$(BIN)/pip install --quiet --no-deps --target build/site build/dist/*.whl
	cd build && PYTHONPATH=$(CURDIR)/build/site ../$(BIN)/python -c \
	  "import dae_cli, pkgutil; assert '/build/site/' in dae_cli.__file__, dae_cli.__file__; \
	  [__import__(m.name) for m in pkgutil.walk_packages(dae_cli.__path__, 'dae_cli.')]"
	cd build && PYTHONPATH=$(CURDIR)/build/site ../$(BIN)/pytest -q -n auto \
	  -m 'not slow and not network' -c ../pyproject.toml --rootdir .. \
	  $(foreach name,config_values replicate statistics report,../tests/test_$(name).py)

readme: $(READY) ## regenerate the tables and help texts in the documentation
	$(BIN)/python docs/generate.py

mutants: $(READY) ## test 60 small faults in dae_cli, each with the tests of its package: SEED=1, half an hour
	$(BIN)/python -m tests.mutations --seed $(or $(SEED),1) --run mutations.csv --jobs 2

bench: $(READY) ## measure the speed, compared with plain PyTorch: ten minutes
	$(BIN)/python -m benchmarks

torture: $(READY) ## kill a study a hundred times at random moments: a quarter of an hour
	$(BIN)/python -m tests.torture --kills 100 --out docs/reliability

fuzz: $(READY) ## feed random input to every reader, guided by coverage: ten minutes
	$(BIN)/pip install --quiet -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz --minutes 10 --out docs/reliability

clean: ## remove the environment and build files, not results
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dae needs Python 3.11 or newer; set PYTHON=…")'
	@echo "creating the environment in .venv; downloading and installing takes a few minutes"
	$(if $(TORCH_INDEX),,@test "$$(uname)" != Linux || echo "On Linux, PyTorch's default build brings gigabytes of GPU libraries. For the CPU build, press Ctrl-C and set TORCH_INDEX to the address of the CPU index on https://pytorch.org/get-started/locally/")
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(BIN)/pip install --quiet --index-url $(TORCH_INDEX) -c constraints.txt torch)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
