"""Say of a container of the worker's own Docker daemon that it was killed for its memory, and what to do.

In mode dind no Docker gateway is between a task and its daemon, so the task's process asks the daemon. The
cluster policy (airflow_local_settings.py) calls `explain_kills`. Environment: AIRDOCK_DIND_MEMORY, what all
containers of the daemon may use together (bytes, may be missing); AIRDOCK_DIND_MEMORY_KEY, the value for it.
"""

from __future__ import annotations

import logging
import os
import time
from collections.abc import Mapping
from typing import Any

_log = logging.getLogger(__name__)
#: dockerd learns of the kill from another source than of the end: it may be later.
LATE_SECONDS = 1.0
#: Of a process that SIGKILL ended.
KILLED = 137


def explain_kills() -> None:
    """Have `wait` of docker-py's client log the reason, and add it to its answer as the Docker gateway does.

    DockerOperator's exception shows the answer. The process runs one task.
    """
    from docker import APIClient

    plain = APIClient.wait
    if hasattr(plain, "airdock"):
        return

    def wait(self: Any, container: Any, *arguments: Any, **options: Any) -> Any:
        answer = plain(self, container, *arguments, **options)
        if reason := _reason(self, container, answer):
            _log.error("%s", reason)
            answer["Reason"] = reason
        return answer

    wait.airdock = True  # type: ignore[attr-defined]
    APIClient.wait = wait


def _reason(client: Any, container: Any, answer: Any) -> str:
    """Say why the container was killed; empty if it was not, or if the daemon does not know it any more."""
    code = answer.get("StatusCode") if isinstance(answer, dict) else 0
    if not code:
        return ""
    from docker.errors import DockerException
    from requests.exceptions import RequestException

    deadline = time.monotonic() + (LATE_SECONDS if code == KILLED else 0)
    try:
        found = client.inspect_container(container)
        while not found["State"].get("OOMKilled") and time.monotonic() < deadline:
            time.sleep(0.2)
            found = client.inspect_container(container)
    except (DockerException, RequestException):
        return ""
    limit = (found.get("HostConfig") or {}).get("Memory") or 0
    # On cgroup v1, a kill for a limit above them is reported for all containers, also those that go on.
    if not found["State"].get("OOMKilled") or not (limit or code == KILLED):
        return ""
    return explained(limit, os.environ)


def explained(limit: int, environment: Mapping[str, str]) -> str:
    """Give the sentence. `limit` is the container's own in bytes, 0 if it has none."""
    key, together = environment["AIRDOCK_DIND_MEMORY_KEY"], int(environment.get("AIRDOCK_DIND_MEMORY") or 0)
    of_all = f" of {_size(together)}" if together else ""
    if limit and (not together or limit < together):
        return (
            f"The container used more memory than its limit of {_size(limit)} and was killed. Raise mem_limit"
            f" of the task. All containers of the worker together have a limit{of_all} ({key})."
        )
    return (
        "The container was killed because all containers of the worker together used more memory than their"
        f" limit{of_all}. Set mem_limit of the tasks below it, or ask the administrator to raise {key}."
    )


def _size(bytes_: int) -> str:
    """Give a number of bytes as a quantity that people read, as the Docker gateway does."""
    for unit, factor in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if bytes_ >= factor and bytes_ % factor == 0:
            return f"{bytes_ // factor}{unit}"
    return str(bytes_)
