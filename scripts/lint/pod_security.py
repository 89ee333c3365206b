"""The Pod Security Standards, exactly as the API server's admission plugin checks them.

Source: k8s.io/pod-security-admission v0.37 (package policy), whose check names, versions, reasons and
details are kept word for word, so that a verdict here reads like the API server's refusal.
tests/policies proves it against every fixture of that module and against the module itself.
"""

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


def verdict(metadata: Json, spec: Json, level: Level, version: str = "latest") -> list[Violation]:
    """What the API server would refuse about a pod, in its order; empty when it is admitted.

    Args:
        metadata: the pod's metadata (annotations are read).
        spec: the pod's spec, as written: the API server's defaults are filled in here.
        level: the level that the namespace enforces.
        version: the version of the standards that it enforces.
    """
    if level == "privileged":
        return []
    minor = minor_of(version)
    pod = Pod(metadata, with_defaults(spec), minor)
    active = [check for check in CHECKS if check.since <= minor and level in ("restricted", check.level)]
    replaced = {check.replaces for check in active}
    return [found for check in active if check.id not in replaced and (found := check.run(pod))]


def with_defaults(spec: Json) -> Json:
    """A pod spec with the API server's defaults that a check can see; a copy if there are any to fill in."""
    if not spec.get("hostNetwork") and all(_sources(volume) for volume in _list(spec, "volumes")):
        return spec
    result = deepcopy(dict(spec))
    for volume in _list(result, "volumes"):
        if not _sources(volume):
            volume["emptyDir"] = {}
    if result.get("hostNetwork"):
        for kind in ("initContainers", "containers"):
            for container in _list(result, kind):
                for port in _list(container, "ports"):
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
            yield from _list(self.spec, kind)

    @property
    def annotations(self) -> dict[str, str]:
        """The pod's annotations."""
        return get(self.metadata, "annotations") or {}


def get(value: Any, *path: str) -> Any:
    """The value under a path of keys, or None where a map or a key is missing."""
    for key in path:
        if not isinstance(value, Mapping):
            return None
        value = value.get(key)
    return value


def _list(value: Json, key: str) -> list[dict[str, Any]]:
    found = value.get(key)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _sources(volume: Json) -> list[str]:
    return [key for key, value in volume.items() if key != "name" and value is not None]


def _quoted(items: Iterable[str]) -> str:
    return ", ".join(f'"{item}"' for item in items)


def _plural(word: str, count: int) -> str:
    return word if count == 1 else f"{word}s"


def _named(containers: Sequence[str]) -> str:
    """``container "a"`` or ``containers "a", "b"``."""
    return f"{_plural('container', len(containers))} {_quoted(containers)}"


def _setters(pod_level: bool, containers: Sequence[str]) -> str:
    """``pod and container "a"``: who sets a forbidden value."""
    return " and ".join((["pod"] if pod_level else []) + ([_named(containers)] if containers else []))


@dataclass(frozen=True)
class _Broken:
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
    find: Callable[[Pod], _Broken | None]
    #: The baseline check that it stands in for at restricted.
    replaces: str | None = None

    def run(self, pod: Pod) -> Violation | None:
        """The violation, if the pod breaks this check."""
        broken = self.find(pod)
        return Violation(self.id, broken.reason, broken.detail, tuple(broken.places)) if broken else None


def _name(container: Json) -> str:
    return str(container.get("name", ""))


def _privilege_escalation(pod: Pod) -> _Broken | None:
    if pod.windows:
        return None
    field = "securityContext.allowPrivilegeEscalation"
    bad = [_name(c) for c in pod.containers() if get(c, *field.split(".")) is not False]
    detail = f"{_named(bad)} must set {field}=false"
    return (
        _Broken("allowPrivilegeEscalation != false", detail, [Place(c, field) for c in bad]) if bad else None
    )


_APPARMOR_PREFIX = "container.apparmor.security.beta.kubernetes.io/"


