"""What values need of a cluster, read from the chart as it renders for this cluster."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Any

from scripts.chart import CHART, KUBE_VERSIONS, Manifest, Manifests, PodSpec, load_yaml, template
from scripts.check.discovery import Served
from scripts.mirror.needed import mirrored

MODE = "airdock.dev/mode"
#: Without values, each mode is looked at. The group of the socket is not known yet; nothing judges it.
EVERY_MODE: Mapping[str, Any] = {
    "workers": {
        "default": {"mode": "kubernetes", "queues": ["default"]},
        "dind": {"mode": "dind", "queues": ["dind"]},
        "socket": {"mode": "socket", "queues": ["socket"], "socket": {"gid": 999}},
    }
}
OPENSHIFT = "security.openshift.io/v1"
#: Of these, the mode that the chart's own values use.
OWN = "kubernetes"


@dataclass(frozen=True)
class Group:
    """A worker group, as it renders."""

    name: str
    mode: str
    namespace: str
    pod: PodSpec

    @property
    def sockets(self) -> Mapping[str, frozenset[int]]:
        """Paths of sockets of the node that its pods mount: the group ids by which they can use each."""
        found = {}
        for name, volume in self.pod.volumes.items():
            if (volume.get("hostPath") or {}).get("type") != "Socket":
                continue
            gids = set(self.pod.security.get("supplementalGroups") or ())
            for container in self.pod.containers:
                if any(mount.volume == name for mount in container.mounts):
                    gids.add((container.raw.get("securityContext") or {}).get("runAsGroup"))
            found[str(volume["hostPath"]["path"])] = frozenset(gid for gid in gids if gid is not None)
        return found


@dataclass(frozen=True)
class Wanted:
    """A release that is not installed yet.

    Attributes:
        values: over the chart's own.
        release: its name.
        namespace: where Helm would install it.
        manifests: what Helm would install.
        given: whether the user gave the values; otherwise they are EVERY_MODE.
        assigned_uids: whether the cluster assigns uids to pods, as OpenShift does.
    """

    values: Mapping[str, Any]
    release: str
    namespace: str
    manifests: Manifests
    given: bool
    assigned_uids: bool = False

    @classmethod
    def rendered(
        cls, values: Mapping[str, Any], release: str, namespace: str, given: bool, served: Served
    ) -> Wanted:
        """Render the chart as Helm would on this cluster; for one that is too old, as on the oldest.

        Raises:
            RenderError: if Helm refuses the values.
        """
        values = values if given else EVERY_MODE
        text = template(
            values,
            release=release,
            namespace=namespace,
            kube_version=served.version if served.minor >= served.oldest else KUBE_VERSIONS[0],
            api_versions=served.api_versions,
        )
        manifests = Manifests.parse(text, "what the chart renders to")
        return cls(values, release, namespace, manifests, given, OPENSHIFT in served.api_versions)

    @cached_property
    def groups(self) -> Sequence[Group]:
        """The worker groups."""
        return [
            Group(manifest.group, str(manifest.annotations[MODE]), self.place(manifest), pod)
            for manifest, pod in self.manifests.pods
            if MODE in manifest.annotations
        ]

    @cached_property
    def others(self) -> Sequence[tuple[Manifest, PodSpec]]:
        """Workloads that are no worker group."""
        return [(manifest, pod) for manifest, pod in self.manifests.pods if MODE not in manifest.annotations]

    @cached_property
    def modes(self) -> dict[str, bool]:
        """Modes to look at: whether the values use it."""
        return {group.mode: self.given or group.mode == OWN for group in self.groups}

    @property
    def every_mode(self) -> frozenset[str]:
        """What cannot be served while the release cannot be installed."""
        return frozenset(self.modes)

    def place(self, manifest: Manifest) -> str:
        """The namespace that Helm would put an object into, "" for a cluster-scoped one."""
        return "" if manifest.cluster_scoped else manifest.namespace or self.namespace

    @cached_property
    def namespaces(self) -> Sequence[str]:
        """All namespaces of the release, its own first."""
        every = (self.namespace, *map(self.place, self.manifests), *self.labels)
        return [name for name in dict.fromkeys(every) if name]

    @cached_property
    def labels(self) -> Mapping[str, Mapping[str, str]]:
        """Namespaces that the chart creates, with their labels."""
        return {each.name: each.labels for each in self.manifests.all("Namespace")}

    @cached_property
    def probe_image(self) -> str:
        """A small image with a shell that the values name anyway: images.xcomSidecar."""
        for config in self.manifests.all("ConfigMap"):
            if image := (config.get("data") or {}).get("AIRDOCK_XCOM_SIDECAR_IMAGE"):
                return str(image)
        own = load_yaml((CHART / "values.yaml").read_text(), "values.yaml")[0]["images"]
        given = self.values.get("images") or {}
        chosen = {**own["xcomSidecar"], **(given.get("xcomSidecar") or {})}
        name = f"{chosen['repository']}:{chosen['tag']}"
        registry = given.get("registry") or (self.values.get("global") or {}).get("imageRegistry")
        return mirrored(name, registry) if registry else name

    @cached_property
    def pull_secrets(self) -> Sequence[Mapping[str, str]]:
        """The image pull Secrets of the release's pods."""
        names = {
            secret["name"]: None
            for _, pod in self.manifests.pods
            for secret in pod.raw.get("imagePullSecrets") or ()
        }
        return [{"name": name} for name in names]

    @property
    def user_namespaces(self) -> str:
        """The value of tasks.userNamespaces."""
        return str((self.values.get("tasks") or {}).get("userNamespaces", "auto"))
