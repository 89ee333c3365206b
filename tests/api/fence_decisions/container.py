"""The fields of a container."""

from __future__ import annotations

from typing import Any

from tests.api.fence_decisions.decision import (
    ADMISSION,
    NESTED,
    Decision,
    allowed,
    by_value,
    pod_security,
    refused,
    server,
)
from tests.api.fence_decisions.pod import POD

_HTTP = {"path": "/", "port": 80}


def _probe(name: str) -> dict[str, Decision]:
    found: dict[str, Decision] = {name: NESTED}
    for field, value in {
        "exec": {"exec": {"command": ["true"]}},
        "failureThreshold": {"httpGet": _HTTP, "failureThreshold": 2},
        "grpc": {"grpc": {"port": 80}},
        "initialDelaySeconds": {"httpGet": _HTTP, "initialDelaySeconds": 1},
        "periodSeconds": {"httpGet": _HTTP, "periodSeconds": 1},
        "successThreshold": {"httpGet": _HTTP, "successThreshold": 1},
        "timeoutSeconds": {"httpGet": _HTTP, "timeoutSeconds": 1},
    }.items():
        found[f"{name}.{field}"] = allowed(value)
    found |= _handlers(name)
    found[f"{name}.terminationGracePeriodSeconds"] = (
        server("not for readiness")
        if name == "readinessProbe"
        else by_value(
            {"httpGet": _HTTP, "terminationGracePeriodSeconds": 601},
            ADMISSION + "maxTerminationGracePeriodSeconds",
            {"httpGet": _HTTP, "terminationGracePeriodSeconds": 600},
        )
    )
    return found


def _handlers(name: str) -> dict[str, Decision]:
    found: dict[str, Decision] = {}
    for kind, plain in (("httpGet", _HTTP), ("tcpSocket", {"port": 80})):
        found[f"{name}.{kind}"] = NESTED
        for field, value in {
            "httpHeaders": [{"name": "A", "value": "b"}],
            "path": "/x",
            "port": 81,
            "scheme": "HTTPS",
        }.items():
            if kind == "httpGet" or field == "port":
                found[f"{name}.{kind}.{field}"] = allowed({kind: {**plain, field: value}})
        found[f"{name}.{kind}.host"] = refused({kind: {**plain, "host": "169.254.169.254"}})
    return found


def _hook(name: str) -> dict[str, Decision]:
    found = {
        f"lifecycle.{name}.{field}": decision for field, decision in {
            "exec": allowed({"exec": {"command": ["true"]}}),
            "sleep": allowed({"sleep": {"seconds": 1}}, "no longer than the grace period"),
        }.items()
    } | _handlers(f"lifecycle.{name}")  # fmt: skip
    wrapped = {
        path: Decision(**{**vars(one), "example": {name: one.example}}) if one is not NESTED else one
        for path, one in found.items()
    }
    return {f"lifecycle.{name}": NESTED, **wrapped}


def _security(field: str, example: Any, fine: Any = None) -> tuple[str, Decision]:
    return f"securityContext.{field}", pod_security(
        {field: example}, {field: fine} if fine is not None else None
    )


def _source(kind: str, name: str) -> dict[str, Any]:
    return {"name": "A", "valueFrom": {kind: {"name": name, "key": "k"}}}


