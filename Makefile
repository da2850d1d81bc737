# The two commands of the README are `make serve` and `make test`; both install what they need into .venv first.
PYTHON ?= python3
VENV ?= .venv
BIN := $(VENV)/bin
HOST ?= 127.0.0.1
PORT ?= 8000
SLICER_VENV ?= .venv-slicer
SLICER := $(SLICER_VENV)/bin/python
MODULE := slicer_module/HeadCTFindings/HeadCTFindingsLib
STUDIES ?= studies
# Processes that share the tests; the tests of one file stay together.
TESTERS ?= 2

.PHONY: install serve test test-server test-slicer test-harness lint clean

install: $(VENV)/.installed

$(VENV)/.installed: pyproject.toml constraints.txt Makefile
	$(PYTHON) -c 'import sys; assert (3, 11) <= sys.version_info[:2] <= (3, 12), "Python 3.11 or 3.12 is needed, this is " + sys.version.split()[0]'
	test -x $(BIN)/python || $(PYTHON) -m venv $(VENV)
	$(BIN)/python -m pip install --quiet -c constraints.txt -e '.[server,dev]'
	$(BIN)/python -m pip install --quiet -c constraints.txt --no-deps monailabel==0.8.5 pydicom-seg==0.4.1
	touch $@

serve: install
	$(BIN)/headct-molre serve --demo-studies --log text --studies $(STUDIES) --host $(HOST) --port $(PORT)

test: lint test-server test-slicer

test-server: install
	OMP_NUM_THREADS=1 $(BIN)/python -m pytest -m 'not slow' --ignore tests/slicer -n $(TESTERS) --dist loadfile

# Slicer's side: the module's core in the main environment against the real server, then its user interface in an
# environment like Slicer's own Python, without torch. Where that cannot be installed, its tests are skipped aloud.
test-slicer: install
	$(BIN)/python -m coverage run --data-file .coverage-core --source $(MODULE)/core -m pytest -m 'not slow' tests/slicer
	$(BIN)/python -m coverage report --data-file .coverage-core --skip-covered --fail-under 95
	@if $(MAKE) --no-print-directory $(SLICER_VENV)/.installed; then $(MAKE) --no-print-directory test-harness; \
	else printf '%s\n' 'SKIPPED: the tests of the Slicer module in the harness (tests/slicer/ui, tests/slicer/story): its environment' \
	  'could not be made; the reason is above. It needs Linux on x86-64, Python 3.11 or 3.12 and the libraries in .ci/run.' >&2; fi

test-harness: $(SLICER_VENV)/.installed
	HEADCT_SERVER_PYTHON='$(abspath $(BIN)/python)' $(SLICER) -m coverage run --data-file .coverage-ui --source $(MODULE) --omit '*/core/*' \
	  -m pytest -m 'not slow' -c tests/slicer/harness.ini tests/slicer
	$(SLICER) -m coverage report --data-file .coverage-ui --skip-covered --fail-under 85

$(SLICER_VENV)/.installed: tests/slicer/requirements.txt
	test -x $(SLICER) || $(PYTHON) -m venv $(SLICER_VENV)
	$(SLICER) -m pip install --quiet -r tests/slicer/requirements.txt
	cd tests/slicer && $(abspath $(SLICER)) -c 'from harness.session import start; start()'
	touch $@

lint: install
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

clean:
	rm -rf $(VENV) $(SLICER_VENV) .coverage-core .coverage-ui build dist lib/*.egg-info .pytest_cache .mypy_cache .ruff_cache
