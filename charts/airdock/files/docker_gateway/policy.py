"""What neither backend does, and how a field that is set is refused by name.

cluster_policy.py and daemon_policy.py add what their backend maps, ignores or refuses. Together the tables
are complete: a test compares them with model.py, so that a new field cannot pass unnoticed. A refusal speaks
to the author of the DAG: the parameter, why, and the way out. A field asks for something only if it is set
(is_set).
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from .backend import Refusal
from .model import Create, is_set

DIND = "run the task on a queue of a worker group in mode dind"
_NODE = f"it gives access to the node, which other tasks share; remove it, or {DIND}"
_RUNTIME = "the administrator chooses the runtime; remove it"
#: Fields of HostConfig that both backends refuse when set: name -> why, and the way out.
HOST_REFUSED = {
    "privileged": f"a privileged container is root on the node; remove it, or {DIND}",
    "devices": _NODE,
    "device_cgroup_rules": _NODE,
    "volumes_from": "volumes of another container cannot be mounted; use a volume that is allowed",
    "links": "containers cannot be linked; pass the other container's address in an environment variable",
    "uts_mode": _NODE,
    "userns_mode": _NODE,
    "cgroup_parent": _NODE,
    "sysctls": "tasks may not change kernel parameters; remove it",
    "runtime": _RUNTIME,
    "annotations": "the administrator sets them; use labels",
    "cgroup": _NODE,
    "masked_paths": _NODE,
    "readonly_paths": _NODE,
    **dict.fromkeys(
        ("isolation", "io_maximum_iops", "io_maximum_bandwidth"), "it exists on Windows only; remove it"
    ),
}
#: Fields that say something about the client alone.
HOST_CLIENT = frozenset({"console_size", "container_id_file"})
#: The same for the fields outside HostConfig.
REFUSED = {
    "runtime": _RUNTIME,
    "networking": "endpoints have no addresses, aliases or options here; use network_mode alone",
}
#: Names of fields as DockerOperator's authors write them, where they differ.
_PARAMETERS = {"networking": "networking_config"}


def check(request: Create, host: Mapping[str, str], rest: Mapping[str, str]) -> None:
    """Refuse what both backends refuse, and what a backend's own tables name. Raises Refusal."""
    for owner, table in ((request.host, {**HOST_REFUSED, **host}), (request, {**REFUSED, **rest})):
        for name, why in table.items():
            if is_set(owner, name) and not (name == "networking" and _repeats_mode(request)):
                raise Refusal(_PARAMETERS.get(name, name), why)
    _check_common(request)


def _repeats_mode(request: Create) -> bool:
    """Tell whether the endpoints say no more than `network_mode`, as the docker program sends them."""
    mode = request.host.network_mode or "default"
    return all(
        name == mode and isinstance(endpoint, dict | None) and not any((endpoint or {}).values())
        for name, endpoint in request.networking.endpoints.items()
    )


def _check_private(field: str, mode: str, allowed: Sequence[str]) -> None:
    """Refuse a namespace that is the host's or another container's."""
    if mode not in allowed:
        raise Refusal(field, f"{mode[:80]!r} is shared with the node or another container; remove it")


def _check_common(request: Create) -> None:
    """Refuse values that neither backend honours."""
    host = request.host
    for name in ("masked_paths", "readonly_paths"):
        if getattr(host, name) is not None:
            raise Refusal(name, _NODE)
    _check_private("pid_mode", host.pid_mode, ("", "private"))
    _check_private("ipc_mode", host.ipc_mode, ("", "private", "none"))
    _check_private("cgroupns_mode", host.cgroupns_mode, ("", "private"))
    for option in host.security_opt:
        if option not in ("no-new-privileges", "no-new-privileges:true", "no-new-privileges=true"):
            raise Refusal("security_opt", f"the administrator sets {option[:80]!r}; remove it")
    if host.restart_policy.name not in ("", "no"):
        raise Refusal("restart_policy", "a task's container runs once; use the task's `retries`")
    log = host.log_config
    if log.type not in ("", "json-file", "local"):
        raise Refusal(
            "log_config", f"Airflow could not read the output of the driver {log.type[:40]!r}; remove it"
        )
    unknown = log.config.keys() - {"max-size", "max-file", "compress", "mode", "max-buffer-size"}
    if unknown:
        raise Refusal("log_config", f"the option {min(unknown)[:40]!r} is unknown; remove it")
