"""Names and labels of containers on the node's daemon, where others than Airdock act on them too.

cri-dockerd, the kubelet, Traefik, watchtower, Datadog and others take containers for theirs, or change what
they do, by a container's name and labels, also by those that an image brings along. So what authors choose
gets a prefix, and comes back without it.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping

from .backend import ApiError
from .labels import CONTAINER, GROUP, IMAGE, OWNER, POLICY

#: Before the labels of a create request. Those of the cluster policy keep their names, for administrators.
AUTHOR = "airdock.dev/author/"
_NAME = re.compile(r"/?([a-zA-Z0-9][a-zA-Z0-9_.-]{0,199})\Z")
_OURS = {OWNER, GROUP, CONTAINER, IMAGE}


class Names:
    """The names of one gateway's containers: those of two gateways never meet."""

    def __init__(self, owner: str) -> None:
        self._prefix = "airdock-" + re.sub(r"[^a-zA-Z0-9]", "-", owner)[:8] + "-"

    def written(self, name: str) -> str:
        """Give the name that the daemon gets. Raises ApiError for what is none, in the daemon's words."""
        match = _NAME.match(name)
        if not match:
            message = f"Invalid container name ({name[:200]}), only [a-zA-Z0-9][a-zA-Z0-9_.-] are allowed"
            raise ApiError(400, message, "body")
        return self._prefix + match[1]

    def read(self, name: str) -> str:
        """Give the author's name, from the daemon's; a slash before it stays."""
        slash = "/" if name.startswith("/") else ""
        return slash + name.removeprefix("/").removeprefix(self._prefix)

    def without(self, message: str) -> str:
        """Take the prefix out of a message."""
        return message.replace(self._prefix, "")


def write_labels(author: Mapping[str, str], image: Iterable[str], own: Mapping[str, str]) -> dict[str, str]:
    """Give the labels that the daemon gets: the author's below the prefix, ours, and the image's emptied."""
    blank = dict.fromkeys(image, "")
    mine = {key if key in POLICY else AUTHOR + key: value for key, value in author.items()}
    return {**blank, **mine, **own}


def read_labels(found: Mapping[str, str], image: Mapping[str, str]) -> dict[str, str]:
    """Give the labels as the author and the image have them."""
    author = {
        key.removeprefix(AUTHOR): value
        for key, value in found.items()
        if key not in _OURS and (key.startswith(AUTHOR) or (key in POLICY and value))
    }
    return {**image, **author}
