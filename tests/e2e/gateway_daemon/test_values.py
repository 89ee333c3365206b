"""Values of allowed fields: what others on the node obey, and what a container takes of the node.

Each attack works on the daemon itself, and is refused or harmless through the filter.
"""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.types import Healthcheck, Ulimit

from scripts.cluster.settings import NODE_ROOT
from tests.e2e.gateway_daemon.support import (
    BUSYBOX,
    NETWORK,
    Gateway,
    Start,
    create,
    native,
    needs_daemon,
    run,
)
from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until

pytestmark = needs_daemon

#: By which cri-dockerd tells its containers from others.
LABEL = "io.kubernetes.docker.type"
SLEEP = ["sleep", "1000"]
#: Nothing listens there: a daemon that dials says so.
CLOSED = "localhost:1"


@pytest.fixture(scope="module")
def hostile(raw: docker.APIClient) -> Iterator[str]:
    """An image that brings labels, a health check and a request for devices along."""
    container = raw.create_container(BUSYBOX, ["true"])["Id"]
    name, tag = "airdock-e2e/hostile", str(os.getpid())
    changes = [
        f"LABEL {LABEL}=container",
        "HEALTHCHECK --interval=1ms CMD true",
        "ENV NVIDIA_VISIBLE_DEVICES=all",
    ]
    raw.commit(container, name, tag, changes="\n".join(changes))
    raw.remove_container(container)
    yield f"{name}:{tag}"
    raw.remove_image(f"{name}:{tag}", force=True)


@pytest.fixture
def around(raw: docker.APIClient) -> Iterator[Any]:
    """Create containers on the daemon itself, as the raw mount would."""
    made: list[str] = []

    def make(command: Any, host: dict[str, Any] | None = None, image: str = BUSYBOX, **config: Any) -> str:
        settings = raw.create_host_config(**{"network_mode": NETWORK, **(host or {})})
        made.append(raw.create_container(image, command, host_config=settings, **config)["Id"])
        return made[-1]

    yield make
    for each in made:
        raw.remove_container(each, force=True, v=True)


def kubernetes(raw: docker.APIClient) -> set[str]:
    """Give the containers that cri-dockerd takes for its own."""
    found = raw.containers(all=True, filters={"label": f"{LABEL}=container"})
    return {each["Id"] for each in found}


def through(gateway: Gateway, image: str, command: Any = SLEEP, **config: Any) -> str:
    client = gateway.client()
    host = client.create_host_config(network_mode=NETWORK, cpu_shares=1024)
    return str(client.create_container(image, command, host_config=host, **config)["Id"])


@pytest.mark.parametrize("by_image", [False, True])
@pytest.mark.attack(actor=AUTHOR, finding=(4,))
def test_cri_dockerd_does_not_find_it(gateway: Gateway, around: Any, hostile: str, by_image: bool) -> None:
    image = hostile if by_image else BUSYBOX
    labels = {} if by_image else {LABEL: "container"}
    assert around(SLEEP, image=image, labels=labels) in kubernetes(gateway.raw)
    container = through(gateway, image, labels=labels)
    assert container not in kubernetes(gateway.raw)
    labels = gateway.raw.inspect_image(image)["Config"]["Labels"] or {}
    found = gateway.client().inspect_container(container)["Config"]["Labels"]
    assert found == labels | {LABEL: "container"}
    assert gateway.client().inspect_container(container)["Config"]["Image"] == image


@pytest.mark.attack(actor=AUTHOR, finding=(4,))
def test_names_come_back_as_they_were(gateway: Gateway, around: Any) -> None:
    name = f"k8s_POD_x_kube-system_{os.getpid()}_0"
    assert gateway.raw.inspect_container(around(SLEEP, name=name))["Name"] == f"/{name}"
    client = gateway.client()
    # The name is taken on the daemon, and free here.
    container = through(gateway, BUSYBOX, name=name)
    assert gateway.raw.inspect_container(container)["Name"].startswith("/airdock-")
    assert client.inspect_container(name)["Id"] == container
    assert client.inspect_container(name)["Name"] == f"/{name}"
    with pytest.raises(APIError) as error:
        through(gateway, BUSYBOX, name=name)
    assert error.value.status_code == 409
    assert f'"/{name}"' in error.value.explanation
    assert "airdock-" not in error.value.explanation
    client.start(name)
    client.remove_container(name, force=True)
    assert container not in [each["Id"] for each in gateway.left()]


