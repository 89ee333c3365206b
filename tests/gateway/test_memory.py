"""All that authors can ask of a gateway at a time fits into the memory that the chart gives it."""

from __future__ import annotations

import resource
import ssl
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from docker_gateway import cluster_room
from docker_gateway.quantities import quantity

from scripts.chart.ceilings import value
from tests.gateway.gateway_program import Program, program
from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.gateway import Client
from tests.gateway.stand_ins.http import Front
from tests.support.attacks import AUTHOR
from tests.support.certificates import authority, certificate
from tests.support.waiting import wait_until

MIB = 1 << 20
#: What a pod has besides its environment, in bytes.
_REST = 4096


@pytest.fixture
def files() -> Iterator[None]:
    """Room for both ends of all connections in this process."""
    before = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(8192, before[1]), before[1]))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, before)


def most(gateway: Program) -> int:
    """The most memory that the process ever had, in bytes."""
    lines = Path(f"/proc/{gateway.process.pid}/status").read_text().splitlines()
    return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:"))


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_as_many_containers_as_there_may_be(tmp_path: Path, files: None) -> None:
    """Each as large as it may be, with a client that waits and one that reads nothing."""
    certificate(tmp_path, "localhost", "default", authority(tmp_path, "ca"))
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(tmp_path / "localhost.crt", tmp_path / "localhost.key")
    (tmp_path / "token").write_text("token")
    world = ClusterWorld()
    front = Front(world, tls=context)
    kubernetes = {
        "server": front.address,
        "tokenFile": str(tmp_path / "token"),
        "caFile": str(tmp_path / "ca.crt"),
    }
    large = "A=" + "x" * (cluster_room.MAX_BYTES // cluster_room.MAX_CONTAINERS - _REST)
    with program(tmp_path, 4096, 4096, kubernetes) as gateway, ExitStack() as stack:
        wait_until(gateway.pings, 60, "it serves")
        idle = most(gateway)
        for _ in range(cluster_room.MAX_CONTAINERS):
            reader, waiter = (stack.enter_context(Client(gateway.path)) for _ in range(2))
            # On a busy machine, a thousand clients wait for each other.
            waiter.socket.settimeout(600)
            reader.socket.settimeout(600)
            container = waiter.create(Env=[large])
            assert reader.attach(container) == 200
            assert waiter.ask("POST", f"/containers/{container}/start")[0] == 204
            waiter.send("POST", f"/containers/{container}/wait")
        pending = [task for task in world.tasks.values() if task.state == "pending"]
        assert len(pending) == cluster_room.MAX_CONTAINERS
        for task in pending:
            world.run(task)
            for _ in range(64):
                world.print(task, b"y" * 1023 + b"\n")
        wait_until(gateway.pings, 60, "it still serves")
        used = most(gateway)
        print(f"{cluster_room.MAX_CONTAINERS} containers: {used / MIB:.0f} MiB, idle {idle / MIB:.0f} MiB")
        assert used < int(quantity(value("workers.<name>.dockerGateway.resources.limits.memory")))
    front.close()
