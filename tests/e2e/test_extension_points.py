"""What a platform adds to pods is there in every container that runs Airflow, and serves tasks to the end."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts.live import NAMESPACE
from scripts.overlays.definitions import merged
from tests.e2e.conftest import Release, install, wait_until

pytestmark = pytest.mark.touches("release")

ACCOUNT = "extension-points-worker"
PRICE = "5$ $$ $(HOME) ${HOME}"
CERTIFICATE = "a certificate of the platform"
#: It says in a file every second that it runs.
HEARTBEAT = (
    "trap exit TERM; while :; do date +%s > /tmp/now; mv /tmp/now /tmp/heartbeat; sleep 1 & wait; done"
)


def values(group: str, image: str) -> dict[str, Any]:
    """What the tests share in one installation."""
    mount = [{"name": "shared", "mountPath": "/tmp"}]
    resources = {"requests": {"cpu": "1m"}, "limits": {"cpu": "200m", "memory": "64Mi"}}
    return {
        "podDefaults": {
            "volumes": {"company-ca": {"configMap": {"name": "company-ca"}}},
            "volumeMounts": {"company-ca": {"mountPath": "/etc/company-ca", "readOnly": True}},
            "env": {"E2E_PRICE": PRICE},
            "envFrom": [{"configMapRef": {"name": "company-proxy"}}],
            "hostAliases": [{"ip": "192.0.2.10", "hostnames": ["warehouse.example.com"]}],
        },
        "controlPlane": {"apiServer": {"replicas": None}},
        "workers": {
            group: {
                "serviceAccount": {"name": ACCOUNT},
                "volumes": {"shared": {"emptyDir": {"sizeLimit": "10Mi"}}},
                "initContainers": {
                    "prepare": {
                        "image": image,
                        "command": ["sh", "-c", "echo prepared > /tmp/prepared"],
                        "resources": resources,
                        "volumeMounts": mount,
                    }
                },
                "sidecars": {
                    "heartbeat": {
                        "image": image,
                        "command": ["sh", "-c", HEARTBEAT],
                        "resources": resources,
                        "volumeMounts": mount,
                    }
                },
            }
        },
    }


@pytest.fixture(scope="module")
def group(dags: Release) -> str:
    """Give the worker group that has the sidecar, of mode kubernetes."""
    return dags.serving("kubernetes")[0].name


@pytest.fixture(scope="module")
def extended(dags: Release, group: str) -> Iterator[Release]:
    """Give the release with the values above, and the objects that a platform team creates for them."""
    worker = next(pod for pod in dags.staying("worker") if pod["metadata"]["name"] == dags.worker(group))
    image = worker["spec"]["containers"][0]["image"]
    objects = [
        {"kind": "ConfigMap", "metadata": {"name": "company-ca"}, "data": {"ca.crt": CERTIFICATE}},
        {"kind": "ConfigMap", "metadata": {"name": "company-proxy"}, "data": {"E2E_PROXY": "http://proxy"}},
        {"kind": "ServiceAccount", "metadata": {"name": ACCOUNT}},
    ]
    for raw in objects:
        text = json.dumps({"apiVersion": "v1", **raw})
        dags.target.kubectl("apply", "-n", NAMESPACE, "-f", "-", stdin=text)
    try:
        install(dags.target, merged(dags.values, values(group, image)))
        yield dags
    finally:
        install(dags.target, dags.values)
        for raw in objects:
            name = raw["metadata"]["name"]  # type: ignore[index]
            dags.target.kubectl("delete", str(raw["kind"]), name, "-n", NAMESPACE, "--ignore-not-found")


def test_every_process_of_airflow_has_it(extended: Release) -> None:
    """As it is in the running process, and in the init containers that have ended as it was asked for."""
    for component in ("api-server", "scheduler", "dag-processor", "triggerer", "worker"):
        for pod in extended.staying(component):
            name, spec = pod["metadata"]["name"], pod["spec"]
            main = spec["containers"][0]["name"]
            inside = extended.host(name, main)
            assert inside.file("/etc/company-ca/ca.crt").content_string == CERTIFICATE, name
            environment = inside.check_output("env").splitlines()
            assert f"E2E_PRICE={PRICE}" in environment, name
            assert "E2E_PROXY=http://proxy" in environment, name
            assert "192.0.2.10\twarehouse.example.com" in inside.file("/etc/hosts").content_string, name
            for container in spec.get("initContainers", ()):
                if container["name"] in ("migrate", "create-admin", "wait-for-migrations", "link-tmp"):
                    assert "/etc/company-ca" in [mount["mountPath"] for mount in container["volumeMounts"]]
                    assert {"configMapRef": {"name": "company-proxy"}} in container["envFrom"]


def test_a_sidecar_serves_the_last_task(extended: Release, group: str) -> None:
    """The worker drains with its task for a minute; its sidecar runs as long, and ends then."""
    name = extended.worker(group)
    assert extended.inside(name, "heartbeat", "cat", "/tmp/prepared").strip() == "prepared"
    queue = next(each.queue for each in extended.groups if each.name == group)
    run = extended.start(f"e2e_docker_{queue}", "echo begun; sleep 60; echo the end")
    run.wait_for_log("begun")
    extended.target.kubectl("delete", "pod", name, "-n", NAMESPACE, "--wait=false")

    def beat() -> int:
        return int(extended.inside(name, "heartbeat", "cat", "/tmp/heartbeat"))

    first = beat()
    wait_until(lambda: beat() >= first + 20, 50, "heartbeats of the sidecar of a draining worker")
    assert run.wait() == "success"
    assert run.task.try_number == 1
    assert "the end" in run.log
    pods = {pod["metadata"]["name"] for pod in extended.pods("worker")}
    wait_until(lambda: name not in {p["metadata"]["name"] for p in extended.pods("worker")}, 60, f"{pods}")


def test_an_existing_account_starts_task_pods(extended: Release, group: str) -> None:
    name = extended.worker(group)
    (pod,) = (pod for pod in extended.staying("worker") if pod["metadata"]["name"] == name)
    assert pod["spec"]["serviceAccountName"] == ACCOUNT
    queue = next(each.queue for each in extended.groups if each.name == group)
    assert extended.start(f"e2e_docker_{queue}", "echo by this account").wait() == "success"
    assert extended.start(f"e2e_pod_{queue}", "echo by this account").wait() == "success"


def test_an_upgrade_keeps_the_number_of_an_autoscaler(extended: Release, group: str) -> None:
    """Whoever sets the replicas: here a plain scale, as the autoscaler's controller does it."""
    extended.scale("deployment/airdock-api-server", 2)
    image = extended.staying("worker")[0]["spec"]["containers"][0]["image"]
    again = merged(values(group, image), {"podDefaults": {"podAnnotations": {"example.com/round": "2"}}})
    install(extended.target, merged(extended.values, again))
    assert len(extended.staying("api-server")) == 2
