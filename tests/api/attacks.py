"""What a DAG author could try in the task namespace, as changes of a pod that is let in.

Each attack names the rule of the fence that stops it (a variable of the policy), or Pod Security.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from tests.support import annotation_keys

Pod = dict[str, Any]
POD_SECURITY = "Pod Security"


@dataclass(frozen=True)
class Attack:
    """One forbidden pod: `change` turns a proper one into it."""

    name: str
    rule: str
    change: Callable[[Pod], object]
    #: What the refusal has to say, besides the value that opens it.
    says: str = ""
    #: The LimitRange of the created task namespace makes it harmless there.
    needs_no_limit_range: bool = False
    #: The first Kubernetes that has the field, if need be by a feature gate (control_plane.py).
    since: tuple[int, int] = (1, 30)

    @property
    def finding(self) -> tuple[int, ...]:
        """The findings of tests/support/attacks.py that it repeats."""
        return tuple(number for number, rules in FINDINGS.items() if self.rule in rules)


#: Finding -> rules of the fence that closed it.
FINDINGS: Mapping[int, tuple[str, ...]] = {
    5: ("affinity",),
    11: ("annotations",),
    13: ("runtimeClass", "resourceClaims"),
    14: ("volumeSizes", "resources"),
    15: ("finalizers", "ownerReferences", "gracePeriod", "schedulingGates"),
    16: ("images",),
    23: ("hostUsers", "windows", "profiles"),
}


def base(pod: Pod) -> dict[str, Any]:
    """The operator's own container."""
    found: dict[str, Any] = pod["spec"]["containers"][0]
    return found


def _volume(name: str, **source: Any) -> Callable[[Pod], object]:
    return lambda pod: pod["spec"].setdefault("volumes", []).append({"name": name, **source})


def _projected(*sources: Any) -> Callable[[Pod], object]:
    return _volume("mixed", projected={"sources": list(sources)})


def _env(kind: str, name: str) -> Callable[[Pod], object]:
    return lambda pod: base(pod).update(
        env=[
            {"name": "PLAIN", "value": "x"},
            {"name": "STOLEN", "valueFrom": {kind: {"name": name, "key": "password"}}},
        ]
    )


def _env_from(kind: str, name: str) -> Callable[[Pod], object]:
    return lambda pod: base(pod).update(envFrom=[{kind: {"name": name}}])


def _spec(**fields: Any) -> Callable[[Pod], object]:
    return lambda pod: pod["spec"].update(fields)


def _base(**fields: Any) -> Callable[[Pod], object]:
    return lambda pod: base(pod).update(fields)


def _security(**fields: Any) -> Callable[[Pod], object]:
    return lambda pod: base(pod)["securityContext"].update(fields)


def _label(key: str, value: str) -> Callable[[Pod], object]:
    return lambda pod: pod["metadata"]["labels"].update({key: value})


def _init(change: Callable[[Pod], object]) -> Callable[[Pod], object]:
    """The same in an init container."""

    def changed(pod: Pod) -> None:
        other: Pod = {"spec": {"containers": [{**base(pod), "name": "first"}]}, "metadata": pod["metadata"]}
        change(other)
        pod["spec"]["initContainers"] = other["spec"]["containers"]

    return changed


def _toleration(**fields: Any) -> Callable[[Pod], object]:
    return _spec(tolerations=[fields])


def _ephemeral(**fields: Any) -> Callable[[Pod], object]:
    """An ephemeral volume: fields of its claim's spec, or `metadata`."""
    storage = {"accessModes": ["ReadWriteOnce"], "resources": {"requests": {"storage": "1Gi"}}}
    metadata = fields.pop("metadata", {})
    spec = {**storage, "storageClassName": "allowed", **fields}
    return _volume("copy", ephemeral={"volumeClaimTemplate": {"metadata": metadata, "spec": spec}})


_SECRET, _MAP = "database-password", "release-config"
_HTTP = {"path": "/latest/meta-data", "port": 80, "host": "169.254.169.254"}
_TCP = {"port": 5432, "host": "10.0.0.7"}
_CLAIM = {"kind": "PersistentVolumeClaim", "name": "somebody-elses"}


