"""Facts inside the release's containers: users, files, mounts, processes and sockets, through testinfra."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import pytest

from tests.e2e.conftest import Release

SOCKET, TOKEN = "/run/airdock/docker.sock", "/var/run/secrets/kubernetes.io/serviceaccount/token"
AIRFLOW, GATEWAY = 50000, 50001
#: Worker group -> the container behind the socket, and whether the pod has a token.
BEHIND: Mapping[str, tuple[str, bool]] = {
    "default": ("docker-gateway", True),
    "dind": ("docker", False),
    "socket": ("docker-gateway", False),
}


@pytest.fixture(params=BEHIND)
def group(request: pytest.FixtureRequest, release: Release) -> str:
    """A worker group that this cluster's release has."""
    if request.param not in release.values["workers"]:
        pytest.skip(f"this cluster's release has no group {request.param}")
    return str(request.param)


@pytest.fixture
def worker(release: Release, group: str) -> Any:
    """The worker's container."""
    return release.host(release.worker(group), "worker")


@pytest.fixture
def behind(release: Release, group: str) -> Any:
    """The container that answers the worker's Docker API."""
    return release.host(release.worker(group), BEHIND[group][0])


def test_the_worker_is_airflows_user(worker: Any) -> None:
    assert worker.check_output("id -u") == str(AIRFLOW)
    assert worker.process.filter(uid=AIRFLOW)
    assert not worker.process.filter(uid=0)


def test_the_worker_connects_to_the_socket_and_cannot_replace_it(worker: Any) -> None:
    assert worker.file(SOCKET).is_socket
    assert options(worker, "/run/airdock") >= {"ro"}
    assert worker.run("rm -f %s", SOCKET).failed
    assert worker.file(SOCKET).exists


@pytest.mark.parametrize("path", ["/", "/opt/airflow/config", "/opt/airflow/dags", "/opt/airdock"])
def test_the_worker_cannot_change_what_it_runs(worker: Any, path: str) -> None:
    assert options(worker, path) >= {"ro"}
    assert worker.run("touch %s/written", path).failed


@pytest.mark.parametrize("path", ["/tmp", "/opt/airflow/logs"])
def test_the_worker_writes_where_it_must(worker: Any, path: str) -> None:
    assert worker.file(path).is_directory
    assert options(worker, path) >= {"rw"}


def test_a_token_only_where_one_is_used(worker: Any, group: str) -> None:
    assert worker.file(TOKEN).exists == BEHIND[group][1]


def test_the_worker_has_no_other_socket(worker: Any) -> None:
    """The node's Docker socket is the gateway's alone, and the daemon's data are the daemon's."""
    for path in ("/var/run/docker.sock", "/run/docker-host", "/run/docker-host/docker.sock"):
        assert not worker.file(path).exists, path
    assert not worker.mount_point("/var/lib/docker").exists


def test_another_user_serves_the_socket(behind: Any, group: str) -> None:
    wanted = 0 if group == "dind" else GATEWAY
    assert behind.check_output("id -u") == str(wanted)
    assert behind.file(SOCKET).is_socket
    assert behind.file(SOCKET).uid == wanted


def test_dags_are_not_mounted_behind_the_socket(behind: Any) -> None:
    assert not behind.mount_point("/opt/airflow/dags").exists


def test_only_the_gateway_of_mode_socket_has_the_nodes_socket(behind: Any, group: str) -> None:
    assert behind.file("/run/docker-host/docker.sock").exists == (group == "socket")


def options(host: Any, path: str) -> set[str]:
    """The options of the mount that a path is on."""
    mount = host.mount_point(path)
    assert mount.exists, path
    return set(mount.options)
