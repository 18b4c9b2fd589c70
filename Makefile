# Everything runs in a virtual environment inside the checkout; python3 and make are all that is presumed.
PYTHON ?= python3
VENV := .venv
BIN := $(VENV)/bin
# Images of containers often set this. Without bytecode each process of a test compiles the package anew.
export PYTHONDONTWRITEBYTECODE :=
# What a run takes is installed; what tests take as well.
READY := $(VENV)/.ready
DEV := $(VENV)/.dev

.PHONY: demo million rehearse rehearse-small image compose kube slurm engines-small test servers wheel faults-small hostile hostile-small bench cost-model compare-tsung peers lint types unit integration faults browser scale coverage fuzz soak truth conformance examples recipes screenshots sbom audit lock clean

demo: $(READY) ## 4 agents, 20,000 connections at 2,000/s, held with pings, against the embedded target
	$(BIN)/loadgen-coord --local 4 --with-target --rate 2000 --max 20000 --hold 12 --think 5

million: $(DEV) ## a million connections with pings on this machine, a quarter of an hour; ARGS: see --help of tests.million
	$(BIN)/python -m tests.million $(ARGS)

rehearse: $(DEV) ## the reference run, scaled down, on 18 machines made of namespaces, by Ansible: as root, in about 5 minutes
	$(BIN)/python -m tests.rehearsal $(ARGS)

rehearse-small: $(DEV) ## the same with two agents, by the tests of CI, and the linter of its playbooks: as root, in about 3 minutes
	$(BIN)/pytest -q tests/rehearsal

image: $(DEV) ## the container image by buildah on a base of Debian's own packages, and a run in it: as root on Debian, in about 3 minutes
	$(BIN)/python -m tests.engines image --markdown build/image.md

compose: $(DEV) ## the compose file by podman-compose with that image: as root on Debian, in about 2 minutes
	$(BIN)/python -m tests.engines compose --markdown build/compose.md

kube: $(DEV) ## the Kubernetes rehearsal by podman kube play with that image: as root on Debian with kubectl, in about a minute
	$(BIN)/python -m tests.engines kube --markdown build/kube.md

slurm: $(DEV) ## deploy/slurm on a cluster of namespaces: a run, a lost node, scancel: as root on Debian, in about a minute
	$(BIN)/python -m tests.engines slurm --markdown build/slurm.md

engines-small: $(DEV) ## a part of it, by the tests of CI, in about 20 seconds
	$(BIN)/pytest -q tests/engines

test: $(DEV) ## the gate: what CI runs; parts that leave a core idle run beside each other
	$(MAKE) -j 3 lint types unit
	$(MAKE) -j 2 integration browser

lint: $(DEV)
	$(BIN)/ruff check .
	$(BIN)/ruff format --check .

types: $(DEV)
	$(BIN)/mypy

unit: $(DEV)
	$(BIN)/pytest -q -n 2 tests/unit tests/fuzz

integration: $(DEV) ## whole commands and fleets; they often wait
	$(BIN)/pytest -q -n 6 --dist worksteal tests/integration

wheel: $(DEV) ## the built wheel, installed without the checkout
	$(BIN)/pytest -q -n 2 tests/wheel

faults-small: $(DEV) ## parts of a fleet killed while it runs, by the tests of CI, in about a minute
	$(BIN)/pytest -q -n 6 --dist worksteal tests/faults

servers: $(DEV) ## proxies, Prometheus, InfluxDB, brokers and others, from Debian, npm and PyPI, in about 2 minutes
	$(BIN)/pytest -q -n 4 tests/servers

faults: $(DEV) ## every fault on a fleet of its own, as a table: docs/faults.md, in about 10 minutes
	$(BIN)/python -m tests.faults --markdown build/faults.md

hostile: $(DEV) ## every trial by hostile surroundings, each on a fleet of its own: docs/hostile.md, in about 20 minutes; ARGS: TRIAL...
	$(BIN)/python -m tests.hostile --markdown build/hostile.md $(ARGS)

hostile-small: $(DEV) ## the quick trials of it, by the tests of CI, a third of them, in about 100 seconds
	$(BIN)/pytest -q -n 4 --dist worksteal tests/hostile

browser: $(DEV) ## the live page and the report in headless Chromium (Debian's package); screenshots in build/browser
	$(BIN)/pytest -q -n 3 --timeout 400 tests/browser

screenshots: $(DEV) ## the pictures of docs/page anew, of a run of 8 agents on an idle machine, in about a minute
	$(BIN)/python -m tests.browser.screenshots

