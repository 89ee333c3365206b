"""`helm test`: starts the test DAGs through Airflow's API, waits, and says in a sentence what is wrong.

Standard library only. Environment: AIRDOCK_URL, AIRDOCK_USERNAME, AIRDOCK_PASSWORD, AIRDOCK_SECONDS.
"""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Any
from urllib.parse import quote

TESTS: dict[str, Any] = json.loads(Path(__file__).with_name("tests.json").read_text())
FINISHED = ("success", "failed", "skipped", "upstream_failed", "removed")
#: A sentence of a log longer than this says it in its beginning.
LONGEST = 600


class Problem(Exception):
    """What is wrong, in one sentence."""


class Api:
    """Airflow's public API, as one user."""

    def __init__(self, url: str, deadline: float):
        self.url = url
        self.deadline = deadline
        self.token = ""

    def call(self, method: str, path: str, body: Any = None) -> Any:
        """Send a request and give the decoded answer; wait for an api-server that does not answer.

        Raises:
            urllib.error.HTTPError: an answer of 400 to 499.
            Problem: no answer before the deadline.
        """
        headers = {"Content-Type": "application/json", "Accept": "application/json"}
        if self.token:
            headers["Authorization"] = f"Bearer {self.token}"
        data = None if body is None else json.dumps(body).encode()
        while True:
            request = urllib.request.Request(f"{self.url}{path}", data, headers, method=method)
            try:
                with urllib.request.urlopen(request, timeout=30) as response:
                    return json.loads(response.read() or b"null")
            except urllib.error.HTTPError as error:
                if error.code < 500:
                    raise
                reason = f"HTTP {error.code}"
            except OSError as error:
                reason = str(getattr(error, "reason", error))
            if time.monotonic() > self.deadline:
                raise Problem(f"the api-server at {self.url} does not answer: {reason}")
            time.sleep(2)

    def log_in(self, username: str, password: str) -> None:
        """Get a token.

        Raises:
            Problem: Airflow rejects the user.
        """
        try:
            user = {"username": username, "password": password}
            self.token = self.call("POST", "/auth/token", user)["access_token"]
        except urllib.error.HTTPError as error:
            raise Problem(
                f"Airflow rejects the user {username} (HTTP {error.code}): the Secret has another password "
                "than Airflow. Name the Secret of a user in tests.existingSecret"
            ) from error


class Test:
    """A run of one DAG."""

    def __init__(self, api: Api, test: dict[str, Any]):
        self.api = api
        self.who: str = test["who"]
        self.queue: str = test["queue"]
        self.dag_id: str = test["dag"]
        self.dag = f"/api/v2/dags/{quote(self.dag_id)}"
        self.run = ""

    def start(self) -> bool:
        """Start the run; whether the dag-processor has the DAG already."""
        try:
            # Somebody may have paused it.
            self.api.call("PATCH", self.dag, {"is_paused": False})
            run = self.api.call("POST", f"{self.dag}/dagRuns", {"logical_date": None})
        except urllib.error.HTTPError as error:
            if error.code == 404:
                return False
            raise Problem(f"the DAG {self.dag_id} cannot be started: {_detail(error)}") from error
        self.run = f"{self.dag}/dagRuns/{quote(run['dag_run_id'], safe='')}"
        return True

    @property
    def tasks(self) -> list[dict[str, Any]]:
        """The task instances of the run."""
        found: list[dict[str, Any]] = self.api.call("GET", f"{self.run}/taskInstances")["task_instances"]
        return found

    @property
    def over(self) -> bool:
        """Whether the scheduler has ended the run."""
        state: str = self.api.call("GET", self.run)["state"]
        return state in FINISHED

    def problem(self, tasks: list[dict[str, Any]]) -> str:
        """What is wrong with the first task that has not succeeded, or nothing."""
        if not tasks:
            return f"{self.who}: the scheduler has not begun the DAG {self.dag_id} within {_seconds()} s"
        for task in tasks:
            name, state = task["task_id"], task["state"]
            if state == "success":
                continue
            if state in FINISHED:
                return f"{self.who}: the task {name} {state}: {self.last_error(task)}"
            if state == "running":
                return f"{self.who}: the task {name} still runs after {_seconds()} s: {self.last_error(task)}"
            queue = task["queue"] or self.queue
            return (
                f"{self.who}: no worker took the task {name} from the queue {queue} within {_seconds()} s. A "
                "worker takes none if it has not started, and while its Docker daemon does not answer: "
                "`kubectl describe pod` and the logs of its containers say why"
            )
        return ""

    def last_error(self, task: dict[str, Any]) -> str:
        """The last error in the log of a task, or its last line."""
        path = (
            f"{self.run}/taskInstances/{task['task_id']}/logs/{max(task['try_number'], 1)}?full_content=true"
        )
        try:
            events = self.api.call("GET", path)["content"]
        except urllib.error.HTTPError as error:
            return f"its log cannot be read: {_detail(error)}"
        found = [event if isinstance(event, dict) else {"event": str(event)} for event in events]
        # What this chart adds to the log names the value to change.
        own = [event for event in found if str(event.get("logger", "")).startswith("airdock")]
        ours = [event for event in own if event.get("level") == "error"]
        remarks = [event for event in found if str(event.get("event", "")).startswith("[airdock]")]
        errors = [
            {"event": str(detail.get("exc_value") or detail.get("exc_type"))}
            for event in found
            for detail in event.get("error_detail") or []
        ]
        said = ours[-1:] or remarks[-1:] + errors[:1] or found[-1:]
        return " ".join(" ".join(str(event.get("event")) for event in said).split())[:LONGEST]

    def end(self, failed: bool) -> None:
        """Leave nothing of a run that succeeded, and nothing running of another."""
        if not self.over:
            self.api.call("PATCH", self.run, {"state": "failed"})
        elif not failed:
            self.api.call("DELETE", self.run)


