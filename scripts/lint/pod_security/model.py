"""What a check of the Pod Security Standards sees of a pod, what it finds, and how upstream words it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, Literal

Json = Mapping[str, Any]
Level = Literal["privileged", "baseline", "restricted"]

#: The newest version that changes a check (1.x). Later ones, and "latest", mean this one.
NEWEST_MINOR = 37


@dataclass(frozen=True)
class Place:
    """A field that breaks a check. ``container`` is None where the field is the pod's own."""

    container: str | None
    #: Path below the container, or below the pod: ``securityContext.privileged``, ``spec.hostPID``.
    field: str


@dataclass(frozen=True)
class Violation:
    """One check that a pod breaks."""

    #: Upstream's id of the check, such as ``seccompProfile_restricted``.
    check: str
    #: Upstream's short reason, such as ``host namespaces``.
    reason: str
    #: Upstream's detail, such as ``hostNetwork=true``.
    detail: str
    places: tuple[Place, ...]


def minor_of(version: str) -> int:
    """The minor of ``latest``, ``v1.30`` or ``1.30``, not above the newest that changes anything.

    Raises:
        ValueError: if it is none of these.
    """
    if version == "latest":
        return NEWEST_MINOR
    major, _, minor = version.removeprefix("v").partition(".")
    if major != "1" or not minor.isdecimal():
        raise ValueError(f"{version!r} is no Pod Security version: write latest, or v1.30.")
    return min(int(minor), NEWEST_MINOR)


def with_defaults(spec: Json) -> Json:
    """A pod spec with the API server's defaults that a check can see; a copy if there are any to fill in."""
    if not spec.get("hostNetwork") and all(sources_of(volume) for volume in maps_in(spec, "volumes")):
        return spec
    result = deepcopy(dict(spec))
    for volume in maps_in(result, "volumes"):
        if not sources_of(volume):
            volume["emptyDir"] = {}
    if result.get("hostNetwork"):
        for kind in ("initContainers", "containers"):
            for container in maps_in(result, kind):
                for port in maps_in(container, "ports"):
                    port["hostPort"] = port.get("hostPort") or port.get("containerPort")
    return result


@dataclass(frozen=True)
class Pod:
    """A pod as a check sees it."""

    metadata: Json
    spec: Json
    #: The minor version of the standards.
    minor: int

    @property
    def windows(self) -> bool:
        """Whether it is a Windows pod, which no Linux control can bind. Known from 1.25 on."""
        return self.minor >= 25 and get(self.spec, "os", "name") == "windows"

    @property
    def user_namespace(self) -> bool:
        """Whether root in it is nobody on the node. Excuses some checks from 1.35 on."""
        return self.minor >= 35 and self.spec.get("hostUsers") is False

    def containers(self) -> Iterator[dict[str, Any]]:
        """Every container: init (sidecars among them), main and ephemeral ones."""
        for kind in ("initContainers", "containers", "ephemeralContainers"):
            yield from maps_in(self.spec, kind)

    @property
    def annotations(self) -> dict[str, str]:
        """The pod's annotations."""
        return get(self.metadata, "annotations") or {}


def get(value: Any, *path: str) -> Any:
    """The value under a path of keys, or None where a map or a key is missing."""
    for key in path:
        # dict first: asking whether something is a Mapping takes ten times as long.
        if not isinstance(value, (dict, Mapping)):
            return None
        value = value.get(key)
    return value


def maps_in(value: Json, key: str) -> list[dict[str, Any]]:
    """The maps in the list under a key; none where it is no list."""
    found = value.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def sources_of(volume: Json) -> list[str]:
    """The sources of a volume, such as ``hostPath``."""
    return [key for key, value in volume.items() if key != "name" and value is not None]


def quoted(items: Iterable[str]) -> str:
    """The items in double quotes, separated by commas."""
    return ", ".join(f'"{item}"' for item in items)


def plural(word: str, count: int) -> str:
    """The word, with an s unless it is one thing."""
    return word if count == 1 else f"{word}s"


def containers_named(containers: Sequence[str]) -> str:
    """``container "a"`` or ``containers "a", "b"``."""
    return f"{plural('container', len(containers))} {quoted(containers)}"


def setters(pod_level: bool, containers: Sequence[str]) -> str:
    """``pod and container "a"``: who sets a forbidden value."""
    return " and ".join(
        (["pod"] if pod_level else []) + ([containers_named(containers)] if containers else [])
    )


@dataclass(frozen=True)
class Broken:
    """What a check finds: upstream's reason and detail, and the places."""

    reason: str
    detail: str
    places: list[Place]


@dataclass(frozen=True)
class Check:
    """One control of the standards."""

    id: str
    level: Literal["baseline", "restricted"]
    #: The minor version that introduced it.
    since: int
    find: Callable[[Pod], Broken | None]
    #: The baseline check that it stands in for at restricted.
    replaces: str | None = None

    def run(self, pod: Pod) -> Violation | None:
        """The violation, if the pod breaks this check."""
        broken = self.find(pod)
        return Violation(self.id, broken.reason, broken.detail, tuple(broken.places)) if broken else None


def name_of(container: Json) -> str:
    """The name of a container, volume or sysctl."""
    return str(container.get("name", ""))


def bad_profiles(pod: Pod, key: str, allowed: Sequence[str]) -> tuple[bool, list[str], set[str]]:
    """Whether the pod sets another type of a profile, which containers do, and the types."""
    values: set[str] = set()

    def bad(owner: Json) -> bool:
        profile = get(owner, "securityContext", key)
        if profile is None or (kind := str(get(profile, "type") or "")) in allowed:
            return False
        values.add(kind)
        return True

    return bad(pod.spec), [name_of(c) for c in pod.containers() if bad(c)], values


def profile_places(field: str, pod_level: bool, containers: Sequence[str]) -> list[Place]:
    """The places of a field that pod and containers have."""
    return ([Place(None, f"spec.{field}")] if pod_level else []) + [Place(c, field) for c in containers]
