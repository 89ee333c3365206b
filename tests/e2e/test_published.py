"""A published chart: installed from the registry with its signature checked, and over version 0.1.0."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from scripts.chart import CHART, load_yaml
from scripts.cluster import REGISTRY
from scripts.live import RELEASE, Airflow, CommandError, Target
from scripts.live.airflow_api import PortForward
from scripts.live.target import NATIVE_DIND
from scripts.overlays.definitions import merged
from scripts.release.archive import Release, pack
from scripts.release.publish import push
from scripts.release.signing import Signer
from tests.e2e.conftest import QUICK, starting, wait_until
from tests.e2e.test_upgrade import ROLLOUT_SECONDS, end, ticking
from tests.release.conftest import Keys, generate
from tests.support import former

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-published"
VERSION = str(load_yaml((CHART / "Chart.yaml").read_text(), "Chart.yaml")[0]["version"])
OLD = "0.1.0"
QUEUES = ("default", "dind")
DAG = f"""
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG

with DAG("long", schedule=None):
    for queue in {QUEUES}:
        command = ["sh", "-c", {ticking(ROLLOUT_SECONDS)!r}]
        DockerOperator(task_id=queue, image="busybox:1.37", command=command, queue=queue)
"""
#: Values of a release of 0.1.0; the upgrade gets them unchanged.
VALUES: dict[str, Any] = merged(
    QUICK,
    {
        "dags": {"examples": False, "volume": {"configMap": {"name": "dags"}}},
        "tasks": {"keepNamespace": False},
        "workerDefaults": {"dind": NATIVE_DIND},
        "workers": {
            "default": {"mode": "kubernetes", "queues": ["default"]},
            "dind": {"mode": "dind", "queues": ["dind"]},
        },
    },
)
#: Objects alone: no pod that takes a minute to start.
EMPTY: dict[str, Any] = {
    "controlPlane": {"enabled": False, "executionApiUrl": "http://nobody:8080/execution/"},
    "broker": {"existingSecret": "nobody"},
    "secrets": {"apiSecretKey": "nobody"},
    "tests": {"enabled": False},
    "tasks": {"keepNamespace": False},
    "workers": {"default": {"mode": "kubernetes", "queues": ["default"], "replicas": 0}},
}


@dataclass(frozen=True)
class Published:
    """The chart in the registry of `make up`, and the keys."""

    chart: str
    keys: Keys
    others: Keys

    def verified(self, keys: Keys) -> list[str]:
        """The chart as arguments of helm, with the check of its signature."""
        return [self.chart, "--version", VERSION, "--plain-http", "--verify", f"--keyring={keys.public}"]


@pytest.fixture(scope="module")
def published(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Published]:
    """The chart of this repository, packed, signed and pushed as `make publish` does."""
    if not target.native:
        pytest.skip("the registry is that of the native cluster")
    directory = tmp_path_factory.mktemp("published")
    with TemporaryDirectory() as home:  # Not below pytest's: gpg's socket has a short path.
        keys, others = generate(Path(home), "maintainer", "correct horse"), generate(Path(home), "other", "")
        archive = pack(Release(), directory, Signer(keys.name, keys.secret, keys.passphrase))
        # A name of its own: a version is never overwritten.
        to = f"oci://{REGISTRY}/{directory.name}-{directory.parent.name}"
        assert f"airdock:{VERSION}" in push(archive, to, plain_http=True)
        yield Published(f"{to}/airdock", keys, others)


@pytest.fixture
def namespace(target: Target) -> Iterator[str]:
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        yield NAMESPACE
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
        spaces = (NAMESPACE, f"{NAMESPACE}-{RELEASE}-tasks")
        target.kubectl("delete", "namespace", *spaces, "--ignore-not-found", "--timeout=180s", timeout=200)


def test_install_verifies_the_signature(target: Target, published: Published, namespace: str) -> None:
    options = [f"--namespace={namespace}", "--values=-"]
    with pytest.raises(CommandError, match="signature made by unknown entity"):
        target.helm(
            "install", RELEASE, *published.verified(published.others), *options, stdin=json.dumps(EMPTY)
        )
    assert not target.items("deployments", "-n", namespace)
    target.helm("install", RELEASE, *published.verified(published.keys), *options, stdin=json.dumps(EMPTY))
    (worker,) = target.items("deployments", "-n", namespace)
    assert worker["metadata"]["labels"]["helm.sh/chart"] == f"airdock-{VERSION}"


def test_upgrade_from_the_first_version(
    target: Target, published: Published, namespace: str, tmp_path: Path
) -> None:
    """The values stay as they are, the tasks that run end by themselves, and Secrets and history are kept."""
    old = former.package(OLD, tmp_path)
    metadata = {"name": "dags", "namespace": namespace}
    target.apply({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata, "data": {"long.py": DAG}})
    options = [f"--namespace={namespace}", "--values=-", "--wait", "--timeout=420s"]
    with starting():
        target.helm("install", RELEASE, str(old), *options, stdin=json.dumps(VALUES))
    admin = target.secret(f"{RELEASE}-admin", namespace)
    with PortForward(target.kubectl_command, namespace, f"svc/{RELEASE}-api-server", 8080) as forward:
        airflow = Airflow(forward.url, admin["username"], admin["password"], patience=120)
        airflow.wait_for_dags(["long"], 240)
        airflow.unpause("long")
        run = airflow.trigger("long")

        def states() -> set[str | None]:
            return {task.state for task in airflow.tasks("long", run)}

        wait_until(
            lambda: states() == {"running"}
            and all("tick 2" in airflow.log(task) for task in airflow.tasks("long", run)),
            120,
            "the containers run",
        )
        with starting():
            target.helm(
                "upgrade", RELEASE, *published.verified(published.keys), *options, stdin=json.dumps(VALUES)
            )
        assert states() == {"running"}, "the tasks ended before the upgrade"
        end(target)
        assert airflow.wait("long", run, 420) == "success"
        assert {task.task_id: task.try_number for task in airflow.tasks("long", run)} == dict.fromkeys(
            QUEUES, 1
        )
    assert target.secret(f"{RELEASE}-admin", namespace) == admin
    (server,) = target.items("statefulsets", "-n", namespace, "-l", "app.kubernetes.io/component=postgres")
    assert server["metadata"]["labels"]["helm.sh/chart"] == f"airdock-{VERSION}"
