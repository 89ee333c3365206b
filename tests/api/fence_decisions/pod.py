"""The fields of metadata and spec."""

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

_HERE = {"topologyKey": "kubernetes.io/hostname", "labelSelector": {"matchLabels": {"dag_id": "d"}}}
_NODES = [{"matchExpressions": [{"key": "disk", "operator": "Exists"}]}]

METADATA = {
    "annotations": by_value(
        {"k8s.v1.cni.cncf.io/networks": "storage"},
        ADMISSION + "annotations",
        {"prometheus.io/scrape": "true", "note": "x"},
    ),
    "creationTimestamp": server("set by it"),
    "deletionGracePeriodSeconds": server("set by it"),
    "deletionTimestamp": server("set by it"),
    "finalizers": by_value(["example.com/theirs"], ADMISSION + "controllers"),
    "generateName": allowed("theirs-"),
    "generation": server("set by it"),
    "labels": by_value(
        {"sidecar.istio.io/inject": "true"},
        ADMISSION + "labels",
        {"app.kubernetes.io/name": "x", "team": "a"},
    ),
    "managedFields": server("set by it"),
    "name": allowed("another"),
    "namespace": server("the path of the request"),
    "ownerReferences": by_value(
        [{"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "1"}], ADMISSION + "controllers"
    ),
    "resourceVersion": server("not in a new object"),
    "selfLink": server("gone since 1.24"),
    "uid": server("set by it"),
}


def _terms(kind: str) -> dict[str, Decision]:
    required = "requiredDuringSchedulingIgnoredDuringExecution"
    preferred = "preferredDuringSchedulingIgnoredDuringExecution"
    found = {f"affinity.{kind}": NESTED}
    for name in (required, preferred):

        def wrap(fields: dict[str, Any], name: str = name) -> dict[str, Any]:
            term: dict[str, Any] = {**_HERE, **fields}
            return {kind: {name: [term if name == required else {"weight": 1, "podAffinityTerm": term}]}}

        path = f"affinity.{kind}.{name}[]"
        term = path
        if name == preferred:
            found[path] = NESTED
            found[f"{path}.weight"] = allowed(wrap({}))
            term = f"{path}.podAffinityTerm"
        found[term] = NESTED
        for field, value in (
            ("labelSelector", {"labelSelector": {}}),
            ("matchLabelKeys", {"matchLabelKeys": ["team"]}),
            ("mismatchLabelKeys", {"mismatchLabelKeys": ["team"]}),
            ("topologyKey", {"topologyKey": "topology.kubernetes.io/zone"}),
        ):
            found[f"{term}.{field}"] = allowed(wrap(value))
        found[f"{term}.namespaceSelector"] = refused(wrap({"namespaceSelector": {}}))
        found[f"{term}.namespaces"] = refused(wrap({"namespaces": ["default"]}))
    return found


POD = {
    "activeDeadlineSeconds": allowed(5),
    "affinity": NESTED,
    "affinity.nodeAffinity": allowed(
        {"requiredDuringSchedulingIgnoredDuringExecution": {"nodeSelectorTerms": _NODES}},
        "as nodeSelector: taints keep nodes for others",
    ),
    **_terms("podAffinity"),
    **_terms("podAntiAffinity"),
    "automountServiceAccountToken": by_value(True, ADMISSION + "tokenAudiences", False),
    "containers[]": NESTED,
    "dnsConfig": allowed(
        {"nameservers": ["10.0.0.1"]}, "NetworkPolicies judge the traffic", beside={"dnsPolicy": "None"}
    ),
    "dnsPolicy": allowed("Default", "NetworkPolicies judge the traffic"),
    "enableServiceLinks": allowed(True),
    "ephemeralContainers": server("not in a new pod; test_fence_updates.py has the subresource"),
    "hostAliases": allowed([{"ip": "10.0.0.1", "hostnames": ["theirs"]}]),
    "hostIPC": pod_security(True),
    "hostNetwork": pod_security(True),
    "hostPID": pod_security(True),
    "hostUsers": by_value(False, "tasks.userNamespaces", True),
    "hostname": allowed("theirs"),
    "hostnameOverride": allowed("theirs", "the pod's own name for itself"),
    "imagePullSecrets": by_value([{"name": "theirs"}], ADMISSION + "imagePullSecrets", [{"name": "allowed"}]),
    "initContainers[]": server("as containers"),
    "nodeName": refused("control-plane"),
    "nodeSelector": allowed({"pool": "theirs"}, "taints keep nodes for others"),
    "os": NESTED,
    "os.name": refused({"name": "windows"}),
    "overhead": server("the RuntimeClass's"),
    "preemptionPolicy": server("the PriorityClass's"),
    "priority": server("the PriorityClass's"),
    "priorityClassName": by_value("urgent", ADMISSION + "priorityClasses", "batch"),
    "readinessGates": allowed([{"conditionType": "example.com/theirs"}]),
    "resourceClaims[]": NESTED,
    "resourceClaims[].name": server("a name within the pod"),
    "resourceClaims[].resourceClaimName": by_value(
        [{"name": "a", "resourceClaimName": "theirs"}],
        ADMISSION + "resourceClaims",
        [{"name": "a", "resourceClaimName": "allowed"}],
        since=(1, 31),
    ),
    "resourceClaims[].resourceClaimTemplateName": by_value(
        [{"name": "a", "resourceClaimTemplateName": "theirs"}],
        ADMISSION + "resourceClaims",
        [{"name": "a", "resourceClaimTemplateName": "allowed"}],
        since=(1, 31),
    ),
    "resourceClaims[].source": by_value(
        [{"name": "a", "source": {"resourceClaimName": "theirs"}}],
        ADMISSION + "resourceClaims",
        until=(1, 31),
    ),
    "resources": NESTED,
    "resources.claims": server("not for a whole pod"),
    "resources.limits": by_value(
        {"limits": {"hugepages-2Mi": "2Mi"}, "requests": {"hugepages-2Mi": "2Mi", "cpu": "100m"}},
        "tasks.quota.hard",
        {"limits": {"cpu": "2", "memory": "4Gi"}},
        since=(1, 32),
    ),
    "resources.requests": allowed({"requests": {"cpu": "200m"}}, "the quota counts them", since=(1, 34)),
    "restartPolicy": allowed("OnFailure"),
    "runtimeClassName": by_value("theirs", ADMISSION + "runtimeClasses", "allowed"),
    "schedulerName": by_value("lax", ADMISSION + "schedulers", "volcano"),
    "schedulingGates": refused([{"name": "example.com/theirs"}]),
    "schedulingGroup": allowed({"podGroupName": "theirs"}, "behind a feature gate; of the same namespace"),
    "securityContext": NESTED,
    "securityContext.appArmorProfile": NESTED,
    "securityContext.appArmorProfile.localhostProfile": by_value(
        {"appArmorProfile": {"type": "Localhost", "localhostProfile": "theirs"}},
        ADMISSION + "localhostProfiles",
        {"appArmorProfile": {"type": "Localhost", "localhostProfile": "allowed"}},
    ),
    "securityContext.appArmorProfile.type": pod_security(
        {"appArmorProfile": {"type": "Unconfined"}}, {"appArmorProfile": {"type": "RuntimeDefault"}}
    ),
    "securityContext.fsGroup": allowed({"fsGroup": 5}, "of the pod's own volumes"),
    "securityContext.fsGroupChangePolicy": allowed({"fsGroupChangePolicy": "OnRootMismatch"}),
    "securityContext.runAsGroup": allowed({"runAsGroup": 5}),
    "securityContext.runAsNonRoot": pod_security({"runAsNonRoot": False}),
    "securityContext.runAsUser": pod_security({"runAsUser": 0, "runAsNonRoot": False}),
    "securityContext.seLinuxChangePolicy": allowed({"seLinuxChangePolicy": "Recursive"}),
    "securityContext.seLinuxOptions": pod_security(
        {"seLinuxOptions": {"type": "spc_t"}}, {"seLinuxOptions": {"level": "s0:c1,c2"}}
    ),
    "securityContext.seccompProfile": NESTED,
    "securityContext.seccompProfile.localhostProfile": by_value(
        {"seccompProfile": {"type": "Localhost", "localhostProfile": "theirs"}},
        ADMISSION + "localhostProfiles",
        {"seccompProfile": {"type": "Localhost", "localhostProfile": "allowed"}},
    ),
    "securityContext.seccompProfile.type": pod_security({"seccompProfile": {"type": "Unconfined"}}),
    "securityContext.supplementalGroups": allowed({"supplementalGroups": [5]}),
    "securityContext.supplementalGroupsPolicy": allowed({"supplementalGroupsPolicy": "Strict"}),
    "securityContext.sysctls": pod_security(
        {"sysctls": [{"name": "kernel.msgmax", "value": "1"}]},
        {"sysctls": [{"name": "net.ipv4.tcp_syncookies", "value": "1"}]},
    ),
    "securityContext.windowsOptions": refused({"windowsOptions": {"runAsUserName": "theirs"}}),
    "serviceAccount": server("another name of serviceAccountName"),
    "serviceAccountName": by_value("privileged", ADMISSION + "serviceAccounts", "cloud"),
    "setHostnameAsFQDN": allowed(True),
    "shareProcessNamespace": allowed(True, "among the pod's own containers"),
    "subdomain": allowed("theirs"),
    "terminationGracePeriodSeconds": by_value(601, ADMISSION + "maxTerminationGracePeriodSeconds", 600),
    "tolerations": by_value(
        [{"operator": "Exists"}], ADMISSION + "tolerations", [{"key": "gpu", "operator": "Exists"}]
    ),
    "topologySpreadConstraints": allowed(
        [
            {
                "maxSkew": 1,
                "topologyKey": "kubernetes.io/hostname",
                "whenUnsatisfiable": "DoNotSchedule",
                "labelSelector": {},
            }
        ],
        "counts pods of its own namespace",
    ),
    "volumes[]": NESTED,
}
