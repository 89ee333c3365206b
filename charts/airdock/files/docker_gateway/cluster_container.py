"""One container of the cluster backend: its pod from `start` on, and what is known of it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any

from .cluster_api import Object
from .cluster_api import Stream as LogStream
from .cluster_judgement import MAIN, Ended
from .health import Metrics, log
from .labels import DAG, TASK
from .model import Create


@dataclass
class Container:
    """`changed` guards all that changes."""

    id: str
    request: Create
    pod_name: str
    grace: int = 10
    manifest: Object = field(default_factory=dict)  # empty once it is of no use any more
    retrieve: str = ""
    xcom_all: bool = False
    created: float = field(default_factory=time.time)
    changed: threading.Condition = field(default_factory=threading.Condition)
    pod: Object | None = None
    uid: str = ""
    begun: float = 0.0  # monotonic time of `start`
    running: float = 0.0  # monotonic time at which the container was first seen to run
    ended: Ended | None = None
    ended_at: float = 0.0
    gone: bool = False  # the pod is deleted
    deleted_at: float = 0.0
    trouble_since: float = 0.0
    fate: str = ""  # why this gateway deletes the pod, if it does
    end_due: float = 0.0  # monotonic time at which the pod is deleted again, if it is still there
    end_error: str = ""  # why it could not be deleted, if so
    removed: bool = False
    attached: int = 0
    memory_limit: str = ""  # known from the end on
    output_lost: str = ""
    log: LogStream | None = None

    @property
    def name(self) -> str:
        """The name that the client gave; may be empty."""
        return self.request.name

    @property
    def started(self) -> bool:
        """Tell whether `start` was called."""
        return self.begun > 0

    @property
    def has_output(self) -> bool:
        """Tell whether there is a log to read."""
        status = main_status(self.pod)
        return bool(status.get("running") or status.get("terminated"))

    @property
    def state(self) -> str:
        """The state that the metrics count."""
        if self.ended:
            return "exited"
        return "running" if self.running else "pending" if self.started else "created"

    def end(self, ended: Ended | None, metrics: Metrics) -> None:
        """Take note of an end, once. Called with `changed` held."""
        if ended is None or self.ended is not None:
            return
        self.ended, self.ended_at = ended, time.monotonic()
        for main in self.manifest.get("spec", {}).get("containers", ()):
            self.memory_limit = main["resources"]["limits"].get("memory", "")
        # What only the start needed: the environment may be large.
        self.manifest, self.request = {}, replace(self.request, env=())
        self.changed.notify_all()
        metrics.ended("infrastructure" if ended.code is None else "success" if ended.code == 0 else "failure")
        log("container-ended", exit_code=ended.code, error=ended.message or None,
            seconds=round(self.ended_at - self.begun, 3), **self.names())  # fmt: skip

    def never_ran(self, why: str) -> None:
        """Take note that there will be no container. Called with `changed` held."""
        self.ended = self.ended or Ended(None, why)
        self.ended_at = self.ended_at or time.monotonic()
        self.changed.notify_all()

    def lost_output(self, why: str) -> None:
        """Take note that not all of the output could be read."""
        with self.changed:
            self.output_lost = f"the container ended, but part of its output could not be read: {why}"

    def names(self) -> dict[str, Any]:
        """Give what a line of the log says about it."""
        labels = self.request.labels
        return {
            "container": self.id[:12],
            "pod": self.pod_name,
            "dag": labels.get(DAG),
            "task": labels.get(TASK),
        }

    def describe(self) -> dict[str, Any]:
        """Give the answer to `inspect`, in Docker's words."""
        with self.changed:
            ended, running = self.ended, self.started and not self.ended
            terminated = main_status(self.pod).get("terminated") or {}
        request = self.request
        command = request.entrypoint or request.cmd or ("",)
        return {
            "Id": self.id,
            "Name": "/" + (self.name or self.pod_name),
            "Created": datetime.fromtimestamp(self.created, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "Image": request.image,
            "Path": command[0],
            "Args": list(request.cmd or ()),
            "State": {
                "Status": "running" if running else "exited" if ended else "created",
                "Running": running,
                "Paused": False,
                "Restarting": False,
                "OOMKilled": terminated.get("reason") == "OOMKilled",
                "Dead": False,
                "Pid": 0,
                "ExitCode": 0 if ended is None else ended.code if ended.code is not None else 255,
                "Error": ended.message if ended and ended.code is None else "",
                "StartedAt": terminated.get("startedAt") or "0001-01-01T00:00:00Z",
                "FinishedAt": terminated.get("finishedAt") or "0001-01-01T00:00:00Z",
            },
            "Config": {
                "Image": request.image,
                "Tty": request.tty,
                "OpenStdin": False,
                "Cmd": list(request.cmd or ()),
                "Env": [],
                "Labels": dict(request.labels),
                "User": request.user,
                "WorkingDir": request.working_dir,
                "Hostname": request.hostname,
            },
            "HostConfig": {
                "NetworkMode": request.host.network_mode or "default",
                "AutoRemove": request.host.auto_remove,
            },
            "NetworkSettings": {"Networks": {}, "Ports": {}},
            "Mounts": [],
            "RestartCount": 0,
        }


def main_status(pod: Object | None) -> Object:
    """Give the state of a pod's main container, empty if there is none yet."""
    for status in ((pod or {}).get("status") or {}).get("containerStatuses") or []:
        if status.get("name") == MAIN:
            state: Object = status.get("state") or {}
            return state
    return {}