_LIMITS = {"cpu": "100m", "memory": "32Mi"}
CONTAINER = {
    "args": allowed(["theirs"]),
    "command": allowed(["theirs"]),
    "env[]": NESTED,
    "env[].name": allowed([{"name": "A"}]),
    "env[].value": allowed([{"name": "A", "value": "b"}]),
    "env[].valueFrom": NESTED,
    "env[].valueFrom.configMapKeyRef": by_value(
        [_source("configMapKeyRef", "theirs")],
        ADMISSION + "configMaps",
        [_source("configMapKeyRef", "allowed")],
    ),
    "env[].valueFrom.fieldRef": allowed(
        [{"name": "A", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}}]
    ),
    "env[].valueFrom.fileKeyRef": allowed(
        [{"name": "A", "valueFrom": {"fileKeyRef": {"volumeName": "data", "path": "f", "key": "k"}}}],
        "a file of the pod's own emptyDir",
        since=(1, 34),
    ),
    "env[].valueFrom.resourceFieldRef": allowed(
        [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu"}}}]
    ),
    "env[].valueFrom.secretKeyRef": by_value(
        [_source("secretKeyRef", "theirs")], ADMISSION + "secrets", [_source("secretKeyRef", "allowed")]
    ),
    "envFrom[]": NESTED,
    "envFrom[].configMapRef": by_value(
        [{"configMapRef": {"name": "theirs"}}],
        ADMISSION + "configMaps",
        [{"configMapRef": {"name": "allowed"}}],
    ),
    "envFrom[].prefix": allowed([{"prefix": "A_", "configMapRef": {"name": "allowed"}}]),
    "envFrom[].secretRef": by_value(
        [{"secretRef": {"name": "theirs"}}], ADMISSION + "secrets", [{"secretRef": {"name": "allowed"}}]
    ),
    "image": by_value("evil.example/x:1", ADMISSION + "images", "busybox:1.36"),
    "imagePullPolicy": allowed("Never", "tasks.admission.images decides"),
    "lifecycle": NESTED,
    "lifecycle.stopSignal": server("wants spec.os; behind a feature gate"),
    **_hook("postStart"),
    **_hook("preStop"),
    **_probe("livenessProbe"),
    **_probe("readinessProbe"),
    **_probe("startupProbe"),
    "name": allowed("another"),
    "ports[]": NESTED,
    "ports[].containerPort": allowed([{"containerPort": 80}]),
    "ports[].hostIP": allowed([{"containerPort": 80, "hostIP": "10.0.0.1"}], "nothing without hostPort"),
    "ports[].hostPort": pod_security([{"containerPort": 80, "hostPort": 80}]),
    "ports[].name": allowed([{"containerPort": 80, "name": "http"}]),
    "ports[].protocol": allowed([{"containerPort": 80, "protocol": "UDP"}]),
    "resizePolicy": allowed([{"resourceName": "cpu", "restartPolicy": "NotRequired"}], "nobody may resize"),
    "resources": NESTED,
    "resources.claims": server("names of spec.resourceClaims"),
    "resources.limits": by_value(
        {"limits": {**_LIMITS, "example.com/fpga": "1"}},
        "tasks.quota.hard",
        {"limits": {**_LIMITS, "nvidia.com/gpu": "1", "ephemeral-storage": "1Gi"}},
    ),
    "resources.requests": by_value(
        {"limits": {**_LIMITS, "hugepages-2Mi": "2Mi"}, "requests": {"hugepages-2Mi": "2Mi"}},
        "tasks.quota.hard",
        {"limits": _LIMITS, "requests": {"cpu": "1m"}},
    ),
    "restartPolicy": server("of init containers"),
    "restartPolicyRules": server("of restartPolicy"),
    "securityContext": NESTED,
    **dict(
        (
            _security("allowPrivilegeEscalation", True),
            _security("capabilities", {"add": ["SYS_ADMIN"]}),
            _security("runAsNonRoot", False),
            _security("runAsUser", 0),
            _security("seLinuxOptions", {"type": "spc_t"}, {"level": "s0:c1,c2"}),
        )
    ),
    "securityContext.appArmorProfile": NESTED,
    "securityContext.appArmorProfile.localhostProfile": POD[
        "securityContext.appArmorProfile.localhostProfile"
    ],
    "securityContext.appArmorProfile.type": POD["securityContext.appArmorProfile.type"],
    "securityContext.procMount": pod_security({"procMount": "Unmasked"}, beside={"hostUsers": False}),
    "securityContext.privileged": pod_security({"privileged": True, "allowPrivilegeEscalation": True}),
    "securityContext.readOnlyRootFilesystem": allowed({"readOnlyRootFilesystem": False}),
    "securityContext.runAsGroup": allowed({"runAsGroup": 5}),
    "securityContext.seccompProfile": NESTED,
    "securityContext.seccompProfile.localhostProfile": POD["securityContext.seccompProfile.localhostProfile"],
    "securityContext.seccompProfile.type": POD["securityContext.seccompProfile.type"],
    "securityContext.windowsOptions": POD["securityContext.windowsOptions"],
    "stdin": allowed(True),
    "stdinOnce": allowed(True),
    "terminationMessagePath": allowed("/tmp/message", "a file of the container itself"),
    "terminationMessagePolicy": allowed("FallbackToLogsOnError"),
    "tty": allowed(True),
    "volumeDevices": server("of a claim, which persistentVolumeClaims decides about"),
    "volumeMounts": allowed([{"name": "data", "mountPath": "/data"}]),
    "workingDir": allowed("/theirs"),
}
