"""Policies of the Pod Security Standards: each a check of ``scripts.lint.pod_security``, newest version."""

from __future__ import annotations

from collections.abc import Iterable

from scripts.chart import Manifest
from scripts.lint.model import Found, Policy, Severity, Standard, cis, nsa, pod_path, pss
from scripts.lint.pod_security import CHECKS, NEWEST_MINOR, Pod, with_defaults

_BY_ID = {check.id: check for check in CHECKS}


def _policy(
    check_id: str,
    identifier: str,
    title: str,
    severity: Severity,
    why: str,
    fix: str,
    standards: tuple[Standard, ...],
    *,
    only: str = "",
    without: str = "",
) -> Policy:
    """A policy of one check; ``only`` and ``without`` choose among the fields that it looks at."""
    check = _BY_ID[check_id]

    def find(manifest: Manifest) -> Iterable[Found]:
        if manifest.pod is None:
            return
        metadata = {"annotations": manifest.pod.annotations}
        violation = check.run(Pod(metadata, with_defaults(manifest.pod.raw), NEWEST_MINOR))
        if violation is None:
            return
        for place in violation.places:
            if only in place.field and not (without and place.field.endswith(without)):
                field = place.field if place.container else pod_path(manifest) + place.field
                yield Found(field, f"{violation.reason}: {violation.detail}", place.container or "")

    return Policy(identifier, title, severity, why, fix, standards, check_object=find)


POLICIES: tuple[Policy, ...] = (
    _policy(
        "privileged",
        "privileged",
        "No privileged containers",
        "high",
        "A privileged container is root on its node.",
        "Remove securityContext.privileged.",
        (pss("baseline", "Privileged Containers"), cis("5.2.2"), nsa("C-0057")),
    ),
    _policy(
        "hostNamespaces",
        "host-namespaces",
        "No host namespaces",
        "high",
        "In the host's namespaces a pod sees and signals the node's processes and its network.",
        "Remove hostNetwork, hostPID and hostIPC.",
        (pss("baseline", "Host Namespaces"), cis("5.2.3-5.2.5"), nsa("C-0038"), nsa("C-0041")),
    ),
    _policy(
        "hostPathVolumes",
        "host-path",
        "No hostPath volumes",
        "high",
        "A directory of the node is shared with everything else on it, and outlives the pod.",
        "Use an emptyDir, a ConfigMap or a claim.",
        (pss("baseline", "HostPath Volumes"), cis("5.2.11")),
    ),
    _policy(
        "hostPorts",
        "host-ports",
        "No host ports",
        "medium",
        "A host port is open on the node's own address, where NetworkPolicies do not hold.",
        "Remove hostPort and use a Service.",
        (pss("baseline", "Host Ports"), cis("5.2.12"), nsa("C-0044")),
    ),
    _policy(
        "hostProbesAndHostLifecycle",
        "probe-host",
        "Probes stay in their pod",
        "medium",
        "A probe with a host makes the kubelet send requests to an address of the author's choice.",
        "Remove host from the probe or hook.",
        (pss("baseline", "Host Probes / Lifecycle Hooks"),),
    ),
    _policy(
        "capabilities_restricted",
        "capabilities-added",
        "No added capabilities",
        "high",
        "Capabilities are parts of root: some of them, such as SYS_ADMIN, are as good as all.",
        "Remove capabilities.add (NET_BIND_SERVICE alone is allowed).",
        (pss("restricted", "Capabilities"), cis("5.2.8"), nsa("C-0046")),
        only="capabilities.add",
    ),
    _policy(
        "capabilities_restricted",
        "capabilities-dropped",
        "All capabilities dropped",
        "medium",
        "The default set has NET_RAW, SETUID and others that no program here needs.",
        'Set securityContext.capabilities.drop: ["ALL"].',
        (pss("restricted", "Capabilities"), cis("5.2.9"), nsa("C-0055")),
        only="capabilities.drop",
    ),
    _policy(
        "allowPrivilegeEscalation",
        "privilege-escalation",
        "No privilege escalation",
        "high",
        "A set-uid program in the image would turn any user into root.",
        "Set securityContext.allowPrivilegeEscalation: false.",
        (pss("restricted", "Privilege Escalation"), cis("5.2.6"), nsa("C-0016")),
    ),
    _policy(
        "runAsNonRoot",
        "non-root",
        "Containers must not start as root",
        "high",
        "Root in a container is root on the node as soon as anything else fails.",
        "Set securityContext.runAsNonRoot: true.",
        (pss("restricted", "Running as Non-root"), cis("5.2.7"), nsa("C-0013")),
    ),
    _policy(
        "runAsUser",
        "root-user",
        "No uid 0",
        "high",
        "Root in a container is root on the node as soon as anything else fails.",
        "Set securityContext.runAsUser to another user than 0.",
        (pss("restricted", "Running as Non-root user"), cis("5.2.7"), nsa("C-0013")),
    ),
    _policy(
        "seccompProfile_restricted",
        "seccomp",
        "A seccomp profile",
        "medium",
        "Without one, a container may use every system call of the node's kernel.",
        "Set securityContext.seccompProfile.type: RuntimeDefault.",
        (pss("restricted", "Seccomp"), cis("5.6.2"), nsa("C-0055")),
    ),
    _policy(
        "restrictedVolumes",
        "volume-types",
        "Only volumes that Kubernetes manages",
        "medium",
        "An inline volume of another type reaches storage past the cluster's own rules for it.",
        "Use a claim, an emptyDir, a projected volume, a ConfigMap or a Secret.",
        (pss("restricted", "Volume Types"),),
        without="hostPath",
    ),
    _policy(
        "procMount_restricted",
        "proc-mount",
        "/proc as the runtime masks it",
        "medium",
        "Unmasked, /proc lets a container read and change settings of the node's kernel.",
        "Remove securityContext.procMount.",
        (pss("baseline", "/proc Mount Type"),),
    ),
    _policy(
        "seLinuxOptions",
        "selinux",
        "No SELinux user, role or foreign type",
        "medium",
        "Another SELinux type, spc_t for one, takes the node's last fence away.",
        "Remove seLinuxOptions, or set container_t, container_init_t, container_kvm_t or container_engine_t.",
        (pss("baseline", "SELinux"), nsa("C-0055")),
    ),
    _policy(
        "appArmorProfile",
        "apparmor",
        "AppArmor stays on",
        "medium",
        "Unconfined turns off the runtime's default profile.",
        "Remove appArmorProfile, or set RuntimeDefault.",
        (pss("baseline", "AppArmor"), nsa("C-0055")),
    ),
    _policy(
        "sysctls",
        "sysctls",
        "Only safe sysctls",
        "medium",
        "Others change the kernel for every pod of the node.",
        "Remove the sysctl.",
        (pss("baseline", "Sysctls"),),
    ),
    _policy(
        "windowsHostProcess",
        "windows-host-process",
        "No Windows host processes",
        "high",
        "A HostProcess container has all rights on a Windows node.",
        "Remove windowsOptions.hostProcess.",
        (pss("baseline", "HostProcess"), cis("5.2.10")),
    ),
)
