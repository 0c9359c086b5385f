# Everything a developer runs.  `make demo` and `make test` are all a newcomer needs.
VENV ?= .venv
PYTHON ?= python3
PY := $(VENV)/bin/python
# the shell environment must not leak another checkout into ours
unexport PYTHONPATH

.PHONY: help demo test check train-test c-test fix bench bench-peer soak build lint clean
.DEFAULT_GOAL := help

help:            ## this list
	@awk -F ':.*## ' '/^[a-z-]+:.*## / {printf "make %-12s %s\n", $$1, $$2}' $(MAKEFILE_LIST)

$(VENV)/.ready: pyproject.toml setup.py
	$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "edgead needs Python 3.11 or newer")'
	$(PYTHON) -m venv $(VENV)
	$(PY) -m pip install --quiet --upgrade pip "setuptools>=77" wheel "cython>=3.1"
	$(PY) -m pip install --quiet --no-build-isolation --editable ".[dev]"
	@touch $@

# the tests of training need torch (for its CPU wheel set PIP_EXTRA_INDEX_URL)
$(VENV)/.ready-train: $(VENV)/.ready
	$(PY) -m pip install --quiet --no-build-isolation --editable ".[dev,train]"
	@touch $@

build: $(VENV)/.ready  ## virtual environment and the C extension
	@$(PY) setup.py --quiet build_ext --inplace

demo: build      ## simulated equipment on an embedded broker, watched by the real agent
	$(VENV)/bin/edgead demo

lint: build
	$(VENV)/bin/ruff format --check .
	$(VENV)/bin/ruff check .
	$(VENV)/bin/mypy
	$(VENV)/bin/lint-imports
	$(VENV)/bin/clang-format --dry-run --Werror $$(git ls-files 'csrc/*.[ch]' 'tests/*.[ch]' 'firmware-config/*.[ch]')

check: lint      ## formatters, linters, types, import contracts, unit + property + C tests: some minutes
	$(PY) -m pytest -q tests/unit tests/property tests/c -m "not campaign"

test: lint $(VENV)/.ready-train  ## everything; the long campaigns run a seeded tenth; installs torch
	@command -v mosquitto >/dev/null || PATH=$$PATH:/usr/sbin command -v mosquitto >/dev/null || \
		{ echo "make test needs the MQTT broker mosquitto: apt-get install mosquitto" >&2; exit 1; }
	@command -v chromium >/dev/null || { echo "make test needs a browser: apt-get install chromium" >&2; exit 1; }
	@command -v npm >/dev/null || { echo "make test needs npm: apt-get install nodejs npm" >&2; exit 1; }
	$(PY) -m pytest

train-test: build $(VENV)/.ready-train  ## the tests of training alone
	$(PY) -m pytest tests/training

c-test: build    ## the C core under AddressSanitizer and UndefinedBehaviorSanitizer, double and float
	$(PY) -m pytest -q tests/c

soak: build      ## the campaigns in full (hours)
	EDGEAD_SOAK=1 $(PY) -m pytest -m campaign --timeout=0

bench: build     ## speed and quality figures, as ratios of interleaved runs
	$(PY) tests/bench/run.py

bench-peer: build $(VENV)/.ready-train  ## the same against the packages people use today, in their own environment
	$(PYTHON) -m venv .venv-peer
	.venv-peer/bin/python -m pip install --quiet -r tests/bench/peer-requirements.txt
	$(PY) tests/bench/bench_service.py --peer .venv-peer/bin/python
	OMP_NUM_THREADS=1 $(PY) tests/bench/bench_multivariate_peer.py --peer .venv-peer/bin/python
	OMP_NUM_THREADS=1 $(PY) tests/bench/bench_srcnn_peer.py --quality --peer .venv-peer/bin/python

fix: build       ## format and repair what can be repaired
	$(VENV)/bin/ruff check --fix .
	$(VENV)/bin/ruff format .
	$(VENV)/bin/clang-format -i $$(git ls-files 'csrc/*.[ch]' 'tests/*.[ch]' 'firmware-config/*.[ch]')

clean:           ## remove what was built
	rm -rf build dist *.egg-info .venv .venv-peer edgead/native/*.so
