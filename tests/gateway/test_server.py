"""The socket: routing, errors, hijacking; docker-py's own client in front of a backend that only records."""

from __future__ import annotations

import json
import os
import socket
import stat
import threading
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker_gateway.backend import (
    ApiError,
    Archive,
    AttachOptions,
    Disconnect,
    EventOptions,
    Exit,
    ListOptions,
    LogOptions,
    Refusal,
    Stream,
)
from docker_gateway.health import Metrics
from docker_gateway.model import Create
from docker_gateway.server import Server

from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until


class Recorder:
    """A backend whose containers print two lines and exit 3."""

    def __init__(self) -> None:
        self.calls: list[tuple[Any, ...]] = []
        self.requests: list[Create] = []
        self.started, self.left = threading.Event(), threading.Event()

    def version(self) -> dict[str, Any]:
        return {"ApiVersion": "1.47"}

    def info(self) -> dict[str, Any]:
        return {"Containers": 0}

    def events(self, options: EventOptions, gone: Callable[[], bool]) -> Iterator[dict[str, Any]]:
        return iter(({"Action": "start"}, {"Action": "die"}))

    def image(self, name: str) -> dict[str, Any]:
        self.calls.append(("image", name))
        return {"Id": "sha256:" + "1" * 64}

    def images(self, name: str) -> list[dict[str, Any]]:
        return [{"RepoTags": [name]}]

    def pull(self, image: str, registry_auth: str) -> Iterator[Mapping[str, Any]]:
        self.calls.append(("pull", image))
        return iter(({"status": "one"}, {"status": "two"}))

    def login(self, registry: str, body: Mapping[str, str]) -> None:
        if registry != "good.example.com":
            raise Refusal("docker_conn_id", f"no secret for {registry}")

    def create(self, request: Create) -> tuple[str, list[str]]:
        if request.host.privileged:
            raise Refusal("privileged", "no")
        self.requests.append(request)
        return "f" * 64, ["a warning"]

    def attach(self, container: str, options: AttachOptions, upgrade: Callable[[bool], Stream]) -> None:
        if container == "missing":
            raise ApiError(404, "No such container: missing")
        stream = upgrade(self.requests[-1].tty if self.requests else False)
        stream.on_hangup(self.left.set)
        self.started.wait(60)
        stream.write("äone\n".encode())
        stream.write(b"two\n")
        stream.flush()

    def start(self, container: str) -> bool:
        first = not self.started.is_set()
        self.started.set()
        return first

    def wait(
        self, container: str, condition: str, gone: Callable[[], bool], begun: Callable[[], None]
    ) -> Exit:
        begun()
        if container == "lost":
            raise ApiError(500, "the node is gone", "infrastructure")
        return Exit(137, "no memory") if container == "killed" else Exit(3)

    def inspect(self, container: str) -> dict[str, Any]:
        return {"Id": container, "Config": {"Tty": self.requests[-1].tty if self.requests else False}}

    def stop(self, container: str, grace: int | None, gone: Callable[[], bool]) -> bool:
        self.calls.append(("stop", grace))
        return True

    def kill(self, container: str, signal: str) -> None:
        self.calls.append(("kill", signal))

    def resize(self, container: str, height: int, width: int) -> None:
        self.calls.append(("resize", height, width))

    def list_containers(self, options: ListOptions) -> list[dict[str, Any]]:
        self.calls.append(("list", options))
        return []

    def logs(self, container: str, options: LogOptions, begin: Callable[[bool], Stream]) -> None:
        self.calls.append(("logs", options))
        stream = begin(False)
        stream.write(b"one\n")
        if container == "broken":
            raise Disconnect("broken")
        if container == "lost":
            raise ApiError(500, "the node is gone", "infrastructure")

    def remove(self, container: str, force: bool) -> None:
        self.calls.append(("remove", force))

    def archive(self, container: str, path: str) -> Archive:
        if path == "/broken":
            raise Disconnect("broken")
        return Archive("x", 3, 0o644, "2026-01-01T00:00:00Z", [b"t", b"ar"])

    def ready(self) -> str:
        return ""

    def alive(self) -> str:
        return ""

    def close(self) -> None: ...


