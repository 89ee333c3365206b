"""docker-py's high-level client and the docker program run containers through a gateway of each backend.

Behind the gateway are stand-ins; tests/e2e/test_gateway_clients.py compares the same commands with a plain
daemon on a node.
"""

from __future__ import annotations

import json
import re
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError, ContainerError, ImageNotFound, NotFound
from docker_gateway import cluster_cleanup, daemon_cleanup
from docker_gateway.cluster import Cluster

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.daemon import DaemonWorld
from tests.gateway.stand_ins.gateway import BACKENDS, OWNER, Gateway, running
from tests.gateway.stand_ins.programs import Programs
from tests.gateway.stand_ins.world import Task
from tests.support.attacks import AUTHOR
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

PROGRAM = ROOT / ".tools/bin/docker"
IMAGE = "busybox:1.37"


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_cleanup, "_TICK", 0.05)
    monkeypatch.setattr(daemon_cleanup, "TICK", 0.05)


@pytest.fixture(params=BACKENDS)
def gateway(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Gateway]:
    with running(request.param, tmp_path) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        programs = Programs(gateway.world)
        strangers(gateway)
        yield gateway
        programs.close()


def strangers(gateway: Gateway) -> None:
    """Let there be a container of another gateway."""
    world = gateway.world
    if isinstance(world, ClusterWorld):
        meta = {"name": "stranger-000000000000", "labels": {"airdock.dev/gateway": "another"}}
        world.add({"metadata": meta, "spec": {"containers": [{"image": "secret", "args": ["sleep"]}]}})
    elif isinstance(world, DaemonWorld):
        labels = {"airdock.dev/gateway": "another", "team": "x"}
        spec = {"Image": "secret", "Cmd": ["sleep"], "Labels": labels, "HostConfig": {}}
        world.tasks["e" * 64] = Task("e" * 64, spec, "running", name="stranger")


@pytest.fixture
def client(gateway: Gateway) -> Iterator[docker.DockerClient]:
    client = docker.DockerClient(f"unix://{gateway.path}", timeout=30)
    yield client
    client.close()


def environment(gateway: Gateway) -> dict[str, str]:
    return {"DOCKER_HOST": f"unix://{gateway.path}", "HOME": str(gateway.path.parent)}


