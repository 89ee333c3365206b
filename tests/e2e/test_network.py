"""Who reaches whom: each flow that Airflow needs; where the cluster enforces policies, no other.

Every probe that must fail is first made without any policy, and succeeds: what nobody reaches proves nothing.
"""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from scripts.cluster import node, supervisor
from scripts.live import NAMESPACE, RELEASE, TASKS, Target
from scripts.overlays.definitions import merged
from tests.e2e.conftest import Release, install, wait_until
from tests.support.attacks import ACTOR_OF, AUTHOR, CONTAINER, PEER

pytestmark = pytest.mark.touches("release")

#: Somebody else's namespace in the same cluster.
ELSEWHERE = "e2e-network"
#: Where clouds tell any pod that asks the credentials of its node: one of each kind of address, by name.
METADATA = {
    "metadata": "169.254.169.254",
    "metadata-azure": "168.63.129.16",
    "metadata-alibaba": "100.100.100.200",
    "metadata-eks": "169.254.170.23",
}
#: The ports of the API server's and of DNS's rules, at the first of these addresses.
METADATA_PORTS = {"metadata-https": 443, "metadata-dns": 53}
#: Where from -> what must be reached, or must not. "task" is a task pod, "alone" one that asked for no
#: network, "stranger" a pod of another namespace; "gateway" is the metrics of a worker's Docker gateway,
#: "container dind" a container that a task of that group runs.
NEEDED: Mapping[str, set[str]] = {
    "api-server": {"worker", "triggerer", "postgres", "kubernetes", "dns"},
    "scheduler": {"postgres", "redis", "dns"},
    "dag-processor": {"postgres", "dns"},
    "triggerer": {"postgres", "kubernetes", "dns"},
    "worker": {"api-server", "redis", "kubernetes", "dns", "stranger"},
    "worker dind": {"api-server", "redis", "dns", "stranger"},
    "worker socket": {"api-server", "redis", "dns", "stranger"},
    "task": {"kubernetes", "dns", "stranger"},
    "stranger": {"kubernetes", "dns"},
}
_STORES = {"postgres", "redis"}
_SERVERS = {"api-server", "worker", "triggerer", "gateway"}
_METADATA = {*METADATA, *METADATA_PORTS}
FORBIDDEN: Mapping[str, set[str]] = {
    "api-server": {"redis", "gateway", "task", *_METADATA},
    "scheduler": _SERVERS | {"kubernetes", "task", "stranger", *_METADATA},
    "dag-processor": _SERVERS | {"redis", "task", *_METADATA},
    "triggerer": {"redis", "worker", "gateway", "api-server", "task", *_METADATA},
    "worker": {"postgres", "triggerer", "task", *_METADATA},
    "worker dind": {"postgres", "triggerer", "task", *_METADATA, "worker", "gateway"},
    "worker socket": {"postgres", "triggerer", "task", *_METADATA, "worker", "gateway"},
    "container dind": {"postgres", "triggerer", "task", *_METADATA, "worker", "gateway"},
    # The node's daemon runs it, on no pod's network: what is closed to it is what is closed to strangers.
    "container socket": _SERVERS | _STORES | {"task", "alone"},
    "postgres": _SERVERS | {"dns", "redis", "kubernetes", "task", "stranger", *_METADATA},
    "redis": _SERVERS | {"dns", "postgres", "kubernetes", "task", "stranger", *_METADATA},
    "task": _SERVERS | _STORES | {"alone", *_METADATA},
    "alone": _SERVERS | _STORES | {"dns", "kubernetes", "task", "stranger", *_METADATA},
    "stranger": _SERVERS | _STORES | {"task", "alone"},
}
PORTS = {
    "api-server": 8080,
    "worker": 8793,
    "gateway": 9323,
    "triggerer": 8794,
    "postgres": 5432,
    "redis": 6379,
    **dict.fromkeys(("task", "alone", "stranger", "other"), 9999),
}
NOT_ENFORCED = "this cluster's network plugin enforces no NetworkPolicy: a closed pod still answers"
#: Prints the names of those arguments, NAME=HOST:PORT or NAME=HOST, that can be connected to or looked up.
PROBE = """
for wanted in "$@"; do
  (
    address=${wanted#*=}
    case $address in
      *:*) timeout 4 bash -c "</dev/tcp/${address/://}" ;;
      *) timeout 4 getent hosts "$address" >&2 ;;
    esac && echo "${wanted%%=*}"
  ) 2>/dev/null &
done
wait
"""
#: Accepts connections at each argument, HOST:PORT.
LISTENERS = """
import socket, sys, threading
def serve(end):
    host, port = end.split(":")
    server = socket.create_server((host, int(port)))
    while True:
        server.accept()[0].close()
threads = [threading.Thread(target=serve, args=(end,)) for end in sys.argv[1:]]
[thread.start() for thread in threads]
"""
#: Runs the same in a container, by the calls that a DockerOperator makes.
IN_CONTAINER = """
import docker, sys
api = docker.from_env().api
wanted = ("python:3.13-slim", ["bash", "-c", *sys.argv[1:]])
try:
    container = api.create_container(*wanted)
except docker.errors.ImageNotFound:
    api.pull("python", "3.13-slim")
    container = api.create_container(*wanted)
output = api.attach(container, stdout=True, stderr=True, stream=True, logs=True)
api.start(container)
print(b"".join(output).decode())
api.remove_container(container)
"""