_SLOW = {"httpGet": {"path": "/", "port": 80}, "terminationGracePeriodSeconds": 2**31}
_PROFILE = {"type": "Localhost", "localhostProfile": "lax.json"}
_OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "1"}
_EVERYWHERE = {"topologyKey": "kubernetes.io/os", "labelSelector": {}, "namespaceSelector": {}}
_REQUIRED = "requiredDuringSchedulingIgnoredDuringExecution"


def _affinity(kind: str, when: str) -> Attack:
    term: Any = _EVERYWHERE
    if when == "preferred":
        term = {"weight": 100, "podAffinityTerm": term}
    change = _spec(affinity={kind: {f"{when}DuringSchedulingIgnoredDuringExecution": [term]}})
    return Attack(f"{when} {kind} to pods of others", "affinity", change, kind)


def _annotation(key: str) -> Callable[[Pod], object]:
    value = "unconfined" if "apparmor" in key else "x"
    return lambda pod: pod["metadata"].setdefault("annotations", {}).update({key: value})


def _root_in_user_namespace(pod: Pod) -> None:
    pod["spec"]["hostUsers"] = False
    base(pod)["securityContext"].update(runAsUser=0, runAsNonRoot=False)


def _windows(pod: Pod) -> None:
    pod["spec"].update(os={"name": "windows"}, securityContext={"runAsNonRoot": True})
    base(pod)["securityContext"] = {"runAsNonRoot": True}


def _probe(kind: str, **handler: Any) -> Attack:
    return Attack(f"{kind} of another host, {next(iter(handler))}", "probeHosts", _base(**{kind: handler}))


def _hook(kind: str, **handler: Any) -> Attack:
    name = f"{kind} hook to another host, {next(iter(handler))}"
    return Attack(name, "probeHosts", _base(lifecycle={kind: handler}))


