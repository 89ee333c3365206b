"""Who reaches whom: each flow that Airflow needs; where the cluster enforces policies, no other.

Every address that must not be reached from one place is reached from another, so that a wrong one is noticed.
"""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from scripts.target import NAMESPACE, RELEASE, TASKS
from tests.e2e.conftest import Release, wait_until

#: Somebody else's namespace in the same cluster.
ELSEWHERE = "e2e-network"
#: Where from -> what must be reached, or must not. "task" is a task pod, "alone" one that asked for no
#: network, "stranger" a pod of another namespace.
NEEDED: Mapping[str, set[str]] = {
    "api-server": {"worker", "triggerer", "postgres", "kubernetes", "dns"},
    "scheduler": {"postgres", "redis", "dns"},
    "dag-processor": {"postgres", "dns"},
    "triggerer": {"postgres", "kubernetes", "dns"},
    "worker": {"api-server", "redis", "kubernetes", "dns"},
    "task": {"dns"},
    "stranger": {"kubernetes", "dns"},
}
FORBIDDEN: Mapping[str, set[str]] = {
    "api-server": {"redis"},
    "scheduler": {"api-server", "worker", "triggerer", "kubernetes"},
    "dag-processor": {"redis", "worker", "triggerer", "api-server"},
    "triggerer": {"redis", "worker", "api-server"},
    "worker": {"postgres", "triggerer"},
    "task": {"api-server", "worker", "triggerer", "postgres", "redis", "kubernetes", "stranger"},
    "alone": {"dns", "postgres", "kubernetes", "stranger"},
    "stranger": {"api-server", "worker", "triggerer", "postgres", "redis", "task"},
}
PORTS = {
    "api-server": 8080,
    "worker": 8793,
    "triggerer": 8794,
    "postgres": 5432,
    "redis": 6379,
    "task": 9999,
    "stranger": 9999,
}
#: Prints as JSON which of the addresses in its argument answer; a name is looked up, a pair connected to.
PROBE = """
import json, socket, sys
from concurrent.futures import ThreadPoolExecutor

def answers(address):
    try:
        if isinstance(address, str):
            return bool(socket.getaddrinfo(address, 443))
        socket.create_connection(address, timeout=4).close()
        return True
    except OSError:
        return False

wanted = json.loads(sys.argv[1])
with ThreadPoolExecutor(len(wanted)) as pool:
    print(json.dumps(dict(zip(wanted, pool.map(answers, wanted.values())))))
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
        self.target = release.target
        self.places: dict[str, tuple[str, str, str]] = {
            "task": (TASKS, "e2e-network", "airflow-xcom-sidecar"),
            "alone": (TASKS, "e2e-network-alone", "airflow-xcom-sidecar"),
            "stranger": (ELSEWHERE, "stranger", "airflow-xcom-sidecar"),
        }
        self.addresses: dict[str, Any] = {"dns": "kubernetes.default.svc"}
        (service,) = (s for s in self.target.items("services", "-n", "default")
                      if s["metadata"]["name"] == "kubernetes")  # fmt: skip
        self.addresses["kubernetes"] = [service["spec"]["clusterIP"], 443]
        for component in ("api-server", "scheduler", "dag-processor", "triggerer", "worker"):
            pod = next(
                pod for pod in release.staying(component)
                # Workers with a daemon have their own rights; the default group's are the least.
                if pod["metadata"]["labels"].get("airdock.dev/worker-group", "default") == "default"
            )  # fmt: skip
            self.places[component] = (NAMESPACE, pod["metadata"]["name"], component)
        for name, port in PORTS.items():
            pods = {"task": (TASKS, "e2e-network"), "stranger": (ELSEWHERE, "stranger")}
            namespace, pod_name = pods.get(name) or self.places.get(name, ("", ""))[:2]
            if not pod_name:
                namespace, pod_name = NAMESPACE, f"{RELEASE}-{name}-0"
            found = self.target.get("pod", pod_name, "-n", namespace)
            self.addresses[name] = [found["status"]["podIP"], port]

    def reached(self, place: str, names: set[str]) -> set[str]:
        """Give those of the names that a place reaches."""
        namespace, pod, container = self.places[place]
        wanted = json.dumps({name: self.addresses[name] for name in sorted(names)})
        said = self.target.kubectl(
            "exec", pod, "-n", namespace, "-c", container, "--", "python", "-c", PROBE, wanted
        )
        return {name for name, answered in json.loads(said.splitlines()[-1]).items() if answered}


@pytest.fixture(scope="module")
def network(release: Release) -> Iterator[Network]:
    target = release.target
    alone = listener("e2e-network-alone", TASKS, f"{RELEASE}-task")
    alone["metadata"]["labels"] = {"airdock.dev/network": "none"}
    pods = [
        listener("e2e-network", TASKS, f"{RELEASE}-task"),
        alone,
        listener("stranger", ELSEWHERE),
        listener("guarded", ELSEWHERE),
    ]
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": ELSEWHERE}})
    with contextlib.ExitStack() as stack:
        stack.callback(target.kubectl, "delete", "namespace", ELSEWHERE, "--wait=false")
        names = [pod["metadata"]["name"] for pod in pods if pod["metadata"]["namespace"] == TASKS]
        stack.callback(target.kubectl, "delete", "pod", *names, "-n", TASKS, "--ignore-not-found")
        target.apply(*pods)
        for pod in pods:
            name, namespace = pod["metadata"]["name"], pod["metadata"]["namespace"]
            target.kubectl("wait", f"pod/{name}", "-n", namespace, "--for=condition=Ready", "--timeout=90s")
        yield Network(release)


@pytest.fixture(scope="module")
def enforcing(network: Network) -> bool:
    """Whether the cluster's network plugin enforces policies, shown by one that closes a pod."""
    target = network.target
    found = target.get("pod", "guarded", "-n", ELSEWHERE)
    network.addresses["guarded"] = [found["status"]["podIP"], PORTS["stranger"]]
    assert network.reached("stranger", {"guarded"}), "pods do not reach each other without any policy"
    policy = {
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "closed", "namespace": ELSEWHERE},
        "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
    }
    target.apply(policy)
    try:
        wait_until(lambda: not network.reached("stranger", {"guarded"}), 15, "closed")
    except pytest.fail.Exception:
        return False
    finally:
        target.kubectl("delete", "networkpolicy", "closed", "-n", ELSEWHERE)
    return True


@pytest.mark.parametrize("place", NEEDED)
def test_needed_flows(network: Network, place: str) -> None:
    assert network.reached(place, NEEDED[place]) == NEEDED[place]


@pytest.mark.parametrize("place", FORBIDDEN)
def test_forbidden_flows(network: Network, enforcing: bool, place: str) -> None:
    reached = network.reached(place, FORBIDDEN[place])
    if not enforcing:
        # The probe is right: where nothing is closed, it reaches all that it must not.
        assert reached == FORBIDDEN[place]
        pytest.skip("this cluster's network plugin enforces no NetworkPolicy: a closed pod still answers")
    assert reached == set()


def test_every_forbidden_address_answers_somebody(network: Network) -> None:
    """What nobody reaches proves nothing; who listens for nobody is asked on his own address."""
    needed = set().union(*NEEDED.values())
    for name in set().union(*FORBIDDEN.values()) - needed:
        assert network.reached(name, {name}) == {name}


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
