"""Checks that take a pod: dry runs of the release's own pods, probe pods, and Docker sockets on the nodes."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

from scripts.check.cluster import Cluster, CommandError
from scripts.check.places import LEVEL, Places
from scripts.check.pods import CLIENT, SERVER, USER, Probes, trouble
from scripts.check.probe import Sockets, as_pod, refusal, sockets
from scripts.check.report import Check, Result, shortened
from scripts.check.wanted import Group, Wanted
from scripts.mirror.needed import needed

PULL, DNS, CGROUP, USERS, NETWORK = (
    "image pull",
    "DNS",
    "cgroup version",
    "user namespaces",
    "network policies",
)
#: What the probe pods find out once their image is there.
AFTER_PULL = (DNS, CGROUP, USERS, NETWORK)
PRIVILEGED_WAY = (
    "set workers.<name>.namespace: the chart creates it with the level that the mode needs. Or have the "
    "administrator label the namespace with "
)


def untried(wanted: Wanted, reason: str) -> list[Check]:
    """The same checks but for dry runs, none of them tried."""
    sockets = [
        Check(_socket_name(group), Result.NOT_TRIED, reason, stops=frozenset({group.mode}))
        for group in wanted.groups
        if group.sockets
    ]
    return [*unprobed(wanted, reason, PULL, *AFTER_PULL), *sockets]


def unprobed(wanted: Wanted, reason: str, *names: str) -> list[Check]:
    """Checks of probe pods, by their names, that were not tried."""
    return [Check(name, Result.NOT_TRIED, reason, stops=_stops(name, wanted)) for name in names]


def _stops(name: str, wanted: Wanted) -> frozenset[str]:
    """The modes that need what a check is about."""
    mapped = frozenset(group.mode for group in wanted.groups if group.pod.raw.get("hostUsers") is False)
    if name == USERS:
        strict = wanted.user_namespaces == "on"
        return mapped | frozenset(group.mode for group in wanted.groups if strict and _starts_pods(group))
    if name in (CGROUP, NETWORK):
        return mapped if name == CGROUP else frozenset()
    return wanted.every_mode


def _starts_pods(group: Group) -> bool:
    """Whether its tasks become pods: its gateway has a token."""
    return (
        not group.sockets
        and group.pod.service_account != "default"
        and any(
            "serviceAccountToken" in source
            for volume in group.pod.volumes.values()
            for source in (volume.get("projected") or {}).get("sources") or ()
        )
    )


def _socket_name(group: Group) -> str:
    return f"Docker socket of group {group.name}"


def admitted(cluster: Cluster, wanted: Wanted, places: Places, create: bool) -> Iterator[Check]:
    """Whether the namespaces take the release's pods, by dry runs.

    Args:
        cluster: the cluster.
        wanted: the release.
        places: its namespaces.
        create: whether a namespace that does not exist yet may be copied.
    """
    for group in wanted.groups:
        name = f"pods of group {group.name}"
        yield _admitted(cluster, places, create, name, group.namespace, [group], frozenset({group.mode}))
    rest: dict[str, list[Group]] = {}
    for manifest, pod in wanted.others:
        rest.setdefault(wanted.place(manifest), []).append(
            Group(manifest.name, "", wanted.place(manifest), pod)
        )
    for namespace, found in rest.items():
        name = "other pods" if len(rest) == 1 else f"other pods in {namespace}"
        yield _admitted(cluster, places, create, name, namespace, found, wanted.every_mode)


def _admitted(
    cluster: Cluster,
    places: Places,
    create: bool,
    name: str,
    namespace: str,
    groups: list[Group],
    stops: frozenset[str],
) -> Check:
    level = places.pod_security(namespace).get(LEVEL, "the cluster's default")
    if not create and namespace not in places.labels:
        seen = f"namespace {namespace} does not exist yet; its Pod Security level will be {level}"
        return Check(name, Result.NOT_TRIED, seen, stops=stops)
    try:
        place = places.place(namespace)
    except CommandError as error:
        seen = f"namespace {namespace} does not exist, and a copy was refused: {error.reason}"
        return Check(name, Result.NOT_TRIED, seen, "have the administrator create it, then try again", stops)
    bodies = [as_pod(group.pod, f"airdock-check-{group.name}", place) for group in groups]
    refused = refusal(cluster, *bodies)
    where = f"namespace {namespace} (Pod Security: {level})"
    if not refused:
        return Check(name, Result.OK, f"{where} takes them", stops=stops)
    if 'cannot create resource "pods"' in refused:
        return Check(name, Result.NOT_TRIED, f"you may not create pods in namespace {place}", stops=stops)
    if "security context constraint" in refused:
        seen = "OpenShift decides by the service account, and the chart's do not exist yet: docs/openshift.md"
        return Check(name, Result.NOT_TRIED, seen, stops=stops)
    way = "see which policy it is, and exempt the namespace from it or change the values that it names"
    if "PodSecurity" in refused:
        way = f"{PRIVILEGED_WAY}{LEVEL}: privileged"
    return Check(name, Result.MISSING, f"{where} refuses: {refused}", way, stops)


def probed(cluster: Cluster, wanted: Wanted, places: Places, images: bool) -> list[Check]:
    """Start probe pods and read what they print.

    Args:
        cluster: the cluster.
        wanted: the release.
        places: its namespaces.
        images: whether to pull every image of the values.
    """
    place = places.place(wanted.namespace)
    probes = Probes(cluster, place, wanted.probe_image, wanted.pull_secrets)
    if wanted.assigned_uids:
        probes.user = {}
    with probes:
        probes.start(probes.pod("server", SERVER), probes.pod("user", USER, hostUsers=False))
        found = _Found(wanted, probes, place == wanted.namespace)
        checks = found.server()
        if images and checks[0].result is Result.OK:
            checks[0] = found.images()
        return checks


@dataclass
class _Found:
    """Judges what probe pods did."""

    wanted: Wanted
    probes: Probes
    real: bool

    def _check(self, name: str, result: Result, seen: str, way: str = "") -> Check:
        return Check(name, result, seen, way, _stops(name, self.wanted))

    def server(self) -> list[Check]:
        """Everything, beginning with the pod that the others need."""
        probes = self.probes

        def settled() -> bool:
            pod = probes.states().get("server", {})
            return trouble(pod)[0] in ("pull", "start") or "ready" in probes.said("server")

        in_time = probes.wait(settled)
        state = probes.states()["server"]
        kind, why = trouble(state)
        said = probes.said("server") if not kind else {}
        if kind == "pull":
            return self._not_pulled(why)
        if kind or not in_time:
            why = why or f"no answer within {probes.seconds:.0f} s"
            rest = unprobed(self.wanted, "the probe pod did not run", *AFTER_PULL)
            return [self._check(PULL, Result.NOT_TRIED, f"the probe pod did not run: {why}"), *rest]
        address = state["status"].get("podIP", "")
        node = state["spec"].get("nodeName", "")
        return [
            self._check(PULL, Result.OK, f"node {node} has pulled {probes.image}"),
            self._dns(said.get("dns", "")),
            self._cgroup(said.get("cgroup", "")),
            self._user(),
            self._network(address),
        ]

    def _not_pulled(self, why: str) -> list[Check]:
        rest = unprobed(self.wanted, "no image for the probe pod", *AFTER_PULL)
        if self.probes.pull_secrets and not self.real:
            seen = f"{why}. The pull Secrets of the values are not in a namespace that does not exist yet"
            way = "create the namespace and the Secrets, then try again"
            return [self._check(PULL, Result.NOT_TRIED, seen, way), *rest]
        way = (
            "set images.registry to a registry that the nodes reach, and imagePullSecrets if it needs a login"
        )
        return [self._check(PULL, Result.MISSING, why, way), *rest]

    def _dns(self, said: str) -> Check:
        if said == "yes":
            return self._check(DNS, Result.OK, "a pod resolves kubernetes.default.svc")
        if said == "no":
            way = "check the cluster's DNS (kube-system, Service kube-dns), and policies of this namespace"
            return self._check(DNS, Result.MISSING, "a pod cannot resolve kubernetes.default.svc", way)
        return self._check(DNS, Result.NOT_TRIED, "the image has no nc")

    def _cgroup(self, said: str) -> Check:
        stops = _stops(CGROUP, self.wanted)
        if said == "1" and stops:
            way = "set workers.<name>.dind.variant: privileged, or use nodes with cgroup v2"
            return self._check(CGROUP, Result.MISSING, "cgroup v1 on the probed node", way)
        return self._check(CGROUP, Result.OK, f"cgroup v{said} on the probed node")

    def _user(self) -> Check:
        probes = self.probes

        def settled() -> bool:
            pod = probes.states().get("user", {})
            return trouble(pod)[0] == "start" or pod.get("status", {}).get("phase") == "Succeeded"

        in_time = probes.wait(settled, 45)
        pod = probes.states().get("user", {})
        outside = probes.said("user").get("user", "")
        if outside not in ("", "0"):
            seen = f"root of a pod with hostUsers: false is uid {outside} on the node"
            return self._check(USERS, Result.OK, seen)
        way = (
            'have the administrator enable them (docs/dind.md), or set tasks.userNamespaces: "off" and '
            "workers.<name>.dind.variant: privileged"
            if _stops(USERS, self.wanted)
            else "nothing, if no image needs root: its containers then run as another user (tasks.user)"
        )
        why = trouble(pod)[1]
        if outside == "0":
            return self._check(USERS, Result.MISSING, "the cluster ignores hostUsers: false", way)
        if why or not in_time:
            why = why or "the pod did not start within 45 s"
            return self._check(USERS, Result.MISSING, f"a pod with hostUsers: false does not run: {why}", way)
        return self._check(USERS, Result.NOT_TRIED, "the image has no read, or /proc")

    def _network(self, address: str) -> Check:
        probes = self.probes
        env = {"env": [{"name": "SERVER", "value": address}]}
        try:
            probes.start(probes.pod("client", CLIENT, container=env))
            probes.wait(lambda: bool(probes.said("client")))
            said = probes.said("client").get("network", "")
            if said == "reached":
                probes.deny("server")
                probes.wait(lambda: probes.said("client").get("network") in ("blocked", "open"), 150)
                said = probes.said("client").get("network", "")
        except CommandError as error:
            return self._check(NETWORK, Result.NOT_TRIED, error.reason)
        if said == "blocked":
            return self._check(NETWORK, Result.OK, "a NetworkPolicy cut a pod off from another one")
        if said == "open":
            seen = "a NetworkPolicy did not cut a pod off: the network plugin does not enforce them"
            way = (
                "have the administrator install a plugin that does (Calico, Cilium). Without one, DAG code "
                "reaches the database's port and every other pod"
            )
            return self._check(NETWORK, Result.MISSING, seen, way)
        why = "two pods could not connect before any policy" if said == "unreachable" else "no answer"
        return self._check(NETWORK, Result.NOT_TRIED, f"{why}: does another policy select them?")

    def images(self) -> Check:
        """Pull every image of the values: one pod with a container for each."""
        probes = self.probes
        names = [image.name for image in needed(self.wanted.manifests)]
        pod = probes.pod("images", "true")
        (container,) = pod["spec"]["containers"]
        pod["spec"]["containers"] = [
            {**container, "name": f"image-{number}", "image": name} for number, name in enumerate(names)
        ]
        probes.start(pod)

        def pulled() -> dict[str, str]:
            state = probes.states().get("images", {}).get("status", {})
            return {
                each["image"]: str(each["state"].get("waiting", {}).get("reason", "pulled"))
                for each in state.get("containerStatuses") or ()
            }

        def settled() -> bool:
            reasons = pulled().values()
            return bool(reasons) and "ContainerCreating" not in reasons

        in_time = probes.wait(settled, 480)
        found = pulled()
        failed = [name for name, reason in found.items() if reason.endswith("Pull") or "Image" in reason]
        if failed:
            way = "set images.registry or the image's repository, and imagePullSecrets if it needs a login"
            return self._check(PULL, Result.MISSING, f"not pulled: {shortened(failed)}", way)
        if not in_time:
            return self._check(PULL, Result.NOT_TRIED, "the images were not pulled within 480 s")
        return self._check(PULL, Result.OK, f"a node has pulled all {len(names)} images of the values")


def docker_sockets(cluster: Cluster, wanted: Wanted, places: Places) -> Iterator[Check]:
    """The sockets that groups mount, on the nodes where their pods can be."""
    for group in wanted.groups:
        for path in group.sockets:
            found = _look(cluster, wanted, places, group, path)
            yield replace(found, name=_socket_name(group), stops=frozenset({group.mode}))


def _look(cluster: Cluster, wanted: Wanted, places: Places, group: Group, path: str) -> Check:
    try:
        place = places.place(group.namespace)
        selector = group.pod.raw.get("nodeSelector")
        found = sockets(cluster, place, path=path, image=wanted.probe_image, selector=selector)
    except CommandError as error:
        return Check("", Result.NOT_TRIED, error.reason)
    if found.refused:
        return Check("", Result.NOT_TRIED, found.reason)
    return judged(wanted, group, path, found)


def judged(wanted: Wanted, group: Group, path: str, found: Sockets) -> Check:
    """Judge the sockets of one group's nodes."""
    key = f"workers.{group.name}"
    if found.reason:
        way = "use another mode, or nodes with Docker (cri-dockerd)"
        result = Result.NOT_TRIED if found.reason.startswith("no answer") else Result.MISSING
        return Check("", result, found.reason, way)
    seen = shortened([f"{node}: gid {gid}" for node, gid in sorted(found.gids.items())])
    if len(found.asked) < found.nodes:
        seen += f" ({len(found.asked)} of {found.nodes} nodes were looked at)"
    gids = set(found.gids.values())
    if len(gids) > 1:
        way = f"set {key}.nodeSelector to nodes of one gid, and {key}.socket.gid to it"
        return Check("", Result.MISSING, seen, way)
    (gid,) = gids
    if wanted.given and gid not in group.sockets[path]:
        return Check("", Result.MISSING, seen, f"set {key}.socket.gid: {gid}")
    way = "" if wanted.given else f"set workers.<name>.socket.gid: {gid}"
    without = sorted({*found.asked} - found.gids.keys())
    if without:
        seen += f"; without it: {shortened(without)}"
        way = f"{way}{', and ' if way else 'set '}workers.<name>.nodeSelector to the nodes that have it"
    return Check("", Result.OK, seen, way)
