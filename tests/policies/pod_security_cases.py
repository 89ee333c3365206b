"""Pods on which a wrong Pod Security check and a right one differ, where upstream's fixtures do not tell."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

#: A version above all: never refused.
NEVER = 999

GOOD_CONTAINER: dict[str, Any] = {
    "name": "a",
    "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
}
GOOD_POD: dict[str, Any] = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}


@dataclass(frozen=True)
class Case:
    """A pod, and from which minor version on (until before another) each level refuses it."""

    name: str
    spec: dict[str, Any]
    metadata: dict[str, Any] = field(default_factory=dict)
    baseline: tuple[int, int] = (NEVER, NEVER)
    restricted: tuple[int, int] = (NEVER, NEVER)
    #: The check that refuses it; "" if that goes without saying.
    check: str = ""

    @property
    def pod(self) -> dict[str, Any]:
        return {"metadata": self.metadata, "spec": self.spec}

    def refused(self, level: str, minor: int) -> bool:
        """Whether it must be refused (by ``check``)."""
        first, end = self.baseline if level == "baseline" else self.restricted
        return first <= minor < end


ALWAYS = (0, NEVER)
NOT = (NEVER, NEVER)


def pod(container: dict[str, Any] | None = None, kind: str = "containers", **changes: Any) -> dict[str, Any]:
    """A restricted pod; ``container`` is laid over one more container, of that kind; changes over the pod."""
    spec: dict[str, Any] = {"containers": [deepcopy(GOOD_CONTAINER)], "securityContext": dict(GOOD_POD)}
    if container is not None:
        security = {**GOOD_CONTAINER["securityContext"], **container.get("securityContext", {})}
        spec.setdefault(kind, []).append({"name": "b", **container, "securityContext": security})
    spec["securityContext"].update(changes.pop("securityContext", {}))
    spec.update(changes)
    return spec


def both(name: str, spec: dict[str, Any], since: int = 0, until: int = NEVER, **metadata: Any) -> Case:
    return Case(name, spec, metadata, (since, until), (since, until))


def strict(name: str, spec: dict[str, Any], since: int = 0, until: int = NEVER) -> Case:
    return Case(name, spec, {}, NOT, (since, until))


def security(**fields: Any) -> dict[str, Any]:
    return {"securityContext": fields}


SOURCES = [
    "configMap",
    "csi",
    "downwardAPI",
    "emptyDir",
    "ephemeral",
    "image",
    "persistentVolumeClaim",
    "projected",
    "secret",
]
FOREIGN = [
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
]
PROBE = {"httpGet": {"host": "10.0.0.1", "port": 80}}
TCP = {"tcpSocket": {"host": "10.0.0.1", "port": 80}}
KINDS = ("containers", "initContainers", "ephemeralContainers")
SECCOMP = "seccomp.security.alpha.kubernetes.io/pod"
CONTAINER_SECCOMP = "container.seccomp.security.alpha.kubernetes.io/a"
APPARMOR = "container.apparmor.security.beta.kubernetes.io/a"
# What else a Windows pod may not have: nothing that Linux pods must.
WINDOWS = {
    "os": {"name": "windows"},
    "containers": [{"name": "a"}],
    "securityContext": {"runAsNonRoot": True},
}
USERNS: dict[str, Any] = {"hostUsers": False}

CASES: tuple[Case, ...] = (
    Case("restricted", pod()),
    *(both(f"privileged, {kind}", pod(security(privileged=True), kind)) for kind in KINDS),
    *(
        strict(f"escalation allowed, {kind}", pod(security(allowPrivilegeEscalation=True), kind), 8)
        for kind in KINDS
    ),
    *(
        strict(f"escalation not said, {kind}", pod(security(allowPrivilegeEscalation=None), kind), 8)
        for kind in KINDS
    ),
    *(
        both(
            f"added capability, {kind}",
            pod(security(capabilities={"add": ["SYS_ADMIN"], "drop": ["ALL"]}), kind),
        )
        for kind in KINDS
    ),
    *(
        both(f"hostPort, {kind}", pod({"ports": [{"containerPort": 1, "hostPort": 2}]}, kind))
        for kind in KINDS
    ),
    *(both(f"procMount, {kind}", pod(security(procMount="Unmasked"), kind)) for kind in KINDS),
    *(strict(f"runAsNonRoot: false, {kind}", pod(security(runAsNonRoot=False), kind)) for kind in KINDS),
    *(strict(f"uid 0, {kind}", pod(security(runAsUser=0), kind), 23) for kind in KINDS),
    *(both(f"SELinux type, {kind}", pod(security(seLinuxOptions={"type": "spc_t"}), kind)) for kind in KINDS),
    *(
        both(f"seccomp Unconfined, {kind}", pod(security(seccompProfile={"type": "Unconfined"}), kind), 19)
        for kind in KINDS
    ),
    *(
        both(f"hostProcess, {kind}", pod(security(windowsOptions={"hostProcess": True}), kind))
        for kind in KINDS
    ),
    *(
        both(f"AppArmor field, {kind}", pod(security(appArmorProfile={"type": "Unconfined"}), kind))
        for kind in KINDS
    ),
    *(both(f"liveness host, {kind}", pod({"livenessProbe": PROBE}, kind), 34) for kind in KINDS),
    # AppArmor
    both("AppArmor field of the pod", pod(securityContext={"appArmorProfile": {"type": "Unconfined"}})),
    both("AppArmor field without a type", pod(securityContext={"appArmorProfile": {}})),
    Case(
        "AppArmor localhost field",
        pod(securityContext={"appArmorProfile": {"type": "Localhost", "localhostProfile": "x"}}),
    ),
    both("AppArmor annotation", pod(), annotations={APPARMOR: "unconfined"}),
    both("AppArmor annotation of no container", pod(), annotations={APPARMOR[:-1] + "none": "unconfined"}),
    Case("AppArmor annotation, empty", pod(), {"annotations": {APPARMOR: ""}}),
    Case("AppArmor annotation, default", pod(), {"annotations": {APPARMOR: "runtime/default"}}),
    Case("AppArmor annotation, localhost", pod(), {"annotations": {APPARMOR: "localhost/x"}}),
    # Capabilities
    strict("drop all in lower case", pod(security(capabilities={"drop": ["all"]})), 22),
    strict("drop of one", pod(security(capabilities={"drop": ["NET_RAW"]})), 22),
    strict("no capabilities", pod(security(capabilities=None)), 22),
    Case("NET_BIND_SERVICE", pod(security(capabilities={"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}))),
    strict("CHOWN", pod(security(capabilities={"drop": ["ALL"], "add": ["CHOWN"]})), 22),
    both("CAP_CHOWN", pod(security(capabilities={"drop": ["ALL"], "add": ["CAP_CHOWN"]}))),
    both(
        "CAP_NET_BIND_SERVICE", pod(security(capabilities={"drop": ["ALL"], "add": ["CAP_NET_BIND_SERVICE"]}))
    ),
    # Host
    *(both(key, {**pod(), key: True}) for key in ("hostNetwork", "hostPID", "hostIPC")),
    Case("hostPort 0", pod({"ports": [{"containerPort": 1, "hostPort": 0}]})),
    # A port of a pod on the host's network is one on the host: the API server fills in its hostPort.
    *(
        Case(
            f"hostPort of hostNetwork, {kind}",
            pod({"ports": [{"containerPort": 1}]}, kind, hostNetwork=True),
            {},
            ALWAYS,
            ALWAYS,
            "hostPorts",
        )
        for kind in ("containers", "initContainers")
    ),
    Case(
        "hostPort of hostNetwork, ephemeralContainers",
        pod({"ports": [{"containerPort": 1}]}, "ephemeralContainers", hostNetwork=True),
        check="hostPorts",
    ),
    both("hostPath", pod(volumes=[{"name": "v", "hostPath": {"path": "/"}}])),
    both("hostPath without a path", pod(volumes=[{"name": "v", "hostPath": {}}])),
    # Volumes
    *(Case(f"volume {kind}", pod(volumes=[{"name": "v", kind: {}}])) for kind in SOURCES),
    *(strict(f"volume {kind}", pod(volumes=[{"name": "v", kind: {}}])) for kind in FOREIGN),
    Case("volume without a source", pod(volumes=[{"name": "v"}])),
    Case("volume with a null source", pod(volumes=[{"name": "v", "hostPath": None}])),
    strict(
        "bad volume after a good one", pod(volumes=[{"name": "v", "emptyDir": {}}, {"name": "w", "nfs": {}}])
    ),
    # Probes and hooks
    *(
        both(f"{probe} {kind} host", pod({probe: action}), 34)
        for probe in ("livenessProbe", "readinessProbe", "startupProbe")
        for kind, action in (("httpGet", PROBE), ("tcpSocket", TCP))
    ),
    *(
        both(f"{hook} {kind} host", pod({"lifecycle": {hook: action}}), 34)
        for hook in ("postStart", "preStop")
        for kind, action in (("httpGet", PROBE), ("tcpSocket", TCP))
    ),
    Case("empty probe host", pod({"livenessProbe": {"httpGet": {"host": "", "port": 80}}})),
    # Sysctls
    *(
        both(f"sysctl {name}", pod(securityContext={"sysctls": [{"name": name, "value": "1"}]}), 0, until)
        for name, until in {
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
            "kernel.msgmax": NEVER,
        }.items()
    ),
    # Users
    strict(
        "runAsNonRoot: false of the pod, true of the container",
        {
            "containers": [
                {"name": "a", "securityContext": {**GOOD_CONTAINER["securityContext"], "runAsNonRoot": True}}
            ],
            "securityContext": {**GOOD_POD, "runAsNonRoot": False},
        },
    ),
    strict("runAsNonRoot not said", pod(securityContext={"runAsNonRoot": None})),
    Case(
        "runAsNonRoot of the containers alone",
        {
            "containers": [
                {"name": "a", "securityContext": {**GOOD_CONTAINER["securityContext"], "runAsNonRoot": True}}
            ],
            "securityContext": {"seccompProfile": {"type": "Localhost", "localhostProfile": "x"}},
        },
    ),
    strict("uid 0 of the pod", pod(securityContext={"runAsUser": 0}), 23),
    strict("user namespace, runAsNonRoot: false", pod(security(runAsNonRoot=False), **USERNS), 0, 35),
    strict("user namespace, uid 0", pod(securityContext={"runAsUser": 0}, **USERNS), 23, 35),
    strict("hostUsers: true, uid 0", pod(securityContext={"runAsUser": 0}, hostUsers=True), 23),
    both("user namespace, privileged", pod(security(privileged=True), **USERNS)),
    Case("user namespace, procMount", pod(security(procMount="Unmasked"), **USERNS), {}, (0, 35), ALWAYS),
    # SELinux
    both("SELinux type of the pod", pod(securityContext={"seLinuxOptions": {"type": "spc_t"}})),
    both("SELinux user", pod(securityContext={"seLinuxOptions": {"user": "u"}})),
    both("SELinux role", pod(securityContext={"seLinuxOptions": {"role": "r"}})),
    Case("SELinux level", pod(securityContext={"seLinuxOptions": {"level": "s0:c1", "type": "container_t"}})),
    both(
        "SELinux container_engine_t",
        pod(securityContext={"seLinuxOptions": {"type": "container_engine_t"}}),
        0,
        31,
    ),
    # Seccomp
    both("seccomp annotation", pod(), 0, 19, annotations={SECCOMP: "unconfined"}),
    both("seccomp annotation of a container", pod(), 0, 19, annotations={CONTAINER_SECCOMP: "unconfined"}),
    both("seccomp annotation, empty", pod(), 0, 19, annotations={SECCOMP: ""}),
    Case(
        "seccomp annotation of no container", pod(), {"annotations": {CONTAINER_SECCOMP + "x": "unconfined"}}
    ),
    Case("seccomp annotation, docker/default", pod(), {"annotations": {SECCOMP: "docker/default"}}),
    both("seccomp without a type", pod(securityContext={"seccompProfile": {}}), 19),
    both(
        "seccomp Unconfined of the pod", pod(securityContext={"seccompProfile": {"type": "Unconfined"}}), 19
    ),
    strict("seccomp not said", pod(securityContext={"seccompProfile": None}), 19),
    # Windows
    strict("Windows", WINDOWS, 8, 25),
    strict("Windows, runAsNonRoot not said", {**WINDOWS, "securityContext": {}}),
    strict("Linux is no Windows", {**WINDOWS, "os": {"name": "linux"}}, 8),
    both("hostProcess of the pod", pod(securityContext={"windowsOptions": {"hostProcess": True}})),
    Case("hostProcess: false", pod(securityContext={"windowsOptions": {"hostProcess": False}})),
)