def _app_armor(pod: Pod) -> _Broken | None:
    field = "securityContext.appArmorProfile.type"
    pod_level, containers, values = _bad_profiles(pod, "appArmorProfile", ("RuntimeDefault", "Localhost"))
    places = _profile_places(field, pod_level, containers)
    annotations = sorted(
        f'{key}="{value}"'
        for key, value in pod.annotations.items()
        if key.startswith(_APPARMOR_PREFIX)
        and value not in ("", "runtime/default")
        and not value.startswith("localhost/")
    )
    setters = [text for text in (_setters(pod_level, containers),) if text]
    if annotations:
        setters.append(_plural("annotation", len(annotations)))
        places += [Place(None, f"metadata.annotations[{text.partition('=')[0]}]") for text in annotations]
    if not setters:
        return None
    shown = sorted(values) + annotations
    return _Broken(
        _plural("forbidden AppArmor profile", len(shown)),
        f"{' and '.join(setters)} must not set AppArmor profile type to {_quoted(shown)}",
        places,
    )


def _bad_profiles(pod: Pod, key: str, allowed: Sequence[str]) -> tuple[bool, list[str], set[str]]:
    """Whether the pod sets another type of a profile, which containers do, and the types."""
    values: set[str] = set()

    def bad(owner: Json) -> bool:
        profile = get(owner, "securityContext", key)
        if profile is None or (kind := str(get(profile, "type") or "")) in allowed:
            return False
        values.add(kind)
        return True

    return bad(pod.spec), [_name(c) for c in pod.containers() if bad(c)], values


def _profile_places(field: str, pod_level: bool, containers: Sequence[str]) -> list[Place]:
    return ([Place(None, f"spec.{field}")] if pod_level else []) + [Place(c, field) for c in containers]


_BASELINE_CAPABILITIES = frozenset(
    {
        "AUDIT_WRITE",
        "CHOWN",
        "DAC_OVERRIDE",
        "FOWNER",
        "FSETID",
        "KILL",
        "MKNOD",
        "NET_BIND_SERVICE",
        "SETFCAP",
        "SETGID",
        "SETPCAP",
        "SETUID",
        "SYS_CHROOT",
    }
)


def _added_capabilities(pod: Pod, allowed: Iterable[str]) -> tuple[list[str], str]:
    """The containers that add others than the allowed ones, and what upstream says of them."""
    containers, forbidden = [], set()
    for container in pod.containers():
        bad = set(get(container, "securityContext", "capabilities", "add") or ()) - set(allowed)
        if bad:
            containers.append(_name(container))
            forbidden |= bad
    named = f"{_named(containers)} must not include {_quoted(sorted(forbidden))}"
    return containers, f"{named} in securityContext.capabilities.add"


def _capabilities_baseline(pod: Pod) -> _Broken | None:
    bad, detail = _added_capabilities(pod, _BASELINE_CAPABILITIES)
    places = [Place(c, "securityContext.capabilities.add") for c in bad]
    return _Broken("non-default capabilities", detail, places) if bad else None


def _capabilities_restricted(pod: Pod) -> _Broken | None:
    if pod.windows:
        return None
    details, places = [], []
    keeping = [
        _name(c)
        for c in pod.containers()
        # Upper case only: that is how the API server compares.
        if "ALL" not in (get(c, "securityContext", "capabilities", "drop") or ())
    ]
    if keeping:
        details.append(f'{_named(keeping)} must set securityContext.capabilities.drop=["ALL"]')
        places += [Place(c, "securityContext.capabilities.drop") for c in keeping]
    adding, detail = _added_capabilities(pod, ["NET_BIND_SERVICE"])
    if adding:
        details.append(detail)
        places += [Place(c, "securityContext.capabilities.add") for c in adding]
    return _Broken("unrestricted capabilities", "; ".join(details), places) if details else None


def _host_namespaces(pod: Pod) -> _Broken | None:
    bad = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(key)]
    detail = ", ".join(f"{key}=true" for key in bad)
    return _Broken("host namespaces", detail, [Place(None, f"spec.{key}") for key in bad]) if bad else None


def _host_path(pod: Pod) -> _Broken | None:
    bad = [_name(volume) for volume in _list(pod.spec, "volumes") if volume.get("hostPath") is not None]
    places = [Place(None, f"spec.volumes[{name}].hostPath") for name in bad]
    detail = f"{_plural('volume', len(bad))} {_quoted(bad)}"
    return _Broken("hostPath volumes", detail, places) if bad else None


