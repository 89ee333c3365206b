"""tasks.user: auto. An image runs as its user where the kubelet takes it; unused pods are replaced."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import pytest
from docker_gateway import cluster, cluster_cleanup, cluster_replacement
from docker_gateway.cluster_users import Way

from tests.gateway.stand_ins.cluster import NO_NAMESPACE, ClusterWorld
from tests.gateway.stand_ins.gateway import Gateway, running
from tests.gateway.stand_ins.world import Reply
from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until

AUTO = {"user": "auto", "user_namespaces": "auto"}
IMAGE = {"Image": "root:1"}


@pytest.fixture(autouse=True)
def _fast(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(cluster_cleanup, "_TICK", 0.02)
    monkeypatch.setattr(cluster, "_CLOSE", 2.0)


class Node:
    """The world behind a gateway, whose node runs what it can."""

    def __init__(self, gateway: Gateway) -> None:
        assert isinstance(gateway.world, ClusterWorld)
        self.gateway, self.world = gateway, gateway.world
        self.world.users |= {"root:1": "0", "named:1": "airflow", "number:1": "1001"}
        #: Every pod that was created, and those whose container ran.
        self.created: list[dict[str, Any]] = []
        self.ran: list[dict[str, Any]] = []
        self._handle, self.most = self.world.handle, 0
        self.world.handle = self._record  # type: ignore[method-assign]
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)

    def _record(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        reply = self._handle(method, path, query, body)
        if method == "POST" and path.endswith("/pods") and "dryRun" not in query and reply.status == 201:
            self.created.append(reply.body)
            self.most = max(self.most, len(self.world.alive()))
        return reply

    def work(self) -> None:
        """Try to run each pod; what can be run prints its number and ends."""
        with self.world.lock:
            for task in self.world.alive():
                if task.state == "pending" and (self.world.pods[task.id]["status"] == {"phase": "Pending"}):
                    self.world.run(task)
                if task.state == "running":
                    self.ran.append(self.world.pods[task.id])
                    self.world.print(task, b"%d\n" % len(self.ran))
                    self.world.exit(task, 0)

    def run(self, **body: Any) -> tuple[list[str], int, Any]:
        """Run a container as DockerOperator does; gives its log and the answer to `wait`."""
        client, other = self.gateway.client(), self.gateway.client()
        with client, other:
            container = other.create(**{**IMAGE, **body})
            client.attach(container)
            status, answer = other.ask("POST", f"/containers/{container}/start")
            assert status == 204, answer
            other.send("POST", f"/containers/{container}/wait")
            done = threading.Event()

            def work() -> None:
                while not done.wait(0.005):
                    self.work()

            worker = threading.Thread(target=work)
            worker.start()
            try:
                status, answer = other.answer()
                return client.output().decode().splitlines(), status, answer
            finally:
                done.set()
                worker.join()

    def gone(self) -> None:
        """Wait until no pod is left that could run."""
        wait_until(lambda: not self.world.alive(), 20, "no pod is left", 0.01)


@contextmanager
def node(directory: Path, no_namespaces: str = "", **tasks: Any) -> Iterator[Node]:
    with running("cluster", directory, **{**AUTO, **tasks}) as gateway:
        each = Node(gateway)
        each.world.no_namespaces = no_namespaces
        yield each


def way(pod: dict[str, Any]) -> Way | int:
    """Tell from a pod how it runs."""
    security, inside = pod["spec"]["securityContext"], pod["spec"].get("hostUsers") is False
    assert inside != security.get("runAsNonRoot", False)
    if "runAsUser" in security:
        return int(security["runAsUser"])
    return Way.NAMESPACE if inside else Way.IMAGE


ROOT, NAMED = "the image's user is root", "the image's user is 'airflow', which the kubelet cannot check"
TAIL = ". Set a number as user in the task, or ask the administrator to set tasks.user"


@pytest.mark.parametrize(("image", "who"), [("root:1", ROOT), ("named:1", NAMED)])
@pytest.mark.parametrize("settings", ["auto", "off"])
def test_what_the_kubelet_does_not_take_runs_all_the_same(
    tmp_path: Path, image: str, who: str, settings: str
) -> None:
    with node(tmp_path, user_namespaces=settings) as each:
        for run in range(2):
            each.created.clear()
            lines, status, answer = each.run(Image=image)
            assert (status, answer) == (200, {"StatusCode": 0})
            last = Way.NAMESPACE if settings == "auto" else 50000
            assert [way(pod) for pod in each.created] == [Way.IMAGE, last][run:], "it is remembered"
            note = (
                f"user: the image's user runs in a user namespace, because {who}"
                if settings == "auto"
                else f"user: 50000 runs, because {who} and tasks.userNamespaces is off{TAIL}"
            )
            assert lines == [f"[airdock] {note}", str(run + 1)]
        assert each.most == 1


def test_an_image_with_a_number_runs_as_it_is(tmp_path: Path) -> None:
    with node(tmp_path) as each:
        lines, status, _ = each.run(Image="number:1")
        assert (lines, status, [way(pod) for pod in each.created]) == (["1"], 200, [Way.IMAGE])
        env = {entry["name"] for entry in each.created[0]["spec"]["containers"][0]["env"]}
        assert not env & {"HOME", "USER", "LOGNAME"}, "the image's own"


@pytest.mark.parametrize("fails", NO_NAMESPACE)
def test_without_user_namespaces_a_number_runs_and_the_log_says_why(tmp_path: Path, fails: str) -> None:
    with node(tmp_path, fails) as each:
        for run in range(2):
            each.created.clear()
            lines, status, answer = each.run()
            assert (status, answer) == (200, {"StatusCode": 0})
            trial = [] if fails in ("dropped", "refused") else [Way.NAMESPACE]
            assert [way(pod) for pod in each.created] == [[Way.IMAGE, *trial, 50000], [50000]][run]
            assert lines[1:] == [str(run + 1)]
            begin = f"[airdock] user: 50000 runs, because {ROOT} and user namespaces are not available: "
            assert lines[0].startswith(begin)
            assert lines[0].endswith(TAIL)
            assert len(lines[0]) > len(begin + TAIL) + 30, "the words of who refused it"
        assert each.most == 1


@pytest.mark.parametrize("fails", ["", *NO_NAMESPACE])
def test_root_by_name_is_root_in_a_user_namespace_or_an_error(tmp_path: Path, fails: str) -> None:
    with node(tmp_path, fails) as each:
        if fails in ("dropped", "refused"):
            with each.gateway.client() as client:
                status, answer = client.ask("POST", "/containers/create", {**IMAGE, "User": "0"})
            assert status == 403
        else:
            lines, status, answer = each.run(User="0")
            assert [way(pod) for pod in each.created] == [0]
        if not fails:
            assert (lines, status) == (["1"], 200)
            return
        assert fails in ("dropped", "refused") or status == 500
        assert not each.ran
        each.gone()
        if fails not in ("dropped", "refused"):
            assert "tasks.userNamespaces" in answer["message"]
            assert "user namespaces are not available" in answer["message"]


@pytest.mark.parametrize(("author", "expected"), [("1234", 1234), ("1234:0", 1234)])
def test_a_number_of_the_author_is_tried_once(tmp_path: Path, author: str, expected: int) -> None:
    with node(tmp_path) as each:
        lines, status, _ = each.run(User=author)
        assert (lines, status, [way(pod) for pod in each.created]) == (["1"], 200, [expected])
        env = {entry["name"] for entry in each.created[0]["spec"]["containers"][0]["env"]}
        assert not env & {"HOME", "USER"}


def test_a_number_of_the_administrator_needs_no_trial(tmp_path: Path) -> None:
    with node(tmp_path, user=1000) as each:
        lines, status, _ = each.run()
        assert (lines, status, [way(pod) for pod in each.created]) == (["1"], 200, [1000])


def test_on_means_a_user_namespace_and_nothing_else(tmp_path: Path) -> None:
    with node(tmp_path, "start", user_namespaces="on") as each:
        _, status, answer = each.run()
        assert (status, [way(pod) for pod in each.created]) == (500, [Way.NAMESPACE])
        assert "MOUNT_ATTR_IDMAP" in answer["message"]


def test_a_volume_that_cannot_be_mapped_denies_those_with_it(tmp_path: Path) -> None:
    claims = {"claims": {name: _claim(name) for name in ("nfs", "disk")}}
    with node(tmp_path, **claims) as each:
        each.world.no_namespaces = "mount"
        assert each.run(HostConfig={"Binds": ["nfs:/nfs"]})[1] == 200
        each.world.no_namespaces = ""
        for volume, expected in (("nfs", 50000), ("disk", Way.NAMESPACE)):
            each.created.clear()
            each.run(HostConfig={"Binds": [f"{volume}:/data"]})
            assert [way(pod) for pod in each.created] == [expected]


def _claim(name: str) -> Any:
    from docker_gateway.settings import Volume

    return Volume(f"{name}-claim")


def test_a_full_quota_is_no_reason_to_change_the_user(tmp_path: Path) -> None:
    with node(tmp_path) as each:
        each.run()
        handle = each.world.handle

        def full(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
            if method == "POST" and path.endswith("/pods"):
                message = "exceeded quota: tasks, requested: pods=1, used: pods=1, limited: pods=1"
                return Reply(403, {"reason": "Forbidden", "message": message})
            return handle(method, path, query, body)

        each.world.handle = full  # type: ignore[method-assign]
        with each.gateway.client() as client:
            client.ask("POST", "/containers/create", IMAGE)
        each.world.handle = handle  # type: ignore[method-assign]
        each.created.clear()
        each.run()
        assert [way(pod) for pod in each.created] == [Way.NAMESPACE]


# ---- nothing runs twice, nothing stays


def test_a_container_that_ran_after_all_is_not_run_again(tmp_path: Path) -> None:
    """The kubelet tries a sandbox again: it may succeed while its pod is deleted."""
    with node(tmp_path, "sandbox") as each:
        each.world.lingering = True
        handle = each.world.handle

        def late(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
            task = each.world.tasks.get(path.rpartition("/")[2])
            if method == "DELETE" and task and each.world.pods[task.id]["spec"].get("hostUsers") is False:
                each.world.no_namespaces = ""
                each.world.run(task)
                assert task.state == "running"
                each.ran.append(each.world.pods[task.id])
            return handle(method, path, query, body)

        each.world.handle = late  # type: ignore[method-assign]
        _, status, answer = each.run()
        each.world.tidy()
        assert (status, "while another pod was to replace it" in answer["message"]) == (500, True)
        each.gone()
        assert len(each.ran) == 1
        assert [way(pod) for pod in each.created] == [Way.IMAGE, Way.NAMESPACE]


@pytest.mark.parametrize(("fails", "expected"), [("", 200), ("start", 200), ("sandbox", 500)])
def test_a_deletion_that_no_watch_has_shown(
    tmp_path: Path, fails: str, expected: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    """What is gone may have run, unless its node had said that it never would."""
    monkeypatch.setattr(cluster_replacement, "_ASK", 0.05)
    with node(tmp_path, fails) as each:
        handle = each.world.handle

        def silent(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
            deaf = method == "DELETE" and "/pods/" in path
            watchers, each.world.watchers = each.world.watchers, [] if deaf else each.world.watchers
            try:
                return handle(method, path, query, body)
            finally:
                if deaf:
                    each.world.watchers = watchers

        each.world.handle = silent  # type: ignore[method-assign]
        _, status, _ = each.run()
        assert status == expected
        assert len(each.ran) == (expected == 200)
        each.gone()


#: What happens to a container at each request of its replacement, before it or after it.
def leaves(each: Node, container: str, client: Any) -> None:
    client.close()
    fated(each)


def removed(each: Node, container: str, client: Any) -> None:
    with each.gateway.client() as other:
        assert other.ask("DELETE", f"/containers/{container}?force=1")[0] == 204


def stopped(each: Node, container: str, client: Any) -> None:
    each.gateway.client().send("POST", f"/containers/{container}/stop?t=0")
    fated(each)


def closed(each: Node, container: str, client: Any) -> None:
    threading.Thread(target=each.gateway.backend.close).start()
    fated(each)


def replaced(each: Node) -> list[Any]:
    return [c for c in each.gateway.backend.containers.all() if c.replacing]  # type: ignore[union-attr]


def fated(each: Node) -> None:
    (container,) = each.gateway.backend.containers.all()
    # Or it has ended by itself, just before.
    wait_until(lambda: container.fate or container.ended, 20, "it ends", 0.001)  # type: ignore[union-attr]


def cut(each: Node, container: str, client: Any) -> None:
    each.world.cut(True)


def deleted(each: Node, container: str, client: Any) -> None:
    for task in each.world.alive():
        each.world.kill(task)


def lost(each: Node, container: str, client: Any) -> None:
    raise ConnectionResetError


DEEDS: list[Callable[[Node, str, Any], None]] = [leaves, removed, stopped, closed, cut, deleted, lost]


@pytest.mark.parametrize("deed", DEEDS)
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.attack(actor=AUTHOR, finding=(7,))
def test_whatever_happens_while_a_pod_is_replaced(
    tmp_path: Path, deed: Callable[[Node, str, Any], None], when: str
) -> None:
    """Walks the requests of a replacement: at each of them, the deed happens once."""
    for number in range(1, 100):
        (directory := tmp_path / str(number)).mkdir()
        if not _disturbed(directory, deed, when, number):
            assert number > 3, "a replacement has requests"
            return
    raise AssertionError("there is no end of requests")


def _disturbed(directory: Path, deed: Callable[[Node, str, Any], None], when: str, number: int) -> bool:
    """Let the deed happen at the request of this number; False if there are fewer."""
    with running("cluster", directory, direct=True, **AUTO) as gateway:
        each = Node(gateway)
        client, other, happened = gateway.client(), gateway.client(), threading.Event()
        container = other.create(**IMAGE)
        client.attach(container)
        # The next pod may run before what happens as it is created.
        counted, slowly, late = [0], each.world.slowly, []

        def disturb(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
            mine = threading.current_thread().name == "replace"
            counted[0] += mine
            due = mine and counted[0] == number
            if due:
                late.extend([True] * (method == "POST" and "dryRun" not in query))
            if due and when == "before":
                happened.set()
                deed(each, container, client)
            reply = slowly(method, path, query, body)
            if due and when == "after":
                happened.set()
                deed(each, container, client)
            return reply

        each.world.slowly = disturb  # type: ignore[method-assign]
        assert other.ask("POST", f"/containers/{container}/start")[0] == 204
        wait_until(lambda: each.work() or each.ran or happened.is_set(), 20, "it runs", 0.001)
        if not happened.is_set():
            # It may be the last request, which has been carried out and not been answered yet.
            wait_until(lambda: happened.is_set() or not replaced(each), 20, "the thread has ended", 0.001)
        if not happened.is_set():
            return False
        goes_on = deed in (cut, lost)
        answer: tuple[int, Any] = (0, None)
        if deed is not closed:
            with suppress(ConnectionError):
                other.send("POST", f"/containers/{container}/wait")
                finished = threading.Event()

                def work() -> None:
                    while not finished.wait(0.002):
                        each.work()

                worker = threading.Thread(target=work)
                worker.start()
                try:
                    answer = other.answer()
                finally:
                    finished.set()
                    worker.join()
        if goes_on:
            assert answer == (200, {"StatusCode": 0}), (number, answer)
        elif deed is deleted:
            # It may have been the pod that was to go anyway.
            assert answer[0] in (200, 500), (number, answer)
        else:
            assert answer[0] in (0, 404, 500, *([200] if late else [])), (number, answer)
        assert (answer[0] == 200) <= len(each.ran) <= (1 if late else answer[0] == 200), (number, answer)
        assert each.most == 1
        each.gone()
        wait_until(lambda: not replaced(each), 20, "the replacement ends", 0.01)
        each.gone()
    return True


# Events, which tell of a sandbox, are read once the creation has been answered.
@pytest.mark.parametrize("fails", ["", *(each for each in NO_NAMESPACE if each != "sandbox")])
def test_a_pod_may_be_rejected_or_end_before_the_answer_to_its_creation(tmp_path: Path, fails: str) -> None:
    with running("cluster", tmp_path, direct=True, **AUTO) as gateway:
        each = Node(gateway)
        each.world.no_namespaces = fails
        slowly = each.world.slowly

        def late(method: str, path: str, query: dict[str, str], body: Any) -> Reply:
            reply = slowly(method, path, query, body)
            if method == "POST" and threading.current_thread().name == "replace" and "dryRun" not in query:
                (pod,) = gateway.backend.containers.all()  # type: ignore[union-attr]
                pods = len(each.created)
                wait_until(lambda: len(pod.replaced) == pods or pod.ended, 10, "it is seen", 0.001)
            return reply

        each.world.slowly = late  # type: ignore[method-assign]
        lines, status, answer = each.run()
        assert (lines[1:], status, answer) == (["1"], 200, {"StatusCode": 0})


def test_a_thread_that_dies_is_followed_by_another(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    build, died = cluster_replacement.Replacement._build, []

    def killed(self: Any, container: Any) -> bool:
        if not died:
            died.append(True)
            raise SystemExit
        return build(self, container)

    monkeypatch.setattr(cluster_replacement.Replacement, "_build", killed)
    with node(tmp_path) as each:
        assert each.run()[1] == 200
    assert died


def test_a_pod_that_its_node_does_not_delete_has_a_limit(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cluster_replacement, "_LIMIT", 0.5)
    with node(tmp_path) as each:
        monkeypatch.setattr(each.world, "_remove", lambda name: None)
        _, status, answer = each.run()
        assert (status, "could not be replaced" in answer["message"]) == (500, True)
        assert not each.ran
