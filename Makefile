# The habits, one word each. `make help` lists them.

SHELL := /bin/bash
.DEFAULT_GOAL := help
.PHONY: help venv demo test check ui prefect worker real bench evidence clean

PYTHON ?= python3
PORT ?= 5000
PREFECT_PORT ?= 4200
FOLD ?= 0
SITE_FILE ?= $(SITE).yaml
JOBS ?= 2

# found before .venv/bin comes first in PATH, so that an environment is never made by itself
BASE_PYTHON := $(shell command -v $(PYTHON))
export PATH := $(CURDIR)/.venv/bin:$(PATH)

# absolute: from a subfolder Prefect ignores the settings in pyproject.toml
export PREFECT_HOME := $(CURDIR)/.prefect
export PREFECT_SERVER_ANALYTICS_ENABLED := false
export PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS := 180
export PREFECT_LOGGING_LEVEL ?= INFO
export PREFECT_LOGGING_LOGGERS_PREFECT_TASK_RUNS_LEVEL ?= WARNING
export MLFLOW_DISABLE_TELEMETRY := true
export DVC_NO_ANALYTICS := 1
export DO_NOT_TRACK := 1

# $(call free,<port>,<variable>): one line if something listens there already
free = python -c "import socket; s = socket.socket(); s.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1); \
	s.bind(('127.0.0.1', $(1)))" 2>/dev/null \
	|| { echo "port $(1) cannot be used (taken?): choose another, e.g. make $@ $(2)=$$(( $(1) + 1 ))" >&2; exit 2; }

# one line, before anything is installed, if a word lacks its argument
need-%:
	@test -n "$($*)" || { echo "$* is missing: say $*=..., as make help shows" >&2; exit 2; }

help: ## list these words
	@grep -E '^[a-z]+:.*##' $(firstword $(MAKEFILE_LIST)) | sed -E 's/^([a-z]+):.*## */\1|/' \
		| while IFS='|' read -r word text; do printf '  make %-8s %s\n' "$$word" "$$text"; done

venv: .venv/.stamp ## make .venv with the exact versions of constraints.txt

.venv/.stamp: pyproject.toml constraints.txt
	@test -n "$(BASE_PYTHON)" || { echo "no $(PYTHON) found: name one, e.g. make venv PYTHON=python3.11" >&2; exit 2; }
	@"$(BASE_PYTHON)" -c 'import sys; sys.exit(sys.version_info < (3, 11))' \
		|| { echo "MTMed needs Python 3.11 or newer; $(PYTHON) is $$("$(BASE_PYTHON)" -V 2>&1): name another," \
			"e.g. make venv PYTHON=python3.11" >&2; exit 2; }
	@echo "installing into .venv (a few minutes, several GB)"
	"$(BASE_PYTHON)" -m venv .venv
	.venv/bin/python -m pip install -q -c constraints.txt -e '.[dev]'
	@touch $@

demo: venv ## the whole chain on the phantom sites: data -> federation -> evaluation -> report
	python -m flows.served dvc repro
	@echo
	@echo "report:      reports/index.html (opens offline)"
	@echo "tracking:    make ui"
	@echo "flow runs:   make prefect"
	@echo "metrics:     .venv/bin/dvc metrics show"

test: venv ## the whole test suite (ARGS='-k name' for a part of it; DATA=folder of real manifests, if any)
	$(if $(DATA),MTMED_REAL_DATA="$(abspath $(DATA))") pytest -n $(JOBS) --dist loadgroup --durations 15 $(ARGS)

check: venv ## style, types and the walls between modules
	ruff check .
	ruff format --check .
	mypy
	lint-imports

ui: venv ## MLflow on the local store (PORT=5000)
	@$(call free,$(PORT),PORT)
	@echo "MLflow:  http://127.0.0.1:$(PORT)   (Ctrl-C stops it)"
	@echo "Prefect: make prefect, in another terminal"
	@MLFLOW_SERVER_ENABLE_JOB_EXECUTION=false mlflow ui --host 127.0.0.1 --port $(PORT) --workers 1 \
		--backend-store-uri "$$(python -c "import yaml; print(yaml.safe_load(open('params.yaml'))['tracking']['uri'])")"

prefect: venv ## Prefect's server and pages, with the runs so far (PREFECT_PORT=4200)
	@$(call free,$(PREFECT_PORT),PREFECT_PORT)
	@echo "to run flows on it: export PREFECT_API_URL=http://127.0.0.1:$(PREFECT_PORT)/api"
	@prefect server start --host 127.0.0.1 --port $(PREFECT_PORT)

worker: need-SITE venv ## serve a site's own flow: SITE=name [SITE_FILE=name.yaml]
	python -m flows.site "$(SITE_FILE)"

real: need-DATA venv ## the same chain on a folder of real manifests: DATA=folder [FOLD=0]
	python -m experiments.real.run --data "$(DATA)" --fold $(FOLD)

bench: venv ## speed and size: the trainer, the chain, preparation at scale, ONNX, tiles
	python -m benchmarks.run $(ARGS)
	python -m benchmarks.trainer
	python -m benchmarks.trainer --encoder pvt_v2_b0 --size 128 --batch 16 --steps 8
	python -m benchmarks.kernels
	python -m benchmarks.chain
	python -m benchmarks.scale --images 2000
	python -m benchmarks.latency
	python -m benchmarks.tiles

evidence: venv ## every run behind docs/results.md that has no rows yet: days on two cores [DATA=folder, for real films]
	python -m benchmarks.matrix $(if $(DATA),--data "$(DATA)") $(ARGS)
	python -m benchmarks.claims --write

clean: ## remove what can be made again; keeps data/raw, .dvc/cache, MLflow's store and .venv
	rm -rf .mtmed .prefect data/prepared models reports build dist
	rm -rf .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -not -path './.venv/*' -prune -exec rm -rf {} +
