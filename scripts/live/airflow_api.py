"""A client for the part of Airflow's public REST API (v2) that `make up` and the tests use.

The API server is reached by `kubectl port-forward`, started again whenever its pod goes away.
"""

from __future__ import annotations

import re
import select
import subprocess
import time
from collections.abc import Callable, Collection, Sequence
from dataclasses import dataclass
from datetime import datetime
from types import TracebackType
from typing import Any
from urllib.parse import quote

import requests

#: States that a task instance or a run does not leave by itself.
FINISHED = frozenset({"success", "failed", "skipped", "upstream_failed", "removed"})


class ApiError(Exception):
    """The API server refused or could not be reached; the message is one sentence."""


class PortForward:
    """A local port that leads to a Service, through `kubectl port-forward`.

    Args:
        kubectl: the command and its options that choose the cluster, such as ["kubectl", "--context", "x"].
        namespace: where the target is.
        target: such as "svc/airdock-api-server".
        port: of the target.
    """

    def __init__(self, kubectl: Sequence[str], namespace: str, target: str, port: int):
        self._command = [*kubectl, "-n", namespace, "port-forward", "--address=127.0.0.1", target, f":{port}"]
        self._process: subprocess.Popen[str] | None = None
        self._url = ""

    def url(self) -> str:
        """Give `http://127.0.0.1:<port>`, starting or restarting kubectl as needed; 30 s at most."""
        deadline = time.monotonic() + 30
        while self._process is None or self._process.poll() is not None:
            self.close()
            self._start()
            if self._process is None and time.monotonic() > deadline:
                raise ApiError(f"`{' '.join(self._command)}` does not come up: {self._url}.")
        return self._url

    def _start(self) -> None:
        process = subprocess.Popen(
            self._command,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
        )
        assert process.stdout is not None
        ready = select.select([process.stdout], [], [], 10)[0]
        line = process.stdout.readline() if ready else "no answer in 10 s"
        match = re.search(r"127\.0\.0\.1:(\d+)", line)
        if match:
            self._process, self._url = process, f"http://127.0.0.1:{match[1]}"
            return
        process.kill()
        process.wait()
        self._url = line.strip()  # the reason, for the error
        time.sleep(1)

    def close(self) -> None:
        """Stop kubectl; `url` starts it again."""
        if self._process is not None:
            self._process.kill()
            self._process.communicate()
            self._process = None

    def __enter__(self) -> PortForward:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def _time(value: str | None) -> datetime | None:
    return datetime.fromisoformat(value) if value else None


@dataclass(frozen=True)
class TaskInstance:
    """One task of one run; `map_index` is -1 unless the task is mapped."""

    dag_id: str
    run_id: str
    task_id: str
    map_index: int
    state: str | None
    queue: str | None
    hostname: str | None
    try_number: int
    queued: datetime | None
    started: datetime | None
    ended: datetime | None

    @property
    def name(self) -> str:
        """`task_id`, or `task_id[2]` for an instance of a mapped task."""
        return self.task_id if self.map_index < 0 else f"{self.task_id}[{self.map_index}]"

    @property
    def seconds(self) -> float | None:
        """Seconds from queued to done; None for a task that no worker ran."""
        # A deferred task is queued a second time: its first start is the earlier mark.
        begun = [moment for moment in (self.queued, self.started) if moment]
        if self.queued is None or self.ended is None:
            return None
        return (self.ended - min(begun)).total_seconds()

    @classmethod
    def of(cls, body: dict[str, Any]) -> TaskInstance:
        """Read an element of the API's answer."""
        return cls(
            dag_id=body["dag_id"],
            run_id=body["dag_run_id"],
            task_id=body["task_id"],
            map_index=body["map_index"],
            state=body["state"],
            queue=body["queue"],
            hostname=body["hostname"],
            try_number=body["try_number"],
            queued=_time(body["queued_when"]),
            started=_time(body["start_date"]),
            ended=_time(body["end_date"]),
        )


