"""The docker program in front of a gateway and the native cluster.

tests/gateway/test_clients.py does the same with a stand-in; here are the kubelet's logs and the pods' ends.
"""

from __future__ import annotations

import re
import subprocess
import time

import pytest

from tests.e2e.gateway_cluster.support import BUSYBOX, PATIENCE, Gateway, needs_native
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

pytestmark = needs_native


def docker(gateway: Gateway, *words: str) -> subprocess.CompletedProcess[str]:
    environment = {"DOCKER_HOST": f"unix://{gateway.socket}", "HOME": str(gateway.directory)}
    command = [str(ROOT / ".tools/bin/docker"), *words]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=2 * PATIENCE)


def done(gateway: Gateway, *words: str) -> str:
    found = docker(gateway, *words)
    assert found.returncode == 0, found.stderr
    return found.stdout


def gone(gateway: Gateway) -> None:
    wait_until(lambda: not gateway.cluster.pods(gateway.owner), PATIENCE, "its pod is deleted")


def test_run(gateway: Gateway) -> None:
    assert done(gateway, "run", "--rm", BUSYBOX, "echo", "a") == "a\n"
    assert docker(gateway, "run", "--rm", BUSYBOX, "sh", "-c", "exit 3").returncode == 3
    assert done(gateway, "ps", "-aq") == ""
    gone(gateway)


def test_a_detached_container_is_removed_without_a_wait(gateway: Gateway) -> None:
    done(gateway, "run", "-d", "--rm", BUSYBOX, "true")
    wait_until(lambda: not done(gateway, "ps", "-aq"), PATIENCE, "it is removed")
    gone(gateway)


def test_parts_of_a_log(gateway: Gateway) -> None:
    script = "for i in 1 2 3; do echo line $i; sleep 1.2; done; printf end"
    done(gateway, "run", "-d", "--name", "a", BUSYBOX, "sh", "-c", script)
    whole = "line 1\nline 2\nline 3\nend"
    assert done(gateway, "logs", "-f", "a") == whole
    assert done(gateway, "logs", "a") == whole
    assert done(gateway, "logs", "--tail", "2", "a") == "line 3\nend"
    assert done(gateway, "logs", "-f", "--tail", "2", "a") == "line 3\nend"
    stamped = done(gateway, "logs", "-t", "a").splitlines()
    found = [re.fullmatch(r"(20\d\d-\d\d-\d\dT[0-9:]{8}\.\d{9}Z) (.+)", line) for line in stamped]
    assert "".join(f"{match[2]}\n" for match in found if match) == whole + "\n"
    second = found[1]
    assert second
    assert done(gateway, "logs", "--since", second[1], "a") == "line 2\nline 3\nend"
    assert done(gateway, "logs", "--until", second[1], "a") == "line 1\nline 2\n"
    done(gateway, "rm", "a")
    gone(gateway)


def test_a_container_that_runs(gateway: Gateway) -> None:
    done(gateway, "run", "-di", "--name", "a", BUSYBOX, "sh", "-c", "cat; echo input ended")
    time.sleep(5)
    assert done(gateway, "ps", "--format", "{{.Names}} {{.State}}") == "a running\n"
    assert done(gateway, "logs", "a") == "", "its input stays open"
    done(gateway, "kill", "a")
    assert done(gateway, "inspect", "-f", "{{.State.Running}}", "a") == "false\n"
    done(gateway, "rm", "a")
    gone(gateway)


@pytest.mark.parametrize("_", range(3))
def test_what_was_removed_does_not_come_back(gateway: Gateway, _: int) -> None:
    container = done(gateway, "run", "-d", BUSYBOX, "sleep", "100").strip()
    done(gateway, "rm", "-f", container)
    deadline = time.monotonic() + 10
    while time.monotonic() < deadline:
        assert docker(gateway, "container", "inspect", container).returncode == 1
        time.sleep(0.3)
    assert "adopted" not in gateway.log()
    gone(gateway)


def test_a_name_that_no_registry_has_fails_with_the_reason(gateway: Gateway) -> None:
    found = docker(gateway, "run", "--rm", "nosuchimage.invalid/a:1", "true")
    assert found.returncode == 125
    assert "the image cannot be pulled" in found.stderr
    gone(gateway)