def _host_ports(pod: Pod) -> _Broken | None:
    bad, ports, places = [], set(), []
    for container in pod.containers():
        found = [port["hostPort"] for port in _list(container, "ports") if port.get("hostPort")]
        if found:
            bad.append(_name(container))
            ports |= {str(port) for port in found}
            places += [Place(_name(container), f"ports.hostPort={port}") for port in found]
    uses = "uses" if len(bad) == 1 else "use"
    detail = f"{_named(bad)} {uses} {_plural('hostPort', len(ports))} {', '.join(sorted(ports))}"
    return _Broken("hostPort", detail, places) if bad else None


def _host_probes(pod: Pod) -> _Broken | None:
    handlers = ("livenessProbe",), ("readinessProbe",), ("startupProbe",)
    hooks = ("lifecycle", "postStart"), ("lifecycle", "preStop")
    bad, hosts, places = set(), set(), []
    for container in pod.containers():
        for path in (*handlers, *hooks):
            for action in ("httpGet", "tcpSocket"):
                if host := get(container, *path, action, "host"):
                    bad.add(_name(container))
                    hosts.add(str(host))
                    places.append(Place(_name(container), ".".join((*path, action, "host"))))
    uses = "uses" if len(bad) == 1 else "use"
    what = _plural("probe or lifecycle host", len(hosts))
    detail = f"{_named(sorted(bad))} {uses} {what} {_quoted(sorted(hosts))}"
    return _Broken("probe or lifecycle host", detail, places) if bad else None


def _privileged(pod: Pod) -> _Broken | None:
    bad = [_name(c) for c in pod.containers() if get(c, "securityContext", "privileged")]
    places = [Place(c, "securityContext.privileged") for c in bad]
    return (
        _Broken("privileged", f"{_named(bad)} must not set securityContext.privileged=true", places)
        if bad
        else None
    )


def _proc_mount(pod: Pod) -> _Broken | None:
    found = [(_name(c), get(c, "securityContext", "procMount")) for c in pod.containers()]
    bad = [(name, value) for name, value in found if value not in (None, "Default")]
    names = [name for name, _ in bad]
    values = _quoted(sorted({str(value) for _, value in bad}))
    places = [Place(name, "securityContext.procMount") for name in names]
    detail = f"{_named(names)} must not set securityContext.procMount to {values}"
    return _Broken("procMount", detail, places) if bad else None


def _proc_mount_baseline(pod: Pod) -> _Broken | None:
    return None if pod.user_namespace else _proc_mount(pod)


_ALLOWED_VOLUMES = frozenset(
    {
        "configMap",
        "csi",
        "downwardAPI",
        "emptyDir",
        "ephemeral",
        "image",
        "persistentVolumeClaim",
        "projected",
        "secret",
    }
)
# In the order in which upstream looks for them.
_FORBIDDEN_VOLUMES = (
    "hostPath",
    "gcePersistentDisk",
    "awsElasticBlockStore",
    "gitRepo",
    "nfs",
    "iscsi",
    "glusterfs",
    "rbd",
    "flexVolume",
    "cinder",
    "cephfs",
    "flocker",
    "fc",
    "azureFile",
    "vsphereVolume",
    "quobyte",
    "azureDisk",
    "photonPersistentDisk",
    "portworxVolume",
    "scaleIO",
    "storageos",
)


def _volume_types(pod: Pod) -> _Broken | None:
    bad, kinds, places = [], set(), []
    for volume in _list(pod.spec, "volumes"):
        sources = set(_sources(volume))
        if sources & _ALLOWED_VOLUMES:
            continue
        kind = next((kind for kind in _FORBIDDEN_VOLUMES if kind in sources), "unknown")
        bad.append(_name(volume))
        kinds.add(kind)
        places.append(Place(None, f"spec.volumes[{_name(volume)}].{kind}"))
    uses = "uses" if len(bad) == 1 else "use"
    detail = (
        f"{_plural('volume', len(bad))} {_quoted(bad)} {uses} "
        f"{_plural('restricted volume type', len(kinds))} {_quoted(sorted(kinds))}"
    )
    return _Broken("restricted volume types", detail, places) if bad else None


