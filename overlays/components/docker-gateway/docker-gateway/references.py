"""References to images and entries of lists of allowed images, as parts: their text is never compared.

The grammar is that of github.com/distribution/reference (`ParseDockerRef`), which dockerd and containerd use.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

DOCKER_HUB = "docker.io"
_LABEL = r"[a-zA-Z0-9](?:[a-zA-Z0-9-]*[a-zA-Z0-9])?"
#: A registry: a host name with an optional port.
_REGISTRY = re.compile(rf"{_LABEL}(?:\.{_LABEL})*(?::[0-9]{{1,5}})?\Z")
_COMPONENT = r"[a-z0-9]+(?:(?:\.|_|__|-+)[a-z0-9]+)*"
_REPOSITORY = re.compile(rf"{_COMPONENT}(?:/{_COMPONENT})*\Z")
_TAG = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,127}\Z")
_TAG_PATTERN = re.compile(r"[A-Za-z0-9_*][A-Za-z0-9_.*-]{0,127}\Z")
_DIGEST = re.compile(r"sha256:[0-9a-f]{64}\Z|sha512:[0-9a-f]{128}\Z")
#: The id of an image, whole.
_ID = re.compile(r"(?:sha256:)?[0-9a-f]{64}\Z")


@dataclass(frozen=True)
class Reference:
    """An image's name. `tag` is `latest` where the name has neither tag nor digest."""

    registry: str
    repository: str
    tag: str = ""
    digest: str = ""

    def __str__(self) -> str:
        """Write it in full, so that a daemon cannot take it for anything else, such as the start of an id."""
        tag = f":{self.tag}" if self.tag else ""
        return f"{self.registry}/{self.repository}{tag}" + (f"@{self.digest}" if self.digest else "")


@dataclass(frozen=True)
class Entry:
    """An entry of a list of allowed images.

    `below`: the repository is a prefix, with its slash. `tag` is a pattern, empty for any tag and any digest.
    """

    registry: str
    repository: str
    below: bool
    tag: str
    digest: str

    def admits(self, image: Reference) -> bool:
        """Tell whether the entry admits an image."""
        if image.registry != self.registry:
            return False
        if not (
            image.repository.startswith(self.repository)
            if self.below
            else image.repository == self.repository
        ):
            return False
        if self.digest:
            return image.digest == self.digest
        if not self.tag:
            return True
        # With a digest, a tag selects nothing.
        return not image.digest and _like(self.tag, image.tag)


def parse(text: str) -> Reference | None:
    """Read the name of an image; None for what is none, such as the id of one."""
    if _ID.match(text):
        return None
    name, tag, digest = _split(text)
    registry, repository = _split_registry(name)
    if registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    wrong = (
        not _REGISTRY.match(registry)
        or not _REPOSITORY.match(repository)
        or len(registry) + len(repository) > 254
        or (tag is not None and not _TAG.match(tag))
        or (digest is not None and not _DIGEST.match(digest))
    )
    if wrong:
        return None
    return Reference(registry, repository, tag or ("" if digest else "latest"), digest or "")


def parse_entry(text: str) -> Entry | None:
    """Read an entry of a list, other than `*`; None for what is none."""
    name, tag, digest = _split(text)
    below = name.endswith("/*")
    registry, repository = _split_registry(name)
    if below:
        repository = repository[:-1]
    elif registry == DOCKER_HUB and "/" not in repository:
        repository = f"library/{repository}"
    wrong = (
        not _REGISTRY.match(registry)
        or not (
            _REPOSITORY.match(repository.removesuffix("/") if below else repository)
            or (below and not repository)
        )
        or (tag is not None and not _TAG_PATTERN.match(tag))
        or (digest is not None and (below or not _DIGEST.match(digest)))
    )
    if wrong:
        return None
    # Beside a digest, the tag says nothing.
    pattern = "" if digest or not (tag or "").strip("*") else tag or ""
    return Entry(registry, repository, below, pattern, digest or "")


def is_id(text: str) -> bool:
    """Tell whether a text is the whole id of an image."""
    return _ID.match(text) is not None


def admitted(image: str, entries: Iterable[str]) -> bool:
    """Tell whether a list admits an image: `*` admits any, and an entry that is none admits nothing."""
    return admits(parse(image), entries)


def admits(image: Reference | None, entries: Iterable[str]) -> bool:
    """Tell whether a list admits an image that has been read."""
    if image is None:
        return False
    return any(
        entry == "*" or ((read := parse_entry(entry)) is not None and read.admits(image)) for entry in entries
    )


def full(image: str) -> str:
    """Write an image's name in full; an id, or what is no name, stays as it is."""
    return str(parse(image) or image)


def familiar(image: str) -> str:
    """Write a name as Docker's clients show it, without the usual parts; what is no name stays as it is."""
    read = parse(image)
    if read is None:
        return image
    text = str(read).removeprefix(f"{DOCKER_HUB}/")
    return text.removeprefix("library/") if read.registry == DOCKER_HUB else text


def registry_of(server: str) -> str:
    """Give the registry that the address of a login means, as Docker's clients write it."""
    host = server.partition("://")[2] or server
    host = host.partition("/")[0] or DOCKER_HUB
    return DOCKER_HUB if host in ("index.docker.io", "registry-1.docker.io") else host


def is_registry(text: str) -> bool:
    """Tell whether a text is a registry: a host name, with an optional port."""
    return _REGISTRY.match(text) is not None


def _split(text: str) -> tuple[str, str | None, str | None]:
    """Split into name, tag and digest; None for what is not there."""
    rest, at, digest = text.partition("@")
    start, slash, last = rest.rpartition("/")
    last, colon, tag = last.partition(":")
    return start + slash + last, tag if colon else None, digest if at else None


def _split_registry(name: str) -> tuple[str, str]:
    first, slash, rest = name.partition("/")
    if not slash or not ("." in first or ":" in first or first != first.lower() or first == "localhost"):
        return DOCKER_HUB, name
    return DOCKER_HUB if first == "index.docker.io" else first, rest


def _like(pattern: str, text: str) -> bool:
    """Match with `*` for any characters."""
    return re.fullmatch(".*".join(map(re.escape, pattern.split("*"))), text) is not None
