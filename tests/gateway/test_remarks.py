"""What the Docker gateway itself says about a container's end: in its log, and in the answer to `wait`."""

from __future__ import annotations

import ast
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from docker_gateway.remarks import PREFIX
from docker_gateway.wire import STDERR, STDOUT

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.gateway import BACKENDS, REMARK, Client, Gateway, running
from tests.support.paths import FILES, GATEWAY
from tests.support.waiting import wait_until

ULIMITS = [{"Name": "nofile", "Soft": 1, "Hard": 1}]
TREES = {file: ast.parse(file.read_text()) for file in GATEWAY.glob("*.py")}
POLICY = "airdock-tasks-egress"


def run(
    gateway: Gateway,
    code: int,
    printed: bytes,
    killed: str = "",
    labels: Mapping[str, str] | None = None,
    streams: str = "stdout=1&stderr=1",
    **host: object,
) -> tuple[bytes, Mapping[str, Any], Client]:
    """Run a container that prints and ends; give the whole log, the answer to `wait`, and its reader."""
    client, other = gateway.client(), gateway.client()
    wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
    container = other.create(HostConfig=host, Labels=labels or {})
    client.attach(container, streams)
    assert other.ask("POST", f"/containers/{container}/start")[0] == 204
    (task,) = wait_until(gateway.world.alive, 20, "the container runs", 0.01)
    gateway.world.run(task)
    gateway.world.print(task, printed)
    gateway.world.exit(task, code, killed)
    text = client.output()
    status, answer = other.ask("POST", f"/containers/{container}/wait")
    assert status == 200, answer
    return text, answer, client


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
        text, *_ = run(gateway, code, b"timed out", NetworkMode=network)
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
        text, answer, _ = run(gateway, 137, b"working", "OOMKilled", **asked)
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
        text, answer, _ = run(gateway, code, b"working\n", killed)
    assert (text, answer) == (b"working\n", {"StatusCode": code})


@pytest.mark.parametrize(
    ("host", "labels", "name"),
    [
        ({"Ulimits": ULIMITS}, {}, b"ulimits"),
        ({"Ulimits": ULIMITS}, {"airdock.dev/xcom-all": "true"}, b"ulimits"),
        ({"PidsLimit": 100}, {}, b"pids_limit"),
        ({"Memory": 1 << 30, "MemorySwap": 2 << 30}, {}, b"memory_swap"),
        ({"OomScoreAdj": 100}, {}, b"oom_score_adj"),
    ],
)
def test_what_is_ignored_is_the_first_line(
    tmp_path: Path, host: dict[str, Any], labels: dict[str, str], name: bytes
) -> None:
    with running("cluster", tmp_path) as gateway:
        text, *_ = run(gateway, 0, b"working\n", labels=labels, **host)
    assert text.endswith(b"working\n")
    assert text.startswith(b"[airdock] %s: ignored" % name)


@pytest.mark.parametrize("backend", BACKENDS)
@pytest.mark.parametrize(
    ("streams", "kind", "said"),
    [
        ("stdout=1&stderr=1", STDOUT, True),
        ("stdout=1&stderr=0", STDOUT, False),
        ("stdout=1", STDOUT, False),
        ("stderr=1", STDERR, True),
    ],
)
def test_what_the_gateway_says_is_standard_error(
    tmp_path: Path, backend: str, streams: str, kind: int, said: bool
) -> None:
    """What a client does not read is not sent; of a pod, the output comes as the one that it reads."""
    with running(backend, tmp_path) as gateway:
        client = run(gateway, 137, b"working", "OOMKilled", Ulimits=ULIMITS, streams=streams)[2]
    kind = kind if backend == "cluster" else STDOUT
    remarks = [line for line in client.streams[STDERR].splitlines() if line.startswith(REMARK)]
    # What is ignored, and the memory; a daemon ignores nothing.
    assert len(remarks) == (0 if not said else 2 if backend == "cluster" else 1)
    others = [line for line in client.streams[kind].splitlines() if line and line not in remarks]
    assert others == [b"working"]


def test_a_terminal_has_one_stream_for_all(tmp_path: Path) -> None:
    with running("cluster", tmp_path) as gateway:
        client, other = gateway.client(), gateway.client()
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        container = other.create(Tty=True, HostConfig={"Ulimits": ULIMITS})
        client.attach(container)
        other.ask("POST", f"/containers/{container}/start")
        (task,) = wait_until(gateway.world.alive, 20, "the container runs", 0.01)
        gateway.world.run(task)
        gateway.world.print(task, b"working\n")
        gateway.world.exit(task, 0)
        first, *rest = client.raw().splitlines()
    assert first.startswith(REMARK)
    assert rest == [b"working"]


def test_no_other_text_of_the_gateway_can_be_in_an_output() -> None:
    """One function writes the prefix of its lines, and one method sends them: as standard error."""
    prefixed, users = set(), set()
    for file, tree in TREES.items():
        texts = [node.value for node in ast.walk(tree) if isinstance(node, ast.Constant)]
        if any("[airdock]" in str(text) for text in texts):
            prefixed.add(file.name)
        for node in ast.walk(tree):
            if isinstance(node, ast.ImportFrom) and node.module == "remarks":
                users |= {file.name for alias in node.names if alias.name in ("lines", "PREFIX")}
    assert prefixed == {"remarks.py"}
    assert users == {"wire.py"}


def test_all_that_is_written_as_output_is_what_was_read() -> None:
    """`write` is for what a container printed: no argument of it is made of a text of the gateway."""
    for file, tree in TREES.items():
        for node in ast.walk(tree):
            if isinstance(node, ast.Call) and ast.unparse(node.func).endswith("stream.write"):
                (argument,) = node.args
                assert isinstance(argument, ast.Name), f"{file.name}: {ast.unparse(node)}"


def test_the_cluster_policy_knows_the_prefix() -> None:
    settings = (FILES / "airflow_local_settings.py").read_text()
    assert f'REMARK = "{PREFIX}"' in settings


def test_a_result_that_is_too_large_fails_the_task_with_the_reason(tmp_path: Path) -> None:
    """DockerOperator takes an error of `archive` for "there is no result": `wait` is the last to be heard."""
    with running("cluster", tmp_path) as gateway, pytest.raises(AssertionError) as error:
        assert isinstance(gateway.world, ClusterWorld)
        gateway.world.results = [b"airdock-file large 67108865\n"]
        run(gateway, 0, b"", labels={"airdock.dev/retrieve-output": "/tmp/x"})
    assert "67108865 bytes, and the maximum is 67108864 (tasks.resultMaxSize)" in str(error.value)