@pytest.fixture
def backend() -> Recorder:
    return Recorder()


@pytest.fixture
def path(tmp_path: Path, backend: Recorder) -> Iterator[Path]:
    path = tmp_path / "docker.sock"
    server = Server(path, backend, Metrics())
    threading.Thread(target=server.serve, daemon=True).start()
    yield path
    server.close()


@pytest.fixture
def client(path: Path) -> Iterator[docker.APIClient]:
    client = docker.APIClient(f"unix://{path}", timeout=60)
    yield client
    client.close()


def raw(path: Path, text: bytes) -> tuple[int, dict[str, Any]]:
    """Send bytes, read an answer that has a JSON body."""
    with socket.socket(socket.AF_UNIX) as sock:
        sock.settimeout(60)
        sock.connect(str(path))
        sock.sendall(text)
        data = b""
        while b"\r\n\r\n" not in data or not data.rstrip().endswith(b"}"):
            data += (more := sock.recv(65536))
            if not more:
                break
    head, _, body = data.partition(b"\r\n\r\n")
    return int(head.split()[1]), json.loads(body)


def test_the_socket_is_for_owner_and_group(path: Path) -> None:
    assert stat.S_IMODE(path.stat().st_mode) == 0o660


def test_a_stale_socket_is_replaced(path: Path, backend: Recorder) -> None:
    server = Server(path, backend, Metrics())
    threading.Thread(target=server.serve, daemon=True).start()
    assert docker.APIClient(f"unix://{path}").ping()
    server.close()


def test_what_docker_operator_does(client: docker.APIClient, backend: Recorder) -> None:
    assert client.ping()
    assert client.images(name="busybox:1.37")
    assert [each["status"] for each in client.pull("busybox", stream=True, decode=True)] == ["one", "two"]
    container = client.create_container("busybox", "echo", name="n", host_config=client.create_host_config())[
        "Id"
    ]
    lines = client.attach(container, stdout=True, stderr=True, stream=True)
    client.start(container)
    assert b"".join(lines).decode() == "äone\ntwo\n"
    assert client.wait(container) == {"StatusCode": 3}
    assert client.wait("killed") == {"StatusCode": 137, "Reason": "no memory"}
    client.stop(container)
    client.stop(container, timeout=7)
    client.remove_container(container)
    client.remove_container(container, force=True)
    data, found = client.get_archive(container, "/x")
    assert (b"".join(data), found["size"]) == (b"tar", 3)
    assert backend.calls == [
        ("pull", "busybox:latest"),
        ("stop", None),
        ("stop", 7),
        ("remove", False),
        ("remove", True),
    ]
    assert backend.requests[0].name == "n"


def test_a_terminal_is_attached_without_frames(client: docker.APIClient) -> None:
    container = client.create_container("busybox", tty=True, host_config=client.create_host_config())["Id"]
    lines = client.attach(container, stream=True)
    client.start(container)
    assert b"".join(lines).decode() == "äone\ntwo\n"


def test_the_clients_leaving_is_noticed(path: Path, backend: Recorder) -> None:
    sock = socket.socket(socket.AF_UNIX)
    sock.connect(str(path))
    sock.sendall(
        b"POST /v1.47/containers/a/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: a\r\n"
        b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
    )
    assert sock.recv(1000).startswith(b"HTTP/1.1 101 ")
    assert not backend.left.wait(0.2)
    sock.close()
    assert backend.left.wait(60)


def test_nothing_is_sent_between_101_and_start(path: Path, backend: Recorder) -> None:
    with socket.socket(socket.AF_UNIX) as sock:
        sock.connect(str(path))
        sock.sendall(
            b"POST /v1.47/containers/a/attach?stream=1&stdout=1&stderr=1 HTTP/1.1\r\nHost: a\r\n"
            b"Connection: Upgrade\r\nUpgrade: tcp\r\n\r\n"
        )
        assert sock.recv(1000).endswith(b"\r\n\r\n")
        sock.settimeout(0.3)
        with pytest.raises(TimeoutError):
            sock.recv(1)


