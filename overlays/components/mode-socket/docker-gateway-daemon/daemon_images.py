"""Images of the node's daemon: which may be used, where they come from, and what they bring along."""

from __future__ import annotations

import base64
import http.client
import json
from collections import deque
from collections.abc import Collection, Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from . import fields, references
from .backend import ApiError, Disconnect, Refusal
from .daemon_api import DaemonApi
from .daemon_limits import ImageHealth, image_health
from .health import log
from .model import BadBody, mapping, parse_json, string
from .references import Reference
from .settings import Daemon

#: Fields of credentials that are passed on.
AUTH = {"username", "password", "email", "serveraddress", "identitytoken", "registrytoken"}
#: Names that are remembered.
_SHOWN = 200
_LISTED = ("Id", "RepoDigests", "Created", "Size")
_DESCRIBED = (*_LISTED, "Config", "Os", "Architecture", "Variant", "Author", "Comment", "RootFS")
_PROGRESS = ("status", "id", "progress", "progressDetail", "error", "errorDetail")


@dataclass(frozen=True)
class Image:
    """What an image gives to its containers. `platform` is system, architecture and variant."""

    id: str
    platform: tuple[str, ...] = ()
    labels: Mapping[str, str] = field(default_factory=dict)
    env: tuple[str, ...] = ()
    volumes: frozenset[str] = frozenset()
    health: ImageHealth = field(default_factory=ImageHealth)


class Images:
    """The images that a worker group may use. `values` is where the chart's values allow them."""

    def __init__(self, rules: Daemon, values: str) -> None:
        self._images, self._values = rules.images, f"{values}.allowed"
        named = {entry.registry for entry in map(references.parse_entry, rules.images) if entry}
        self._registries = {*rules.registries, *named}
        #: Names that were pulled or run here, and are shown.
        self._used: deque[str] = deque(maxlen=_SHOWN)

    def check(self, image: str) -> str:
        """Give the name under which the daemon is asked for an image. Raises Refusal."""
        if "*" in self._images and references.is_id(image):
            return image
        read = fields.parse_image(image)
        fields.check_image(read, self._images, image, f"{self._values}.images")
        # As it is where any image is allowed: it may also be the start of an id.
        return image if "*" in self._images else str(read)

    def use(self, image: str) -> None:
        """Take note of an image that is pulled or run."""
        if (read := references.parse(image)) and str(read) not in self._used:
            self._used.append(str(read))

    def listed(self, api: DaemonApi, name: str) -> list[dict[str, Any]]:
        """List one image, or those that were pulled or run here: what others use is theirs."""
        if name:
            self.check(name)
        # As they are written: the daemon compares them with the names that it shows.
        wanted = [name] if name else list(map(references.familiar, self._used))
        if not wanted:
            return []
        found = api.call("GET", "/images/json", {"filters": json.dumps({"reference": wanted})})
        return [self._written(each, _LISTED, wanted) for each in found]

    def describe(self, api: DaemonApi, name: str, own: Collection[str]) -> dict[str, Any]:
        """Describe one image; `own` are the ids of those that containers here were created from."""
        whole = name if name.startswith("sha256:") else f"sha256:{name}"
        asked = name if references.is_id(name) and whole in own else self.check(name)
        return self._written(api.call("GET", f"/images/{asked}/json"), _DESCRIBED, [name])

    def _written(self, found: Mapping[str, Any], keys: Iterable[str], asked: Iterable[str]) -> dict[str, Any]:
        """Write an image with those of its names that were asked for or used here."""
        known = {*self._used, *(str(read) for read in map(references.parse, asked) if read)}
        tags = [tag for tag in found.get("RepoTags") or [] if str(references.parse(tag)) in known]
        return {**{key: found.get(key) for key in keys}, "RepoTags": tags}

    def check_pull(self, image: str) -> Reference:
        """Give the image to pull. Raises Refusal for one of a registry that the values do not name."""
        self.check(image)
        read = references.parse(image)
        if read is None:
            raise Refusal("image", f"{image[:80]!r} is the id of an image, which no registry has; use a name")
        self.check_registry("image", read.registry)
        return read

    def check_registry(self, what: str, registry: str) -> None:
        """Refuse a registry that the values do not name: the daemon fetches what a registry says."""
        if not {registry, "*"} & self._registries:
            names = ", ".join(sorted(self._registries)) or "none"
            raise Refusal(
                what,
                f"the registry {registry[:200]!r} is not allowed (allowed: {names}); ask the administrator to"
                f" add it to {self._values}.registries",
            )

    def trusts(self, registry: str) -> bool:
        """Tell whether the values name a registry: what it answers may be told."""
        return registry in self._registries


def look(api: DaemonApi, name: str) -> Image:
    """Ask the daemon about an image that it has. Raises ApiError 404 for one that it has not."""
    found = api.call("GET", f"/images/{name}/json")
    config = found.get("Config") or {}
    return Image(
        str(found["Id"]),
        tuple(str(found.get(key) or "") for key in ("Os", "Architecture", "Variant")),
        dict(config.get("Labels") or {}),
        tuple(config.get("Env") or ()),
        frozenset(config.get("Volumes") or ()),
        image_health(config.get("Healthcheck") or {}),
    )


def pull(api: DaemonApi, image: Reference, registry_auth: str, told: bool) -> Iterator[Mapping[str, Any]]:
    """Begin to pull an image; yields the daemon's messages, of known fields.

    `told` passes on what the daemon says of a failure, which can hold the answer of any server.
    """
    query = {"fromImage": f"{image.registry}/{image.repository}", "tag": image.digest or image.tag}
    headers = {"X-Registry-Auth": auth(registry_auth, image.registry)} if registry_auth else {}
    try:
        opened = api.open("POST", "/images/create", query, None, headers, timeout=None)
    except ApiError as error:
        if told or error.status == 503:
            raise
        log("pull-failed", image=str(image), error=error.message)
        raise ApiError(404 if error.status == 404 else 500, _failed(image), "daemon") from None
    return _progress(*opened, "" if told else _failed(image))


def _failed(image: Reference) -> str:
    return (
        f"the image {image} cannot be pulled; the administrator finds the reason in the Docker gateway's log"
    )


def _progress(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse, instead: str
) -> Iterator[Mapping[str, Any]]:
    try:
        for line in iter(response.readline, b""):
            if line.strip():
                message = json.loads(line)
                if instead and "error" in message:
                    log("pull-failed", error=str(message["error"]))
                    message = {"error": instead, "errorDetail": {"message": instead}}
                yield {key: message[key] for key in _PROGRESS if key in message}
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Disconnect(f"the pull broke: {error}") from None
    finally:
        connection.close()


def auth(header: str, registry: str) -> str:
    """Read registry credentials and write them again from known fields, for one registry."""
    try:
        given = mapping(
            parse_json(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))), "X-Registry-Auth"
        )
    except ValueError:
        raise BadBody("X-Registry-Auth is not base64 of a JSON object") from None
    known = {key: string(value, key) for key, value in given.items() if key in AUTH and value is not None}
    if "serveraddress" in known:
        # A daemon compares it with the host that it asks, which for Docker Hub is known by this name alone.
        hub = registry == references.DOCKER_HUB
        known["serveraddress"] = "https://index.docker.io/v1/" if hub else registry
    return base64.urlsafe_b64encode(json.dumps(known).encode()).decode()