def test_auto_remove(gateway: Gateway) -> None:
    client = gateway.client()
    container = create(client, ["true"], {"auto_remove": True}, name=f"gone-{os.getpid()}")
    client.start(container)
    wait_until(lambda: container not in [each["Id"] for each in gateway.left()], 30, "it is removed")


def checks(raw: docker.APIClient, container: str, seconds: float) -> int:
    """Count the health checks of a container."""
    raw.start(container)
    begun = int(time.time())
    time.sleep(seconds)
    events = raw.events(since=begun, until=int(time.time()), decode=True, filters={"container": container})
    return sum(1 for each in events if str(each.get("Action", "")).startswith("exec_start"))


@pytest.mark.parametrize("by_image", [False, True])
@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_health_checks_are_not_more_than_their_floor(
    gateway: Gateway, around: Any, hostile: str, by_image: bool
) -> None:
    image = hostile if by_image else BUSYBOX
    config = {} if by_image else {"healthcheck": Healthcheck(test=["CMD", "true"], interval=1_000_000)}
    assert checks(gateway.raw, around(SLEEP, image=image, **config), 5) > 5
    container = through(gateway, image, **config)
    gateway.client().start(container)
    assert gateway.raw.inspect_container(container)["Config"]["Healthcheck"]["Interval"] == 10_000_000_000
    assert checks(gateway.raw, container, 5) == 0


@pytest.mark.attack(actor=AUTHOR, finding=(21,))
def test_devices_by_variable(gateway: Gateway, around: Any, hostile: str) -> None:
    command = ["sh", "-c", "echo $NVIDIA_VISIBLE_DEVICES"]
    container = around(command, image=hostile)
    gateway.raw.start(container)
    gateway.raw.wait(container)
    assert gateway.raw.logs(container) == b"all\n"
    assert run(gateway.client(), command, environment={"NVIDIA_VISIBLE_DEVICES": "all"}) == (0, b"void\n")
    assert (
        "NVIDIA_VISIBLE_DEVICES=void"
        in (gateway.raw.inspect_container(through(gateway, hostile))["Config"]["Env"])
    )


LINES = ["sh", "-c", "yes 0123456789012345678901234567890123456789 | head -c 20000000"]


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_the_file_of_a_log_has_an_end_and_the_log_of_the_task_has_all(starter: Start, around: Any) -> None:
    gateway = starter(logs="1Mi")
    container = around(LINES)
    gateway.raw.start(container)
    gateway.raw.wait(container)
    # The node's daemon may have a limit of its own.
    assert len(gateway.raw.logs(container)) > 8 << 20
    code, output = run(gateway.client(), LINES)
    assert (code, len(output)) == (0, 20_000_000)
    (container,) = [each["Id"] for each in gateway.left()]
    assert len(gateway.raw.logs(container)) < 2 << 20


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_real_time_priority(gateway: Gateway, around: Any) -> None:
    host = {"ulimits": [Ulimit(name="rtprio", soft=99, hard=99)]}
    proof = ["sh", "-c", "grep -q 'realtime priority *99' /proc/self/limits"]
    container = around(proof, host)
    try:
        gateway.raw.start(container)
    except APIError as refused:
        # The daemon passes it on; a node in a container of its own may not have the right.
        assert "setting rlimit type 14: operation not permitted" in str(refused.explanation)
    else:
        assert gateway.raw.wait(container)["StatusCode"] == 0
    with pytest.raises(APIError) as error:
        create(gateway.client(), proof, host)
    assert error.value.explanation.startswith("ulimits: ")
    memory = {"ulimits": [Ulimit(name="memlock", soft=-1, hard=-1)]}
    container = create(gateway.client(), ["true"], memory)
    limits = gateway.raw.inspect_container(container)["HostConfig"]["Ulimits"]
    assert {"Name": "memlock", "Soft": 4 << 30, "Hard": 4 << 30} in limits


@pytest.mark.parametrize("where", ["/layer", "/volume/file"])
@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_what_is_written_to_the_disk_has_an_end(starter: Start, where: str) -> None:
    gateway = starter(storage="20Mi")
    client = gateway.client()
    command = [
        "sh",
        "-c",
        f"trap 'exit 0' TERM; dd if=/dev/zero of={where} bs=1M count=60; sleep 1000 & wait",
    ]
    container = create(client, command, volumes=["/volume"])
    client.start(container)
    with pytest.raises(APIError) as error:
        client.wait(container, timeout=300)
    assert "limits.storage" in error.value.explanation


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_what_is_never_started_goes(starter: Start) -> None:
    gateway = starter(ttlSeconds=10, containers=3)
    client = gateway.client()
    for _ in range(3):
        create(client, ["true"], volumes=["/a"])
    with pytest.raises(APIError) as error:
        create(client, ["true"])
    assert error.value.explanation.startswith("containers: ")
    wait_until(lambda: not gateway.left(), 60, "they are removed")
    create(client, ["true"])


