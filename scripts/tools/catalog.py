"""What is built, from which Go module, into which binaries.

The versions are not here: each upstream has a directory with a go.mod and go.sum of its own
(their dependency versions clash), and ``go get -tool MODULE@VERSION`` there is how a pin moves.
Where they do not clash, a module that two of them need has one version (`Tool.shares`): Go's cache then
has its packages compiled. ``python -m scripts.tools.align`` sees to that.
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
    #: The tool whose versions its modules have, where both need a module. Built after that one.
    shares: str = ""
    #: The module whose version is the tool's, if not that of the first binary.
    module: str = ""
    #: What there is to compile once the tool that it shares with is built: millions of bytes of Go.
    weight: float = 5
    #: Variables that ``-ldflags -X`` sets to the module's version in go.mod.
    set_version: tuple[str, ...] = ()
    cgo: bool = False
    tags: tuple[str, ...] = ()
    #: More linker flags; ``{version}`` is the module's version in go.mod, ``{number}`` that without its v.
    ldflags: tuple[str, ...] = ()
    #: pkg-config name -> Debian packages that bring it.
    libraries: dict[str, tuple[str, ...]] = field(default_factory=dict)
    #: A binary on PATH serves as well if ``version_command`` prints at least ``minimum``.
    minimum: tuple[int, int] | None = None
    version_command: tuple[str, ...] = ()
    #: What an installed package takes in place of `minimum`, and where to read how to install it.
    oldest: tuple[int, int] | None = None
    site: str = ""

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
KUBERNETES_VERSION = (
    "k8s.io/component-base/version.gitVersion",
    "k8s.io/client-go/pkg/version.gitVersion",
)

#: Docker engines older than the node's. Only `make e2e DOCKER=28` builds and uses them.
DOCKER_ENGINES = ("27", "28")

TOOLS: tuple[Tool, ...] = (
    Tool(
        "helm",
        {"helm": "helm.sh/helm/v4/cmd/helm"},
        weight=42,
        set_version=("helm.sh/helm/v4/internal/version.version",),
        minimum=(4, 0),
        version_command=("version", "--short"),
        oldest=(3, 0),
        site="https://helm.sh/docs/intro/install",
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
        site="https://github.com/google/go-containerregistry/tree/main/cmd/crane",
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
        weight=52,
        set_version=KUBERNETES_VERSION,
        minimum=(1, 34),
        version_command=("version", "--client"),
        oldest=(1, 30),
        site="https://kubernetes.io/docs/tasks/tools",
    ),
    Tool(
        "containerd",
        {
            name: f"github.com/containerd/containerd/v2/cmd/{name}"
            for name in ("containerd", "containerd-shim-runc-v2", "ctr")
        },
        set_version=("github.com/containerd/containerd/v2/version.Version",),
        weight=28,
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
        weight=56,
    ),
    Tool("etcd", {"etcd": "go.etcd.io/etcd/server/v3"}, shares="kubernetes", weight=3),
    Tool(
        "dockerd",
        {name: f"github.com/moby/moby/v2/cmd/{name}" for name in ("dockerd", "docker-proxy")},
        weight=45,
        # Docker 29 is built from moby v2; the daemon's own version numbers are not in the module.
        ldflags=("-X github.com/moby/moby/v2/dockerversion.Version=29.0.0+moby-{version}",),
    ),
    # Modules without a go.mod: the versions of what they need are those of their vendor.mod.
    *(
        Tool(
            f"dockerd-{engine}",
            {f"dockerd-{engine}": "github.com/docker/docker/cmd/dockerd"},
            weight=45,
            ldflags=("-X github.com/docker/docker/dockerversion.Version={number}",),
        )
        for engine in DOCKER_ENGINES
    ),
    Tool(
        "docker",
        {"docker": "github.com/docker/cli/cmd/docker"},
        weight=15,
        set_version=("github.com/docker/cli/cli/version.Version",),
    ),
    # Its and CoreDNS's own main packages, with the SDKs of several clouds left out, are in their directories.
    Tool(
        "registry",
        {"registry": "airdock.dev/tools/registry"},
        shares="dockerd",
        module="github.com/distribution/distribution/v3",
        weight=3,
        set_version=("github.com/distribution/distribution/v3/version.version",),
    ),
    Tool(
        "coredns",
        {"coredns": "airdock.dev/tools/coredns"},
        shares="kubernetes",
        module="github.com/coredns/coredns",
        weight=2,
    ),
    Tool(
        "local-path-provisioner",
        {"local-path-provisioner": "github.com/rancher/local-path-provisioner"},
        shares="kubernetes",
        weight=1,
    ),
    Tool(
        "kubernetes",
        {name: f"k8s.io/kubernetes/cmd/{name}" for name in _KUBERNETES},
        weight=52,
        set_version=KUBERNETES_VERSION,
    ),
    # Airflow's metrics: in the stand-in of an image.
    Tool(
        "statsd_exporter",
        {"statsd_exporter": "github.com/prometheus/statsd_exporter"},
        weight=2,
        set_version=("github.com/prometheus/common/version.Version",),
    ),
    # What the alerts are tested with, and what reads the metrics in e2e: without its user interface, and with
    # one service discovery.
    Tool(
        "prometheus",
        {name: f"github.com/prometheus/prometheus/cmd/{name}" for name in ("prometheus", "promtool")},
        weight=35,
        tags=("remove_all_sd", "enable_kubernetes_sd"),
    ),
    # What scales worker groups in a test. What its scalers ask has an SDK each: they take most of the build.
    Tool(
        "keda",
        {
            "keda": "github.com/kedacore/keda/v2/cmd/operator",
            "keda-adapter": "github.com/kedacore/keda/v2/cmd/adapter",
            "keda-admission-webhooks": "github.com/kedacore/keda/v2/cmd/webhooks",
        },
        weight=100,
        set_version=("github.com/kedacore/keda/v2/version.Version",),
    ),
    # What an alert about certificates is tested with: its own main package is in scripts/tools/cert-manager.
    Tool(
        "cert-manager",
        {"cert-manager": "airdock.dev/tools/cert-manager"},
        module="github.com/cert-manager/cert-manager",
        weight=30,
    ),
    # The identity provider of a test.
    Tool("dex", {"dex": "github.com/dexidp/dex/cmd/dex"}, weight=30),
    Tool("versitygw", {"versitygw": "github.com/versity/versitygw/cmd/versitygw"}, weight=30),
    Tool(
        "helm3",
        {"helm3": "helm.sh/helm/v3/cmd/helm"},
        weight=42,
        set_version=("helm.sh/helm/v3/internal/version.version",),
    ),
)