def _non_root(pod: Pod) -> _Broken | None:
    if pod.user_namespace:
        return None
    field = "securityContext.runAsNonRoot"
    pod_value = get(pod.spec, "securityContext", "runAsNonRoot")
    values = [(_name(c), get(c, "securityContext", "runAsNonRoot")) for c in pod.containers()]
    explicit = [name for name, value in values if value is False]
    implicit = [] if pod_value else [name for name, value in values if value is None]
    if not (pod_value is False or explicit or implicit):
        return None
    # Upstream speaks of the implicit ones only where there are no others; the places are all.
    detail = f"pod or {_named(implicit)} must set {field}=true"
    if pod_value is False or explicit:
        detail = f"{_setters(pod_value is False, explicit)} must not set {field}=false"
    places = _profile_places(field, pod_value is False, [*explicit, *implicit])
    return _Broken("runAsNonRoot != true", detail, places)


def _root_user(pod: Pod) -> _Broken | None:
    if pod.user_namespace:
        return None

    def root(owner: Json) -> bool:
        value = get(owner, "securityContext", "runAsUser")
        return value is not None and value == 0

    bad = [_name(c) for c in pod.containers() if root(c)]
    if not (setters := _setters(root(pod.spec), bad)):
        return None
    places = _profile_places("securityContext.runAsUser", root(pod.spec), bad)
    return _Broken("runAsUser=0", f"{setters} must not set runAsUser=0", places)


def _se_linux(pod: Pod) -> _Broken | None:
    allowed = {"", "container_t", "container_init_t", "container_kvm_t"}
    if pod.minor >= 31:
        allowed.add("container_engine_t")
    types: set[str] = set()
    set_keys: set[str] = set()
    places: list[Place] = []

    def bad(owner: Json, container: str | None) -> bool:
        options = get(owner, "securityContext", "seLinuxOptions")
        if not isinstance(options, Mapping):
            return False
        keys = [key for key in ("user", "role") if options.get(key)]
        set_keys.update(keys)
        kind = options.get("type") or ""
        if kind not in allowed:
            types.add(kind)
            keys.append("type")
        prefix = "" if container else "spec."
        places.extend(Place(container, f"{prefix}securityContext.seLinuxOptions.{key}") for key in keys)
        return bool(keys)

    pod_level = bad(pod.spec, None)
    containers = [_name(c) for c in pod.containers() if bad(c, _name(c))]
    if not pod_level and not containers:
        return None
    data = [f"{_plural('type', len(types))} {_quoted(sorted(types))}"] if types else []
    data += [f"{key} may not be set" for key in ("user", "role") if key in set_keys]
    setters = _setters(pod_level, containers)
    detail = f"{setters} set forbidden securityContext.seLinuxOptions: {'; '.join(data)}"
    return _Broken("seLinuxOptions", detail, places)


_SECCOMP_POD = "seccomp.security.alpha.kubernetes.io/pod"
_SECCOMP_CONTAINER = "container.seccomp.security.alpha.kubernetes.io/"
_SECCOMP_FIELD = "securityContext.seccompProfile.type"


def _seccomp_annotations(pod: Pod) -> _Broken | None:
    """Before 1.19, seccomp was a matter of annotations."""
    keys = {_SECCOMP_POD, *(_SECCOMP_CONTAINER + _name(c) for c in pod.containers())}
    values = {key: pod.annotations[key] for key in keys if key in pod.annotations}
    bad = sorted(
        f'{key}="{value}"'
        for key, value in values.items()
        if value not in ("runtime/default", "docker/default") and not value.startswith("localhost/")
    )
    places = [Place(None, f"metadata.annotations[{text.partition('=')[0]}]") for text in bad]
    detail = f"forbidden {_plural('annotation', len(bad))} {', '.join(bad)}"
    return _Broken("seccompProfile", detail, places) if bad else None


def _seccomp_baseline(pod: Pod) -> _Broken | None:
    if pod.minor < 19:
        return _seccomp_annotations(pod)
    pod_level, containers, values = _bad_profiles(pod, "seccompProfile", ("RuntimeDefault", "Localhost"))
    if not pod_level and not containers:
        return None
    detail = f"{_setters(pod_level, containers)} must not set {_SECCOMP_FIELD} to {_quoted(sorted(values))}"
    return _Broken("seccompProfile", detail, _profile_places(_SECCOMP_FIELD, pod_level, containers))


