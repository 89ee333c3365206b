"""What stands behind the gateway's socket: the protocol that both backends implement, and their errors."""

from __future__ import annotations

import base64
import json
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol

from .model import Create


class ApiError(Exception):
    """An answer other than success: an HTTP status and one sentence, which the client gets as JSON.

    `reason` is a short word for the metrics: the field that was refused, or what failed. `dag` and `task` say
    whose request it was, where that is known.
    """

    dag: str | None = None
    task: str | None = None

    def __init__(self, status: int, message: str, reason: str = "error") -> None:
        super().__init__(message)
        self.status, self.message, self.reason = status, message, reason


class Refusal(ApiError):
    """The policy says no: names the field and the way out."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(403, f"{field}: {message}", field)


class Disconnect(Exception):
    """Close the connection without an answer.

    DockerOperator takes any error status on `archive` for "there is no result" and succeeds with None; only a
    broken connection makes the task fail.
    """


#: Filters of a list: names to values, any of which will do; of labels, all must hold.
Filters = Mapping[str, tuple[str, ...]]


@dataclass(frozen=True)
class AttachOptions:
    """The query of `attach`: `logs` asks for what was printed before, `stream` for what will be.

    `detach_keys` end the connection of a terminal; empty for the daemon's own.
    """

    logs: bool
    stream: bool
    stdin: bool = False
    stdout: bool = True
    stderr: bool = True
    detach_keys: str = ""


@dataclass(frozen=True)
class LogOptions:
    """The query of `logs`: times in nanoseconds since 1970, `tail` in lines, None for no limit."""

    stdout: bool = True
    stderr: bool = True
    follow: bool = False
    timestamps: bool = False
    tail: int | None = None
    since: int | None = None
    until: int | None = None


@dataclass(frozen=True)
class ListOptions:
    """Which containers to list: the `limit` newest ones, 0 for all; without `every`, only those that run."""

    every: bool = False
    limit: int = 0
    filters: Filters = field(default_factory=dict)


@dataclass(frozen=True)
class EventOptions:
    """Which events to give: times in nanoseconds since 1970, None for from now on, and for ever."""

    since: int | None = None
    until: int | None = None
    filters: Filters = field(default_factory=dict)


@dataclass(frozen=True)
class Exit:
    """The exit code of a container that ended by itself. `reason`: why, if its program did not choose it."""

    code: int
    reason: str = ""


@dataclass(frozen=True)
class Archive:
    """One file or directory of a container, as `archive` gives it: `tar` holds just that entry."""

    name: str
    size: int
    mode: int
    mtime: str
    tar: Iterable[bytes]

    def stat(self) -> str:
        """Give the X-Docker-Container-Path-Stat header."""
        fields = {key: getattr(self, key) for key in ("name", "size", "mode", "mtime")} | {"linkTarget": ""}
        return base64.b64encode(json.dumps(fields).encode()).decode()


@dataclass(frozen=True)
class Result:
    """An archive that can be read once; `close` ends where it comes from."""

    archive: Archive
    close: Callable[[], None]


class Stream(Protocol):
    """A client's connection after the switch to the raw protocol."""

    def write(self, data: bytes) -> None:
        """Send output of the container. Raises OSError when the client is gone."""

    def remark(self, remarks: Iterable[str], within_line: bool = False) -> None:
        """Send what the gateway itself says, one line each, as standard error.

        `within_line`: the last line of the output has no end yet.
        """

    def relay(self, data: bytes) -> None:
        """Send bytes that are frames already."""

    def flush(self) -> None:
        """Send what was held back to keep a character whole."""

    def read(self) -> bytes:
        """Give what the client has sent for the container's input, empty at its end. Raises OSError."""

    def fileno(self) -> int:
        """Give what to poll before `read`."""

    def close_input(self) -> None:
        """Let a `read` that waits return, in any thread."""

    def on_hangup(self, callback: Callable[[], None]) -> None:
        """Call once, from another thread, when the client closes both directions."""

    def hung_up(self) -> bool:
        """Tell whether the client has closed both directions."""


class Backend(Protocol):
    """All methods may raise ApiError; ids are those that `create` gave, or names, or unique prefixes."""

    def version(self) -> dict[str, Any]:
        """Answer `GET /version`."""

    def info(self) -> dict[str, Any]:
        """Answer `GET /info`, of this gateway's own containers."""

    def events(self, options: EventOptions, gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Answer `GET /events`, of this gateway's own containers."""

    def images(self, name: str) -> list[dict[str, Any]]:
        """Answer `GET /images/json` for one image name. Empty makes the client pull.

        Without a name, the images that this gateway's containers were created from.
        """

    def image(self, name: str) -> dict[str, Any]:
        """Answer `GET /images/{name}/json`."""

    def pull(self, image: str, registry_auth: str) -> Iterator[Mapping[str, Any]]:
        """Make the image fresh; yields progress messages."""

    def login(self, registry: str, body: Mapping[str, str]) -> None:
        """Accept or refuse credentials for a registry."""

    def create(self, request: Create) -> tuple[str, list[str]]:
        """Make a container; gives its id and warnings."""

    def attach(self, container: str, options: AttachOptions, upgrade: Callable[[bool], Stream]) -> None:
        """Send output until the container ends. `upgrade(tty)` answers 101 and gives the stream."""

    def start(self, container: str) -> bool:
        """Start; False if it was started before."""

    def wait(
        self, container: str, condition: str, gone: Callable[[], bool], begun: Callable[[], None]
    ) -> Exit:
        """Give the exit code once ended. An end that is not the container's own is an ApiError.

        `begun` is called once the end cannot be missed any more.
        """

    def list_containers(self, options: ListOptions) -> list[dict[str, Any]]:
        """Answer `GET /containers/json`, of this gateway's own containers."""

    def logs(self, container: str, options: LogOptions, begin: Callable[[bool], Stream]) -> None:
        """Send output that was printed. `begin(tty)` answers 200 and gives the stream."""

    def inspect(self, container: str) -> dict[str, Any]:
        """Answer `GET /containers/{id}/json`."""

    def stop(self, container: str, grace: int | None, gone: Callable[[], bool]) -> bool:
        """End it: SIGTERM, then SIGKILL after `grace` seconds; False if it had ended.

        Returns once it has ended.
        """

    def kill(self, container: str, signal: str) -> None:
        """Send it a signal, by its name without SIG."""

    def resize(self, container: str, height: int, width: int) -> None:
        """Set the size of its terminal in characters."""

    def remove(self, container: str, force: bool) -> None:
        """Forget it; `force` also when it runs."""

    def archive(self, container: str, path: str) -> Archive:
        """Give a file of the container.

        Raises Disconnect where an error status would be taken for "no file".
        """

    def ready(self) -> str:
        """Empty when it can serve, else what is missing."""

    def alive(self) -> str:
        """Empty unless only a restart can help, else why."""

    def close(self) -> None:
        """End what runs; the process is about to exit."""
