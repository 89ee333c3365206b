"""What works through the filter, and what works around it alone."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import time
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.types import Mount

from tests.e2e.gateway_daemon.support import (
    BUSYBOX,
    NETWORK,
    NODE_SOCKET,
    OWNER,
    SOCKET,
    Gateway,
    Start,
    create,
    needs_daemon,
    run,
)
from tests.support.attacks import AUTHOR
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

pytestmark = needs_daemon


def test_output_exit_codes_and_files(gateway: Gateway) -> None:
    client = gateway.client()
    assert client.images(name=BUSYBOX)
    assert run(client, ["sh", "-c", "echo one; echo; printf last"]) == (0, b"one\n\nlast")
    assert run(client, ["sh", "-c", "exit 3"]) == (3, b"")
    assert run(client, ["sh", "-c", "test -t 1 && echo tty"], tty=True)[1].split() == [b"tty"]
    container = create(client, ["sh", "-c", "echo -n result > /tmp/out"])
    client.start(container)
    client.wait(container)
    chunks, found = client.get_archive(container, "/tmp/out")
    assert found["size"] == 6
    assert b"result" in b"".join(chunks)
    with pytest.raises(APIError) as error:
        client.get_archive(container, "/nothing")
    assert error.value.status_code == 404
    client.remove_container(container)
    with pytest.raises(APIError):
        client.inspect_container(container)


def test_the_temporary_directory(gateway: Gateway) -> None:
    mount = Mount("/tmp/airflow", "/run/airdock-tmp/airflowtmpxyz", "bind")
    host = {"mounts": [mount]}
    assert run(
        gateway.client(),
        ["sh", "-c", "ls -A /tmp/airflow; echo 1 > /tmp/airflow/x && cat /tmp/airflow/x"],
        host,
    ) == (0, b"1\n")


def test_what_is_forced_on_a_container(gateway: Gateway) -> None:
    container = create(gateway.client(), ["true"])
    host = gateway.raw.inspect_container(container)["HostConfig"]
    assert (host["Memory"], host["MemorySwap"], host["PidsLimit"]) == (256 << 20, 256 << 20, 64)
    assert host["SecurityOpt"] == ["no-new-privileges"]
    status = run(gateway.client(), ["grep", "NoNewPrivs", "/proc/self/status"])[1]
    assert status == b"NoNewPrivs:\t1\n"


@pytest.mark.attack(actor=AUTHOR)
def test_containers_of_others_are_not_there(gateway: Gateway) -> None:
    client, raw = gateway.client(), gateway.raw
    other = raw.create_container(BUSYBOX, ["sleep", "100"], name=f"other-{os.getpid()}")["Id"]
    try:
        for name in (other, other[:12], f"other-{os.getpid()}"):
            for call in (
                client.inspect_container,
                client.start,
                client.stop,
                client.wait,
                client.remove_container,
            ):
                with pytest.raises(APIError) as error:
                    call(name)
                assert error.value.status_code == 404
            for attempt in (
                lambda n: client.attach(n, stream=True),
                lambda n: client.get_archive(n, "/etc/passwd"),
            ):
                with pytest.raises(APIError) as error:
                    attempt(name)
                assert error.value.status_code == 404
        assert raw.inspect_container(other)["State"]["Status"] == "created"
    finally:
        raw.remove_container(other, force=True)


MOUNT = "mkdir /m && mount -t tmpfs none /m"
#: HostConfig and a command that succeeds only if the attack does.
ATTACKS: dict[str, tuple[dict[str, Any], list[str]]] = {
    "root of the node": ({"binds": ["/:/host:ro"]}, ["test", "-e", "/host/proc/1"]),
    "root of the node as a mount": (
        {"mounts": [Mount("/host", "/", "bind", read_only=True)]},
        ["test", "-e", "/host/proc/1"],
    ),
    "the Docker socket": ({"binds": [f"{NODE_SOCKET}:/d.sock"]}, ["test", "-S", "/d.sock"]),
    "privileged": (
        {"privileged": True},
        ["sh", "-c", MOUNT],
    ),
    "a capability": (
        {"cap_add": ["SYS_ADMIN"], "security_opt": ["apparmor=unconfined", "seccomp=unconfined"]},
        ["sh", "-c", MOUNT],
    ),
    "host pids": ({"pid_mode": "host"}, ["sh", "-c", "test $$ -gt 1"]),
    "host network": ({"network_mode": "host"}, ["true"]),
    "a volume over the root": (
        {
            "mounts": [
                Mount(
                    "/host",
                    None,
                    "volume",
                    driver_config={"Name": "local", "Options": {"type": "none", "o": "bind", "device": "/"}},
                )
            ]
        },
        ["test", "-d", "/host/usr", "-a", "-d", "/host/proc"],
    ),
    "a device": ({"devices": ["/dev/zero:/dev/other:r"]}, ["test", "-c", "/dev/other"]),
    "no seccomp": (
        {"security_opt": ["seccomp=unconfined"]},
        ["grep", "-q", "Seccomp:.*0", "/proc/self/status"],
    ),
    "more memory": ({"mem_limit": "8g"}, ["true"]),
}


@pytest.mark.parametrize("name", ATTACKS)
@pytest.mark.attack(actor=AUTHOR)
def test_attacks_work_around_the_filter_and_not_through_it(gateway: Gateway, name: str) -> None:
    host, proof = ATTACKS[name]
    host = {"network_mode": NETWORK, **host}
    container = gateway.raw.create_container(
        BUSYBOX, proof, host_config=gateway.raw.create_host_config(**host)
    )["Id"]
    try:
        gateway.raw.start(container)
        assert gateway.raw.wait(container)["StatusCode"] == 0, "the attack itself does not work here"
    finally:
        gateway.raw.remove_container(container, force=True, v=True)
    before = len(gateway.left())
    with pytest.raises(APIError) as error:
        create(gateway.client(), proof, host)
    assert error.value.status_code == 403
    assert ": " in error.value.explanation
    assert len(gateway.left()) == before


@pytest.mark.attack(actor=AUTHOR)
def test_another_spelling_is_not_passed_on(gateway: Gateway) -> None:
    body = json.dumps({"Image": BUSYBOX, "Cmd": ["true"], "HostConfig": {"privileged": True}}).encode()
    head = b"POST /v1.47/containers/create HTTP/1.1\r\nHost: a\r\nContent-Type: application/json\r\n"
    request = head + b"Content-Length: %d\r\n\r\n" % len(body) + body
    answers = []
    for path in (SOCKET, gateway.socket):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(20)
            sock.connect(str(path))
            sock.sendall(request)
            answers.append(sock.recv(65536).split(b" ")[1])
    assert answers == [b"201", b"400"], "the daemon takes what the filter must refuse"
    for each in gateway.raw.containers(all=True, filters={"status": "created", "ancestor": BUSYBOX}):
        if OWNER not in each["Labels"]:
            gateway.raw.remove_container(each["Id"])


def test_stop_and_the_tasks_death(gateway: Gateway) -> None:
    client = gateway.client()
    container = create(client, ["sleep", "1000"])
    client.start(container)
    client.stop(container, timeout=1)
    assert not client.inspect_container(container)["State"]["Running"]
    assert client.wait(container)["StatusCode"] == 137

    container = create(client, ["sleep", "1000"])
    stream = client.attach(container, stream=True)
    client.start(container)
    wait_until(lambda: gateway.raw.inspect_container(container)["State"]["Running"], 10, "it runs")
    stream.close()
    wait_until(
        lambda: not gateway.raw.inspect_container(container)["State"]["Running"], 30, "the orphan has ended"
    )


def test_the_gateways_end_leaves_nothing(starter: Start) -> None:
    gateway = starter()
    client = gateway.client()
    client.start(create(client, ["sleep", "1000"]))
    run(client, ["true"])
    assert len(gateway.left()) == 2
    gateway.kill(signal.SIGTERM)
    assert not gateway.left()
    assert not [v for v in gateway.raw.volumes()["Volumes"] or [] if gateway.owner in v["Name"]]


def test_a_killed_gateway_finds_its_containers(starter: Start) -> None:
    gateway = starter()
    client = gateway.client()
    container = create(client, ["sh", "-c", "trap 'exit 0' TERM; while :; do sleep 0.1; done"])
    client.start(container)
    gateway.kill()
    gateway.start()
    wait_until(lambda: not gateway.raw.inspect_container(container)["State"]["Running"], 30, "it was ended")
    with pytest.raises(APIError) as error:
        gateway.client().wait(container)
    assert error.value.status_code == 500


def test_what_a_dead_gateway_left_is_swept_by_another(starter: Start) -> None:
    dead, alive = starter(leaseSeconds=8), starter(leaseSeconds=8)
    client = dead.client()
    client.start(create(client, ["sleep", "1000"]))
    dead.kill()
    wait_until(lambda: not dead.left(), 60, "its container is gone")
    assert '"event": "sweep"' in (alive.directory / "log").read_text()


def test_many_at_once(gateway: Gateway) -> None:
    def one(number: int) -> tuple[int, bytes]:
        client = gateway.client()
        try:
            return run(client, ["sh", "-c", f"for i in $(seq 50); do echo {number}-$i; done; exit {number}"])
        finally:
            client.close()

    with ThreadPoolExecutor(20) as pool:
        results = list(pool.map(one, range(20)))
    for number, (code, output) in enumerate(results):
        assert code == number
        assert output.split() == [f"{number}-{i}".encode() for i in range(1, 51)]


def test_the_docker_program_runs_containers(gateway: Gateway) -> None:
    """As tests/gateway/test_clients.py does it in front of a stand-in."""

    def docker(*words: str, stdin: str = "") -> subprocess.CompletedProcess[str]:
        environment = {"DOCKER_HOST": f"unix://{gateway.socket}", "HOME": str(gateway.directory)}
        command = [str(ROOT / ".tools/bin/docker"), *words]
        return subprocess.run(
            command, env=environment, input=stdin, capture_output=True, text=True, timeout=60
        )

    network = ["--network", NETWORK] if NETWORK != "default" else []
    run_words = ("run", *network, "--rm", BUSYBOX)
    assert docker(*run_words, "echo", "a").stdout == "a\n"
    assert docker(*run_words, "sh", "-c", "exit 3").returncode == 3
    interactive = docker("run", *network, "--rm", "-i", BUSYBOX, "cat", stdin="a\nb\n")
    assert (interactive.returncode, interactive.stdout) == (0, "a\nb\n")
    assert docker("run", *network, "-d", "--name", "p", BUSYBOX, "sleep", "60").returncode == 0
    assert docker("ps", "--format", "{{.Names}} {{.Image}}").stdout == f"p {BUSYBOX}\n"
    inspected = docker("inspect", "p").stdout
    assert "/kubepods" not in inspected
    assert "airdock-" not in inspected
    assert docker("kill", "-s", "USR1", "p").returncode == 0
    assert docker("stop", "-t", "1", "p").returncode == 0
    assert docker("inspect", "-f", "{{.State.Running}} {{.State.ExitCode}}", "p").stdout == "false 137\n"
    assert docker("rm", "p").returncode == 0
    assert "p" not in docker("ps", "-a", "--format", "{{.Names}}").stdout.split()
    assert docker("container", "inspect", "p").returncode == 1


def test_nothing_of_the_nodes_other_containers_is_listed(gateway: Gateway, raw: docker.APIClient) -> None:
    client = gateway.client()
    # Of the tests before this one.
    before = {each["Id"] for each in client.containers(all=True)}
    other = raw.create_container(BUSYBOX, ["true"], labels={"team": "other"})["Id"]
    try:
        own = create(client, ["true"], labels={"team": "own"})
        assert {each["Id"] for each in client.containers(all=True)} == before | {own}
        assert client.containers(all=True, filters={"label": "team=other"}) == []
        assert client.containers(all=True, filters={"id": other}) == []
        assert client.info()["Containers"] == len(before) + 1
        events = list(client.events(since=1, until=int(time.time()), decode=True))
        assert other not in {each["id"] for each in events}
    finally:
        raw.remove_container(other, force=True)
