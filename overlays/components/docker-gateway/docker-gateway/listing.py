"""Lists of containers: what a backend knows of its own ones, selected and written as the daemon does it.

A list begins with a backend's own records. What an author asks for only takes away from them.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from . import references
from .backend import ApiError, ListOptions

#: The filters that are served.
FILTERS = ("ancestor", "before", "exited", "id", "label", "name", "network", "since", "status")
STATES = ("created", "restarting", "running", "removing", "paused", "exited", "dead")
#: A name as a filter: the beginning and the end may be fixed. More of a pattern could take any time.
_NAME = re.compile(r"(\^?)/?([a-zA-Z0-9_.-]*)(\$?)\Z")
_UNITS = ((31_536_000, "years"), (2_592_000, "months"), (604_800, "weeks"), (86_400, "days"), (3600, "hours"))


@dataclass(frozen=True)
class Entry:
    """A container. Times in seconds since 1970, 0 for never; `code` is its exit code once it has ended."""

    id: str
    name: str
    image: str
    image_id: str
    command: Sequence[str]
    created: float
    state: str
    code: int | None = None
    begun: float = 0.0
    ended: float = 0.0
    labels: Mapping[str, str] = field(default_factory=dict)
    network: str = "default"
    #: As the daemon tells it; ours if empty.
    status: str = ""
    mounts: Sequence[Mapping[str, Any]] = ()

    def to_json(self) -> dict[str, Any]:
        """Write it as `GET /containers/json` does."""
        return {
            "Id": self.id,
            "Names": [f"/{self.name}"],
            "Image": self.image,
            "ImageID": self.image_id,
            "Command": " ".join(self.command),
            "Created": int(self.created),
            "Ports": [],
            "Labels": dict(self.labels),
            "State": self.state,
            "Status": self.status or self._status(),
            "HostConfig": {"NetworkMode": self.network},
            "NetworkSettings": {"Networks": {}},
            "Mounts": list(self.mounts),
        }

    def _status(self) -> str:
        now = time.time()
        if self.state == "running":
            return f"Up {duration(now - self.begun)}"
        if self.state == "exited":
            code = "" if self.code is None else f" ({self.code})"
            return f"Exited{code} {duration(now - self.ended)} ago"
        return self.state.capitalize()


def select(entries: Iterable[Entry], options: ListOptions) -> list[dict[str, Any]]:
    """Give the entries that are asked for, the newest first. Raises ApiError."""
    known = sorted(entries, key=lambda entry: entry.created, reverse=True)
    found = [entry for entry in known if options.every or entry.state in ("running", "paused", "restarting")]
    for name, values in options.filters.items():
        if values:
            found = [entry for entry in found if _holds(entry, name, values, known)]
    return [entry.to_json() for entry in found[: options.limit or None]]


def info(entries: Iterable[Entry], images: int, **more: Any) -> dict[str, Any]:
    """Write the answer to `GET /info`, of these containers alone; `more` are further fields."""
    states = [entry.state for entry in entries]
    return {
        # Clients look for it; a true one would tell about the worker's pod.
        "ID": "airdock",
        "Containers": len(states),
        "ContainersRunning": states.count("running"),
        "ContainersPaused": states.count("paused"),
        "ContainersStopped": len(states) - states.count("running") - states.count("paused"),
        "Images": images,
        "OSType": "linux",
        "OperatingSystem": "Airdock Docker gateway",
        "Name": "airdock",
        "LoggingDriver": "json-file",
        "Debug": False,
        "ExperimentalBuild": False,
        "Driver": "",
        "Plugins": {},
        "RegistryConfig": {},
        "Warnings": [],
        "Swarm": {"LocalNodeState": "inactive"},
        **more,
    }


def _holds(entry: Entry, name: str, values: Sequence[str], known: Sequence[Entry]) -> bool:
    if name == "label":
        return has_labels(entry.labels, values)
    if name in ("before", "since"):
        times = [_find(known, value).created for value in values]
        return entry.created < min(times) if name == "before" else entry.created > max(times)
    return any(_is(entry, name, value) for value in values)


def _is(entry: Entry, name: str, value: str) -> bool:
    if name == "id":
        return entry.id.startswith(value)
    if name == "name":
        return name_like(entry.name, value)
    if name == "status":
        if value not in STATES:
            raise ApiError(400, f"invalid filter 'status={value[:40]}'", "body")
        return entry.state == value
    if name == "exited":
        if not re.fullmatch(r"-?[0-9]{1,9}", value):
            raise ApiError(400, f"invalid filter 'exited={value[:40]}'", "body")
        return entry.state == "exited" and entry.code == int(value)
    if name == "network":
        return entry.network == value
    return same_image(entry.image, entry.image_id, value)


def has_labels(labels: Mapping[str, str], wanted: Iterable[str]) -> bool:
    """Tell whether all of `wanted` hold, each a name or name=value."""
    for each in wanted:
        key, equals, value = each.partition("=")
        if key not in labels or (equals and labels[key] != value):
            return False
    return True


def name_like(name: str, wanted: str) -> bool:
    """Tell whether a name holds a text, which `^` and `$` fix to its ends. Raises ApiError for more."""
    match = _NAME.match(wanted)
    if not match:
        raise ApiError(
            501, f"the filter name={wanted[:80]!r} is a pattern; only '^' and '$' are served here", "endpoint"
        )
    start, text, end = match[1], match[2], match[3]
    if start and end:
        return name == text
    return name.startswith(text) if start else name.endswith(text) if end else text in name


def same_image(image: str, image_id: str, wanted: str) -> bool:
    """Tell whether a text is the name of an image, or the beginning of its id."""
    if re.fullmatch(r"[0-9a-f]{12,64}", wanted.removeprefix("sha256:")):
        return image_id.removeprefix("sha256:").startswith(wanted.removeprefix("sha256:"))
    read = references.parse(wanted)
    return read is not None and references.parse(image) == read


def _find(known: Sequence[Entry], wanted: str) -> Entry:
    found = [entry for entry in known if wanted in (entry.id, entry.name)]
    found = found or [entry for entry in known if wanted and entry.id.startswith(wanted)]
    if len(found) != 1:
        raise ApiError(404, f"No such container: {wanted[:80]}", "not-found")
    return found[0]


def duration(seconds: float) -> str:
    """Write a time as the docker program shows it."""
    whole = max(int(seconds), 0)
    if whole < 1:
        return "Less than a second"
    if whole < 60:
        return f"{whole} second{'s' if whole > 1 else ''}"
    if whole < 7200:
        minutes = whole // 60
        return (
            "About a minute" if minutes == 1 else "About an hour" if minutes >= 60 else f"{minutes} minutes"
        )
    for size, unit in _UNITS:
        if whole >= 2 * size:
            return f"{whole // size} {unit}"
    raise AssertionError("two hours are hours")
