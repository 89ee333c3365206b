"""The answer to `inspect`, from what a client asked for: all fields of the model, in Docker's words."""

from __future__ import annotations

import dataclasses
from typing import Any

from .model import Create, HostConfig, to_json

#: What the daemon says where a request says nothing.
_DEFAULTS = {
    "NetworkMode": "default",
    "IpcMode": "private",
    "CgroupnsMode": "private",
    "ShmSize": 64 << 20,
    "RestartPolicy": {"Name": "no", "MaximumRetryCount": 0},
}


def config(request: Create) -> dict[str, Any]:
    """Describe a container's Config."""
    found = whole(request)
    for key in ("HostConfig", "NetworkingConfig", "Runtime", "Healthcheck", "MacAddress"):
        del found[key]
    if request.healthcheck.test:
        found["Healthcheck"] = to_json(request.healthcheck)
    if request.stop_timeout is None:
        del found["StopTimeout"]
    return found


def host_config(host: HostConfig) -> dict[str, Any]:
    """Describe a container's HostConfig."""
    found, log = whole(host), host.log_config
    del found["LxcConf"]
    return (
        found
        | {key: value for key, value in _DEFAULTS.items() if not found[key]}
        | {
            "LogConfig": {"Type": log.type or "json-file", "Config": dict(log.config)},
            "RestartPolicy": _DEFAULTS["RestartPolicy"],
        }
    )


def whole(value: Any) -> dict[str, Any]:
    """Write an instance of one of the model's classes with all of its fields, set or not."""
    empty = {
        field.metadata["key"]: _plain(getattr(value, field.name))
        for field in dataclasses.fields(value)
        if field.metadata
    }
    return {**empty, **to_json(value)}


def _plain(item: Any) -> Any:
    return list(item) if isinstance(item, tuple) else whole(item) if dataclasses.is_dataclass(item) else item
