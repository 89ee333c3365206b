"""An overlay on the cluster: applied, used, changed and deleted, in namespaces of its own.

Each is a user's: one of ours in other namespaces, and what this cluster's registry needs.
"""

from __future__ import annotations

import json
import re
import shlex
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import CHART, ROOT
from scripts.check import probe
from scripts.live import RELEASE, Airflow, CommandError, Group, PortForward, Target, examples
from scripts.live import overlays as apply
from scripts.overlays.check import problems
from scripts.overlays.definitions import merged, paired_values
from tests.e2e.conftest import SMALL, starting, wait_until

SECONDS = 600
#: Overlay -> its worker group.
OVERLAYS = {
    "dind": Group("dind", "dind", "dind", frozenset({"docker"})),
    "socket": Group("socket", "socket", "socket", frozenset({"docker"})),
    "kubernetes": Group("default", "kubernetes", "default", frozenset({"docker", "kubernetes"})),
}
#: Shorter intervals, as tests/e2e/conftest.py has them for the release.
QUICK = {
    "AIRFLOW__SCHEDULER__SCHEDULER_IDLE_SLEEP_TIME": "0.3",
    "AIRFLOW__DAG_PROCESSOR__REFRESH_INTERVAL": "2",
    "AIRFLOW__DAG_PROCESSOR__BUNDLE_REFRESH_CHECK_INTERVAL": "1",
    "AIRFLOW__DAG_PROCESSOR__MIN_FILE_PROCESS_INTERVAL": "300",
}
#: A value in the database of a release that Helm installed before the overlay came.
VARIABLE = {"key": "kept", "value": "over the change of tools"}


@pytest.fixture(
    scope="module",
    params=[pytest.param(name, marks=pytest.mark.xdist_group(f"overlay {name}")) for name in OVERLAYS],
)
def name(request: pytest.FixtureRequest) -> str:
    """The overlay's name."""
    return str(request.param)


def namespace_of(name: str) -> str:
    """The namespace that an overlay is applied in: they stand side by side."""
    return f"airdock-kustomize-{name}"


def tasks_of(name: str) -> str:
    """The namespace of its task pods."""
    return f"{namespace_of(name)}-tasks"


def values(name: str) -> dict[str, Any]:
    """What Helm takes for the same release."""
    chosen = merged(paired_values(name), SMALL)
    chosen.setdefault("tasks", {})["namespace"] = tasks_of(name)
    return chosen


def by_helm(target: Target, name: str, *options: str) -> None:
    """Install with Helm what the overlay stands for."""
    command = [
        "install",
        RELEASE,
        str(CHART),
        f"--namespace={namespace_of(name)}",
        "--create-namespace",
        *options,
    ]
    with starting():
        target.helm(
        *command, "--values=-", "--wait", f"--timeout={SECONDS}s",
        stdin=json.dumps(values(name)), timeout=SECONDS + 60,
    )  # fmt: skip


@contextmanager
def airflow_of(target: Target, namespace: str) -> Iterator[Airflow]:
    """The API of the release in a namespace, as its administrator."""
    admin = target.secret(f"{RELEASE}-admin", namespace)
    service = f"svc/{RELEASE}-api-server"
    with PortForward(target.kubectl_command, namespace, service, 8080) as forward:
        yield Airflow(forward.url, admin["username"], admin["password"])