@pytest.mark.attack(actor=AUTHOR, finding=(6,))
def test_the_daemon_dials_nobody(gateway: Gateway) -> None:
    with pytest.raises(APIError) as error:
        gateway.raw.login("u", "p", registry=CLOSED, reauth=True)
    assert "refused" in str(error.value.explanation), "the daemon itself does not dial"
    with pytest.raises(APIError) as error:
        gateway.client().login("u", "p", registry=CLOSED, reauth=True)
    assert error.value.explanation.startswith("docker_conn_id: the registry")
    with pytest.raises(APIError) as error:
        gateway.raw.pull(f"{CLOSED}/x")
    assert "refused" in str(error.value.explanation), "the daemon itself does not dial"
    with pytest.raises(APIError) as error:
        gateway.client().pull(f"{CLOSED}/x")
    assert error.value.explanation.startswith("image: the registry")


@pytest.mark.attack(actor=AUTHOR, finding=(6,))
def test_what_a_foreign_registry_says_is_not_told(starter: Start) -> None:
    gateway = starter(registries=["*"])
    with pytest.raises(APIError) as error:
        gateway.client().pull(f"{CLOSED}/x")
    assert "dial" not in error.value.explanation
    assert "connection" not in error.value.explanation
    assert "connection refused" in (gateway.directory / "log").read_text()


@pytest.mark.attack(actor=AUTHOR, finding=(25,))
def test_an_image_by_its_id(starter: Start, around: Any) -> None:
    gateway, listed = starter(), starter(images=["docker.io/*"])
    number = gateway.raw.inspect_image(BUSYBOX)["Id"].removeprefix("sha256:")
    for name in (number, number[:12]):
        around(["true"], image=name)
        through(gateway, name)
        with pytest.raises(APIError):
            through(listed, name)
    assert run(listed.client(), ["true"]) == (0, b"")


@native
@pytest.mark.attack(actor=AUTHOR, finding=(3,))
def test_a_link_in_place_of_a_directory(starter: Start, around: Any, raw: docker.APIClient) -> None:
    name = f"e2e-binds-{os.getpid()}"
    ours, node = NODE_ROOT / "run" / name, f"/run/{name}"
    (ours / "models").mkdir(parents=True)
    try:
        first = around(["sh", "-c", "rmdir /d/models && ln -s / /d/models"], {"binds": [f"{node}:/d"]})
        raw.start(first)
        raw.wait(first)
        second = around(["test", "-e", "/m/etc"], {"binds": [f"{node}/models:/m"]})
        raw.start(second)
        assert raw.wait(second)["StatusCode"] == 0, "the attack itself does not work here"
        gateway = Gateway(raw, f"test-{os.getpid()}-nested", binds=[node, f"{node}/models"])
        with pytest.raises(AssertionError):
            gateway.start()
        assert gateway.process
        assert gateway.process.wait(10) == 2
        assert "is below" in (gateway.directory / "log").read_text()
        # The very path, and read-only where the values say so.
        gateway = starter(binds=[{"path": node, "readOnly": True}])
        code, output = run(gateway.client(), ["touch", "/d/x"], {"binds": [f"{node}:/d"]})
        assert code != 0
        assert b"Read-only" in output
        with pytest.raises(APIError):
            create(gateway.client(), ["true"], {"binds": [f"{node}/models:/m"]})
    finally:
        shutil.rmtree(ours)


def test_names_of_others_are_no_dns_names_to_take(starter: Start, raw: docker.APIClient) -> None:
    network = f"airdock-e2e-{os.getpid()}"
    try:
        raw.create_network(network)
    except APIError as error:
        pytest.skip(f"this daemon has no bridge: {error.explanation}")
    try:
        gateway = starter(networks=[network])
        client = gateway.client()
        name = f"database-{os.getpid()}"
        client.start(create(client, SLEEP, {"network_mode": network}, name=name))
        lookup = ["nslookup", name]
        assert run(client, lookup, {"network_mode": network})[0] != 0
    finally:
        for each in raw.containers(all=True, filters={"network": network}):
            raw.remove_container(each["Id"], force=True)
        raw.remove_network(network)
