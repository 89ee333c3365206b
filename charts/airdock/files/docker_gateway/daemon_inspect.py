"""What the node's daemon says of a container, written again for its author: of known fields alone.

What tells about the node, its other containers or the gateway's own names and labels stays away.
"""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping
from typing import Any

from .daemon_container import Container
from .daemon_names import Names, read_labels
from .daemon_policy import HOST_PASSED
from .listing import Entry
from .model import HostConfig

_KEEP = ("Id", "Name", "Created", "Path", "Args", "Image", "RestartCount", "Driver", "Platform")
#: As the author set them, but for sources of mounts, which may be ours.
_HOST = {
    field.metadata["key"]
    for field in dataclasses.fields(HostConfig)
    if field.name in HOST_PASSED - {"mounts", "binds"}
} | {"MemorySwap"}
_ADDRESSES = ("IPAddress", "IPPrefixLen", "Gateway", "MacAddress", "GlobalIPv6Address", "GlobalIPv6PrefixLen")
_MOUNT = ("Type", "Destination", "RW", "Mode")
_EXITED = re.compile(r"Exited \((-?\d+)\)")


def describe(found: Mapping[str, Any], container: Container, names: Names) -> dict[str, Any]:
    """Give the answer to `inspect`."""
    config = {key: value for key, value in (found.get("Config") or {}).items() if key != "OnBuild"}
    config["Labels"] = read_labels(config.get("Labels") or {}, container.image_labels)
    config["Image"] = container.image or config.get("Image")
    networks = ((found.get("NetworkSettings") or {}).get("Networks") or {}).items()
    return {
        **{key: found.get(key) for key in _KEEP},
        "Name": names.read(found.get("Name") or ""),
        "State": {key: value for key, value in (found.get("State") or {}).items() if key != "Pid"},
        "Config": config,
        "HostConfig": {key: value for key, value in (found.get("HostConfig") or {}).items() if key in _HOST},
        "NetworkSettings": {
            "Networks": {name: _only(each or {}, _ADDRESSES) for name, each in networks},
            "Ports": {},
        },
        "Mounts": [_only(mount, _MOUNT) for mount in found.get("Mounts") or []],
    }


def entry(found: Mapping[str, Any], container: Container, names: Names) -> Entry:
    """Read an item of the daemon's list."""
    status = str(found.get("Status") or "")
    code = _EXITED.match(status)
    return Entry(
        container.id,
        names.read((found.get("Names") or ["/"])[0]).removeprefix("/"),
        container.image or str(found.get("Image") or ""),
        str(found.get("ImageID") or container.image_id),
        (str(found.get("Command") or ""),),
        float(found.get("Created") or 0),
        str(found.get("State") or "created"),
        int(code[1]) if code else None,
        labels=read_labels(found.get("Labels") or {}, container.image_labels),
        network=str((found.get("HostConfig") or {}).get("NetworkMode") or "default"),
        status=status,
        mounts=[_only(mount, _MOUNT) for mount in found.get("Mounts") or []],
    )


def _only(found: Mapping[str, Any], keys: tuple[str, ...]) -> dict[str, Any]:
    return {key: found[key] for key in keys if key in found}
