"""Which user a container runs as, on a node: the kubelet and the runtime decide, and nothing runs twice."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError
from kubernetes import watch

from scripts.cluster import REGISTRY
from scripts.live import registry_image
from tests.e2e.gateway_cluster.support import (
    BUSYBOX,
    NAMESPACE,
    PATIENCE,
    Cluster,
    Gateway,
    Start,
    begin,
    create,
    needs_native,
    run,
)
from tests.support.waiting import wait_until

pytestmark = needs_native

AUTO = {"user": "auto", "userNamespaces": "auto"}
#: Image -> the user that it names. busybox names none, which is root.
USERS = {"airdock-e2e-users:number": "1001:1002", "airdock-e2e-users:named": "airflow"}
NUMBER, NAMED = USERS
SCRIPT = "id -u; cat /proc/self/uid_map; grep -E 'CapEff|NoNewPrivs' /proc/self/status"


@pytest.fixture(scope="module", autouse=True)
def images() -> None:
    for image, user in USERS.items():
        reference = f"{REGISTRY}/library/{image}"
        passwd = "root:x:0:0::/root:/bin/sh\nairflow:x:1003:1003::/tmp:/bin/sh\n"
        registry_image.push(reference, {"etc/passwd": passwd}, base=registry_image.BUSYBOX)
        registry_image.crane("mutate", reference, "--user", user, "--tag", reference)


class Seen:
    """The pods of a gateway, as a watch saw them: uid -> spec, in the order of their creation."""

    def __init__(self, cluster: Cluster, owner: str) -> None:
        self.pods: dict[str, Any] = {}
        self.present: set[str] = set()
        self.most = 0
        self._watch, self._cluster, self._owner = watch.Watch(), cluster, owner
        self._before = {pod.metadata.uid for pod in cluster.pods(owner)}
        self._thread = threading.Thread(target=self._see, daemon=True)
        self._thread.start()
        time.sleep(1)

    def _see(self) -> None:
        selector = f"airdock.dev/gateway={self._owner}"
        listing = self._cluster.core.list_namespaced_pod
        for event in self._watch.stream(
            listing, NAMESPACE, label_selector=selector, timeout_seconds=int(PATIENCE) * 3
        ):
            pod = event["object"]
            if pod.metadata.uid in self._before:
                continue
            if event["type"] == "DELETED":
                self.present.discard(pod.metadata.uid)
            else:
                self.pods.setdefault(pod.metadata.uid, pod.spec)
                self.present.add(pod.metadata.uid)
            self.most = max(self.most, len(self.present))

    def end(self) -> list[Any]:
        self._watch.stop()
        return list(self.pods.values())


@pytest.fixture
def gateway(starter: Start) -> Iterator[Gateway]:
    """A gateway that knows of no image yet."""
    yield starter(**AUTO)


def parts(output: bytes) -> tuple[str, str, str, str]:
    """Give what the gateway says, uid, uid on the node of the first one inside, and the rest."""
    lines = output.decode().splitlines()
    said = lines.pop(0) if lines[0].startswith("[airdock]") else ""
    return said, lines[0], lines[1].split()[1], "\n".join(lines[2:])


@pytest.mark.parametrize(
    ("image", "uid", "pods", "says"),
    [
        (BUSYBOX, "0", 2, "runs in a user namespace, because the image's user is root"),
        (NAMED, "1003", 2, "runs in a user namespace, because the image's user is 'airflow'"),
        (NUMBER, "1001", 1, ""),
    ],
)
def test_the_images_own_user_runs(
    cluster: Cluster, gateway: Gateway, image: str, uid: str, pods: int, says: str
) -> None:
    client = gateway.client()
    for attempt in range(2):
        seen = Seen(cluster, gateway.owner)
        code, output = run(client, ["sh", "-c", SCRIPT], image)
        said, inside, outside, rest = parts(output)
        assert (code, inside) == (0, uid)
        assert says in said
        assert bool(said) == bool(says)
        assert (outside == "0") == (not says), "root is nobody on the node"
        assert "CapEff:\t0000000000000000" in rest
        assert "NoNewPrivs:\t1" in rest
        wait_until(lambda seen=seen: seen.pods, 10, "the watch saw the pod")  # type: ignore[misc]
        assert len(seen.end()) == (pods if attempt == 0 else 1), "it is remembered"
        for task in client.containers(all=True):
            client.remove_container(task["Id"], force=True)
        wait_until(lambda: not cluster.pods(gateway.owner), PATIENCE, "no pod is left")


def test_without_user_namespaces_a_number_runs_with_a_home(starter: Start) -> None:
    script = 'id -u; cat /proc/self/uid_map; touch "$HOME/x" && echo "$USER $LOGNAME $HOME"'
    client = starter(user="auto", userNamespaces="off").client()
    for image, who in ((BUSYBOX, "root"), (NAMED, "'airflow'")):
        code, output = run(client, ["sh", "-c", script], image)
        said, uid, _, rest = parts(output)
        assert (code, uid, rest) == (0, "50000", "airdock airdock /home/airdock")
        assert f"50000 runs, because the image's user is {who}" in said
        assert "tasks.userNamespaces is off" in said


def test_a_user_of_the_author_needs_no_trial(cluster: Cluster, gateway: Gateway) -> None:
    client = gateway.client()
    for user, uid, mapped in (("1234", "1234", False), ("root", "0", True)):
        seen = Seen(cluster, gateway.owner)
        code, output = run(client, ["sh", "-c", SCRIPT], user=user)
        said, inside, outside, _ = parts(output)
        assert (code, said, inside, outside != "0") == (0, "", uid, mapped)
        assert len(seen.end()) == 1


def test_root_is_refused_without_user_namespaces(starter: Start) -> None:
    client = starter(user="auto", userNamespaces="off").client()
    with pytest.raises(APIError, match=r"tasks\.userNamespaces"):
        create(client, ["id", "-u"], user="root")


def test_retrieved_files_of_each_user(gateway: Gateway) -> None:
    """The sidecar that reads them has another uid."""
    client = gateway.client()
    for image in (BUSYBOX, NUMBER, NAMED):
        task = begin(
            client,
            ["sh", "-c", "echo result > /tmp/out; id -u"],
            image,
            labels={"airdock.dev/retrieve-output": "/tmp/out"},
        )
        task.read()
        assert task.wait() == 0
        chunks, _ = client.get_archive(task.id, "/tmp/out")
        assert b"result\n" in b"".join(chunks)


def test_many_at_once_run_once_each(cluster: Cluster, gateway: Gateway) -> None:
    """All are tried before the first verdict is known."""
    seen = Seen(cluster, gateway.owner)
    tasks = [begin(gateway.client(), ["sh", "-c", f"echo {number}"], BUSYBOX) for number in range(5)]
    for number, task in enumerate(tasks):
        lines = [line for line in task.read().splitlines() if not line.startswith(b"[airdock]")]
        assert lines == [b"%d" % number]
        assert task.wait() == 0
    names = [pod.containers[0].args for pod in seen.end()]
    assert len(names) <= 10


@pytest.mark.parametrize("deed", ["leave", "stop", "remove"])
def test_nothing_is_left_of_a_container_that_ends_in_its_trial(
    cluster: Cluster, starter: Start, deed: str
) -> None:
    for wait in (0.2, 0.7, 1.2, 1.7, 2.2, 3.0):
        gateway = starter(**AUTO)
        client = gateway.client()
        task = begin(client, ["sh", "-c", "sleep 600"], BUSYBOX)
        time.sleep(wait)
        if deed == "leave":
            task.stream.close()
            client.close()
        elif deed == "stop":
            client.stop(task.id, timeout=1)
        else:
            client.remove_container(task.id, force=True)
        wait_until(lambda gateway=gateway: not cluster.pods(gateway.owner), PATIENCE, "no pod is left")  # type: ignore[misc]
        time.sleep(3)
        assert not cluster.pods(gateway.owner), "and none comes"


def test_a_gateway_that_dies_in_a_trial_leaves_nothing(cluster: Cluster, starter: Start) -> None:
    gateway = starter(**AUTO)
    begin(gateway.client(), ["sh", "-c", "sleep 600"], BUSYBOX)
    wait_until(lambda: cluster.pods(gateway.owner), PATIENCE, "a pod")
    time.sleep(1)
    gateway.kill()
    gateway.start()
    wait_until(lambda: not cluster.pods(gateway.owner), PATIENCE, "the next one deletes it")


def test_on_gives_each_container_a_user_namespace(starter: Start) -> None:
    client = starter(userNamespaces="on").client()
    script = "id -u; cat /proc/self/uid_map; touch /root-was-here && echo written"
    for user in (None, "root"):
        code, output = run(client, ["sh", "-c", script], user=user)
        said, uid, outside, rest = parts(output)
        assert (code, said, uid, outside != "0", rest) == (0, "", "0", True, "written")


def test_the_docker_program_sees_one_container(gateway: Gateway) -> None:
    client: docker.APIClient = gateway.client()
    task = begin(client, ["sh", "-c", "sleep 2"], BUSYBOX)
    assert [each["Id"] for each in client.containers()] == [task.id]
    task.read()
    assert task.wait() == 0
    kinds = [each["status"] for each in client.events(since=0, until=int(time.time()) + 1, decode=True)]
    assert [kind for kind in kinds if kind in ("create", "start", "die")] == ["create", "start", "die"]