ATTACKS = (
    # Secrets, by every way in
    Attack("Secret by volume", "secrets", _volume("v", secret={"secretName": _SECRET}), _SECRET),
    Attack("Secret by env", "secrets", _env("secretKeyRef", _SECRET), _SECRET),
    Attack("Secret by envFrom", "secrets", _env_from("secretRef", _SECRET), _SECRET),
    Attack("Secret by projected volume", "secrets", _projected({"secret": {"name": _SECRET}}), _SECRET),
    Attack(
        "Secret behind an allowed one",
        "secrets",
        _projected({"secret": {"name": "allowed"}}, {"secret": {"name": _SECRET}}),
        _SECRET,
    ),
    Attack("Secret in an init container, env", "secrets", _init(_env("secretKeyRef", _SECRET)), _SECRET),
    Attack(
        "Secret in an init container, envFrom", "secrets", _init(_env_from("secretRef", _SECRET)), _SECRET
    ),
    Attack(
        "Secret of a CSI driver",
        "secrets",
        _volume("v", csi={"driver": "store.example", "nodePublishSecretRef": {"name": _SECRET}}),
        _SECRET,
    ),
    # ConfigMaps
    Attack("ConfigMap by volume", "configMaps", _volume("v", configMap={"name": _MAP}), _MAP),
    Attack("ConfigMap by env", "configMaps", _env("configMapKeyRef", _MAP), _MAP),
    Attack("ConfigMap by envFrom", "configMaps", _env_from("configMapRef", _MAP), _MAP),
    Attack("ConfigMap by projected volume", "configMaps", _projected({"configMap": {"name": _MAP}}), _MAP),
    Attack("ConfigMap in an init container", "configMaps", _init(_env_from("configMapRef", _MAP)), _MAP),
    # Storage
    Attack(
        "somebody else's claim",
        "persistentVolumeClaims",
        _volume("v", persistentVolumeClaim={"claimName": "somebody-elses"}),
        "somebody-elses",
    ),
    *(
        Attack(name, "claimSources", _ephemeral(**{field: value}), f"{field} of a claim")
        for name, field, value in (
            ("copy of a claim", "dataSource", _CLAIM),
            ("copy of a claim, by reference", "dataSourceRef", _CLAIM),
            ("volume by name", "volumeName", "theirs"),
            ("volume by selector", "selector", {"matchLabels": {"a": "b"}}),
            ("fast volume", "volumeAttributesClassName", "fast"),
        )
    ),
    Attack("other storage class", "storageClasses", _ephemeral(storageClassName="theirs"), "theirs"),
    Attack("volume without a class", "storageClasses", _ephemeral(storageClassName=""), "without a storage"),
    Attack(
        "storage class by annotation",
        "claimAnnotations",
        _ephemeral(metadata={"annotations": {"volume.beta.kubernetes.io/storage-class": "theirs"}}),
        "volume.beta.kubernetes.io/storage-class",
    ),
    Attack(
        "label of a claim that a webhook reads",
        "claimLabels",
        _ephemeral(metadata={"labels": {"backup.example.com/to": "theirs"}}),
        "backup.example.com/to",
    ),
    Attack("NFS volume", "volumeTypes", _volume("v", nfs={"server": "10.0.0.1", "path": "/"}), "volume v"),
    Attack("host path", "volumeTypes", _volume("v", hostPath={"path": "/"}), "volume v"),
    # Identity
    Attack("default service account", "serviceAccount", _spec(serviceAccountName="default"), "'default'"),
    Attack("other service account", "serviceAccount", _spec(serviceAccountName="privileged"), "'privileged'"),
    Attack("token by automount", "token", _spec(automountServiceAccountToken=True)),
    Attack(
        "token by projected volume",
        "token",
        _projected({"serviceAccountToken": {"path": "t"}}),
        "volume mixed",
    ),
    Attack(
        "pod certificate",
        "token",
        _projected({"podCertificate": {"signerName": "a.example/b", "keyType": "ED25519"}}),
        "volume mixed",
    ),
    Attack(
        "token for another audience",
        "token",
        _projected({"serviceAccountToken": {"path": "t", "audience": "vault"}}),
        "volume mixed",
    ),
    Attack(
        "token behind an allowed one",
        "token",
        _projected(
            {"serviceAccountToken": {"path": "a", "audience": "sts.example.com"}},
            {"serviceAccountToken": {"path": "b"}},
        ),
    ),
    Attack("pull secret", "imagePullSecrets", _spec(imagePullSecrets=[{"name": "other"}]), "other"),
    Attack("instance label", "labels", _label("app.kubernetes.io/instance", "airdock")),
    Attack("label of the release's own", "labels", _label("airdock.dev/mode", "dind")),
    # Images
    Attack("foreign image", "images", _base(image="evil.example/miner:1"), "evil.example/miner:1"),
    Attack("image whose name only begins alike", "images", _base(image="busybox-evil:1")),
    Attack("another tag of an image", "images", _base(image="registry.example/one:12")),
    Attack("foreign image in an init container", "images", _init(_base(image="evil.example/miner:1"))),
    Attack(
        "foreign image as a volume",
        "images",
        _volume("v", image={"reference": "evil.example/data:1"}),
        since=(1, 31),
    ),
    # Placement
    Attack("node by name", "nodeName", _spec(nodeName="control-plane")),
    Attack("toleration of all taints", "tolerations", _toleration(operator="Exists")),
    Attack(
        "toleration of the control plane",
        "tolerations",
        _toleration(key="node-role.kubernetes.io/control-plane", operator="Exists", effect="NoSchedule"),
        "node-role.kubernetes.io/control-plane",
    ),
    Attack(
        "allowed toleration in another form",
        "tolerations",
        _toleration(key="gpu", value="x", effect="NoExecute"),
    ),
    Attack("priority over others", "priorityClass", _spec(priorityClassName="urgent"), "urgent"),
    Attack("other scheduler", "scheduler", _spec(schedulerName="lax"), "lax"),
    Attack("no limits", "limits", lambda pod: base(pod).pop("resources"), "base", needs_no_limit_range=True),
    Attack(
        "no memory limit",
        "limits",
        lambda pod: base(pod)["resources"]["limits"].pop("memory"),
        needs_no_limit_range=True,
    ),
    Attack(
        "no limits in an init container",
        "limits",
        _init(lambda pod: base(pod).pop("resources")),
        "first",
        needs_no_limit_range=True,
    ),
    *(
        _affinity(kind, when)
        for kind in ("podAffinity", "podAntiAffinity")
        for when in ("required", "preferred")
    ),
    Attack(
        "pods of a named namespace kept away",
        "affinity",
        _spec(
            affinity={
                "podAntiAffinity": {
                    _REQUIRED: [{**_EVERYWHERE, "namespaces": ["default"], "namespaceSelector": None}]
                }
            }
        ),
        "podAntiAffinity",
    ),
    Attack("other runtime", "runtimeClass", _spec(runtimeClassName="theirs"), "theirs"),
    Attack(
        "pod that waits for nothing", "schedulingGates", _spec(schedulingGates=[{"name": "example.com/x"}])
    ),
    Attack(
        "devices of others",
        "resourceClaims",
        _spec(resourceClaims=[{"name": "a", "resourceClaimName": "theirs"}]),
        "theirs",
        since=(1, 31),
    ),
    Attack(
        "device that no quota counts",
        "resources",
        lambda pod: base(pod)["resources"]["limits"].update({"example.com/fpga": "1"}),
        "example.com/fpga",
    ),
    Attack("huge emptyDir", "volumeSizes", _volume("v", emptyDir={"sizeLimit": "10Ti"}), "volume v"),
    Attack(
        "huge ephemeral volume",
        "claimSizes",
        _ephemeral(resources={"requests": {"storage": "10Ti"}}),
    ),
    Attack("pod that does not end", "gracePeriod", _spec(terminationGracePeriodSeconds=2**31)),
    *(
        Attack(f"pod that does not end, {kind}", "gracePeriod", _base(**{kind: _SLOW}))
        for kind in ("livenessProbe", "startupProbe")
    ),
    # The node's network, by the kubelet
    _probe("livenessProbe", httpGet=_HTTP),
    _probe("livenessProbe", tcpSocket=_TCP),
    _probe("readinessProbe", httpGet=_HTTP),
    _probe("readinessProbe", tcpSocket=_TCP),
    _probe("startupProbe", httpGet=_HTTP),
    _probe("startupProbe", tcpSocket=_TCP),
    _hook("postStart", httpGet=_HTTP),
    _hook("postStart", tcpSocket=_TCP),
    _hook("preStop", httpGet=_HTTP),
    _hook("preStop", tcpSocket=_TCP),
    # The node
    Attack("root in a user namespace", "hostUsers", _root_in_user_namespace),
    Attack("pod for Windows", "windows", _windows),
    Attack(
        "options of Windows", "windows", _spec(securityContext={"windowsOptions": {"runAsUserName": "x"}})
    ),
    Attack("options of Windows in a container", "windows", _security(windowsOptions={"runAsUserName": "x"})),
    *(
        Attack(f"{kind} of the node", "profiles", _security(**{kind: _PROFILE}), "lax.json")
        for kind in ("seccompProfile", "appArmorProfile")
    ),
    # Metadata
    *(Attack(f"annotation {key}", "annotations", _annotation(key), key) for key in annotation_keys.REFUSED),
    Attack("label that a webhook reads", "labels", _label("sidecar.istio.io/inject", "true")),
    Attack("finalizer", "finalizers", lambda pod: pod["metadata"].update(finalizers=["example.com/x"])),
    Attack("owner", "ownerReferences", lambda pod: pod["metadata"].update(ownerReferences=[_OWNER])),
    # The host: Pod Security's part
    Attack("privileged", POD_SECURITY, _security(privileged=True, allowPrivilegeEscalation=True)),
    Attack("root", POD_SECURITY, _security(runAsUser=0, runAsNonRoot=False)),
    Attack("capability", POD_SECURITY, _security(capabilities={"add": ["SYS_ADMIN"]})),
    Attack("host network", POD_SECURITY, _spec(hostNetwork=True)),
    Attack("host processes", POD_SECURITY, _spec(hostPID=True)),
    Attack("host IPC", POD_SECURITY, _spec(hostIPC=True)),
    Attack("host port", POD_SECURITY, _base(ports=[{"containerPort": 80, "hostPort": 80}])),
    Attack("no seccomp", POD_SECURITY, _security(seccompProfile={"type": "Unconfined"})),
)
