"""A worker takes tasks only while its own Docker daemon answers, and starts with no container of another's.

Celery imports this module in the main process of a worker of mode dind (airdock.mode.dind).
DOCKER_HOST is the daemon's socket. A task that runs when the daemon dies fails by itself, with what its
operator reports; without this, the worker would go on to take, and fail, all others that wait in its queues.
"""

from __future__ import annotations

import http.client
import json
import logging
import os
import socket
import threading
import time
from typing import Any

from celery import signals

_log = logging.getLogger(__name__)
#: How often the daemon is asked. One that is busy may be slow: it takes some unanswered questions in a row.
INTERVAL_SECONDS = 1.0
TIMEOUT_SECONDS = 5.0
FAILURES = 2

_stop = threading.Event()


class _Connection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: str) -> None:
        super().__init__("localhost", timeout=TIMEOUT_SECONDS)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(TIMEOUT_SECONDS)
        self.sock.connect(self._path)


def ask(method: str, path: str) -> bytes:
    """What the daemon answers.

    Raises:
        OSError, http.client.HTTPException: it does not answer, or not with success.
    """
    connection = _Connection(os.environ["DOCKER_HOST"].removeprefix("unix://"))
    try:
        connection.request(method, path)
        response = connection.getresponse()
        body = response.read()
        if response.status >= 400:
            raise http.client.HTTPException(f"{method} {path}: {response.status} {body.decode()[:200]}")
        return body
    finally:
        connection.close()


def answers() -> bool:
    """Whether the daemon answers a ping."""
    try:
        return ask("GET", "/_ping") == b"OK"
    except (OSError, http.client.HTTPException):
        return False


@signals.worker_init.connect
def begin(**_: Any) -> None:
    """Wait for the daemon; then end the containers that a worker before this one, killed, left running."""
    while not answers():
        _log.warning("The Docker daemon does not answer; waiting for it.")
        time.sleep(INTERVAL_SECONDS)
    try:
        for container in json.loads(ask("GET", "/containers/json")):
            ask("DELETE", f"/containers/{container['Id']}?force=true&v=true")
            _log.warning("Removed %s, which a killed worker left running.", container["Names"])
    except (OSError, http.client.HTTPException) as error:
        _log.warning("Containers of a killed worker may still run: %s", error)


@signals.worker_ready.connect
def watch(sender: Any, **_: Any) -> None:
    """Watch the daemon for as long as the worker runs; `sender` is Celery's consumer."""
    threading.Thread(target=_watch, args=(sender,), name="airdock-docker-watch", daemon=True).start()


@signals.worker_shutting_down.connect
def end(**_: Any) -> None:
    """A worker that shuts down has stopped taking tasks for good."""
    _stop.set()


def _watch(consumer: Any) -> None:
    queues = list(consumer.app.amqp.queues.consume_from)
    failures, taking = 0, True
    while not _stop.wait(INTERVAL_SECONDS):
        failures = 0 if answers() else failures + 1
        if taking and failures >= FAILURES:
            taking = False
            _log.error("The Docker daemon does not answer: no new tasks until it does.")
            for queue in queues:
                consumer.call_soon(consumer.cancel_task_queue, queue)
        elif not taking and not failures:
            taking = True
            _log.warning("The Docker daemon answers again.")
            consumer.call_soon(_resume, consumer, queues)


def _resume(consumer: Any, queues: list[str]) -> None:
    # Canceling a queue also deselects it, and after a lost connection Celery would forget it.
    consumer.app.amqp.queues.select(queues)
    for queue in queues:
        consumer.add_task_queue(queue)