def _seccomp_restricted(pod: Pod) -> _Broken | None:
    if pod.windows:
        return None
    broken = _seccomp_baseline(pod)
    bad = [_name(c) for c in pod.containers() if get(c, "securityContext", "seccompProfile") is None]
    if get(pod.spec, "securityContext", "seccompProfile") is not None:
        bad = []
    if not broken and not bad:
        return None
    detail = f'pod or {_named(bad)} must set {_SECCOMP_FIELD} to "RuntimeDefault" or "Localhost"'
    # Upstream speaks of the implicit ones only where there are no others; the places are all.
    places = [*(broken.places if broken else ()), *(Place(c, _SECCOMP_FIELD) for c in bad)]
    return _Broken("seccompProfile", broken.detail if broken else detail, places)


#: Safe sysctls, and the minor version that allows each.
_SYSCTLS = {
    "kernel.shm_rmid_forced": 0,
    "net.ipv4.ip_local_port_range": 0,
    "net.ipv4.tcp_syncookies": 0,
    "net.ipv4.ping_group_range": 0,
    "net.ipv4.ip_unprivileged_port_start": 0,
    "net.ipv4.ip_local_reserved_ports": 27,
    "net.ipv4.tcp_keepalive_time": 29,
    "net.ipv4.tcp_fin_timeout": 29,
    "net.ipv4.tcp_keepalive_intvl": 29,
    "net.ipv4.tcp_keepalive_probes": 29,
    "net.ipv4.tcp_rmem": 32,
    "net.ipv4.tcp_wmem": 32,
    "net.ipv4.tcp_slow_start_after_idle": 37,
    "net.ipv4.tcp_notsent_lowat": 37,
}


def _sysctls(pod: Pod) -> _Broken | None:
    sysctls = _list(get(pod.spec, "securityContext") or {}, "sysctls")
    names = [_name(sysctl) for sysctl in sysctls]
    bad = [name for name in names if _SYSCTLS.get(name, NEWEST_MINOR + 1) > pod.minor]
    places = [Place(None, f"spec.securityContext.sysctls[{name}]") for name in bad]
    return _Broken("forbidden sysctls", ", ".join(bad), places) if bad else None


def _windows_host_process(pod: Pod) -> _Broken | None:
    field = "securityContext.windowsOptions.hostProcess"

    def host(owner: Json) -> bool:
        return bool(get(owner, *field.split(".")))

    bad = [_name(c) for c in pod.containers() if host(c)]
    if not (setters := _setters(host(pod.spec), bad)):
        return None
    return _Broken(
        "hostProcess", f"{setters} must not set {field}=true", _profile_places(field, host(pod.spec), bad)
    )


#: Upstream's order: baseline checks by id, then restricted ones by id.
CHECKS: tuple[Check, ...] = (
    Check("appArmorProfile", "baseline", 0, _app_armor),
    Check("capabilities_baseline", "baseline", 0, _capabilities_baseline),
    Check("hostNamespaces", "baseline", 0, _host_namespaces),
    Check("hostPathVolumes", "baseline", 0, _host_path),
    Check("hostPorts", "baseline", 0, _host_ports),
    Check("hostProbesAndHostLifecycle", "baseline", 34, _host_probes),
    Check("privileged", "baseline", 0, _privileged),
    Check("procMount", "baseline", 0, _proc_mount_baseline),
    Check("seLinuxOptions", "baseline", 0, _se_linux),
    Check("seccompProfile_baseline", "baseline", 0, _seccomp_baseline),
    Check("sysctls", "baseline", 0, _sysctls),
    Check("windowsHostProcess", "baseline", 0, _windows_host_process),
    Check("allowPrivilegeEscalation", "restricted", 8, _privilege_escalation),
    Check("capabilities_restricted", "restricted", 22, _capabilities_restricted, "capabilities_baseline"),
    Check("procMount_restricted", "restricted", 35, _proc_mount, "procMount"),
    Check("restrictedVolumes", "restricted", 0, _volume_types, "hostPathVolumes"),
    Check("runAsNonRoot", "restricted", 0, _non_root),
    Check("runAsUser", "restricted", 23, _root_user),
    Check("seccompProfile_restricted", "restricted", 19, _seccomp_restricted, "seccompProfile_baseline"),
)
