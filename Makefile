# On a fresh machine with Python 3.11 or newer:
#   make compare     set up .venv, then compare BatchNorm, GroupNorm and LayerNorm (a few minutes)
#   make assignment  the assignment in minutes: the three norms above 70 % on CIFAR-10 (recipe fast)
#   make test        set up .venv, then run the tests
#   make docs        set up .venv, then build the documentation as a site: build/site/index.html
#   make wheel       set up .venv, then build sdist and wheel, check them, and use the wheel from another folder
#   make bench       set up .venv with Lightning, timm and airbench, then time normbench against them (BENCH=--quick: shorter)
PYTHON ?= python3
VENV := .venv
READY := $(VENV)/.ready
BENCH_READY := $(VENV)/.ready-bench

.PHONY: compare assignment test check docs wheel bench setup clean

compare: setup
	$(VENV)/bin/normbench compare --config quick

assignment: setup
	$(VENV)/bin/normbench compare --config fast

# One thread per process: the processes share the cores, and torch's threads would wait for each other.
test: setup
	OMP_NUM_THREADS=1 $(VENV)/bin/pytest -n auto --maxprocesses 4 --dist worksteal

check: setup
	$(VENV)/bin/ruff check .
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports

# -W: a broken link, a missing picture or a page outside the navigation fails the build.
docs: setup
	$(VENV)/bin/python docs/pages.py build/pages
	$(VENV)/bin/sphinx-build -q -W --keep-going -c docs build/pages build/site

wheel: setup
	.ci/wheel $(VENV)/bin/python

bench: $(BENCH_READY)
	$(VENV)/bin/python benchmarks/run.py $(BENCH)

setup: $(READY)

# torch and torchvision must be builds that match: one pip command takes both, at the versions that were tested.
$(READY): pyproject.toml constraints.txt
	$(PYTHON) -m venv $(VENV)
	$(VENV)/bin/pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[dev]'
	touch $(READY)

$(BENCH_READY): $(READY)
	$(VENV)/bin/pip install --disable-pip-version-check --progress-bar off -c constraints.txt -e '.[bench]'
	touch $(BENCH_READY)

clean:
	rm -rf $(VENV) build dist
