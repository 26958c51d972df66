# Two commands matter: `make run` and `make test`. Each sets up all it needs in .venv.
PYTHON ?= python3
PORT ?= 3000
SITE_PORT ?= 8311
EXPLORE_PORT ?= 8313
VENV := .venv
BIN := $(VENV)/bin
export DAGSTER_HOME ?= $(CURDIR)/.dagster

.PHONY: run sync explore build seed-db scheduler test suite lint bench load pages stores growth history faults abuse mutations calibration validate rehearse nightly week day docs snapshots lock vendor containers clean

run: $(VENV)/installed ## bring the data in, then the dashboard on http://127.0.0.1:8311 and Dagster's UI on http://127.0.0.1:3000
	@$(BIN)/vanc311 up --port $(PORT) --site-port $(SITE_PORT)

sync: $(VENV)/installed ## bring the data in, and end
	@$(BIN)/vanc311 sync

explore: $(VENV)/installed ## the published file in Datasette, on http://127.0.0.1:8313
	@$(BIN)/python -P -m vanc311_pipeline.commands.explore --port $(EXPLORE_PORT)

build: containers ## the image of every container
	docker compose build

seed-db: containers ## the first load, in a container, into the volume that the others read
	docker compose --profile seed run --rm seed

scheduler: containers ## everything as containers: the schedule at work, the dashboard on 8311, Dagster on 3000, until Ctrl-C
	docker compose up

# Says what is missing, before docker says it less clearly.
containers:
	@docker compose version >/dev/null 2>&1 || \
		{ echo "Docker with its compose plugin is needed for this and isn't here. Without it: make run" >&2; exit 2; }
	@test -n "$$VANC311_POSTGRES_PASSWORD" || grep -qs '^VANC311_POSTGRES_PASSWORD=.' .env || \
		{ echo "VANC311_POSTGRES_PASSWORD isn't set. Once: echo VANC311_POSTGRES_PASSWORD=$$(od -An -N16 -tx1 /dev/urandom | tr -d ' \n') > .env" >&2; exit 2; }

test: $(VENV)/installed-dev lint ## every test
	$(BIN)/python -m pytest -n auto

suite: $(VENV)/installed-dev ## every test, and what each costs in processor seconds
	$(BIN)/python -m benchmarks.suite

lint: $(VENV)/installed-dev ## ruff and mypy
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .
	$(BIN)/mypy

bench: $(VENV)/installed-dev ## the benchmark, side by side with the machine's floor
	$(BIN)/python -m benchmarks.bench

load: $(VENV)/installed-dev ## the API under load, side by side with Datasette on the same file
	$(BIN)/python -m benchmarks.load

pages: $(VENV)/installed-dev ## what the pages weigh, and how soon they and their charts are there
	$(BIN)/python -m benchmarks.pages

stores: $(VENV)/installed-dev ## what the warehouse costs in SQLite and in PostgreSQL, side by side
	$(BIN)/python -m benchmarks.stores

growth: $(VENV)/installed-dev ## what a quiet slot and one changed month cost at 0.3, 1.3 and 3.4 million rows
	$(BIN)/python -m benchmarks.growth

history: $(VENV)/installed-dev ## how much Dagster's own storage grows in a year, and what of that pruning leaves
	$(BIN)/python -m benchmarks.history

faults: $(VENV)/installed-dev ## kill it, starve it, lie to it: nothing may be lost
	$(BIN)/python -m benchmarks.faults

abuse: $(VENV)/installed-dev ## the site under load and abuse: what others wait meanwhile, memory, errors
	$(BIN)/python -m benchmarks.abuse

validate: $(VENV)/installed-dev ## what Dagster's own tools say of the project
	@env -u DAGSTER_HOME VIRTUAL_ENV=$(CURDIR)/$(VENV) $(BIN)/dg check defs
	@env -u DAGSTER_HOME $(BIN)/dagster definitions validate -w workspace.yaml

rehearse: $(VENV)/installed-dev ## what is too dear for `make test`: its dear tests, faults and abuse in small
	$(BIN)/python -m pytest -n auto -m rehearsal
	$(BIN)/python -m benchmarks.faults --rows 6000 --kills 8 --rounds 2 --seed 311
	$(BIN)/python -m benchmarks.abuse --rows 30000 --seconds 2 --untimed
	$(BIN)/python -m benchmarks.mutations --sample 60 --minutes 20
	$(BIN)/python -m benchmarks.calibration --size 6000 --rehearse

mutations: $(VENV)/installed-dev ## small faults planted in the code: which of them no test notices
	$(BIN)/python -m benchmarks.mutations

