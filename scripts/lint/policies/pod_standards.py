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
        "A pod in a host namespace can see the node's processes and network, and can send signals to "
        "processes.",
        "Remove hostNetwork, hostPID and hostIPC.",
        (pss("baseline", "Host Namespaces"), cis("5.2.3-5.2.5"), nsa("C-0038"), nsa("C-0041")),
    ),
    _policy(
        "hostPathVolumes",
        "host-path",
        "No hostPath volumes",
        "high",
        "A hostPath is shared with everything else on the node, and remains after the pod is deleted.",
        "Use an emptyDir, a ConfigMap or a PersistentVolumeClaim.",
        (pss("baseline", "HostPath Volumes"), cis("5.2.11")),
    ),
    _policy(
        "hostPorts",
        "host-ports",
        "No host ports",
        "medium",
        "A host port is open on the node's address, where NetworkPolicies may not apply.",
        "Remove hostPort and use a Service.",
        (pss("baseline", "Host Ports"), cis("5.2.12"), nsa("C-0044")),
    ),
    _policy(
        "hostProbesAndHostLifecycle",
        "probe-host",
        "Probes connect only to their own pod",
        "medium",
        "A probe with a host makes the kubelet send requests to an address that the pod's author chooses.",
        "Remove host from the probe or hook.",
        (pss("baseline", "Host Probes / Lifecycle Hooks"),),
    ),
    _policy(
        "capabilities_restricted",
        "capabilities-added",
        "No added capabilities",
        "high",
        "Each capability is a part of root's rights. Some, such as SYS_ADMIN, are as powerful as root "
        "itself.",
        "Remove securityContext.capabilities.add (only NET_BIND_SERVICE is allowed).",
        (pss("restricted", "Capabilities"), cis("5.2.8"), nsa("C-0046")),
        only="capabilities.add",
    ),
    _policy(
        "capabilities_restricted",
        "capabilities-dropped",
        "All capabilities are dropped",
        "medium",
        "The default set includes NET_RAW, SETUID and others that a usual program does not need.",
        'Set securityContext.capabilities.drop: ["ALL"].',
        (pss("restricted", "Capabilities"), cis("5.2.9"), nsa("C-0055")),
        only="capabilities.drop",
    ),
    _policy(
        "allowPrivilegeEscalation",
        "privilege-escalation",
        "No privilege escalation",
        "high",
        "A setuid program in the image could turn any user into root.",
        "Set securityContext.allowPrivilegeEscalation: false.",
        (pss("restricted", "Privilege Escalation"), cis("5.2.6"), nsa("C-0016")),
    ),
    _policy(
        "runAsNonRoot",
        "non-root",
        "Containers must not start as root",
        "high",
        "If any other protection fails, root in the container is root on the node.",
        "Set securityContext.runAsNonRoot: true.",
        (pss("restricted", "Running as Non-root"), cis("5.2.7"), nsa("C-0013")),
    ),
    _policy(
        "runAsUser",
        "root-user",
        "No uid 0",
        "high",
        "If any other protection fails, root in the container is root on the node.",
        "Set securityContext.runAsUser to a value other than 0.",
        (pss("restricted", "Running as Non-root user"), cis("5.2.7"), nsa("C-0013")),
    ),
    _policy(
        "seccompProfile_restricted",
        "seccomp",
        "A seccomp profile is set",
        "medium",
        "Without a seccomp profile, a container may use every system call of the node's kernel.",
        "Set securityContext.seccompProfile.type: RuntimeDefault.",
        (pss("restricted", "Seccomp"), cis("5.6.2"), nsa("C-0055")),
    ),
    _policy(
        "restrictedVolumes",
        "volume-types",
        "Only volume types that Kubernetes manages",
        "medium",
        "An inline volume of another type bypasses the cluster's rules for storage.",
        "Use a PersistentVolumeClaim, an emptyDir, a projected volume, a ConfigMap or a Secret.",
        (pss("restricted", "Volume Types"),),
        without="hostPath",
    ),
    _policy(
        "procMount_restricted",
        "proc-mount",
        "/proc is masked by the container runtime",
        "medium",
        "With an unmasked /proc, a container can read and change settings of the node's kernel.",
        "Remove securityContext.procMount.",
        (pss("baseline", "/proc Mount Type"),),
    ),
    _policy(
        "seLinuxOptions",
        "selinux",
        "No SELinux user or role, and only container types",
        "medium",
        "Another SELinux type, for example spc_t, removes the confinement by SELinux.",
        "Remove seLinuxOptions, or set container_t, container_init_t, container_kvm_t or container_engine_t.",
        (pss("baseline", "SELinux"), nsa("C-0055")),
    ),
    _policy(
        "appArmorProfile",
        "apparmor",
        "AppArmor is not turned off",
        "medium",
        "The profile Unconfined turns AppArmor off.",
        "Remove appArmorProfile, or set RuntimeDefault.",
        (pss("baseline", "AppArmor"), nsa("C-0055")),
    ),
    _policy(
        "sysctls",
        "sysctls",
        "Only safe sysctls",
        "medium",
        "An unsafe sysctl changes the kernel for every pod on the node.",
        "Remove the entry from securityContext.sysctls.",
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
