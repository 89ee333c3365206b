"""A node whose admission does what OpenShift's restricted-v2 does (tests/support/openshift.py).

The release is examples/values/openshift.yaml: all of it runs with an assigned uid, but the group with an SCC.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from scripts import up
from scripts.chart import CHART, load_yaml
from scripts.check import probe
from scripts.live import RELEASE, CommandError, Group, Target, examples
from scripts.overlays.definitions import merged
from tests.e2e.conftest import QUICK, starting, wait_until
from tests.e2e.test_overlays import airflow_of
from tests.support import openshift
from tests.support.attacks import AUTHOR
from tests.support.openshift import UID
from tests.support.paths import EXAMPLES

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-openshift"
TASKS, BUILDS = f"{NAMESPACE}-{RELEASE}-tasks", "airdock-builds"
SECONDS = 600
GROUPS = (
    Group("default", "kubernetes", "default", frozenset({"docker", "kubernetes"})),
    Group("plain", "kubernetes", "plain", frozenset({"docker"})),
    Group("builds", "dind", "builds", frozenset({"docker"})),
)
#: The example, with a group beside it whose workers have no token.
VALUES: dict[str, Any] = {
    "dags": {"examples": True},
    # A node that has been running may have a stand-in from before it took any uid.
    "images": {"postgres": {"pullPolicy": "Always"}},
    "workers": {"plain": {"mode": "kubernetes", "queues": ["plain"], "kubernetesOperators": False}},
}
#: In a worker: what a container of the node's daemon, or a pod, says about its user.
RUN = """
import docker, sys
print(docker.from_env().containers.run(
    "busybox:1.37", ["sh", "-c", "id -u; touch $HOME/x && echo home"], remove=True, user=sys.argv[1] or None,
).decode())
"""
TOKEN, SOCKETS = "/var/run/secrets/kubernetes.io/serviceaccount/token", "/run/airdock"
#: Whose environment can be read: the command of every process that lets this one.
READ = """
import glob
for name in glob.glob("/proc/[0-9]*"):
    try:
        open(name + "/environ", "rb").read()
        print(open(name + "/cmdline", "rb").read().replace(b"\\0", b" ").decode())
    except OSError:
        pass
"""


def command(pod: str, container: str) -> tuple[str, ...]:
    return ("exec", pod, "-n", NAMESPACE, "-c", container, "--")


def worker(target: Target, group: str) -> dict[str, Any]:
    """The pod of a group."""
    selector = f"airdock.dev/worker-group={group}"
    namespace = BUILDS if group == "builds" else NAMESPACE
    (pod,) = target.items("pods", "-n", namespace, "-l", selector)
    return pod


def restarts(pod: dict[str, Any]) -> dict[str, int]:
    """Restarts of each container."""
    status = pod["status"]
    every = [*status["containerStatuses"], *status.get("initContainerStatuses", ())]
    return {each["name"]: each["restartCount"] for each in every}


@pytest.fixture(scope="module")
def shift(target: Target) -> Iterator[Target]:
    """The example on the node, in a namespace of its own."""
    values = load_yaml((EXAMPLES / "values" / "openshift.yaml").read_text(), "openshift.yaml")[0]
    if found := probe.dind(target, "default").reason:
        pytest.skip(found)
    if target.native:
        values["workers"]["builds"]["dind"] = dict(up.NATIVE_DIND)
    policies = openshift.policies("airdock-e2e", (NAMESPACE, TASKS, BUILDS))
    namespaces = (NAMESPACE, TASKS, BUILDS)
    # A run that was killed may have left a database with another password.
    target.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", timeout=300)
    try:
        target.apply(*policies, {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
        wait_until(lambda: not admitted(target), 60, "a fixed uid is rejected")
        chosen = json.dumps(merged(QUICK, values, VALUES))
        with starting():
            target.helm(
                "install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-", "--wait",
                f"--timeout={SECONDS}s", stdin=chosen, timeout=SECONDS + 60,
            )  # fmt: skip
        yield target
    finally:
        for namespace in (NAMESPACE, BUILDS):
            # Without a broker, workers would wait for the end of their grace period.
            target.kubectl("delete", "deployments,replicasets", "--all", "-n", namespace, "--cascade=orphan")
            target.kubectl("delete", "pods", "--all", "-n", namespace, "--grace-period=1", "--wait=false")
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
        for policy in policies:
            target.kubectl("delete", policy["kind"], policy["metadata"]["name"], "--ignore-not-found")
        target.kubectl("delete", "namespace", *namespaces, "--ignore-not-found", timeout=300)


def admitted(target: Target) -> bool:
    """Whether a pod with Airflow's uid is admitted: without `openshift`, no pod of the chart is."""
    container = {
        "name": "fixed",
        "image": "busybox:1.37",
        "securityContext": {"allowPrivilegeEscalation": False, "runAsUser": 50000},
    }
    metadata = {"name": "fixed", "namespace": NAMESPACE}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": {"containers": [container]}}
    try:
        target.kubectl("create", "--dry-run=server", "-f", "-", stdin=json.dumps(pod))
    except CommandError as error:
        assert openshift.SAID in str(error) or "default" in str(error), error
        return openshift.SAID not in str(error)
    return True