def listener(name: str, namespace: str, account: str = "") -> dict[str, Any]:
    """Give a pod that listens and can be asked: the fence lets commands run in a container of this name."""
    server = f"import http.server; http.server.test(port={PORTS['task']}, bind='0.0.0.0')"
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    container = {
        "name": "airflow-xcom-sidecar",
        "image": "python:3.13-slim",
        "command": ["python", "-c", server],
        "workingDir": "/tmp",
        "securityContext": security,
        "readinessProbe": {"tcpSocket": {"port": PORTS["task"]}, "periodSeconds": 1},
        "resources": {"limits": {"cpu": "1", "memory": "128Mi"}, "requests": {"cpu": "10m"}},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "namespace": namespace},
        "spec": {
            **({"serviceAccountName": account} if account else {}),
            "automountServiceAccountToken": False,
            "terminationGracePeriodSeconds": 0,
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 50000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [container],
        },
    }


class Network:
    """Places to probe from, and the addresses of all that listens."""

    def __init__(self, release: Release):
        self.release, self.target = release, release.target
        self.places: dict[str, tuple[str, str, str]] = {}
        self.addresses: dict[str, str] = {}
        self.find()

    def find(self) -> None:
        """Look for all of them, as an upgrade replaces pods."""
        self.places |= {
            "task": (TASKS, "e2e-network", "airflow-xcom-sidecar"),
            "alone": (TASKS, "e2e-network-alone", "airflow-xcom-sidecar"),
            "stranger": (ELSEWHERE, "stranger", "airflow-xcom-sidecar"),
            "other": (ELSEWHERE, "other", "airflow-xcom-sidecar"),
            "postgres": (NAMESPACE, f"{RELEASE}-postgres-0", "postgres"),
            "redis": (NAMESPACE, f"{RELEASE}-redis-0", "redis"),
        }
        for component in ("api-server", "scheduler", "dag-processor", "triggerer", "worker"):
            for pod in self.release.staying(component):
                group = pod["metadata"]["labels"].get("airdock.dev/worker-group", "default")
                place = component if group == "default" else f"{component} {group}"
                self.places[place] = (NAMESPACE, pod["metadata"]["name"], component)
                if group in ("dind", "socket"):
                    self.places[f"container {group}"] = self.places[place]
        service = self.target.get("service", "kubernetes", "-n", "default")
        self.addresses["dns"] = "kubernetes.default.svc"
        self.addresses["kubernetes"] = f"{service['spec']['clusterIP']}:443"
        for name, port in PORTS.items():
            namespace, pod_name, _ = self.places["worker" if name == "gateway" else name]
            found = self.target.get("pod", pod_name, "-n", namespace)
            self.addresses[name] = f"{found['status']['podIP']}:{port}"

    def reached(self, place: str, names: set[str]) -> set[str]:
        """Give those of the names that a place reaches."""
        namespace, pod, container = self.places[place]
        wanted = [f"{name}={self.addresses[name]}" for name in sorted(names)]
        shell = ["python", "-c", IN_CONTAINER] if place.startswith("container ") else ["bash", "-c"]
        said = self.target.kubectl(
            "exec", pod, "-n", namespace, "-c", container, "--", *shell, PROBE, "probe", *wanted
        )
        return set(said.split())

    def all_reached(self, wanted: Mapping[str, set[str]]) -> Mapping[str, set[str]]:
        """Give what each of these places reaches of its names, all asked at once: what fails takes 4 s."""
        return at_once(
            self.reached, {place: names for place, names in wanted.items() if place in self.places}
        )

    def skip_without(self, place: str) -> None:
        """Skip the test if this cluster's release has no such worker group."""
        if place not in self.places:
            pytest.skip(f"this cluster's release has no {place}")

    def forbidden(self, place: str) -> set[str]:
        """What a place must not reach, of what this cluster has."""
        return {name for name in FORBIDDEN[place] if name in self.addresses}

    def settled(self, place: str, wanted: set[str]) -> set[str]:
        """What a place reaches of what it must not, once that is what is wanted or after 15 s."""
        end = time.monotonic() + 15
        while (found := self.reached(place, self.forbidden(place))) != wanted and time.monotonic() < end:
            pass
        return found


