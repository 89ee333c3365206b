"""What OpenShift's admission plugin does to a pod without a special SCC, as policies of Kubernetes.

`restricted-v2` (https://github.com/openshift/apiserver-library-go, pkg/securitycontextconstraints, and the
manifests of cluster-kube-apiserver-operator): uid of each container and fsGroup of the pod are from the
namespace's range, and set where they are missing; ALL capabilities are dropped, privilege escalation is off,
seccomp is RuntimeDefault, volumes are not of the node. Another SCC, which a pod names by the annotation
openshift.io/required-scc, is admitted without a look at the pod, if RBAC lets the pod's account `use` it.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

#: The first uid and the last one of the range.
UID, LAST = 1000680000, 1000689999
GROUP = "security.openshift.io"
REQUIRED = "openshift.io/required-scc"
#: Begins what a pod is told that no SCC admits.
SAID = "unable to validate against any security context constraint"
_VOLUMES = (
    "configMap", "csi", "downwardAPI", "emptyDir", "ephemeral", "persistentVolumeClaim", "projected", "secret"
)  # fmt: skip
_SCC = f'object.metadata.?annotations[?"{REQUIRED}"].orValue("")'


def _patches() -> str:
    """CEL for the list of JSON patches."""

    def add(path: str, value: str) -> str:
        return f'JSONPatch{{op: "add", path: {path}, value: {value}}}'

    def missing(field: str, value: str) -> str:
        first, *rest = field.split(".")
        given = ".?".join((f"object.{first}", *rest))
        return f"({given}.hasValue() ? [] : [{add(quoted('/' + field.replace('.', '/')), value)}])"

    def quoted(path: str) -> str:
        return f'"{path}"'

    scc = add(quoted("/metadata/annotations/openshift.io~1scc"), quoted("restricted-v2"))
    result = [
        missing("metadata.annotations", "{}"),
        f"[{scc}]",
        missing("spec.securityContext.fsGroup", str(UID)),
        missing("spec.securityContext.seLinuxOptions", '{"level": "s0:c26,c15"}'),
        missing("spec.securityContext.seccompProfile", '{"type": "RuntimeDefault"}'),
    ]
    for kind in ("containers", "initContainers"):
        every = f"object.spec.?{kind}.orValue([]).transformList"
        where = f'"/spec/{kind}/" + string(i) + "/securityContext'
        new = add(where + '"', "{}")
        result.append(f"{every}(i, c, !c.?securityContext.hasValue(), {new})")
        for field, value, unless in (
            ("runAsUser", str(UID), "|| object.spec.?securityContext.?runAsUser.hasValue()"),
            ("allowPrivilegeEscalation", "false", "|| c.?securityContext.?privileged.orValue(false)"),
            ("capabilities", '{"drop": ["ALL"]}', ""),
        ):
            given = f"(c.?securityContext.?{field}.hasValue() {unless})"
            new = add(f'{where}/{field}"', value)
            result.append(f"{every}(i, c, !{given}, {new})")
    return " + ".join(result)


def _rules() -> dict[str, str]:
    """Sentences of the plugin -> CEL that is true if a pod breaks none."""
    user = "c.?securityContext.?runAsUser.orValue(object.spec.?securityContext.?runAsUser.orValue(-1))"
    profile = (
        "c.?securityContext.?seccompProfile.?type"
        '.orValue(object.spec.?securityContext.?seccompProfile.?type.orValue(""))'
    )
    capabilities = "c.?securityContext.?capabilities"
    return {
        f"runAsUser: Invalid value: must be in the ranges: [{UID}, {LAST}]": (
            f"variables.containers.all(c, {user} >= {UID} && {user} <= {LAST})"
        ),
        f"fsGroup: Invalid value: must be in the ranges: [{UID}, {LAST}]": (
            f"object.spec.?securityContext.?fsGroup.orValue({UID}) >= {UID}"
            f" && object.spec.?securityContext.?fsGroup.orValue({UID}) <= {LAST}"
        ),
        "privileged containers are not allowed": (
            "variables.containers.all(c, !c.?securityContext.?privileged.orValue(false))"
        ),
        "Allowing privilege escalation for containers is not allowed": (
            "variables.containers.all(c, !c.?securityContext.?allowPrivilegeEscalation.orValue(true))"
        ),
        "capabilities: must drop ALL and add none": (
            f'variables.containers.all(c, "ALL" in {capabilities}.?drop.orValue([])'
            f' && {capabilities}.?add.orValue([]).all(a, a == "NET_BIND_SERVICE"))'
        ),
        "seccomp must be RuntimeDefault": f'variables.containers.all(c, {profile} == "RuntimeDefault")',
        "volumes of this type are not allowed to be used": (
            f"object.spec.?volumes.orValue([]).all(v, {list(_VOLUMES)}.exists(k, k in dyn(v)))"
        ),
        "host namespaces and ports are not allowed to be used": (
            '["hostNetwork", "hostPID", "hostIPC"].all(k, !(k in dyn(object.spec))'
            " || dyn(object.spec)[k] == false)"
            " && variables.containers.all(c, c.?ports.orValue([]).all(p, p.?hostPort.orValue(0) == 0))"
        ),
    }


def policies(name: str, namespaces: Sequence[str]) -> list[dict[str, Any]]:
    """Give the policies and their bindings, for pods in these namespaces."""
    version = {"apiVersion": "admissionregistration.k8s.io/v1"}
    selector = {"key": "kubernetes.io/metadata.name", "operator": "In", "values": list(namespaces)}
    pods = {"apiGroups": [""], "apiVersions": ["v1"], "operations": ["CREATE"], "resources": ["pods"]}
    matches = {"resourceRules": [pods], "namespaceSelector": {"matchExpressions": [selector]}}
    usable = (
        f'authorizer.serviceAccount(request.namespace, object.spec.?serviceAccountName.orValue("default"))'
        f'.group("{GROUP}").resource("securitycontextconstraints").namespace(request.namespace)'
        f'.name({_SCC}).check("use").allowed()'
    )
    validations = [
        {
            "expression": f'{_SCC} in ["", "restricted-v2"] || {usable}',
            "message": f"{SAID}: the required one is not usable by user or serviceaccount",
            "reason": "Forbidden",
        },
        *(
            {
                "expression": f'!({_SCC} in ["", "restricted-v2"]) || ({holds})',
                "message": f"{SAID}: provider restricted-v2: {sentence}",
                "reason": "Forbidden",
            }
            for sentence, holds in _rules().items()
        ),
    ]
    variables = {
        "name": "containers",
        "expression": "dyn(object.spec.containers) + dyn(object.spec.?initContainers.orValue([]))",
    }
    metadata = {"metadata": {"name": f"{name}-restricted-v2"}}
    return [
        {
            **version,
            "kind": "MutatingAdmissionPolicy",
            **metadata,
            "spec": {
                "matchConstraints": matches,
                "matchConditions": [
                    {"name": "no-other-scc", "expression": f'{_SCC} in ["", "restricted-v2"]'}
                ],
                "failurePolicy": "Fail",
                "reinvocationPolicy": "IfNeeded",
                "mutations": [{"patchType": "JSONPatch", "jsonPatch": {"expression": _patches()}}],
            },
        },
        {
            **version,
            "kind": "MutatingAdmissionPolicyBinding",
            **metadata,
            "spec": {"policyName": f"{name}-restricted-v2"},
        },
        {
            **version,
            "kind": "ValidatingAdmissionPolicy",
            **metadata,
            "spec": {
                "matchConstraints": matches,
                "failurePolicy": "Fail",
                "variables": [variables],
                "validations": validations,
            },
        },
        {
            **version,
            "kind": "ValidatingAdmissionPolicyBinding",
            **metadata,
            "spec": {"policyName": f"{name}-restricted-v2", "validationActions": ["Deny"]},
        },
    ]
