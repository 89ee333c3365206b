"""A container of mode dind's daemon that was killed for its memory: what docker-py's client is told.

The client is real; the daemon answers what dockerd does. tests/e2e/test_dind_worker.py has a real kill.
"""

from __future__ import annotations

import json
import logging
import socketserver
import sys
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import docker
import pytest

from tests.local_settings.settings import DockerOperator, run
from tests.support.paths import FILES

KEY = "workers.builds.dind.resources.limits.memory"


class Daemon(socketserver.ThreadingUnixStreamServer):
    """Answers `wait` with a code, and `inspect` with each state in turn; the last one stays."""

    daemon_threads = True
    code = 137
    memory = 0
    states: tuple[dict[str, Any], ...] = ()
    asked = 0


class Handler(BaseHTTPRequestHandler):
    server: Daemon

    def address_string(self) -> str:
        return "unix"

    def log_message(self, *_: Any) -> None:
        pass

    def do_POST(self) -> None:
        self.answer(200, {"StatusCode": self.server.code})

    def do_GET(self) -> None:
        if not self.server.states:
            self.answer(404, {"message": "No such container"})
            return
        state = self.server.states[min(self.server.asked, len(self.server.states) - 1)]
        self.server.asked += 1
        self.answer(200, {"State": state, "HostConfig": {"Memory": self.server.memory}})

    def answer(self, status: int, body: Any) -> None:
        text = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text)


@pytest.fixture
def daemon(tmp_path: Path) -> Iterator[Daemon]:
    with Daemon(str(tmp_path / "docker.sock"), Handler) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


@pytest.fixture
def wait(monkeypatch: pytest.MonkeyPatch, tmp_path: Path, daemon: Daemon) -> Iterator[Any]:
    """Wait for a container as a task does that the policy prepared."""
    monkeypatch.syspath_prepend(str(FILES))
    monkeypatch.setenv("AIRDOCK_DIND_MEMORY_KEY", KEY)
    monkeypatch.setenv("AIRDOCK_DIND_MEMORY", str(4 << 30))
    monkeypatch.setattr(docker.APIClient, "wait", docker.APIClient.wait)

    def call() -> Any:
        run(DockerOperator())
        run(DockerOperator())
        client = docker.APIClient(f"unix://{tmp_path}/docker.sock", version="1.44")
        try:
            return client.wait("c")
        finally:
            client.close()

    yield call
    sys.modules.pop("airdock_docker_memory", None)


@pytest.mark.parametrize(
    ("memory", "says"),
    [
        (
            64 << 20,
            "its limit of 64Mi and was killed. Raise mem_limit of the task. All containers of the worker"
            f" together have a limit of 4Gi ({KEY}).",
        ),
        (
            0,
            "together used more memory than their limit of 4Gi. Set mem_limit of the tasks below it, or ask"
            f" the administrator to raise {KEY}.",
        ),
        (8 << 30, f"or ask the administrator to raise {KEY}."),
    ],
)
def test_a_kill_is_in_the_log_and_in_the_answer(
    wait: Any, daemon: Daemon, caplog: pytest.LogCaptureFixture, memory: int, says: str
) -> None:
    """Also if dockerd learns of it only after the end. Once, though two tasks were prepared."""
    daemon.memory, daemon.states = memory, ({"OOMKilled": False}, {"OOMKilled": True})
    with caplog.at_level(logging.ERROR):
        answer = wait()
    assert answer.keys() == {"StatusCode", "Reason"}
    assert answer["Reason"].endswith(says)
    assert caplog.messages == [answer["Reason"]]


@pytest.mark.parametrize(
    ("code", "memory", "states"),
    [
        (0, 1 << 20, ({"OOMKilled": True},)),
        (137, 1 << 20, ({"OOMKilled": False},)),
        (1, 0, ({"OOMKilled": True},)),
        (137, 0, ()),
    ],
    ids=["success", "killed by a user", "another container was killed", "removed"],
)
def test_other_ends_stay_as_they_are(
    wait: Any, daemon: Daemon, code: int, memory: int, states: tuple[dict[str, Any], ...]
) -> None:
    daemon.code, daemon.memory, daemon.states = code, memory, states
    assert wait() == {"StatusCode": code}


def test_without_a_limit_the_value_is_named(
    monkeypatch: pytest.MonkeyPatch, wait: Any, daemon: Daemon
) -> None:
    monkeypatch.delenv("AIRDOCK_DIND_MEMORY")
    daemon.states = ({"OOMKilled": True},)
    assert (
        f"than their limit. Set mem_limit of the tasks below it, or ask the administrator to raise {KEY}."
        in wait()["Reason"]
    )


def test_behind_a_gateway_nothing_is_asked(
    monkeypatch: pytest.MonkeyPatch, wait: Any, daemon: Daemon
) -> None:
    """The gateway says it; nor elsewhere than in mode dind."""
    monkeypatch.setenv("AIRDOCK_DOCKER_GATEWAY", "true")
    daemon.states = ({"OOMKilled": True},)
    monkeypatch.setattr(
        "tests.local_settings.settings.DockerOperator._post_execute_hook", None, raising=False
    )
    assert wait() == {"StatusCode": 137}
    assert daemon.asked == 0
