"""What the Docker gateway itself says about a container's end: in its log, and in the answer to `wait`."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.gateway.stand_ins.gateway import BACKENDS, Gateway, running
from tests.support.waiting import wait_until

POLICY = "airdock-tasks-egress"


def run(
    gateway: Gateway,
    code: int,
    printed: bytes,
    killed: str = "",
    labels: Mapping[str, str] | None = None,
    **host: object,
) -> tuple[bytes, Mapping[str, Any]]:
    """Run a container that prints and ends; give the whole log and the answer to `wait`."""
    client, other = gateway.client(), gateway.client()
    wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
    container = other.create(HostConfig=host, Labels=labels or {})
    client.attach(container)
    assert other.ask("POST", f"/containers/{container}/start")[0] == 204
    (task,) = wait_until(gateway.world.alive, 20, "the container runs", 0.01)
    gateway.world.run(task)
    gateway.world.print(task, printed)
    gateway.world.exit(task, code, killed)
    text = client.output()
    status, answer = other.ask("POST", f"/containers/{container}/wait")
    assert status == 200, answer
    return text, answer


@pytest.mark.parametrize(
    ("policy", "code", "network", "said"),
    [
        (POLICY, 1, "default", True),
        (POLICY, 0, "default", False),
        (POLICY, 1, "none", False),
        ("", 1, "default", False),
    ],
)
def test_a_failed_container_under_strict_egress_names_the_policy(
    tmp_path: Path, policy: str, code: int, network: str, said: bool
) -> None:
    with running("cluster", tmp_path, egress_policy=policy) as gateway:
        text, _ = run(gateway, code, b"timed out", NetworkMode=network)
    *_, last = text.splitlines()
    assert text.startswith(b"timed out")
    assert (last.startswith(b"[airdock]") and POLICY.encode() in last) == said
    assert (b"tasks.networkPolicy.egress" in last) == said


KEYS = {"cluster": "tasks.resources.limits.memory", "daemon": "workers.<name>.socket.limits.memory"}


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("asked", "limit"), [({}, "4Gi"), ({"Memory": 100 << 20}, "100Mi")])
def test_a_container_killed_for_memory_says_limit_and_key(
    tmp_path: Path, backend: str, asked: dict[str, int], limit: str
) -> None:
    with running(backend, tmp_path) as gateway:
        text, answer = run(gateway, 137, b"working", "OOMKilled", **asked)
    first, last = text.decode().splitlines()
    assert first == "working"
    assert last == f"[airdock] {answer['Reason']}"
    assert answer["StatusCode"] == 137
    assert f"limit of {limit} " in last
    assert KEYS[backend] in last


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(("code", "killed"), [(137, ""), (1, ""), (0, "OOMKilled")])
def test_other_ends_say_nothing(tmp_path: Path, backend: str, code: int, killed: str) -> None:
    """Exit code 137 may be a program's own; one that survives the loss of a child succeeds."""
    with running(backend, tmp_path) as gateway:
        text, answer = run(gateway, code, b"working\n", killed)
    assert (text, answer) == (b"working\n", {"StatusCode": code})


@pytest.mark.parametrize(("labels", "said"), [({}, True), ({"airdock.dev/xcom-all": "true"}, False)])
def test_what_is_ignored_is_the_first_line(tmp_path: Path, labels: dict[str, str], said: bool) -> None:
    """Unless each line is a result."""
    with running("cluster", tmp_path) as gateway:
        limit = [{"Name": "nofile", "Soft": 1, "Hard": 1}]
        text, _ = run(gateway, 0, b"working\n", labels=labels, Ulimits=limit)
    assert text.endswith(b"working\n")
    assert text.startswith(b"[airdock] ulimits: ignored") == said


def test_a_result_that_is_too_large_fails_the_task_with_the_reason(tmp_path: Path) -> None:
    """DockerOperator takes an error of `archive` for "there is no result": `wait` is the last to be heard."""
    with running("cluster", tmp_path) as gateway, pytest.raises(AssertionError) as error:
        run(gateway, 0, b"airdock-end large 6291456\n", labels={"airdock.dev/retrieve-output": "/tmp/x"})
    assert "6291456 bytes, and the maximum is 5242880" in str(error.value)