def _detail(error: urllib.error.HTTPError) -> str:
    return f"HTTP {error.code} {error.read(500).decode(errors='replace')}"


def _seconds() -> int:
    return int(os.environ["AIRDOCK_SECONDS"])


def start_all(api: Api, tests: list[Test]) -> None:
    """Start each test when its DAG is there.

    Raises:
        Problem: a DAG has not appeared.
    """
    waiting = tests
    while waiting := [test for test in waiting if not test.start()]:
        if time.monotonic() > api.deadline:
            errors = api.call("GET", "/api/v2/importErrors?limit=100")["import_errors"]
            own = [
                error["stack_trace"].strip().splitlines()[-1]
                for error in errors
                if "airdock_tests" in str(error)
            ]
            why = own[0] if own else "`kubectl logs` of the dag-processor says why"
            raise Problem(
                f"the dag-processor has not read the DAG {waiting[0].dag_id} within {_seconds()} s: {why}"
            )
        time.sleep(2)


def wait_for_all(api: Api, tests: list[Test]) -> list[str]:
    """Wait for the end of all runs, and give what is wrong."""
    problems = []
    while tests:
        late = time.monotonic() > api.deadline
        for test in list(tests):
            if late or test.over:
                tests.remove(test)
                tasks = test.tasks
                if problem := test.problem(tasks):
                    problems.append(problem)
                else:
                    times = ", ".join(f"{task['task_id']} {task['duration']:.1f} s" for task in tasks)
                    print(f"{test.who}: {times}", flush=True)
                test.end(bool(problem))
        time.sleep(1)
    return problems


def main() -> None:
    """Run all tests; exit with what is wrong."""
    api = Api(os.environ["AIRDOCK_URL"], time.monotonic() + _seconds())
    try:
        api.log_in(os.environ["AIRDOCK_USERNAME"], os.environ["AIRDOCK_PASSWORD"])
        tests = [Test(api, test) for test in TESTS["tests"]]
        start_all(api, tests)
        problems = wait_for_all(api, tests)
    except Problem as problem:
        problems = [str(problem)]
    except urllib.error.HTTPError as error:
        problems = [f"the api-server rejects {error.url}: {_detail(error)}"]
    if problems:
        sys.exit("\n".join(f"{problem.rstrip('.')}." for problem in problems))
    print("All worker groups run containers.")


if __name__ == "__main__":
    main()
