# `make` alone lists the targets. Everything that is built or downloaded goes to .venv, .tools and ~/.cache/airdock.
PYTHON ?= python3
FORMAT ?= text
SECONDS ?= 600
HOURS ?= 1
run := .venv/bin/python -m
sources := scripts tests charts/airdock/files
# With the seconds that a tier may take on two cores with warm caches (tests/support/budget.py).
within := .venv/bin/pytest --budget

.PHONY: help up down test test-api e2e e2e-cgroup2 attack fuzz soak bench lint check images rbac-for-cluster from-official overlays docs package publish
help: ## list the targets
	@grep -hE '^[a-z0-9-]+:.*##' $(MAKEFILE_LIST) | sed -E 's/:.*##/\t/' | expand -t 12

.venv/installed: requirements.txt
	@$(PYTHON) -c 'import sys; sys.exit(sys.version_info < (3, 11) and "Python 3.11 or later is needed; set PYTHON=...")'
	@$(PYTHON) -m venv .venv
	@.venv/bin/pip install --quiet --disable-pip-version-check --requirement requirements.txt
	@touch $@

up: .venv/installed ## run the example DAGs in every mode, on the current cluster or on one of its own (CLUSTER=native|current; AIRFLOW=3.1: an older line, in a new cluster)
	@$(run) scripts.up

down: .venv/installed ## remove what `make up` brought
	@$(run) scripts.up down

test: .venv/installed ## all that needs no cluster
	@$(run) scripts.tools helm helm3 kubeconform actionlint docker dockerd promtool registry
	.venv/bin/ruff check $(sources)
	.venv/bin/ruff format --check $(sources)
	.venv/bin/mypy scripts tests/cgroup2/machine charts/airdock/files/docker_gateway charts/airdock/files/scripts
	.venv/bin/mypy --python-version 3.10 charts/airdock/files/docker_gateway
	.venv/bin/yamllint --strict .
	.tools/bin/actionlint -shellcheck= -pyflakes=
	$(within) 1500 --numprocesses auto --maxschedchunk 1 --timeout 900 --ignore tests/api --ignore tests/cgroup2 --ignore tests/e2e --ignore tests/images tests

test-api: .venv/installed ## the manifests against a real API server, without a kubelet (TESTS=...: some; VERSIONS="1.30 1.33" or all: other versions of it, ATTACKS=1: only attacks, IF_BUILT=1: without building)
	@$(run) scripts.tools etcd kube-apiserver kube-controller-manager helm
	$(if $(VERSIONS),$(run) tests.api,$(within) 600 --numprocesses 2 --dist loadfile $(if $(ATTACKS),--attacks) $(or $(TESTS),tests/api))

e2e: .venv/installed ## the tests on a real cluster, and of the stand-in images (LANES=..., TESTS=...: some; AIRFLOW=3.1: on an older line, in a new cluster; DOCKER=28: mode socket on an older Docker engine)
	@$(run) tests.e2e

e2e-cgroup2: .venv/installed ## mode dind on cgroup v2, in an emulated machine: slow
	@$(run) tests.cgroup2.machine
	$(within) 300 tests/cgroup2

attack: .venv/installed ## try every attack that the tests know against the release that `make up` has installed
	@$(run) scripts.tools etcd kube-apiserver kube-controller-manager helm
	.venv/bin/pytest --attacks tests/gateway tests/local_settings tests/api tests/e2e

fuzz: .venv/installed ## search at random for what breaks the gateway, for SECONDS=600; finds become cases of `make test`
	@$(run) tests.gateway.fuzz $(SECONDS)

soak: .venv/installed ## HOURS=1 of DAGs in every mode with a fault each minute, also of the node that `make up` has started (CLOCK=1: of this machine's clock, too)
	@$(run) tests.soak $(HOURS) $(if $(CLOCK),--clock)

bench: .venv/installed ## the measured claims of the README
	@$(run) scripts.bench

lint: .venv/installed ## check your values: VALUES="my.yaml more.yaml" [ACCEPTED=accepted.yaml] [FORMAT=text|junit|sarif] [OUTPUT=FILE]
	@$(run) scripts.lint --format $(FORMAT) $(if $(VALUES),--values $(VALUES)) $(if $(ACCEPTED),--accepted $(ACCEPTED)) \
	  $(if $(OUTPUT),--output $(OUTPUT))

images: .venv/installed ## print the images that your values need: VALUES=... [TO=registry.example.com/mirror: copy them there]
	@$(run) scripts.mirror $(if $(VALUES),--values $(VALUES)) $(if $(TO),--to $(TO))

check: .venv/installed ## find out which modes a cluster can serve, before installing: [VALUES=...] [CONTEXT=...] [NAMESPACE=...] [FORMAT=text|json]
	@$(run) scripts.check --format $(FORMAT) $(if $(VALUES),--values $(VALUES)) $(if $(CONTEXT),--context $(CONTEXT)) \
	  $(if $(NAMESPACE),--namespace $(NAMESPACE))

rbac-for-cluster: .venv/installed ## print what another cluster's administrator applies: CLUSTER=gpu VALUES=... [NAMESPACE=airdock] [RELEASE=airdock]
	@$(run) scripts.other_cluster $(CLUSTER) $(if $(VALUES),--values $(VALUES)) $(if $(NAMESPACE),--namespace $(NAMESPACE)) \
	  $(if $(RELEASE),--release $(RELEASE))

from-official: .venv/installed ## convert a values file of the official Airflow chart: VALUES=values.yaml [ATTACH=RELEASE] > airdock.yaml
	@$(run) scripts.from_official $(if $(ATTACH),--attach $(ATTACH)) $(VALUES)

overlays: .venv/installed ## regenerate the Kustomize overlays from the chart
	@$(run) scripts.overlays

docs: .venv/installed ## regenerate the tables of the documentation
	@$(run) scripts.chart.docs
	@$(run) scripts.lint.docs

release := $(run) scripts.release --version "$(VERSION)" --source "$(SOURCE)" --sign-key "$(SIGN_KEY)" \
  $(if $(KEYRING),--keyring "$(KEYRING)")
package: .venv/installed ## write the packaged chart, its SBOM and the Python package to dist/ [VERSION=v1.2.3 SOURCE=https://... SIGN_KEY=... KEYRING=...]
	@$(release)

publish: .venv/installed ## the same, and push it to an OCI registry: TO=oci://registry.example.com/charts
	@test -n "$(TO)" || { echo "publish: set TO=oci://registry.example.com/charts" >&2; exit 1; }
	@$(release) --to "$(TO)" $(if $(PLAIN_HTTP),--plain-http)
