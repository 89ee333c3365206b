"""Events of a gateway's own containers: the last ones are kept, and those to come are waited for."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from .backend import EventOptions
from .listing import has_labels, same_image

#: The filters that are served.
FILTERS = ("container", "event", "image", "label", "type")
_KEPT = 1000
#: Characters of labels that an event can have: what is kept must not become large.
_LABELS = 8192
#: Seconds between two looks at whether the client is still there.
_LOOK = 5.0


class Events:
    """Safe to use from many threads."""

    def __init__(self) -> None:
        self._changed = threading.Condition()
        #: With their numbers.
        self._events: deque[tuple[int, dict[str, Any]]] = deque(maxlen=_KEPT)
        self._last = 0

    def add(
        self, action: str, container: str, name: str, image: str, labels: Mapping[str, str], **more: str
    ) -> None:
        """Tell what happened to a container; `more` are attributes, such as exitCode."""
        now = time.time_ns()
        if sum(len(key) + len(value) for key, value in labels.items()) > _LABELS:
            labels = {}
        event = {
            "status": action,
            "id": container,
            "from": image,
            "Type": "container",
            "Action": action,
            "Actor": {"ID": container, "Attributes": {**labels, **more, "image": image, "name": name}},
            "scope": "local",
            "time": now // 1_000_000_000,
            "timeNano": now,
        }
        with self._changed:
            self._last += 1
            self._events.append((self._last, event))
            self._changed.notify_all()

    def read(self, options: EventOptions, gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        """Yield events until the time `until`, or until the client has left."""
        with self._changed:
            seen = self._last if options.since is None and options.until is None else 0
        since = options.since or 0
        # Until a time in the past, without a beginning: as the daemon, nothing.
        if options.since is None and options.until is not None:
            since = time.time_ns()
        while True:
            with self._changed:
                new = [each for each in self._events if each[0] > seen]
                seen = self._last
            for _, event in new:
                if since <= event["timeNano"] <= (options.until or event["timeNano"]) and _wanted(
                    event, options
                ):
                    yield event
            left = _LOOK if options.until is None else (options.until - time.time_ns()) / 1e9
            if left <= 0 or gone():
                return
            with self._changed:
                if self._last == seen:
                    self._changed.wait(min(left, _LOOK))


def _wanted(event: Mapping[str, Any], options: EventOptions) -> bool:
    attributes = event["Actor"]["Attributes"]
    for name, values in options.filters.items():
        if name == "label":
            holds = has_labels(attributes, values)
        elif name == "container":
            holds = any(attributes["name"] == each or event["id"].startswith(each) for each in values if each)
        elif name == "image":
            holds = any(same_image(attributes["image"], "", each) for each in values)
        else:
            holds = event["Type" if name == "type" else "Action"] in values
        if values and not holds:
            return False
    return True