scale: $(DEV) ## a tenth of the million; alone, since it needs both cores
	$(BIN)/pytest -q tests/scale

coverage: $(DEV) ## each module of the pure layers by its own test file alone, as a table; ARGS: MODULE...
	$(BIN)/python -m tests.coverage $(ARGS)

fuzz: $(DEV) ## a minute of coverage-guided fuzzing of each reader of foreign bytes; ARGS: --seconds N NAME...; outside the gate
	$(BIN)/pip install -q 'atheris>=3'
	$(BIN)/python -m tests.fuzz $(ARGS)

soak: $(DEV) ## half an hour of churn: memory and descriptors of every process stay flat, the ledgers agree; ARGS: --minutes N
	$(BIN)/python -m tests.soak $(ARGS)

truth: $(DEV) ## what is injected beside what is reported, as a table, in about 12 minutes on an idle machine; ARGS: CASE...
	$(BIN)/python -m tests.truth --markdown build/truth.md $(ARGS)

conformance: $(DEV) ## Autobahn's cases, and runs against the servers that people run, as tables, in about 6 minutes; ARGS: CASE...
	$(BIN)/python -m tests.conformance --markdown build/conformance.md $(ARGS)

examples: $(DEV) ## every example of the documents that makes load, as it is written: as root, in about 2 minutes
	$(BIN)/pytest -q -n 8 --dist worksteal tests/examples

recipes: $(DEV) ## every recipe of examples/ against a server of its protocol, in about 2 minutes; ARGS: -k NAME
	$(BIN)/pytest -q tests/recipes $(ARGS)

bench: $(DEV) ## speed and memory, as a table and as JSON, in about 21 minutes; outside the gate
	$(BIN)/python -m tests.bench

cost-model: $(DEV) ## what a connection costs, measured up to a million: docs/cost-model.md, in about 22 minutes
	$(BIN)/python -m tests.costs

compare-tsung: $(DEV) ## the same files with Debian's Tsung (installed if missing) and here: docs/compare-tsung.md, in about 5 minutes
	$(BIN)/python -m tests.compare

peers: $(DEV) ## load generators side by side, against one server: docs/peers.md, in 7 to 12 minutes, 3 more to install; ARGS: see --help of tests.peers
	$(BIN)/python -m tests.peers $(ARGS)

.PHONY: docs  # a folder of this name exists
docs: $(VENV)/.docs ## the docs site, into build/docs; a warning, such as a broken link, fails
	NO_MKDOCS_2_WARNING=1 $(BIN)/python -m mkdocs build --strict

$(VENV)/.docs: $(DEV) requirements-docs.lock
	$(BIN)/pip install -q --require-hashes -r requirements-docs.lock
	touch $@

COMPILE = $(BIN)/pip-compile -q --upgrade --generate-hashes --allow-unsafe --strip-extras --no-emit-index-url \
  --no-emit-trusted-host --no-emit-find-links

# A virtual environment of their own: the tools change none of the packages that they look at.
AUDIT := build/audit/bin

$(AUDIT)/python:
	$(PYTHON) -m venv build/audit
	$@ -m pip install -q 'cyclonedx-bom>=7.5,<8' 'pip-audit>=2.10,<3'

sbom: $(AUDIT)/python ## build/sbom.json: every package that a run takes, with its hashes, in the form of CycloneDX
	$(AUDIT)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --validate -o build/sbom.json requirements.lock

audit: $(AUDIT)/python ## known weaknesses of the packages in the lock files; asks PyPI
	$(AUDIT)/pip-audit --strict --disable-pip --require-hashes $(addprefix -r ,$(wildcard *.lock))

lock: $(DEV) ## writes the three lock files anew from pyproject.toml: what a run takes, what tests take, what the docs take
	$(COMPILE) --build-deps-for editable -o requirements.lock pyproject.toml
	$(COMPILE) --extra dev -c requirements.lock -o requirements-dev.lock pyproject.toml
	$(COMPILE) --extra docs -c requirements-dev.lock -o requirements-docs.lock pyproject.toml

$(READY): pyproject.toml requirements.lock
	$(PYTHON) -m venv $(VENV) || { echo "make: $(PYTHON) has no venv module; on Debian: apt-get install python3-venv"; exit 1; }
	$(BIN)/pip install -q --require-hashes -r requirements.lock
	PYTHONWARNINGS=ignore $(BIN)/pip install -q --no-deps --no-build-isolation --editable .
	touch $@

$(DEV): $(READY) requirements-dev.lock
	$(BIN)/pip install -q --require-hashes -r requirements-dev.lock
	touch $@

clean:
	rm -rf $(VENV) runs build *.egg-info