class Airflow:
    """The API of one Airflow, as one user.

    Args:
        url: gives the base URL for each request; it may change when the way there is made anew.
        username: of SimpleAuthManager or FAB.
        password: of that user.
        patience: seconds for which a request is tried again while the API server cannot be reached.
    """

    def __init__(self, url: Callable[[], str], username: str, password: str, patience: float = 60):
        self._url = url
        self._user = {"username": username, "password": password}
        self._session = requests.Session()
        self.patience = patience

    def call(self, method: str, path: str, **arguments: Any) -> Any:
        """Send one request below /api/v2 and give the decoded body.

        Raises:
            ApiError: an answer of 400 or above, or no answer within `patience`.
        """
        deadline = time.monotonic() + self.patience
        while True:
            try:
                if "Authorization" not in self._session.headers:
                    self._log_in()
                answer = self._session.request(method, f"{self._url()}/api/v2{path}", timeout=60, **arguments)
            except requests.RequestException as error:
                if time.monotonic() > deadline:
                    raise ApiError(f"{method} {path}: {error}") from error
                time.sleep(1)
                continue
            # The token ended, or the secret that signed it was replaced.
            stale = answer.status_code == 401 or "Invalid JWT token" in answer.text
            if stale and answer.status_code in (401, 403) and time.monotonic() < deadline:
                del self._session.headers["Authorization"]
                time.sleep(0.5)
                continue
            if answer.status_code >= 400:
                raise ApiError(f"{method} {path}: HTTP {answer.status_code}: {answer.text[:500]}")
            return answer.json() if answer.content else None

    def _log_in(self) -> None:
        answer = self._session.post(f"{self._url()}/auth/token", json=self._user, timeout=30)
        if answer.status_code >= 500:
            raise requests.ConnectionError(f"HTTP {answer.status_code} at login")
        if answer.status_code >= 400:
            raise ApiError(f"The login of {self._user['username']} was refused: {answer.text[:300]}")
        self._session.headers["Authorization"] = f"Bearer {answer.json()['access_token']}"

    def all(self, path: str, key: str, **params: Any) -> list[dict[str, Any]]:
        """Give all entries of a list that the API answers page by page."""
        found: list[dict[str, Any]] = []
        while True:
            page = self.call("GET", path, params={"limit": 100, "offset": len(found), **params})
            found += page[key]
            if len(found) >= page["total_entries"] or not page[key]:
                return found

    def dags(self) -> dict[str, dict[str, Any]]:
        """Give the DAGs that files define now, by id."""
        return {dag["dag_id"]: dag for dag in self.all("/dags", "dags")}

    def import_errors(self) -> dict[str, str]:
        """Give the stack trace of each DAG file that does not parse."""
        return {
            error["filename"]: error["stack_trace"] for error in self.all("/importErrors", "import_errors")
        }

    def wait_for_dags(
        self, wanted: Collection[str], seconds: float = 120, *, broken: Collection[str] = ()
    ) -> None:
        """Wait until all these DAGs are parsed. `broken` names files that are known not to parse.

        Raises:
            ApiError: naming the missing ones and the files that do not parse.
        """
        deadline = time.monotonic() + seconds
        while missing := sorted(set(wanted) - self.dags().keys()):
            errors = {
                file: trace
                for file, trace in self.import_errors().items()
                if file.rpartition("/")[2] not in broken
            }
            if errors or time.monotonic() > deadline:
                raise ApiError(
                    f"After {seconds:.0f} s these DAGs are missing: {', '.join(missing)}. "
                    + "".join(f"{name} does not parse: {trace}" for name, trace in errors.items())
                )
            time.sleep(1)

    def unpause(self, dag_id: str) -> None:
        """Let the scheduler run the DAG."""
        self.call("PATCH", f"/dags/{quote(dag_id)}", json={"is_paused": False})

    def trigger(self, dag_id: str, conf: dict[str, Any] | None = None) -> str:
        """Start a run and give its id."""
        body = {"logical_date": None, "conf": conf or {}}
        run_id: str = self.call("POST", f"/dags/{quote(dag_id)}/dagRuns", json=body)["dag_run_id"]
        return run_id

    def state(self, dag_id: str, run_id: str) -> str:
        """Give a run's state, such as "running"."""
        state: str = self.call("GET", f"{_run(dag_id, run_id)}")["state"]
        return state

    def wait(self, dag_id: str, run_id: str, seconds: float = 300) -> str:
        """Wait until a run is over and give its state.

        Raises:
            ApiError: with the state of each task, when it is not.
        """
        deadline = time.monotonic() + seconds
        while (state := self.state(dag_id, run_id)) not in FINISHED:
            if time.monotonic() > deadline:
                tasks = ", ".join(f"{task.name} {task.state}" for task in self.tasks(dag_id, run_id))
                raise ApiError(f"{dag_id} is {state} after {seconds:.0f} s: {tasks}")
            time.sleep(1)
        return state

    def tasks(self, dag_id: str, run_id: str) -> list[TaskInstance]:
        """Give the task instances of a run, in the order in which they ran."""
        bodies = self.all(f"{_run(dag_id, run_id)}/taskInstances", "task_instances")
        found = [TaskInstance.of(body) for body in bodies]
        return sorted(found, key=lambda task: (task.ended is None, str(task.ended), task.name))

    def log(self, task: TaskInstance, try_number: int | None = None) -> str:
        """Give the whole log of a try (default: the last one), one event or exception in each line."""
        number = try_number or task.try_number
        path = f"{_run(task.dag_id, task.run_id)}/taskInstances/{quote(task.task_id)}/logs/{number}"
        params = {"full_content": "true", "map_index": task.map_index}
        content = self.call("GET", path, params=params, headers={"Accept": "application/json"})["content"]
        return "\n".join(line if isinstance(line, str) else _text(line) for line in content)

    def xcom(self, task: TaskInstance, key: str = "return_value") -> Any:
        """Give a task's XCom, decoded."""
        path = f"{_run(task.dag_id, task.run_id)}/taskInstances/{quote(task.task_id)}/xcomEntries/{key}"
        params = {"map_index": task.map_index, "deserialize": "false", "stringify": "false"}
        return self.call("GET", path, params=params)["value"]


def _text(event: dict[str, Any]) -> str:
    """Give an event of a log as the UI shows it, without the stack."""
    errors = event.get("error_detail") or []
    return "\n".join(
        [str(event.get("event", "")), *(f"{error['exc_type']}: {error['exc_value']}" for error in errors)]
    )


def _run(dag_id: str, run_id: str) -> str:
    return f"/dags/{quote(dag_id)}/dagRuns/{quote(run_id, safe='')}"
