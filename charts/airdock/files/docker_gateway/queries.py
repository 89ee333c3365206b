"""Queries of requests as typed values. What is not known is an error that names it."""

from __future__ import annotations

import re
import signal
from collections.abc import Collection

from .backend import ApiError, AttachOptions, EventOptions, ListOptions, LogOptions
from .model import mapping, parse_json, string
from .wire import Request

_TIME = re.compile(r"([0-9]{1,11})(?:\.([0-9]{1,9}))?\Z")
#: As moby/term reads them.
_KEY = r"(?:ctrl-[a-z@\[\\\]^_]|[!-+\--~])"
_DETACH_KEYS = re.compile(rf"(?:{_KEY}(?:,{_KEY}){{0,15}})?\Z")
_NANOSECONDS = 1_000_000_000


def check_names(request: Request, known: Collection[str]) -> None:
    """Refuse a query with a name that is not known: it may ask for something that nobody looks at."""
    if unknown := request.query.keys() - set(known):
        raise ApiError(400, f"the query's {min(unknown)[:80]!r} is not known; remove it", "body")


def log_options(request: Request) -> LogOptions:
    """Read the query of `logs`."""
    check_names(request, ("stdout", "stderr", "follow", "timestamps", "tail", "since", "until", "details"))
    stdout, stderr = request.flag("stdout"), request.flag("stderr")
    if not (stdout or stderr):
        raise ApiError(400, "Bad parameters: you must choose at least one stream", "body")
    tail = request.query.get("tail", "") or "all"
    if tail != "all" and not re.fullmatch(r"-?[0-9]{1,9}", tail):
        raise ApiError(400, "the query's tail is not a number of lines", "body")
    lines = None if tail == "all" or int(tail) < 0 else int(tail)
    return LogOptions(
        stdout, stderr, request.flag("follow"), request.flag("timestamps"), lines,
        _time(request, "since"), _time(request, "until"),
    )  # fmt: skip


def attach_options(request: Request) -> AttachOptions:
    """Read the query of `attach`."""
    check_names(request, ("logs", "stream", "stdin", "stdout", "stderr", "detachKeys"))
    keys = request.query.get("detachKeys", "")
    if not _DETACH_KEYS.match(keys):
        raise ApiError(
            400, f"the query's detachKeys {keys[:40]!r} are not keys such as 'ctrl-p,ctrl-q' or 'a'", "body"
        )
    options = AttachOptions(
        request.flag("logs"), request.flag("stream"), request.flag("stdin"), request.flag("stdout"),
        request.flag("stderr"), keys,
    )  # fmt: skip
    if not (options.stdout or options.stderr or options.stdin):
        raise ApiError(400, "attach to at least one of stdin, stdout and stderr", "body")
    return options


def list_options(request: Request, known: Collection[str]) -> ListOptions:
    """Read the query of a list of containers; `known` are the filters that are served."""
    check_names(request, ("all", "limit", "size", "trunc_cmd", "since", "before", "filters"))
    limit = request.query.get("limit", "") or "0"
    if not re.fullmatch(r"-?[0-9]{1,9}", limit):
        raise ApiError(400, "the query's limit is not a number of containers", "body")
    found = dict(filters(request, known))
    for name in ("since", "before"):  # docker-py's, from before there were filters
        if value := request.query.get(name):
            found[name] = (value,)
    count = max(int(limit), 0)
    return ListOptions(request.flag("all") or count > 0 or "status" in found, count, found)


def event_options(request: Request, known: Collection[str]) -> EventOptions:
    """Read the query of `events`; `known` are the filters that are served."""
    check_names(request, ("since", "until", "filters"))
    # Of a log, 0 is no limit; of events, it asks for all that there were.
    since = 0 if request.query.get("since") == "0" else _time(request, "since")
    return EventOptions(since, _time(request, "until"), filters(request, known))


def filters(request: Request, known: Collection[str]) -> dict[str, tuple[str, ...]]:
    """Read `filters`: an object of lists, or of objects whose keys are the values."""
    found: dict[str, tuple[str, ...]] = {}
    for name, values in mapping(parse_json(request.query.get("filters", "{}").encode()), "filters").items():
        if name not in known:
            raise ApiError(
                501, f"the filter {name[:40]!r} is not served here; use one of {', '.join(sorted(known))}",
                "endpoint",
            )  # fmt: skip
        listed = mapping(values, f"filters.{name}") if isinstance(values, dict) else values
        if not isinstance(listed, list | dict):
            raise ApiError(400, f"the filter {name!r} must be a list", "body")
        found[name] = tuple(string(each, f"filters.{name}") for each in listed)
    return found


def seconds(request: Request, name: str) -> int | None:
    """Read a number of seconds, None for none; a negative one is 0."""
    text = request.query.get(name, "")
    if text and not re.fullmatch(r"-?[0-9]{1,6}", text):
        raise ApiError(400, f"the query's {name} is not a number of seconds", "body")
    return max(int(text), 0) if text else None


def signal_name(request: Request) -> str:
    """Read the signal of `kill`: its name without SIG; KILL if there is none."""
    text = request.query.get("signal", "") or "KILL"
    name = text.upper().removeprefix("SIG")
    try:
        found = signal.Signals(int(name)) if name.isdecimal() else signal.Signals[f"SIG{name}"]
    except (ValueError, KeyError):
        raise ApiError(400, f"Invalid signal: {text[:40]}", "body") from None
    return found.name.removeprefix("SIG")


def _time(request: Request, name: str) -> int | None:
    text = request.query.get(name, "")
    if text in ("", "0"):
        return None
    if not (match := _TIME.match(text)):
        raise ApiError(400, f"the query's {name} is not a time in seconds since 1970", "body")
    return int(match[1]) * _NANOSECONDS + int((match[2] or "").ljust(9, "0"))
