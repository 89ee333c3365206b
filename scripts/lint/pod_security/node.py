"""Checks of what a pod reaches of its node: namespaces, paths, ports, volumes, kernel settings."""

from __future__ import annotations

from scripts.lint.pod_security.model import (
    NEWEST_MINOR,
    Broken,
    Check,
    Json,
    Place,
    Pod,
    containers_named,
    get,
    maps_in,
    name_of,
    plural,
    profile_places,
    quoted,
    setters,
    sources_of,
)


def _host_namespaces(pod: Pod) -> Broken | None:
    bad = [key for key in ("hostNetwork", "hostPID", "hostIPC") if pod.spec.get(key)]
    detail = ", ".join(f"{key}=true" for key in bad)
    return Broken("host namespaces", detail, [Place(None, f"spec.{key}") for key in bad]) if bad else None


def _host_path(pod: Pod) -> Broken | None:
    bad = [name_of(volume) for volume in maps_in(pod.spec, "volumes") if volume.get("hostPath") is not None]
    places = [Place(None, f"spec.volumes[{name}].hostPath") for name in bad]
    detail = f"{plural('volume', len(bad))} {quoted(bad)}"
    return Broken("hostPath volumes", detail, places) if bad else None


def _host_ports(pod: Pod) -> Broken | None:
    bad, ports, places = [], set(), []
    for container in pod.containers():
        found = [port["hostPort"] for port in maps_in(container, "ports") if port.get("hostPort")]
        if found:
            bad.append(name_of(container))
            ports |= {str(port) for port in found}
            places += [Place(name_of(container), f"ports.hostPort={port}") for port in found]
    uses = "uses" if len(bad) == 1 else "use"
    detail = f"{containers_named(bad)} {uses} {plural('hostPort', len(ports))} {', '.join(sorted(ports))}"
    return Broken("hostPort", detail, places) if bad else None


def _host_probes(pod: Pod) -> Broken | None:
    handlers = ("livenessProbe",), ("readinessProbe",), ("startupProbe",)
    hooks = ("lifecycle", "postStart"), ("lifecycle", "preStop")
    bad, hosts, places = set(), set(), []
    for container in pod.containers():
        for path in (*handlers, *hooks):
            for action in ("httpGet", "tcpSocket"):
                if host := get(container, *path, action, "host"):
                    bad.add(name_of(container))
                    hosts.add(str(host))
                    places.append(Place(name_of(container), ".".join((*path, action, "host"))))
    uses = "uses" if len(bad) == 1 else "use"
    what = plural("probe or lifecycle host", len(hosts))
    detail = f"{containers_named(sorted(bad))} {uses} {what} {quoted(sorted(hosts))}"
    return Broken("probe or lifecycle host", detail, places) if bad else None


def _proc_mount(pod: Pod) -> Broken | None:
    found = [(name_of(c), get(c, "securityContext", "procMount")) for c in pod.containers()]
    bad = [(name, value) for name, value in found if value not in (None, "Default")]
    names = [name for name, _ in bad]
    values = quoted(sorted({str(value) for _, value in bad}))
    places = [Place(name, "securityContext.procMount") for name in names]
    detail = f"{containers_named(names)} must not set securityContext.procMount to {values}"
    return Broken("procMount", detail, places) if bad else None


def _proc_mount_baseline(pod: Pod) -> Broken | None:
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


def _volume_types(pod: Pod) -> Broken | None:
    bad, kinds, places = [], set(), []
    for volume in maps_in(pod.spec, "volumes"):
        sources = set(sources_of(volume))
        if sources & _ALLOWED_VOLUMES:
            continue
        kind = next((kind for kind in _FORBIDDEN_VOLUMES if kind in sources), "unknown")
        bad.append(name_of(volume))
        kinds.add(kind)
        places.append(Place(None, f"spec.volumes[{name_of(volume)}].{kind}"))
    uses = "uses" if len(bad) == 1 else "use"
    detail = (
        f"{plural('volume', len(bad))} {quoted(bad)} {uses} "
        f"{plural('restricted volume type', len(kinds))} {quoted(sorted(kinds))}"
    )
    return Broken("restricted volume types", detail, places) if bad else None


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


def _sysctls(pod: Pod) -> Broken | None:
    sysctls = maps_in(get(pod.spec, "securityContext") or {}, "sysctls")
    names = [name_of(sysctl) for sysctl in sysctls]
    bad = [name for name in names if _SYSCTLS.get(name, NEWEST_MINOR + 1) > pod.minor]
    places = [Place(None, f"spec.securityContext.sysctls[{name}]") for name in bad]
    return Broken("forbidden sysctls", ", ".join(bad), places) if bad else None


def _windows_host_process(pod: Pod) -> Broken | None:
    field = "securityContext.windowsOptions.hostProcess"

    def host(owner: Json) -> bool:
        return bool(get(owner, *field.split(".")))

    bad = [name_of(c) for c in pod.containers() if host(c)]
    if not (who := setters(host(pod.spec), bad)):
        return None
    return Broken(
        "hostProcess", f"{who} must not set {field}=true", profile_places(field, host(pod.spec), bad)
    )


CHECKS: tuple[Check, ...] = (
    Check("hostNamespaces", "baseline", 0, _host_namespaces),
    Check("hostPathVolumes", "baseline", 0, _host_path),
    Check("hostPorts", "baseline", 0, _host_ports),
    Check("hostProbesAndHostLifecycle", "baseline", 34, _host_probes),
    Check("procMount", "baseline", 0, _proc_mount_baseline),
    Check("sysctls", "baseline", 0, _sysctls),
    Check("windowsHostProcess", "baseline", 0, _windows_host_process),
    Check("procMount_restricted", "restricted", 35, _proc_mount, "procMount"),
    Check("restrictedVolumes", "restricted", 0, _volume_types, "hostPathVolumes"),
)
