"""What is built, from which Go module, into which binaries.

The versions are not here: each upstream has a directory with a go.mod and go.sum of its own
(their dependency versions clash), and ``go get -tool MODULE@VERSION`` there is how a pin moves.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

HERE = Path(__file__).parent


@dataclass(frozen=True, eq=False)
class Tool:
    """One upstream: a directory with go.mod and go.sum, and the binaries that come out of it."""

    name: str
    #: Name of the binary as we use it -> import path of its main package.
    binaries: dict[str, str]
    #: Directory of go.mod and go.sum, if not ``name``.
    pins: str = ""
    #: Variables that ``-ldflags -X`` sets to the module's version in go.mod.
    set_version: tuple[str, ...] = ()
    cgo: bool = False
    tags: tuple[str, ...] = ()
    #: More linker flags; ``{version}`` is the module's version in go.mod.
    ldflags: tuple[str, ...] = ()
    #: pkg-config name -> Debian packages that bring it.
    libraries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: A binary on PATH serves as well if ``version_command`` prints at least ``minimum``.
    minimum: tuple[int, int] | None = None
    version_command: tuple[str, ...] = ()

    @property
    def directory(self) -> Path:
        """The directory that holds this tool's go.mod and go.sum."""
        return HERE / (self.pins or self.name)


_KUBERNETES = (
    "kube-apiserver",
    "kube-controller-manager",
    "kube-scheduler",
    "kube-proxy",
    "kubelet",
    "kubeadm",
)
_KUBERNETES_VERSION = (
    "k8s.io/component-base/version.gitVersion",
    "k8s.io/client-go/pkg/version.gitVersion",
)

TOOLS: tuple[Tool, ...] = (
    Tool(
        "helm",
        {"helm": "helm.sh/helm/v4/cmd/helm"},
        set_version=("helm.sh/helm/v4/internal/version.version",),
        minimum=(4, 0),
        version_command=("version", "--short"),
    ),
    Tool(
        "kubeconform",
        {"kubeconform": "github.com/yannh/kubeconform/cmd/kubeconform"},
        minimum=(0, 7),
        version_command=("-v",),
    ),
    Tool(
        "actionlint",
        {"actionlint": "github.com/rhysd/actionlint/cmd/actionlint"},
        minimum=(1, 7),
        version_command=("-version",),
    ),
    Tool(
        "crane",
        {"crane": "github.com/google/go-containerregistry/cmd/crane"},
        set_version=("github.com/google/go-containerregistry/cmd/crane/cmd.Version",),
        minimum=(0, 20),
        version_command=("version",),
    ),
    Tool(
        "kustomize",
        {"kustomize": "sigs.k8s.io/kustomize/kustomize/v5"},
        set_version=("sigs.k8s.io/kustomize/api/provenance.version",),
        minimum=(5, 4),
        version_command=("version",),
    ),
    Tool(
        "kubectl",
        {"kubectl": "k8s.io/kubernetes/cmd/kubectl"},
        pins="kubernetes",
        set_version=_KUBERNETES_VERSION,
        minimum=(1, 34),
        version_command=("version", "--client"),
    ),
    Tool(
        "containerd",
        {
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        },
        set_version=("github.com/containerd/containerd/v2/version.Version",),
    ),
    Tool(
        "runc",
        {"runc": "github.com/opencontainers/runc"},
        set_version=("main.version",),
        cgo=True,
        # Without seccomp every container fails to start; static, so that it also runs in images.
        tags=("seccomp", "netgo", "osusergo"),
        ldflags=("-linkmode external", "-extldflags -static"),
        libraries={"libseccomp": ("libseccomp-dev", "pkg-config", "gcc", "libc6-dev")},
    ),
    Tool(
        "cni",
        {
            name.rpartition("/")[2]: f"github.com/containernetworking/plugins/plugins/{name}"
            for name in ("main/ptp", "main/loopback", "ipam/host-local", "meta/portmap")
        },
    ),
    # Its BPF programs need clang and are left out: without cgo it enforces policies with iptables and ipset.
    Tool(
        "calico",
        {
            "calico": "github.com/projectcalico/calico/cni-plugin/cmd/calico",
            "calico-felix": "github.com/projectcalico/calico/felix/cmd/calico-felix",
        },
    ),
    Tool("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}),
    Tool(
        "dockerd",
        {name: f"github.com/moby/moby/v2/cmd/{name}" for name in ("dockerd", "docker-proxy")},
        # Docker 29 is built from moby v2; the daemon's own version numbers are not in the module.
        ldflags=("-X github.com/moby/moby/v2/dockerversion.Version=29.0.0+moby-{version}",),
    ),
    Tool(
        "docker",
        {"docker": "github.com/docker/cli/cmd/docker"},
        set_version=("github.com/docker/cli/cli/version.Version",),
    ),
    Tool(
        "registry",
        {"registry": "github.com/distribution/distribution/v3/cmd/registry"},
        set_version=("github.com/distribution/distribution/v3/version.version",),
    ),
    Tool("coredns", {"coredns": "github.com/coredns/coredns"}),
    Tool(
        "local-path-provisioner",
        {"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
    ),
    Tool(
        "kubernetes",
        {name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES},
        set_version=_KUBERNETES_VERSION,
    ),
    Tool(
        "helm3",
        {"helm3": "helm.sh/helm/v3/cmd/helm"},
        set_version=("helm.sh/helm/v3/internal/version.version",),
    ),
)