calibration: $(VENV)/installed-dev ## how often the rules are wrong, and the intervals, in simulated worlds; make docs writes it into the methods
	$(BIN)/python -m benchmarks.calibration --store

nightly: $(VENV)/installed-dev ## every test, the dear ones too, with Hypothesis at ten times the examples
	HYPOTHESIS_PROFILE=nightly $(BIN)/python -m pytest -n auto -m ''

week: $(VENV)/installed-dev ## a simulated week of releases through Dagster's scheduler, requests counted
	$(BIN)/python -m benchmarks.week

day: $(VENV)/installed-dev ## a rehearsed day of all services of docker-compose.yml, with kills, restarts and a portal that fails (half an hour)
	$(BIN)/python -m benchmarks.day

docs: $(VENV)/installed-dev ## write docs/data_dictionary.md and docs/methods.md anew from the schema and the metric definitions
	for page in data_dictionary.md methods.md; do $(BIN)/python -P -m vanc311_pipeline.commands.docs $$page > docs/$$page || exit 1; done

snapshots: $(VENV)/installed-dev ## write anew what Dagster is given: assets, checks, jobs, schedules, sensors
	$(BIN)/python -m vanc311_pipeline_tests.integration.graph

# An environment that can't be used is made anew: half made, its Python gone, or moved here from elsewhere, which its programs still name.
ifneq ($(wildcard $(VENV)),)
ifeq ($(shell $(BIN)/python -I -c 'import pip' 2>/dev/null && grep -qF '$(CURDIR)/$(BIN)/python' $(BIN)/pip && echo usable),)
$(info $(VENV) can't be used: it is half made, its Python is gone, or it was moved. It is made anew)
$(shell rm -rf $(VENV))
endif
endif

$(VENV)/bin/python:
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || \
		{ echo "Python 3.11 or newer is needed, $(PYTHON) is older. Say which: make PYTHON=python3.12 $(MAKECMDGOALS)" >&2; exit 2; }
	@echo "Setting up $(VENV) (once; about a minute)"
	@$(PYTHON) -m venv $(VENV)

# Exactly what one of the lock's files names, each file's hash checked; then the project itself, which may bring nothing along.
PIP := $(BIN)/python -P -m pip --disable-pip-version-check
define install
@$(PIP) install -qq --no-deps --require-hashes -r $(1)
@$(PIP) install -qq --no-deps --no-build-isolation -e .
@$(PIP) check -qq
@touch $@
endef

$(VENV)/installed: $(VENV)/bin/python requirements.txt pyproject.toml
	$(call install,requirements.txt)

$(VENV)/installed-dev: $(VENV)/bin/python requirements-dev.txt pyproject.toml
	$(call install,requirements-dev.txt)
	@touch $(VENV)/installed

# Every package at one version; requirements.txt is for this machine, requirements-image.txt for the containers.
COMPILE := $(BIN)/uv pip compile -q --universal --python-version 3.11 --generate-hashes --custom-compile-command 'make lock' --group build
SAME := --no-annotate --constraint requirements-dev.txt

lock: $(VENV)/installed-dev ## write the lock anew from pyproject.toml: what is in it stays, where it can (make lock UPGRADE=--upgrade)
	$(COMPILE) $(UPGRADE) --all-extras pyproject.toml -o requirements-dev.txt >/dev/null
	$(COMPILE) $(SAME) --extra explore --extra briefs --extra alerts pyproject.toml -o requirements.txt >/dev/null
	$(COMPILE) $(SAME) --extra postgres --extra s3 --extra docker --extra k8s --extra briefs --extra alerts pyproject.toml -o requirements-image.txt >/dev/null

# What the maps of requests are drawn with: docs/maps.md. Another version needs other sums.
MAPLIBRE := 6.17.0
VENDOR := vanc311_pipeline/dashboard/static/vendor

vendor: ## fetch MapLibre GL anew from npm, and hold it against its checksums
	@command -v npm >/dev/null || { echo "npm is needed for this and isn't here" >&2; exit 2; }
	packed=$$(npm pack --silent maplibre-gl@$(MAPLIBRE)) && tar -xzf $$packed -C $(VENDOR) --strip-components=1 package/LICENSE.txt && \
		tar -xzf $$packed -C $(VENDOR) --strip-components=2 $(addprefix package/dist/maplibre-gl,.mjs -worker.mjs .css) && rm $$packed
	cd $(VENDOR) && sha256sum --check --strict SHA256SUMS

clean: ## remove what the build made; the data stays
	rm -rf $(VENV) build dist *.egg-info .pytest_cache .mypy_cache .ruff_cache .hypothesis