def at_once(
    ask: Callable[[str, set[str]], set[str]], wanted: Mapping[str, set[str]]
) -> Mapping[str, set[str]]:
    """Call `ask` for each item, side by side."""
    with ThreadPoolExecutor(len(wanted)) as pool:
        return dict(zip(wanted, pool.map(ask, wanted, wanted.values()), strict=True))


@contextlib.contextmanager
def metadata_service(target: Target) -> Iterator[dict[str, str]]:
    """Listeners at metadata addresses of the native cluster's node; elsewhere these may be real.

    They listen on port 9999, and at the first address on METADATA_PORTS as well.
    """
    process = supervisor.running()
    assert process
    first = METADATA["metadata"]
    ends = {name: (address, PORTS["task"]) for name, address in METADATA.items()}
    ends |= {name: (first, port) for name, port in METADATA_PORTS.items()}
    pod = listener("metadata", ELSEWHERE)
    pod["spec"]["hostNetwork"] = True
    container = pod["spec"]["containers"][0]
    container["command"] = ["python", "-c", LISTENERS, *(f"{host}:{port}" for host, port in ends.values())]
    container["readinessProbe"]["tcpSocket"]["host"] = first
    # Ports below 1024 on the node's network. It is root with one capability, in a namespace of the test's.
    pod["spec"]["securityContext"] = {"runAsUser": 0}
    container["securityContext"] = {"capabilities": {"drop": ["ALL"], "add": ["NET_BIND_SERVICE"]}}
    addresses = [(f"{address}/32", "dev", "lo") for address in METADATA.values()]
    for address in addresses:
        node.execute(process, "ip", "address", "replace", *address)
    try:
        target.apply(pod)
        yield {name: f"{host}:{port}" for name, (host, port) in ends.items()}
    finally:
        target.kubectl("delete", "pod", "metadata", "-n", ELSEWHERE, "--ignore-not-found")
        for address in addresses:
            node.execute(process, "ip", "address", "delete", *address)


@pytest.fixture(scope="module")
def network(release: Release) -> Iterator[Network]:
    target = release.target
    alone = listener("e2e-network-alone", TASKS, f"{RELEASE}-task")
    alone["metadata"]["labels"] = {"airdock.dev/network": "none"}
    pods = [
        listener("e2e-network", TASKS, f"{RELEASE}-task"),
        alone,
        listener("stranger", ELSEWHERE),
        listener("other", ELSEWHERE),
    ]
    for pod in pods[2:]:
        pod["metadata"]["labels"] = {"app": pod["metadata"]["name"]}
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE}})
    with contextlib.ExitStack() as stack:
        stack.callback(target.kubectl, "delete", "namespace", ELSEWHERE, "--wait=false")
        names = [pod["metadata"]["name"] for pod in pods if pod["metadata"]["namespace"] == TASKS]
        stack.callback(target.kubectl, "delete", "pod", *names, "-n", TASKS, "--ignore-not-found")
        target.apply(*pods)
        for pod in pods:
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            target.kubectl("wait", f"pod/{name}", "-n", namespace, "--for=condition=Ready", "--timeout=90s")
        found = Network(release)
        if target.native:
            found.addresses |= stack.enter_context(metadata_service(target))
            wait_until(
                lambda: found.reached("stranger", _METADATA) == _METADATA, 60, "listeners at all addresses"
            )
        yield found


@pytest.fixture(scope="module")
def unguarded(network: Network) -> Mapping[str, set[str]]:
    """What each place reaches of what it must not while there is no policy at all."""
    target, kept = network.target, []
    for namespace in (NAMESPACE, TASKS):
        kept += target.items("networkpolicies", "-n", namespace)
    for policy in kept:
        meta = policy["metadata"]
        policy["metadata"] = {
            key: meta.get(key, {}) for key in ("name", "namespace", "labels", "annotations")
        }
    try:
        for namespace in (NAMESPACE, TASKS):
            target.kubectl("delete", "networkpolicies", "--all", "-n", namespace)
        there = [place for place in FORBIDDEN if place in network.places]
        return at_once(network.settled, {place: network.forbidden(place) for place in there})
    finally:
        policies = json.dumps({"apiVersion": "v1", "kind": "List", "items": kept})
        # As Helm's own: what is another's it would not change.
        target.kubectl("apply", "--server-side", "--field-manager=helm", "-f", "-", stdin=policies)


