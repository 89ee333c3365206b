"""Says how many tasks each worker group has, for KEDA, and marks the workers that run some.

KEDA gets numbers by HTTP and no credential of the database. When Kubernetes removes a worker, it takes one
with the lowest `controller.kubernetes.io/pod-deletion-cost` first: here that is the number of its tasks. A
StatefulSet removes its last pod, whatever it runs; so the demand of such a group keeps the last busy pod.

Environment: AIRDOCK_GROUPS, JSON map: worker group -> its queues, concurrency, namespace, and whether it is a
StatefulSet (`ordered`); AIRDOCK_SELECTOR, the labels of the release's workers;
AIRFLOW__DATABASE__SQL_ALCHEMY_CONN.
"""

import http.client
import json
import os
import signal
import socket
import sys
import threading
import time
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.error import HTTPError
from urllib.parse import quote

import api_server

PORT = 8080
GROUP = "airdock.dev/worker-group"
COST = "controller.kubernetes.io/pod-deletion-cost"
#: Seconds between two looks at the database and the workers.
PAUSE = 3.0
#: Seconds after which a count says nothing anymore. KEDA changes nothing while it gets none.
STALE = 30.0
#: Seconds without an end of a look after which only a restart helps.
STUCK = 120.0
#: A task that was cleared while it ran still runs (`restarting`).
RUNNING = ("running", "restarting")
TASKS = (
    "SELECT queue, state, hostname, count(*) FROM task_instance"
    " WHERE state IN ('queued', 'running', 'restarting') GROUP BY queue, state, hostname"
)


@dataclass(frozen=True)
class Group:
    """A worker group. `ordered`: a StatefulSet, which removes its last pod first."""

    queues: list[str]
    concurrency: int
    namespace: str
    ordered: bool


@dataclass(frozen=True)
class Tasks:
    """Some tasks: their queue and state, the worker that runs them, how many."""

    queue: str
    state: str
    hostname: str
    number: int


@dataclass(frozen=True)
class Worker:
    """A worker's pod that is not about to end."""

    name: str
    namespace: str
    group: str
    addresses: frozenset[str]
    cost: str

    def running(self, tasks: Mapping[str, int]) -> int:
        """How many tasks it runs, of those of all workers by their host name."""
        return sum(tasks.get(address, 0) for address in self.addresses)


def running(tasks: Iterable[Tasks]) -> Counter[str]:
    """How many tasks run on each host. Only then is the host name of this try."""
    found: Counter[str] = Counter()
    for each in tasks:
        if each.state in RUNNING and each.hostname:
            found[each.hostname] += each.number
    return found


def demand(
    groups: Mapping[str, Group], tasks: list[Tasks], workers: list[Worker]
) -> dict[str, dict[str, int]]:
    """What KEDA gets: how many tasks the queues of each group have, and for how many there must be room."""
    busy, result = running(tasks), {}
    for name, group in groups.items():
        count: Counter[bool] = Counter()
        for each in tasks:
            if each.queue in group.queues:
                count[each.state in RUNNING] += each.number
        kept = 0
        if group.ordered:
            pods = [worker.name for worker in workers if worker.group == name and worker.running(busy)]
            kept = max((int(pod.rpartition("-")[2]) + 1 for pod in pods), default=0)
        wanted = max(count.total(), kept * group.concurrency)
        result[name] = {"running": count[True], "queued": count[False], "demand": wanted}
    return result


def workers(groups: Mapping[str, Group], selector: str) -> list[Worker]:
    """The pods of the groups."""
    found = []
    for namespace in sorted({group.namespace for group in groups.values()}):
        path = f"/api/v1/namespaces/{namespace}/pods?labelSelector={quote(selector)}"
        for pod in api_server.request("GET", path)["items"]:
            about, status = pod["metadata"], pod.get("status", {})
            group = about.get("labels", {}).get(GROUP, "")
            if group in groups and "deletionTimestamp" not in about:
                addresses = {each["ip"] for each in status.get("podIPs") or []} | {about["name"]}
                cost = (about.get("annotations") or {}).get(COST, "0")
                found.append(Worker(about["name"], namespace, group, frozenset(addresses), cost))
    return found


