"""Keys of a pod's annotations, and whether an author may add one: cases for every check of them.

Network plugins, container runtimes, cloud identities and webhooks read annotations. Their keys have a domain
before a slash, or are a domain name as a whole.
"""

from __future__ import annotations

#: What somebody on the node or in the cluster acts on.
REFUSED = (
    "k8s.v1.cni.cncf.io/networks",
    "cni.projectcalico.org/ipAddrs",
    "iam.amazonaws.com/role",
    "sidecar.istio.io/inject",
    "container.apparmor.security.beta.kubernetes.io/base",
    # CRI-O and Kata Containers read these; they have no slash.
    "cpu-quota.crio.io",
    "irq-load-balancing.crio.io",
    "io.kubernetes.cri-o.userns-mode",
    "io.katacontainers.config.hypervisor.kernel_params",
    "a.b",
)
#: Words of the author's own.
ADMITTED = ("note", "dag-note", "dag_note", "Note1")