@pytest.fixture(scope="module")
def enforcing(network: Network, unguarded: Mapping[str, set[str]]) -> bool:
    """Whether the cluster's network plugin enforces policies, shown by one that closes a pod.

    It is the last that the plugin hears of: once it holds, those that are back hold.
    """
    target = network.target
    assert network.reached("stranger", {"other"}), "pods do not reach each other without any policy"
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": ELSEWHERE},
        "spec": {"podSelector": {"matchLabels": {"app": "other"}}, "policyTypes": ["Ingress"]},
    }
    target.apply(policy)
    try:
        wait_until(lambda: not network.reached("stranger", {"other"}), 15, "closed")
    except AssertionError:
        return False
    finally:
        target.kubectl("delete", "networkpolicy", "closed", "-n", ELSEWHERE)
    return True


@pytest.fixture
def narrowed(release: Release, network: Network) -> Iterator[Network]:
    """The release with strict egress: of the world, only one pod; and this one may read the metrics."""
    peer = {
        "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": ELSEWHERE}},
        "podSelector": {"matchLabels": {"app": "stranger"}},
    }
    rules = {"egress": "strict", "egressRules": [{"to": [peer]}]}
    values = {"networkPolicy": {**rules, "metricsFrom": [peer]}, "tasks": {"networkPolicy": rules}}
    try:
        install(release.target, merged(release.values, values))
        network.find()
        yield network
    finally:
        install(release.target, dict(release.values))
        network.find()


@pytest.fixture(scope="module")
def needed(network: Network) -> Mapping[str, set[str]]:
    """What each place reaches of what it needs."""
    return network.all_reached(NEEDED)


@pytest.fixture(scope="module")
def guarded(network: Network, enforcing: bool) -> Mapping[str, set[str]]:
    """What each place reaches of what it must not, under the policies; empty where they do nothing."""
    forbidden = {place: network.forbidden(place) for place in FORBIDDEN if place in network.places}
    return network.all_reached(forbidden) if enforcing else {}


@pytest.mark.parametrize("place", NEEDED)
def test_needed_flows(network: Network, needed: Mapping[str, set[str]], place: str) -> None:
    network.skip_without(place)
    assert needed[place] == NEEDED[place]


def actor(place: str) -> str:
    """Whose code runs there."""
    if place.startswith(("worker", "container", "task", "alone")):
        return AUTHOR if place.startswith("worker") else CONTAINER
    return ACTOR_OF.get(place, PEER)


@pytest.mark.parametrize(
    "place",
    [
        pytest.param(place, marks=pytest.mark.attack(actor=actor(place), finding=(17, 24)))
        for place in FORBIDDEN
    ],
)
def test_forbidden_flows(
    network: Network, unguarded: Mapping[str, set[str]], guarded: Mapping[str, set[str]], place: str
) -> None:
    network.skip_without(place)
    assert unguarded[place] == network.forbidden(place), "the probe is wrong: nothing was closed to it"
    if not guarded:
        pytest.skip(NOT_ENFORCED)
    assert guarded[place] == set()


def test_strict_egress_and_metrics(narrowed: Network, enforcing: bool) -> None:
    # A worker's and a triggerer's token opens the API server; a task pod has none.
    needed = {**NEEDED, "task": NEEDED["task"] - {"kubernetes"}}
    for place, found in narrowed.all_reached(needed).items():
        assert found == needed[place], place
    assert narrowed.reached("stranger", {"gateway"})
    if not enforcing:
        pytest.skip(NOT_ENFORCED)
    places = ("api-server", "dag-processor", "triggerer", "worker", "task")
    assert narrowed.reached("task", {"kubernetes"}) == set()
    closed = narrowed.all_reached({place: {"other"} for place in places})
    assert closed == {place: set() for place in places}
    assert narrowed.reached("other", {"gateway"}) == set()


def test_policies_select_what_they_are_for(network: Network) -> None:
    """On every cluster: each pod of the release has both directions closed but for what a policy opens."""
    closed = {"Ingress": set[str](), "Egress": set[str]()}
    pods = network.target.items("pods", "-n", NAMESPACE)
    for policy in network.target.items("networkpolicies", "-n", NAMESPACE):
        for direction in policy["spec"]["policyTypes"]:
            closed[direction] |= {p["metadata"]["name"] for p in pods if selects(policy["spec"], p)}
    names = {pod["metadata"]["name"] for pod in pods}
    assert closed == {"Ingress": names, "Egress": names}


def selects(spec: Mapping[str, Any], pod: Mapping[str, Any]) -> bool:
    """Whether a NetworkPolicy holds for a pod of its namespace."""
    labels = pod["metadata"].get("labels", {})
    selector = spec["podSelector"]
    if any(labels.get(key) != value for key, value in selector.get("matchLabels", {}).items()):
        return False
    for expression in selector.get("matchExpressions", []):
        assert expression["operator"] == "In", "not read here"
        if labels.get(expression["key"]) not in expression["values"]:
            return False
    return True