def test_refusals_are_json(client: docker.APIClient) -> None:
    with pytest.raises(APIError) as error:
        client.create_container("busybox", host_config=client.create_host_config(privileged=True))
    assert error.value.explanation == "privileged: no"
    with pytest.raises(APIError) as error:
        client.wait("lost")
    assert (error.value.status_code, error.value.explanation) == (500, "the node is gone")
    with pytest.raises(APIError):
        client.login("u", "p", registry="bad.example.com")
    assert client.login("u", "p", registry="good.example.com")


def test_the_log_of_a_refusal_names_dag_and_task(
    client: docker.APIClient, capsys: pytest.CaptureFixture[str]
) -> None:
    labels = {"airdock.dev/dag-id": "d", "airdock.dev/task-id": "t"}
    with pytest.raises(APIError):
        client.create_container("a", host_config=client.create_host_config(privileged=True), labels=labels)
    line = json.loads(capsys.readouterr().err)
    assert (line["event"], line["reason"], line["dag"], line["task"]) == ("refused", "privileged", "d", "t")


def test_a_broken_archive_is_no_answer(client: docker.APIClient) -> None:
    with pytest.raises(Exception, match="Connection aborted"):
        client.get_archive("a", "/broken")


OTHERS: list[Callable[[docker.APIClient], Any]] = [
    lambda c: c.top("a"),
    lambda c: c.exec_create("a", "id"),
    lambda c: c.commit("a"),
    lambda c: list(c.export("a")),
    lambda c: c.put_archive("a", "/", b""),
    lambda c: c.pause("a"),
    lambda c: c.restart("a"),
    lambda c: c.rename("a", "b"),
    lambda c: c.update_container("a", mem_limit=1),
    lambda c: c.prune_containers(),
    lambda c: c.remove_image("a"),
    lambda c: c.push("a"),
    lambda c: c.tag("a", "b"),
    lambda c: c.search("a"),
    lambda c: list(c.load_image(b"")),
    lambda c: c.networks(),
    lambda c: c.create_network("a"),
    lambda c: c.volumes(),
    lambda c: c.create_volume("a"),
    lambda c: c.services(),
    lambda c: c.init_swarm(),
    lambda c: c.secrets(),
    lambda c: c.plugins(),
    lambda c: c.import_image_from_data(b"x"),
    lambda c: c.stats("a", stream=False),
    lambda c: c.df(),
    lambda c: c.attach("missing"),
]


@pytest.mark.parametrize("call", OTHERS, ids=range(len(OTHERS)))
def test_the_rest_of_docker_py_is_refused_and_does_not_hang(
    client: docker.APIClient, backend: Recorder, call: Callable[[docker.APIClient], Any]
) -> None:
    with pytest.raises(APIError) as error:
        call(client)
    assert error.value.status_code in (404, 501)
    assert error.value.explanation
    assert not backend.calls


@pytest.mark.parametrize(
    ("request_line", "status"),
    [
        ("GET /v9.99/_ping", 400),
        ("GET /v1.23/_ping", 400),
        ("GET /nothing", 501),
        ("GET //_ping", 501),
        ("GET /v1.47/containers/../images/json", 501),
        ("GET /v1.47/containers/a%2fjson", 501),
        ("GET /containers/a/json/", 501),
        ("GET /v1.47/v1.47/_ping", 501),
        ("POST /v1.47/services/create", 501),
        ("PUT /containers/a/archive", 501),
        ("GET /containers/json?filters=%7B%22volume%22%3A%5B%22a%22%5D%7D", 501),
        ("GET /containers/json?limit=x", 400),
        ("GET /containers/json?x=y", 400),
        ("GET /containers/a/logs", 400),
        ("GET /containers/a/logs?stdout=1&since=yesterday", 400),
        ("GET /containers/a/logs?stdout=1&tail=x", 400),
        ("POST /containers/a/kill?signal=NONE", 400),
        ("POST /containers/a/kill?signal=99", 400),
        ("POST /containers/a/resize?h=1", 400),
        ("POST /containers/a/attach", 400),
        ("GET /events?filters=%5B%5D", 400),
        ("POST /commit?changes=a&changes=b", 501),
        ("POST /build?x=%ff", 501),
        ("POST /containers/a/wait?condition=x", 400),
        ("POST /containers/a/stop?t=x", 400),
        ("POST /containers/create?name=a&x=y", 400),
        ("POST /containers/create", 400),
        ("CONNECT /a", 501),
    ],
)
@pytest.mark.attack(actor=AUTHOR)
def test_paths(path: Path, request_line: str, status: int) -> None:
    answer, body = raw(path, f"{request_line} HTTP/1.1\r\nHost: a\r\n\r\n".encode())
    assert answer == status, body
    assert body["message"]


