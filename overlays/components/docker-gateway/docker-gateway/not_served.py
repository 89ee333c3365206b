"""What the gateway does not serve of the Docker API, and the way out."""

from __future__ import annotations

import re

from .backend import ApiError

_DIND = "use a worker group in mode dind"
_NODE = "it belongs to the node, which other tasks share"
#: What a path is about, and what to do instead; the first that matches.
_WAYS_OUT = (
    (
        r"/(build|session|grpc|distribution)\b",
        f"build images outside of tasks, for example in CI, or {_DIND}",
    ),
    (r"/(containers/[^/]+/exec|exec)\b", f"run it as the command of a container, or {_DIND}"),
    (
        r"/containers/[^/]+/(archive|copy|export)\b",
        f"put files into the image or on a volume; read them from there, or with retrieve_output, or {_DIND}",
    ),
    (r"/commit\b", f"build images outside of tasks, for example in CI, or {_DIND}"),
    (
        r"/networks\b",
        "name a network in network_mode; the administrator allows it with tasks.networks or"
        " workers.<name>.socket.allowed.networks",
    ),
    (
        r"/volumes\b",
        "name a volume in mounts; the administrator allows it with tasks.claims or"
        " workers.<name>.socket.allowed.volumes",
    ),
    (r"/images\b", f"images cannot be changed, pushed or searched here, as {_NODE}; {_DIND}"),
    (r"/containers/prune\b", "remove containers by their names"),
    (r"/containers\b", f"it serves what running containers takes; else {_DIND}"),
    (r"/(plugins|system|checkpoints)\b", f"{_NODE}; {_DIND}"),
)
#: Things by their names, of which there are none: `docker inspect` looks for a name among all of them.
_NONE = re.compile(r"/(network|volume|service|task|node|plugin|secret|config)s/([^/]{1,255})(?:/json)?\Z")
_SWARM = re.compile(r"/(?:swarm|services|tasks|nodes|secrets|configs)(?:/|\Z)")


def refusal(method: str, path: str) -> ApiError:
    """Give the error for a request that is not served; `path` has no version."""
    none = _NONE.match(path)
    if none and method == "GET":
        return ApiError(404, f"No such {none[1]}: {none[2]}", "not-found")
    if _SWARM.match(path):
        message = "Docker Swarm is not available here: use DockerOperator instead of DockerSwarmOperator"
        return ApiError(501, message, "endpoint")
    way = next((way for about, way in _WAYS_OUT if re.match(about, path)), "")
    return ApiError(
        501,
        f"{method} {path[:200]} is not part of the Docker API that this gateway serves"
        + (f": {way}" if way else ", which is what running containers takes"),
        "endpoint",
    )