def docker_program(gateway: Gateway, *words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
    """Run the docker program, as a BashOperator does."""
    return subprocess.run(
        [PROGRAM, *words],
        env=environment(gateway),
        input=stdin, capture_output=True, text=True, timeout=60,
    )  # fmt: skip


def done(gateway: Gateway, *words: str, stdin: str = "") -> str:
    """Run the docker program, which must succeed; gives what it printed."""
    found = docker_program(gateway, *words, stdin=stdin)
    assert found.returncode == 0, found.stderr
    return found.stdout


def on_daemon(gateway: Gateway) -> bool:
    return isinstance(gateway.world, DaemonWorld)


# ---- the docker program


def test_run(gateway: Gateway) -> None:
    assert done(gateway, "run", IMAGE, "echo", "one", "two") == "one\ntwo\n"
    assert docker_program(gateway, "run", IMAGE, "exit", "3").returncode == 3


def test_run_and_remove(gateway: Gateway, tmp_path: Path) -> None:
    ids = tmp_path / "cid"
    assert done(gateway, "run", "--rm", "--cidfile", str(ids), IMAGE, "echo", "a") == "a\n"
    assert re.fullmatch(r"[0-9a-f]{64}", ids.read_text())
    assert docker_program(gateway, "run", "--rm", IMAGE, "exit", "4").returncode == 4
    assert done(gateway, "ps", "-aq") == ""
    assert docker_program(gateway, "container", "inspect", ids.read_text()).returncode == 1
    wait_until(lambda: len(gateway.world.tasks) == 1, 20, "only the stranger is left")


def test_run_detached(gateway: Gateway) -> None:
    container = done(gateway, "run", "-d", "--name", "web", "--label", "team=y", IMAGE, "sleep").strip()
    assert done(gateway, "ps", "-q", "--no-trunc").split() == [container]
    assert done(gateway, "inspect", "-f", "{{.State.Running}} {{.Name}}", "web") == "true /web\n"
    assert done(gateway, "stop", "web") == "web\n"
    assert done(gateway, "inspect", "-f", "{{.State.Running}}", "web") == "false\n"
    assert done(gateway, "ps", "-q") == ""
    assert done(gateway, "rm", "web") == "web\n"
    assert done(gateway, "ps", "-aq") == ""


def test_run_detached_and_removed_without_a_wait(gateway: Gateway) -> None:
    container = done(gateway, "run", "-d", "--rm", IMAGE, "echo", "a").strip()
    wait_until(lambda: not done(gateway, "ps", "-aq"), 20, "it is removed")
    wait_until(lambda: len(gateway.world.tasks) == 1, 20, "it is removed")
    assert docker_program(gateway, "logs", container).returncode == 1


def test_a_terminal(gateway: Gateway) -> None:
    found = docker_program(gateway, "run", "-t", IMAGE, "echo", "a")
    assert found.returncode == 0, found.stderr
    assert "a" in found.stdout


def test_kill(gateway: Gateway) -> None:
    done(gateway, "run", "-d", "--name", "a", IMAGE, "sleep")
    assert docker_program(gateway, "kill", "-s", "USR1", "a").returncode == (0 if on_daemon(gateway) else 1)
    assert done(gateway, "ps", "-q")
    done(gateway, "kill", "a")
    assert done(gateway, "inspect", "-f", "{{.State.Running}}", "a") == "false\n"
    again = docker_program(gateway, "kill", "a")
    assert again.returncode == 1
    assert "is not running" in again.stderr
    assert "airdock-" not in again.stderr


def test_a_clients_signals_are_no_ends_by_others(gateway: Gateway, client: docker.DockerClient) -> None:
    if not isinstance(gateway.world, DaemonWorld):
        return  # A pod gets none: test_high_level_client.py
    for by_another in (False, True):
        container = client.containers.run(IMAGE, ["sleep"], detach=True)
        container.kill("SIGUSR1")
        task = gateway.world.tasks[container.id]
        if by_another:
            gateway.world._event(task, "kill")
            gateway.world.exit(task, 0, "by another")
            with pytest.raises(APIError, match="something else than this task"):
                container.wait()
        else:
            container.kill()
            assert container.wait()["StatusCode"] == 137


def test_wait(gateway: Gateway) -> None:
    done(gateway, "run", "-d", "--name", "a", IMAGE, "exit", "7")
    assert done(gateway, "wait", "a") == "7\n"


def test_logs(gateway: Gateway) -> None:
    done(gateway, "run", "--name", "a", IMAGE, "echo", "1", "2", "3")
    assert done(gateway, "logs", "a") == "1\n2\n3\n"
    assert done(gateway, "logs", "-f", "a") == "1\n2\n3\n"
    assert done(gateway, "logs", "--tail", "2", "a") == "2\n3\n"
    assert done(gateway, "logs", "-f", "--tail", "1", "a") == "3\n"
    assert done(gateway, "logs", "--tail", "0", "a") == ""
    stamped = done(gateway, "logs", "-t", "--tail", "1", "a")
    assert re.fullmatch(r"2026-01-01T00:00:02\.000000001Z 3\n", stamped)


def test_the_log_of_what_runs(gateway: Gateway) -> None:
    done(gateway, "run", "-d", "--name", "a", IMAGE, "sleep")
    (task,) = mine(gateway)
    command = [PROGRAM, "logs", "-f", "a"]
    with subprocess.Popen(command, env=environment(gateway), stdout=subprocess.PIPE) as following:
        assert following.stdout
        try:
            # What is not running yet prints nothing.
            gateway.world.run(task)
            gateway.world.print(task, b"one\n")
            assert following.stdout.readline() == b"one\n"
            assert done(gateway, "logs", "a") == "one\n"
        finally:
            following.terminate()
    time.sleep(0.2)
    assert task.alive, "who reads a log does not end its container by leaving"


def mine(gateway: Gateway) -> list[Task]:
    names = {each.id[:12] for each in gateway.backend.containers.all()}
    return [each for key, each in gateway.world.tasks.items() if {key[:12], key[-12:]} & names]


def test_what_the_program_shows(gateway: Gateway) -> None:
    done(gateway, "run", "--name", "a", "-e", "NOVALUE", "-e", "A=b", "-m", "64m", IMAGE, "echo")
    found = json.loads(done(gateway, "inspect", "a"))[0]
    assert "A=b" in found["Config"]["Env"]
    assert found["HostConfig"]["Memory"] == 64 << 20
    assert done(gateway, "ps", "-a", "--format", "{{.Names}} {{.Image}} {{.State}}") == f"a {IMAGE} exited\n"
    assert done(gateway, "images", "--format", "{{.Repository}}:{{.Tag}}").split() == [IMAGE]
    assert json.loads(done(gateway, "image", "inspect", IMAGE))[0]["RepoTags"] == [IMAGE]
    assert "Containers: 1\n" in done(gateway, "info")
    assert "API version:" in done(gateway, "version")


def test_events(gateway: Gateway) -> None:
    before = str(int(time.time()) - 1)
    words = ("run", "--rm", "--name", "a", "--label", "team=y", IMAGE, "exit", "3")
    assert docker_program(gateway, *words).returncode == 3
    wait_until(lambda: not done(gateway, "ps", "-aq"), 20, "it is removed")
    said = done(
        gateway, "events", "--since", before, "--until", str(int(time.time()) + 1), "--format", "json"
    )
    found = [json.loads(line) for line in said.splitlines()]
    actions = [each["Action"] for each in found if each["Action"] not in ("attach", "kill")]
    assert actions == ["create", "start", "die", "destroy"]
    attributes = found[actions.index("die")]["Actor"]["Attributes"]
    assert (attributes["name"], attributes["team"]) == ("a", "y")
    assert next(e for e in found if e["Action"] == "die")["Actor"]["Attributes"]["exitCode"] == "3"
    now = str(int(time.time()) + 1)
    words = ("events", "--since", before, "--until", now, "--format", "{{.Action}}", "--filter")
    assert done(gateway, *words, "label=team=z") == ""
    assert done(gateway, *words, "event=die") == "die\n"
    assert done(gateway, *words, "container=a", "--filter", "event=start") == "start\n"
    assert done(gateway, *words, "container=other") == ""
    assert done(gateway, *words, "type=network") == ""
    assert done(gateway, *words, f"image={IMAGE}", "--filter", "event=create") == "create\n"


def test_pull(gateway: Gateway) -> None:
    said = done(gateway, "pull", IMAGE)
    found = docker_program(gateway, "pull", "nosuchimage")
    if on_daemon(gateway):
        assert found.returncode == 1
        assert "pull access denied" in found.stderr
    else:
        assert "neither pulled nor looked for" in said
        assert "neither pulled nor looked for" in found.stdout


def test_an_image_that_is_not_there(gateway: Gateway) -> None:
    found = docker_program(gateway, "run", "nosuchimage", "echo")
    if on_daemon(gateway):
        assert found.returncode == 125
        assert "pull access denied" in found.stderr


def test_an_end_that_is_not_the_containers_own(gateway: Gateway) -> None:
    """The program gets no exit code of a container that the cluster, or another one on the node, ended."""
    command = [PROGRAM, "run", "--name", "a", IMAGE, "sleep"]
    with subprocess.Popen(command, env=environment(gateway), stderr=subprocess.PIPE) as program:
        try:
            wait_until(lambda: any(each.state == "running" for each in mine(gateway)), 20, "it runs")
            gateway.world.term_code = 0
            gateway.world.kill(*mine(gateway))
            assert program.wait(30) == 125
        finally:
            program.kill()
        assert program.stderr
        assert b"something else than this task" in program.stderr.read()


NOT_SERVED = [
    (("exec", "a", "ls"), "command of a container"),
    (("cp", __file__, "a:/tmp"), "retrieve_output"),
    (("commit", "a", "b"), "mode dind"),
    (("build", "-q", str(Path(__file__).parent)), "mode dind"),
    (("network", "create", "n"), "network_mode"),
    (("volume", "create", "v"), "mounts"),
    (("swarm", "init"), "DockerOperator"),
    (("service", "ls"), "DockerOperator"),
    (("rmi", "x"), "mode dind"),
    (("system", "df"), "mode dind"),
    (("top", "a"), "mode dind"),
]


@pytest.mark.parametrize("words", [words for words, _ in NOT_SERVED], ids=lambda words: words[0])
def test_what_is_not_served_names_the_way_out(gateway: Gateway, words: tuple[str, ...]) -> None:
    done(gateway, "run", "-d", "--name", "a", IMAGE, "sleep")
    way = dict(NOT_SERVED)[words]
    (gateway.path.parent / "Dockerfile").write_text("FROM scratch\n")
    if words[0] == "build":
        words = ("build", "-q", str(gateway.path.parent))
    found = docker_program(gateway, *words)
    assert found.returncode != 0
    assert way in found.stderr, found.stderr


def test_a_name_that_nothing_has(gateway: Gateway) -> None:
    found = docker_program(gateway, "inspect", "nosuchname")
    assert found.returncode == 1
    assert "no such object: nosuchname" in found.stderr.lower()


# ---- docker-py


def test_the_high_level_client_runs(gateway: Gateway, client: docker.DockerClient) -> None:
    assert client.containers.run(IMAGE, ["echo", "a"]) == b"a\n"
    assert client.containers.run(IMAGE, ["echo", "a"], remove=True) == b"a\n"
    assert client.containers.run(IMAGE, ["echo", "a"], stdout=True, stderr=True) == b"a\n"
    with pytest.raises(ContainerError) as error:
        client.containers.run(IMAGE, ["exit", "3"])
    assert error.value.exit_status == 3
    # As the daemon: a piece for each line.
    assert list(client.containers.run(IMAGE, ["echo", "a", "b"], stream=True)) == [b"a\n", b"b\n"]
    assert client.info().keys() >= {"ID", "Name", "ExperimentalBuild"}


def test_what_the_high_level_client_reads(gateway: Gateway, client: docker.DockerClient) -> None:
    container = client.containers.run(
        IMAGE, ["sleep"], detach=True, environment={"A": None, "B": "c"}, mem_limit="32m", name="x",
        tmpfs={"/t": "size=1m"}, labels={"team": "y"}, init=None, stop_signal="SIGTERM", working_dir="/",
        cgroupns="private",
    )  # fmt: skip
    assert container.attrs["HostConfig"]["CgroupnsMode"] == "private"
    assert container.attrs["HostConfig"]["LogConfig"]["Type"] == "json-file"
    assert isinstance(container.attrs["HostConfig"]["LogConfig"]["Config"], dict)
    assert container.attrs["HostConfig"]["Memory"] == 32 << 20
    assert container.attrs["HostConfig"]["Tmpfs"] == {"/t": "size=1m"}
    assert {"A", "B=c"} <= set(container.attrs["Config"]["Env"])
    assert container.image.id == container.attrs["Image"]
    assert container.image.tags == [IMAGE]
    container.reload()
    assert (container.name, container.labels, container.status) == ("x", {"team": "y"}, "running")
    assert container.ports == {}
    assert client.containers.list() == [container]
    assert client.containers.list(filters={"label": "team=y", "name": "^x$", "status": "running"}) == [
        container
    ]
    assert client.containers.list(filters={"ancestor": "busybox:1.37"}) == [container]
    assert client.containers.list(filters={"label": "team=z"}) == []
    assert client.containers.list(ignore_removed=True, all=True) == [container]
    with pytest.raises(APIError, match="stop the container before"):
        container.remove()
    container.kill()
    container.reload()
    assert container.status == "exited"
    assert container.attrs["State"]["ExitCode"] != 0
    container.remove()
    with pytest.raises(NotFound):
        client.containers.get("x")


def test_a_wait_that_names_its_end(gateway: Gateway, client: docker.DockerClient) -> None:
    container = client.containers.create(IMAGE, ["echo"], auto_remove=True)
    with pytest.raises(Exception, match="timed out"):
        container.wait(condition="removed", timeout=1)
    with ThreadPoolExecutor() as pool:
        code = pool.submit(container.wait, condition="removed", timeout=20)
        time.sleep(0.3)
        container.start()
        assert code.result(20)["StatusCode"] == 0


def test_images_of_the_client(gateway: Gateway, client: docker.DockerClient) -> None:
    assert client.images.pull("busybox", tag="1.37").tags == [IMAGE]
    assert [each.tags for each in client.images.list()] == [[IMAGE]]
    with pytest.raises(ImageNotFound):
        client.images.get("nosuchimage")


def test_the_client_hears_events(gateway: Gateway, client: docker.DockerClient) -> None:
    heard = client.events(decode=True, filters={"event": "start"})
    container = client.containers.run(IMAGE, ["sleep"], detach=True)
    assert next(heard)["id"] == container.id
    heard.close()
    past = list(client.events(since=0, until=int(time.time()) + 1, decode=True))
    assert {"create", "start"} <= {each["status"] for each in past if each["id"] == container.id}


@pytest.mark.parametrize("_", range(5))
def test_what_was_removed_does_not_come_back(gateway: Gateway, client: docker.DockerClient, _: int) -> None:
    container = client.containers.create(IMAGE, ["sleep"])
    container.start()
    container.remove(force=True)
    for _ in range(20):
        with pytest.raises(NotFound):
            client.containers.get(container.id)
        time.sleep(0.02)
    assert client.containers.list(all=True) == []


def test_a_pod_that_is_seen_after_its_container_was_removed(tmp_path: Path) -> None:
    with running("cluster", tmp_path) as gateway:
        assert isinstance(gateway.world, ClusterWorld)
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        client = gateway.client()
        container = client.create()
        assert client.ask("POST", f"/containers/{container}/start")[0] == 204
        (pod,) = gateway.world.pods.values()
        old = json.loads(json.dumps(pod))
        assert client.ask("DELETE", f"/containers/{container}?force=1")[0] == 204
        wait_until(lambda: not gateway.backend.containers.all(), 20, "it is forgotten", 0.01)
        gateway.world.add(old)
        wait_until(lambda: not gateway.world.pods, 20, "it is deleted", 0.01)
        assert client.ask("GET", f"/containers/{container}/json")[0] == 404


# ---- others on the node


def said_to_clients(gateway: Gateway) -> str:
    asked: list[tuple[str, ...]] = [
        ("ps", "-a", "--no-trunc", "--format", "json"), ("info",), ("images", "-a", "--format", "json"),
        ("image", "inspect", IMAGE), ("inspect", "a"), ("events", "--since", "1", "--until", "0m"),
        ("ps", "-a", "--filter", "label=airdock.dev/gateway=another"),
        ("ps", "-a", "--filter", "name=stranger"),
        ("ps", "-a", "--filter", "label=team=x"), ("ps", "-a", "--filter", "ancestor=secret"),
    ]  # fmt: skip
    return "".join(done(gateway, *words) for words in asked)


@pytest.mark.attack(actor=AUTHOR)
def test_nothing_of_others_or_of_the_node_is_shown(gateway: Gateway, client: docker.DockerClient) -> None:
    done(gateway, "run", "--name", "a", IMAGE, "echo")
    said = said_to_clients(gateway) + str(client.api.containers(all=True))
    for secret in ("stranger", "secret", "another", "4711", "e" * 12, "airdock-", OWNER):
        assert secret not in said, secret
    assert '"a"' in said


@pytest.mark.attack(actor=AUTHOR)
def test_a_stranger_cannot_be_touched(gateway: Gateway, client: docker.DockerClient) -> None:
    stranger = next(iter(gateway.world.tasks.values()))
    for name in ("stranger", "stranger-000000000000", stranger.id):
        api = client.api
        for call in (
            api.logs, api.kill, api.inspect_container, api.wait, api.stop, api.remove_container, api.attach,
        ):  # fmt: skip
            with pytest.raises((NotFound, APIError)) as error:
                call(name)
            assert error.value.status_code == 404
    assert stranger.alive


def test_what_ends_before_its_start_was_answered_keeps_its_output(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with running("cluster", tmp_path) as gateway:
        assert isinstance(gateway.backend, Cluster)
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        client, other = gateway.client(), gateway.client()
        container, post = client.create(), gateway.backend._pods.post

        def slow(*arguments: Any, **options: Any) -> Any:
            pod = post(*arguments, **options)
            (task,) = gateway.world.alive()
            gateway.world.run(task)
            gateway.world.print(task, b"a line\n")
            gateway.world.exit(task, 0)
            wait_until(lambda: gateway.backend.containers.all()[0].ended_at, 20, "its end is known", 0.01)
            return pod

        monkeypatch.setattr(gateway.backend._pods, "post", slow)
        client.attach(container)
        assert other.ask("POST", f"/containers/{container}/start")[0] == 204
        assert client.output() == b"a line\n"
        assert other.ask("POST", f"/containers/{container}/wait") == (200, {"StatusCode": 0})
