"""One container of the cluster backend: its pod from `start` on, and what is known of it."""

from __future__ import annotations

import hashlib
import threading
import time
from dataclasses import dataclass, field, replace
from datetime import datetime, timezone
from typing import Any, Protocol

from . import description, references
from .backend import Result
from .cluster_api import Object
from .cluster_api import Stream as LogStream
from .cluster_judgement import MAIN, Ended, Trouble
from .cluster_users import Way
from .events import Events
from .health import Metrics, log
from .labels import DAG, TASK
from .listing import Entry
from .model import Create

#: Bytes of an ended container's environment that are kept to be shown.
_KEPT_ENVIRONMENT = 4096
#: What stands for the exit code of a container that did not end by itself.
_NO_CODE = 255


class Input(Protocol):
    """What sends a client's input."""

    def wake(self) -> None:
        """Let it look at its container."""


@dataclass
class Container:
    """`changed` guards all that changes."""

    id: str
    request: Create
    pod_name: str
    grace: int = 10
    manifest: Object = field(default_factory=dict)  # empty once it is of no use any more
    size: int = 0  # of the manifest, in bytes as JSON
    way: Way = Way.AUTHOR
    fresh: bool = False  # the node pulls the image even if it has one of its name
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
    delayed: Trouble | None = None  # why its pod cannot be created yet, from `start` on
    waits_for: str = ""  # the value below tasks.timeouts that limits what it waits for now
    waits_since: float = 0.0
    waiting: list[str] = field(default_factory=list)  # what it has waited for, as lines of its log
    trouble: str = ""  # why it cannot be created, in the words of its node, if so
    # Its pods before this one, by uid: their node could not run them with their user.
    replaced: list[str] = field(default_factory=list)
    tried: set[Way] = field(default_factory=set)
    replacing: bool = False  # the last of them is deleted, and the next one is not created yet
    replaced_at: float = 0.0
    rejected: str = ""  # why, in the words of its node
    never_runs: bool = False  # its node does not try again
    vacated: bool = False  # it is deleted
    fate: str = ""  # why this gateway deletes the pod, if it does
    end_due: float = 0.0  # monotonic time at which the pod is deleted again, if it is still there
    end_error: str = ""  # why it could not be deleted, if so
    removed: bool = False
    attached: int = 0
    memory_limit: str = ""  # known from the end on
    notes: list[str] = field(default_factory=list)  # what was ignored, for the log
    result: Result | None = None  # the file that the task retrieves, until somebody takes it
    output_lost: str = ""
    #: Clients that read the log, and do not end the container by leaving.
    readers: int = 0
    logs: set[LogStream] = field(default_factory=set)
    #: Clients that send input, until what became of it is known.
    inputs: set[Input] = field(default_factory=set)
    input_lost: str = ""
    terminal: tuple[int, int] | None = None  # rows and columns
    events: Events = field(default_factory=Events)

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
        self.manifest = {}
        if sum(map(len, self.request.env)) > _KEPT_ENVIRONMENT:
            self.request = replace(self.request, env=())
        self.changed.notify_all()
        self.wake_inputs()
        self.tell("die", exitCode=str(_NO_CODE if ended.code is None else ended.code))
        outcome = "infrastructure" if ended.code is None else "failure" if ended.code else "success"
        metrics.ended(outcome, self.request.labels.get(DAG))
        if self.running:
            metrics.phase_seconds("run", self.ended_at - self.running)
        log("container-ended", exit_code=ended.code, error=ended.message or None,
            seconds=round(self.ended_at - self.begun, 3), **self.names())  # fmt: skip

    def tell(self, action: str, **more: str) -> None:
        """Add an event."""
        name, request = self.shown_name, self.request
        self.events.add(action, self.id, name, request.image, request.labels, **more)

    def never_ran(self, why: str) -> None:
        """Take note that there will be no container. Called with `changed` held."""
        self.ended = self.ended or Ended(None, why)
        self.ended_at = self.ended_at or time.monotonic()
        self.changed.notify_all()
        self.wake_inputs()

    def wake_inputs(self) -> None:
        """Let those who send input look at it. Called with `changed` held."""
        for each in self.inputs:
            each.wake()

    def take_result(self) -> Result | None:
        """Give the file that the task retrieves once."""
        with self.changed:
            result, self.result = self.result, None
        return result

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

    @property
    def shown_name(self) -> str:
        """The name that lists show: the pod's, if the client gave none."""
        return self.name or self.pod_name

    @property
    def image_id(self) -> str:
        """A stable number for the image's name; its id is known to the node alone."""
        return image_id(self.request.image)

    def entry(self) -> Entry:
        """Describe it for lists."""
        with self.changed:
            ended, ended_at = self.ended, self.ended_at
        state = "exited" if ended else "running" if self.started else "created"
        now, request = time.time() - time.monotonic(), self.request
        command = (*(request.entrypoint or ()), *(request.cmd or ()))
        code = (_NO_CODE if ended.code is None else ended.code) if ended else None
        return Entry(
            self.id, self.shown_name, request.image, self.image_id, command, self.created, state, code,
            now + self.begun, now + ended_at, request.labels, request.host.network_mode or "default",
        )  # fmt: skip

    def describe(self) -> dict[str, Any]:
        """Give the answer to `inspect`, in Docker's words."""
        with self.changed:
            ended, running = self.ended, self.started and not self.ended
            state, status = main_status(self.pod), (self.pod or {}).get("status") or {}
        terminated, request = state.get("terminated") or {}, self.request
        begun = terminated.get("startedAt") or (state.get("running") or {}).get("startedAt")
        command = (*(request.entrypoint or ()), *(request.cmd or ()))
        address = status.get("podIP", "")
        mode = request.host.network_mode or "default"
        return {
            "Id": self.id,
            "Name": "/" + self.shown_name,
            "Created": datetime.fromtimestamp(self.created, timezone.utc).strftime("%Y-%m-%dT%H:%M:%S.%fZ"),
            "Image": self.image_id,
            "Path": command[0] if command else "",
            "Args": list(command[1:]),
            "State": {
                "Status": "running" if running else "exited" if ended else "created",
                "Running": running,
                "Paused": False,
                "Restarting": False,
                "OOMKilled": terminated.get("reason") == "OOMKilled",
                "Dead": False,
                "Pid": 0,
                "ExitCode": 0 if ended is None else ended.code if ended.code is not None else _NO_CODE,
                "Error": ended.message if ended and ended.code is None else "",
                "StartedAt": begun or "0001-01-01T00:00:00Z",
                "FinishedAt": terminated.get("finishedAt") or "0001-01-01T00:00:00Z",
            },
            "Config": description.config(request),
            "HostConfig": description.host_config(request.host),
            "NetworkSettings": {
                "Networks": {mode: {"IPAddress": address}} if address else {},
                "Ports": {},
                "IPAddress": address,
            },
            "Mounts": [],
            "RestartCount": 0,
            "Driver": "",
            "Platform": "linux",
        }


def image_id(image: str) -> str:
    """Give a number that looks like an image's id and stands for its name."""
    return "sha256:" + hashlib.sha256(references.full(image).encode()).hexdigest()


def main_status(pod: Object | None) -> Object:
    """Give the state of a pod's main container, empty if there is none yet."""
    for status in ((pod or {}).get("status") or {}).get("containerStatuses") or []:
        if status.get("name") == MAIN:
            state: Object = status.get("state") or {}
            return state
    return {}
