# One command each; `make help` lists them. Everything runs in .venv, which the first one creates.
#
#   PYTHON       the interpreter that makes .venv (3.11 or newer)
#   TORCH_INDEX  address of the package index to take torch from, for its small CPU-only build
#                (printed on PyTorch's own installation page); empty: the default index
#   DAE_ARGS     passed on to dae, such as DAE_ARGS='--data-dir ~/data --jobs 4'

PYTHON ?= python3
TORCH_INDEX ?=
DAE_ARGS ?=

BIN := .venv/bin
READY := .venv/.ready
export OMP_NUM_THREADS ?= 1

.DEFAULT_GOAL := help
.PHONY: help venv results smoke figures full search test full-test check format lint types test-wheel readme bench
.PHONY: torture fuzz mutants clean

help: ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "  make %-11s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

venv: $(READY) ## the environment alone

results: $(READY) ## the table of ICML 2008 for rect-img and convex
	$(BIN)/dae replicate icml2008 $(DAE_ARGS)

smoke: $(READY) ## the same path on a tiny study
	$(BIN)/dae replicate smoke --force $(DAE_ARGS)

figures: $(READY) ## the pictures: filters of MNIST by destruction, what natural images teach
	$(BIN)/dae replicate filters-mnist --seeds 3 $(DAE_ARGS)
	$(BIN)/dae replicate natural-images $(DAE_ARGS)
	$(BIN)/dae replicate natural-images --seeds 3 --only 'ae-*' --only masking $(DAE_ARGS)

full: $(READY) ## the whole of Table 1 at the best settings known, three seeds a cell: hours on two cores
	$(BIN)/dae replicate table1-tuned --seeds 3 $(DAE_ARGS)

search: $(READY) ## select the settings of table1 on validation, with equal search: half a day on two cores
	$(BIN)/dae search table1 $(DAE_ARGS)

test: $(READY) ## the tests
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m 'not slow and not network'

full-test: $(READY) ## the slow tests as well
	$(BIN)/pytest -n auto --dist loadfile --no-loadscope-reorder -m 'not network'

check: format lint types test test-wheel ## what CI does, before the tiny study

format: $(READY) ## fail where the formatter would change something
	$(BIN)/ruff format --check .

lint: $(READY) ## ruff, and that imports go one way
	$(BIN)/ruff check .
	$(BIN)/lint-imports --no-cache

types: $(READY) ## mypy, strict
	$(BIN)/mypy

test-wheel: $(READY) ## tests of what is packaged, from another folder, against the built wheel
	rm -rf build/dist build/site
	$(BIN)/python -m build --wheel --outdir build/dist . > /dev/null
	$(BIN)/pip install --quiet --no-deps --target build/site build/dist/*.whl
	cd build && PYTHONPATH=$(CURDIR)/build/site ../$(BIN)/python -c \
	  "import dae_cli, pkgutil; assert '/build/site/' in dae_cli.__file__, dae_cli.__file__; \
	  [__import__(m.name) for m in pkgutil.walk_packages(dae_cli.__path__, 'dae_cli.')]"
	cd build && PYTHONPATH=$(CURDIR)/build/site ../$(BIN)/pytest -q -n auto \
	  -m 'not slow and not network' -c ../pyproject.toml --rootdir .. \
	  $(foreach name,config_values replicate statistics report,../tests/test_$(name).py)

readme: $(READY) ## write the tables and command help that the documentation quotes
	$(BIN)/python docs/generate.py

mutants: $(READY) ## put 60 faults into dae_cli, each against the tests of its room: SEED=1, half an hour
	$(BIN)/python -m tests.mutations --seed $(or $(SEED),1) --run mutations.csv --jobs 2

bench: $(READY) ## ours beside plain PyTorch and what the machine can do, ten minutes
	$(BIN)/python -m benchmarks

torture: $(READY) ## kill a study a hundred times at random moments, a quarter of an hour
	$(BIN)/python -m tests.torture --kills 100 --out docs/reliability

fuzz: $(READY) ## feed nonsense to every reader, coverage-guided, ten minutes
	$(BIN)/pip install --quiet -c constraints.txt -e '.[fuzz]'
	$(BIN)/python -m tests.fuzz --minutes 10 --out docs/reliability

clean: ## remove what was built, not what was computed
	rm -rf .venv build dist .mypy_cache .pytest_cache .ruff_cache .hypothesis

$(READY): pyproject.toml constraints.txt
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "dae needs Python 3.11 or newer; set PYTHON=…")'
	@echo "creating the environment in .venv: a few minutes of downloading"
	$(if $(TORCH_INDEX),,@test "$$(uname)" != Linux || echo "torch's default build brings gigabytes of GPU libraries on Linux; for the CPU build stop this and give TORCH_INDEX=… with the address of the CPU index on PyTorch's installation page")
	$(PYTHON) -m venv .venv
	$(if $(TORCH_INDEX),$(BIN)/pip install --quiet --index-url $(TORCH_INDEX) -c constraints.txt torch)
	$(BIN)/pip install --quiet -c constraints.txt -e '.[dev]'
	@touch $@