def connections() -> int:
    return sum(thread.name == "connection" for thread in threading.enumerate())


def test_many_connections_at_once_and_none_left(path: Path) -> None:
    before = connections()
    clients = [socket.socket(socket.AF_UNIX) for _ in range(300)]
    for each in clients:
        each.connect(str(path))
        each.sendall(b"GET /_ping HTTP/1.1\r\nHost: a\r\n\r\n")
    for each in clients:
        each.settimeout(60)
        assert b"200 OK" in each.recv(1000)
        each.close()
    wait_until(lambda: connections() <= before, 60, "the connections are closed")


@pytest.mark.parametrize("size", [100_000, 30_000_000])
def test_a_large_body_of_what_is_not_served_is_answered(
    client: docker.APIClient, tmp_path: Path, size: int
) -> None:
    """The image's context is sent whole before docker-py looks at the answer."""
    (tmp_path / "Dockerfile").write_text("FROM scratch\n")
    (tmp_path / "data").write_bytes(os.urandom(size))
    with pytest.raises(APIError) as error:
        list(client.build(path=str(tmp_path)))
    assert error.value.status_code == 501
    assert "mode dind" in str(error.value.explanation)
    assert client.ping()


def test_a_body_that_nobody_reads_can_be_sent_to_its_end(path: Path) -> None:
    body = b"x" * 3_000_000
    head = b"POST /build HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % len(body)
    assert raw(path, head + body)[0] == 501


def test_a_query_name_twice_is_no_matter_where_nothing_is_served(client: docker.APIClient) -> None:
    with pytest.raises(APIError) as error:
        client.commit("a", changes=["USER 1", "USER 2"])
    assert error.value.status_code == 501


def test_headers_that_are_lists_may_come_twice(path: Path) -> None:
    twice = b"GET /version HTTP/1.1\r\nHost: a\r\nAccept: application/jsonl\r\nAccept: a/b;q=0.5\r\n\r\n"
    assert raw(path, twice)[0] == 200
    assert raw(path, twice.replace(b"Accept", b"Connection"))[0] == 400


def test_a_log_that_breaks_has_no_end(client: docker.APIClient) -> None:
    assert client.logs("a") == b"one\n"
    for container in ("broken", "lost"):
        with pytest.raises(Exception, match=r"prematurely|broken"):
            client.logs(container)


def test_the_head_of_wait_comes_first_where_the_client_waits_for_it(path: Path) -> None:
    """DockerOperator gets the status of an error; who names an end, and the docker program, its reason."""
    post = b"POST /v1.47/containers/lost/wait%s HTTP/1.1\r\nHost: a\r\n%s\r\n"
    status, answer = raw(path, post % (b"", b"User-Agent: docker-sdk-python/7.2.0\r\n"))
    assert (status, answer["message"]) == (500, "the node is gone")
    for query, agent in ((b"?condition=next-exit", b""), (b"", b"User-Agent: Docker-Client/29\r\n")):
        with socket.socket(socket.AF_UNIX) as sock:
            sock.settimeout(30)
            sock.connect(str(path))
            sock.sendall(post % (query, agent))
            data = b""
            while not data.endswith(b"0\r\n\r\n"):
                data += sock.recv(65536)
        assert data.startswith(b"HTTP/1.1 200 ")
        assert b'{"StatusCode": 125, "Error": {"Message": "the node is gone"}}' in data