def test_all_runs_with_the_uid_of_the_namespace(shift: Target) -> None:
    """The images of Airflow, Postgres and Valkey with a uid that they do not know, and group 0."""
    pods = [pod for pod in shift.items("pods", "-n", NAMESPACE) if pod["status"]["phase"] == "Running"]
    assert len(pods) >= 8
    for pod in pods:
        name = pod["metadata"]["name"]
        assert pod["metadata"]["annotations"]["openshift.io/scc"] == "restricted-v2"
        sidecars = [c for c in pod["spec"].get("initContainers", ()) if c.get("restartPolicy") == "Always"]
        for container in (*pod["spec"]["containers"], *sidecars):
            said = shift.kubectl(*command(name, container["name"]), "sh", "-c", "id -u; id -g; id -G").split()
            assert said[:2] == [str(UID), "0"], (name, container["name"])
            assert str(UID) in said[2:], "the group of its volumes"
        assert set(restarts(pod).values()) == {0}, name
    builds = worker(shift, "builds")
    assert {c["name"]: c["securityContext"].get("runAsUser") for c in builds["spec"]["initContainers"]}[
        "docker"
    ] == 0, "the daemon, with the SCC privileged"


def test_the_example_dags_run(shift: Target) -> None:
    with airflow_of(shift, NAMESPACE) as airflow:
        results = examples.run_all(airflow, GROUPS, registry=False, at_once=True)
        assert results
        wrong = [result for result in results if not result.right]
        told = {f"{each.dag}.{each.task.name}": airflow.log(each.task)[-1500:] for each in wrong}
        assert not wrong, json.dumps(told, indent=1)


def test_containers_of_docker_operator_have_the_uid_and_a_home(shift: Target) -> None:
    name = worker(shift, "plain")["metadata"]["name"]
    run = (*command(name, "worker"), "python", "-c", RUN)
    assert shift.kubectl(*run, "", timeout=180).split() == [str(UID), "home"]
    for user, said in (
        ("1000", r"must be in the ranges: \[1000680000"),
        ("root", "OpenShift assigns the user"),
    ):
        with pytest.raises(CommandError, match=said):
            shift.kubectl(*run, user, timeout=180)


@pytest.mark.attack(actor=AUTHOR)
def test_the_uid_of_the_gateway_gives_a_worker_nothing(shift: Target) -> None:
    """What docs/openshift.md says: each attack first works in the gateway's container, with the same uid."""
    name = worker(shift, "plain")["metadata"]["name"]
    inside, gateway = command(name, "worker"), command(name, "docker-gateway")
    for where in (inside, gateway):
        assert shift.kubectl(*where, "id", "-u").strip() == str(UID)

    assert shift.kubectl(*gateway, "cat", TOKEN).count(".") == 2
    with pytest.raises(CommandError, match="No such file"):
        shift.kubectl(*inside, "cat", TOKEN)

    readable = (shift.kubectl(*where, "python", "-c", READ) for where in (gateway, inside))
    assert ["/opt/docker_gateway" in each for each in readable] == [True, False]

    shift.kubectl(*gateway, "sh", "-c", f"touch {SOCKETS}/x && rm {SOCKETS}/x")
    for action in ("touch /run/airdock/x", "rm -f /run/airdock/docker.sock", "touch /opt/docker_gateway/x"):
        with pytest.raises(CommandError, match=r"Read-only file system|No such file"):
            shift.kubectl(*inside, "sh", "-c", action)

    # The memory and queues that containers of a pod share: none is the gateway's.
    shared = "ls -A /dev/shm; tail -qn +2 /proc/sysvipc/*"
    assert shift.kubectl(*gateway, "sh", "-c", shared).split() == []


@pytest.mark.attack(actor=AUTHOR)
def test_signals_of_a_worker_do_not_reach_the_gateway(shift: Target) -> None:
    """SIGKILL to all processes that this uid can see: the worker's own end, and no others."""
    before = restarts(worker(shift, "plain"))
    name = worker(shift, "plain")["metadata"]["name"]
    shift.kubectl(*command(name, "worker"), "sh", "-c", "kill -9 -1 || true")
    wait_until(
        lambda: restarts(worker(shift, "plain"))["worker"] > before["worker"], 60, "the worker starts again"
    )
    after = restarts(worker(shift, "plain"))
    assert after | {"worker": 0} == before | {"worker": 0}