def mark(worker: Worker, tasks: int) -> None:
    """Write the pod's deletion cost if it is another one."""
    if worker.cost == str(tasks):
        return
    body = {"metadata": {"annotations": {COST: str(tasks) if tasks else None}}}
    path = f"/api/v1/namespaces/{worker.namespace}/pods/{worker.name}"
    try:
        api_server.request("PATCH", path, body, "application/merge-patch+json")
    except HTTPError as error:
        if error.code != 404:  # It has ended in the meantime.
            print(f"The deletion cost of {worker.name} could not be set: {error}: {said(error)}", flush=True)


def said(error: Exception) -> str:
    """What the API server or the database has said, in one line."""
    if isinstance(error, HTTPError):
        return error.read().decode(errors="replace")[:500]
    return str(getattr(error, "orig", error)).strip().replace("\n", " ")


class Counts:
    """The last counts, and since when they are known."""

    def __init__(self) -> None:
        self._found: dict[str, dict[str, int]] = {}
        self._at = float("-inf")
        self._tried = time.monotonic()

    def set(self, found: dict[str, dict[str, int]] | None) -> None:
        """Note what a look at the database and the workers has found: None for a failure."""
        self._tried = time.monotonic()
        if found is not None:
            self._found, self._at = found, self._tried

    def get(self) -> dict[str, dict[str, int]] | None:
        """Give the counts, or None if they are too old."""
        return self._found if time.monotonic() - self._at < STALE else None

    @property
    def stuck(self) -> bool:
        """Whether no look has ended for long."""
        return time.monotonic() - self._tried > STUCK


def serve(counts: Counts, port: int = PORT) -> ThreadingHTTPServer:
    """Give the server of /demand and /health. It answers nothing else."""

    class Handler(BaseHTTPRequestHandler):
        timeout = 10

        def do_GET(self) -> None:
            found = counts.get()
            if self.path == "/health":
                self.answer(503 if counts.stuck else 200, {})
            elif self.path != "/demand":
                self.answer(404, {"error": "There are /demand and /health."})
            elif found is None:
                self.answer(503, {"error": "The tasks could not be counted: see the log of the autoscaler."})
            else:
                self.answer(200, found)

        def answer(self, code: int, content: object) -> None:
            body = json.dumps(content).encode()
            self.send_response(code)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: Any) -> None:
            """Requests come every few seconds."""

    class Server(ThreadingHTTPServer):
        daemon_threads = True
        address_family = socket.AF_INET6 if socket.has_dualstack_ipv6() else socket.AF_INET

        def server_bind(self) -> None:
            if self.address_family == socket.AF_INET6:
                self.socket.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 0)
            super().server_bind()

    return Server(("", port), Handler)


def look(
    rows: Iterable[tuple[str | None, str, str | None, int]], groups: Mapping[str, Group], selector: str
) -> dict[str, dict[str, int]]:
    """Mark the workers by what the database has answered to TASKS, and give the demand."""
    tasks = [Tasks(queue or "", state, hostname or "", number) for queue, state, hostname, number in rows]
    pods, busy = workers(groups, selector), running(tasks)
    for worker in pods:
        mark(worker, worker.running(busy))
    return demand(groups, tasks, pods)


def main() -> None:
    """Look and serve until SIGTERM."""
    import sqlalchemy

    signal.signal(signal.SIGTERM, lambda *_: sys.exit(0))
    groups = {name: Group(**group) for name, group in json.loads(os.environ["AIRDOCK_GROUPS"]).items()}
    engine = sqlalchemy.create_engine(
        os.environ["AIRFLOW__DATABASE__SQL_ALCHEMY_CONN"],
        isolation_level="AUTOCOMMIT",
        pool_size=1,
        pool_pre_ping=True,
        # Milliseconds until a statement to a server that has disappeared ends.
        connect_args={"connect_timeout": 5, "tcp_user_timeout": 30_000},
    )
    counts = Counts()
    threading.Thread(target=serve(counts).serve_forever, daemon=True).start()
    problem = ""
    while True:
        try:
            with engine.connect() as connection:
                rows = connection.exec_driver_sql(TASKS).all()
            counts.set(look(rows, groups, os.environ["AIRDOCK_SELECTOR"]))
            now = ""
        except (sqlalchemy.exc.SQLAlchemyError, OSError, http.client.HTTPException, ValueError) as error:
            counts.set(None)
            now = said(error)
        if now != problem:
            print(f"The tasks cannot be counted: {now}" if now else "The tasks are counted.", flush=True)
            problem = now
        time.sleep(PAUSE)


if __name__ == "__main__":
    main()
