"""CA certificates of `trust`: what the policies add to containers and pods of a task."""

from __future__ import annotations

import json
from typing import Any

import pytest
from docker.types import Mount
from kubernetes.client import models

from tests.local_settings.settings import HOST, DockerOperator, load, pod, run, wire

DIRECTORY = "/opt/airdock-trust"
FILE = f"{DIRECTORY}/ca-certificates.crt"
ENV = {"SSL_CERT_FILE": FILE, "CURL_CA_BUNDLE": FILE}
SOURCE = "/var/lib/kubelet/pods/uid/volumes/kubernetes.io~empty-dir/trust"
MOUNT = {"name": "airdock-trust", "mountPath": DIRECTORY, "readOnly": True}


@pytest.fixture
def containers(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose Docker daemon has the file."""
    monkeypatch.setenv("AIRDOCK_TRUST_DIRECTORY", SOURCE)
    monkeypatch.setenv("AIRDOCK_TRUST_ENV", json.dumps(ENV))


@pytest.fixture
def pods(monkeypatch: pytest.MonkeyPatch) -> None:
    """A worker whose task pods get a ConfigMap."""
    monkeypatch.setenv("AIRDOCK_TASK_TRUST", json.dumps({"configMap": "bundle", "key": "all.pem"}))
    monkeypatch.setenv("AIRDOCK_TASK_ENV", json.dumps(ENV))


@pytest.mark.usefixtures("containers")
@pytest.mark.parametrize("url", ["unix:///var/run/docker.sock", ["tcp://docker:2375"], HOST])
def test_a_docker_operator_gets_a_mount_and_variables(url: Any) -> None:
    task = run(DockerOperator(url))
    assert task.environment == ENV
    assert task.mounts == [Mount(DIRECTORY, SOURCE, "bind", read_only=True)]


@pytest.mark.usefixtures("containers")
@pytest.mark.parametrize("url", ["tcp://far:2375", ["unix:///var/run/docker.sock", "tcp://far:2375"]])
def test_a_daemon_that_may_be_another_one_does_not(url: Any) -> None:
    task = run(DockerOperator(url))
    assert (task.environment, task.mounts) == ({}, [])


def test_no_docker_operator_gets_it_without_the_value() -> None:
    task = run(DockerOperator())
    assert (task.environment, task.mounts) == ({}, [])


@pytest.mark.usefixtures("containers")
@pytest.mark.parametrize(
    "theirs", [Mount(DIRECTORY, "mine", "volume"), {"target": DIRECTORY, "source": "mine"}, Mount("/a", "b")]
)
def test_what_the_author_sets_stays(theirs: Any) -> None:
    """A mount as a dict of its arguments, too, which the operator turns into one when it executes."""
    task = run(
        DockerOperator(mounts=[theirs], environment={"SSL_CERT_FILE": "/mine"}, env_file="CURL_CA_BUNDLE=/x")
    )
    assert task.environment == {"SSL_CERT_FILE": "/mine"}
    there = DIRECTORY in (theirs.get("Target"), theirs.get("target"))
    assert task.mounts == ([theirs] if there else [theirs, Mount(DIRECTORY, SOURCE, "bind", read_only=True)])


@pytest.mark.usefixtures("pods")
@pytest.mark.parametrize("as_dict", [True, False], ids=["dict", "model"])
def test_every_container_of_a_pod_mounts_the_config_map(as_dict: bool) -> None:
    own: dict[str, Any] = {"name": "v", "mountPath": "/v"}
    first: Any = {"name": "first", "volumeMounts": [own]}
    if not as_dict:
        mount = models.V1VolumeMount(name="v", mount_path="/v")
        first = models.V1Container(name="first", volume_mounts=[mount])
    p = pod(
        init_containers=[first],
        containers=[models.V1Container(name="base"), models.V1Container(name="airflow-xcom-sidecar")],
        volumes=[{"name": "v", "emptyDir": {}}],
    )
    for _ in range(2):  # of a retry
        load().pod_mutation_hook(p)
    sent = wire(p)
    items = [{"key": "all.pem", "path": "ca-certificates.crt"}]
    assert sent["volumes"] == [
        {"name": "v", "emptyDir": {}},
        {"name": "airdock-trust", "configMap": {"name": "bundle", "items": items}},
    ]
    assert sent["initContainers"][0]["volumeMounts"] == [own, MOUNT]
    assert [each["volumeMounts"] for each in sent["containers"]] == [[MOUNT], [MOUNT]]
    for container in (*sent["initContainers"], *sent["containers"]):
        assert {each["name"]: each["value"] for each in container["env"]} == ENV


@pytest.mark.usefixtures("pods")
def test_what_an_author_mounts_in_a_pod_stays() -> None:
    mount = models.V1VolumeMount(name="v", mount_path=DIRECTORY)
    p = pod(containers=[models.V1Container(name="base", volume_mounts=[mount])])
    load().pod_mutation_hook(p)
    assert wire(p)["containers"][0]["volumeMounts"] == [{"name": "v", "mountPath": DIRECTORY}]


def test_no_pod_mounts_it_without_the_value() -> None:
    p = pod()
    load().pod_mutation_hook(p)
    assert "volumes" not in wire(p)
    assert "volumeMounts" not in wire(p)["containers"][0]