@pytest.fixture(scope="module")
def overlay(target: Target, name: str, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder of the overlay."""
    folder = tmp_path_factory.mktemp("overlay")
    settings = {"AIRFLOW__CORE__PARALLELISM": "32", **QUICK}
    gid = None
    if name == "socket":
        found = probe.socket(target, "default")
        if found.reason:
            pytest.skip(found.reason)
        gid = found.gid
    return apply.write(
        target, name, folder, namespace=namespace_of(name), settings=settings, cpu="10m", gid=gid
    )


@pytest.fixture(scope="module")
def applied(target: Target, overlay: Path, name: str) -> Iterator[Target]:
    """The cluster with the overlay on it; in mode kubernetes it takes over from Helm."""
    try:
        if name == "kubernetes":
            by_helm(target, name)
            with airflow_of(target, namespace_of(name)) as airflow:
                airflow.call("POST", "/variables", json=VARIABLE)
            target.helm("uninstall", RELEASE, f"--namespace={namespace_of(name)}", "--wait")
        with starting():
            target.kubectl("apply", "-k", str(overlay))
            rolled(target, name)
        yield target
    finally:
        target.kubectl("delete", "-k", str(overlay), "--ignore-not-found", "--timeout=300s", timeout=310)


def rolled(target: Target, name: str) -> None:
    """Wait until every workload runs what it was last told."""
    apply.wait(target, namespace_of(name), SECONDS)


def workloads(target: Target, name: str) -> list[str]:
    """kind/name of each."""
    names = target.kubectl("get", "deployments,statefulsets", "-n", namespace_of(name), "-o", "name")
    return names.split()


def pods(target: Target, name: str) -> dict[str, str]:
    """Component -> uid of its pod."""
    return {
        pod["metadata"]["labels"]["app.kubernetes.io/component"]: pod["metadata"]["uid"]
        for pod in target.items("pods", "-n", namespace_of(name))
        if not pod["metadata"].get("deletionTimestamp")
    }


def test_the_overlay_has_no_problem(overlay: Path) -> None:
    assert problems(overlay) == []


def test_the_example_dags_run(applied: Target, name: str) -> None:
    with airflow_of(applied, namespace_of(name)) as airflow:
        registry = apply.has_registry(applied, name)
        results = examples.run_all(airflow, [OVERLAYS[name]], registry=registry, at_once=True)
    assert results
    assert [result.task.name for result in results if not result.right] == []


def test_rights_and_fence_follow(applied: Target, name: str) -> None:
    """What the worker may do in its task namespace, and what no pod of that namespace may have."""
    account = f"--as=system:serviceaccount:{namespace_of(name)}:airdock-worker-{OVERLAYS[name].name}"
    if name != "kubernetes":
        with pytest.raises(CommandError):
            applied.kubectl("auth", "can-i", "create", "pods", "-n", namespace_of(name), account)
        return
    assert applied.kubectl("auth", "can-i", "create", "pods", "-n", tasks_of(name), account).strip() == "yes"
    for elsewhere in (namespace_of(name), RELEASE, f"{RELEASE}-tasks"):
        with pytest.raises(CommandError):
            applied.kubectl("auth", "can-i", "create", "pods", "-n", elsewhere, account)
    # Restricted and limited: what is refused is its service account alone.
    container = {
        "name": "thief",
        "image": "busybox:1.37",
        "resources": {"limits": {"cpu": "100m", "memory": "32Mi"}},
        "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
    }
    spec = {
        "serviceAccountName": "default",
        "automountServiceAccountToken": False,
        "containers": [container],
        "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "thief", "namespace": tasks_of(name)},
        "spec": spec,
    }
    create = ["create", "--dry-run=server", "-f", "-"]
    with pytest.raises(CommandError, match="service account 'default' instead of airdock-task"):
        applied.kubectl(*create, stdin=json.dumps(pod))
    spec["serviceAccountName"] = "airdock-task"
    applied.kubectl(*create, stdin=json.dumps(pod))


def shown_by(overlay: str, name: str) -> None:
    """What an overlay does whatever its mode is shown by one of them."""
    if name != overlay:
        pytest.skip(f"no matter of the mode: the overlay {overlay} shows it")


def test_applying_again_changes_nothing(applied: Target, overlay: Path, name: str) -> None:
    shown_by("dind", name)
    before = pods(applied, name)
    generations = {
        w: applied.get(w, "-n", namespace_of(name))["metadata"]["generation"]
        for w in workloads(applied, name)
    }
    applied.kubectl("apply", "-k", str(overlay))
    time.sleep(5)
    for workload, generation in generations.items():
        assert applied.get(workload, "-n", namespace_of(name))["metadata"]["generation"] == generation, (
            workload
        )
    assert pods(applied, name) == before


def test_a_change_rolls_only_its_readers(applied: Target, overlay: Path, name: str) -> None:
    """Redis and Postgres read no setting of Airflow; the example DAGs are read anew by themselves."""
    shown_by("dind", name)
    before = pods(applied, name)
    file = overlay / "kustomization.yaml"
    original = file.read_text()
    assert "PARALLELISM=32" in original
    file.write_text(original.replace("PARALLELISM=32", "PARALLELISM=33"))
    applied.kubectl("apply", "-k", str(overlay))
    rolled(applied, name)
    wait_until(
        lambda: len(applied.items("pods", "-n", namespace_of(name))) == len(before), 120, "old pods gone"
    )
    after = pods(applied, name)
    same = {component for component in before if before[component] == after[component]}
    assert same == {"postgres", "redis"}


def test_from_helm_and_back_the_database_is_kept(applied: Target, name: str) -> None:
    """As docs/kustomize.md says it."""
    shown_by("kubernetes", name)
    with airflow_of(applied, namespace_of(name)) as airflow:
        assert airflow.call("GET", "/variables/kept")["value"] == VARIABLE["value"]
    text = (ROOT / "docs" / "kustomize.md").read_text().replace("\\\n", " ")
    (command,) = re.findall("^kubectl --namespace airdock (delete .*)$", text, re.MULTILINE)
    applied.kubectl("--namespace", namespace_of(name), *shlex.split(command), timeout=310)
    by_helm(applied, name, "--take-ownership", "--force-conflicts")
    with airflow_of(applied, namespace_of(name)) as airflow:
        assert airflow.call("GET", "/variables/kept")["value"] == VARIABLE["value"]
    applied.helm("uninstall", RELEASE, f"--namespace={namespace_of(name)}", "--wait")


def test_deleted_with_its_namespace_nothing_is_left(applied: Target, overlay: Path, name: str) -> None:
    """Claims, Secrets and the ConfigMaps of earlier hashes are in the namespace, which is the overlay's."""
    gone = ["--ignore-not-found"] if name == "kubernetes" else []  # Helm has taken away a part
    applied.kubectl("delete", "-k", str(overlay), *gone, "--timeout=300s", timeout=310)
    for namespace in (namespace_of(name), tasks_of(name)):
        with pytest.raises(CommandError, match="not found"):
            applied.kubectl("get", "namespace", namespace)
    volumes = [
        volume["metadata"]["name"]
        for volume in applied.items("persistentvolumes")
        if volume["spec"].get("claimRef", {}).get("namespace") == namespace_of(name)
        and volume["status"]["phase"] != "Released"
    ]
    assert volumes == []
    assert namespace_of(name) not in applied.kubectl("get", "validatingadmissionpolicies", "-o", "name")


# The overlay for production, on a database and a broker that are not the release's.

PRODUCTION, STORES = "airdock-production", "airdock-stores"


def store(name: str, image: str, port: int, *command: str, **env: str) -> list[dict[str, Any]]:
    """A pod and its Service, as a team would have them elsewhere."""
    metadata = {"name": name, "namespace": STORES, "labels": {"store": name}}
    container = {
        "name": name,
        "image": image,
        "env": [{"name": key, "value": value} for key, value in env.items()],
        "readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1},
        **({"command": list(command)} if command else {}),
    }
    service = {"selector": {"store": name}, "ports": [{"port": port}]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


@pytest.fixture
def production(target: Target, tmp_path: Path) -> Iterator[Target]:
    """The cluster with the overlay `production` on it, and the Secrets that its header asks for."""
    folder = apply.write(target, "production", tmp_path, namespace=PRODUCTION, cpu="10m")
    database = f"airflow:secret@postgres.{STORES}:5432/airflow"
    secrets = {
        "airdock-postgres": {"connection": f"postgresql+psycopg2://{database}"},
        "airdock-redis": {
            "broker-url": f"redis://:secret@redis.{STORES}:6379/0",
            "result-backend": f"db+postgresql://{database}",
        },
    }
    try:
        target.apply(
            *(
                {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name}}
                for name in (STORES, PRODUCTION)
            ),
            *store("postgres", "postgres:17", 5432, POSTGRES_USER="airflow", POSTGRES_PASSWORD="secret"),
            *store("redis", "valkey/valkey:8.1", 6379, "valkey-server", "--requirepass", "secret"),
            *(
                {
                    "apiVersion": "v1",
                    "kind": "Secret",
                    "metadata": {"name": name, "namespace": PRODUCTION},
                    "stringData": data,
                }
                for name, data in secrets.items()
            ),
        )  # fmt: skip
        target.kubectl("wait", "pods", "--all", "-n", STORES, "--for=condition=Ready", "--timeout=120s")
        with starting():
            target.kubectl("apply", "-k", str(folder))
            apply.wait(target, PRODUCTION, SECONDS)
        yield target
    finally:
        # Their namespace takes the policies with it: without a broker workers would drain to their grace.
        target.kubectl("delete", "deployments,replicasets", "--all", "-n", PRODUCTION, "--cascade=orphan")
        target.kubectl("delete", "pods", "--all", "-n", PRODUCTION, "--grace-period=1", "--wait=false")
        target.kubectl("delete", "-k", str(folder), "--ignore-not-found", "--timeout=300s", timeout=310)
        target.kubectl("delete", "namespace", STORES, "--ignore-not-found", "--timeout=120s", timeout=130)


@pytest.mark.xdist_group("overlay production")
def test_production(production: Target) -> None:
    """Two of each component, users by FAB, no store of its own, and budgets that let a node be drained."""
    with airflow_of(production, PRODUCTION) as airflow:
        assert airflow.call("GET", "/dags")["total_entries"] == 0
        health = airflow.call("GET", "/monitor/health")
    assert {name: health[name]["status"] for name in ("scheduler", "dag_processor", "triggerer")} == {
        "scheduler": "healthy", "dag_processor": "healthy", "triggerer": "healthy",
    }  # fmt: skip
    ready = {
        item["metadata"]["name"]: item["status"].get("readyReplicas")
        for item in production.items("deployments,statefulsets", "-n", PRODUCTION)
    }
    components = ("api-server", "dag-processor", "scheduler", "triggerer", "worker-default")
    assert ready == {f"{RELEASE}-{component}": 2 for component in components}
    budgets = production.items("poddisruptionbudgets", "-n", PRODUCTION)
    assert {budget["status"]["disruptionsAllowed"] for budget in budgets} == {1}
