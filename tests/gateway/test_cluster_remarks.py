"""What the Docker gateway itself says at the end of a container's log, in mode kubernetes."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.gateway.stand_ins.gateway import Gateway, running
from tests.support.waiting import wait_until

POLICY = "airdock-tasks-egress"


def output(gateway: Gateway, code: int, printed: bytes, **body: object) -> bytes:
    """Run a container that prints and ends; give the whole log that its client is sent."""
    client, other = gateway.client(), gateway.client()
    container = other.create(**body)
    client.attach(container)
    assert other.ask("POST", f"/containers/{container}/start")[0] == 204
    (task,) = wait_until(gateway.world.alive, 20, "the container runs", 0.01)
    gateway.world.run(task)
    gateway.world.print(task, printed)
    gateway.world.exit(task, code)
    return client.output()


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
        text = output(gateway, code, b"timed out", HostConfig={"NetworkMode": network})
    *_, last = text.splitlines()
    assert text.startswith(b"timed out")
    assert (last.startswith(b"[airdock]") and POLICY.encode() in last) == said
    assert (b"tasks.networkPolicy.egress" in last) == said
