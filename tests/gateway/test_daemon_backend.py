"""The daemon backend in front of a daemon that records: what it is sent, and what comes back."""

from __future__ import annotations

import base64
import contextlib
import json
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker_gateway import daemon_room
from docker_gateway.backend import ApiError, Refusal
from docker_gateway.daemon import Daemon
from docker_gateway.daemon_storage import Storage
from docker_gateway.health import Metrics
from docker_gateway.model import Create, parse_create
from docker_gateway.server import Server
from docker_gateway.settings import Daemon as Rules
from docker_gateway.settings import Settings

from tests.support.attacks import AUTHOR

from .recording_daemon import IMAGE_ID, RecordingDaemon, recording

Pair = tuple[RecordingDaemon, Daemon]
#: What cri-dockerd, the kubelet, Traefik, watchtower and Datadog act on.
OBEYED = {
    "io.kubernetes.docker.type": "container",
    "io.kubernetes.container.logpath": "/etc",
    "io.kubernetes.pod.uid": "x",
    "traefik.enable": "true",
    "com.centurylinklabs.watchtower.enable": "true",
    "com.datadoghq.ad.instances": "[]",
    "airdock.dev/gateway": "somebody-else",
    "airdock.dev/container-id": "x",
}


@pytest.fixture
def pair(tmp_path: Path) -> Iterator[Pair]:
    with recording(tmp_path / "d.sock") as (daemon, backend):
        daemon.image("busybox:1.37")
        yield daemon, backend


def request(name: str = "", platform: str = "", image: str = "busybox:1.37", **config: Any) -> Create:
    return parse_create(json.dumps({"Image": image, **config}).encode(), name, platform)


def created(daemon: RecordingDaemon) -> tuple[dict[str, str], dict[str, Any]]:
    query, body = daemon.asked("POST", "/containers/create")[-1]
    return query, body


# ---- names and labels


@pytest.mark.attack(actor=AUTHOR, finding=(4,))
def test_nobody_else_finds_labels_that_they_obey(pair: Pair) -> None:
    daemon, backend = pair
    daemon.image("busybox:1.37", Labels=OBEYED)
    author = {**OBEYED, "team": "x", "airdock.dev/dag-id": "d"}
    container, _ = backend.create(request(Labels=author))
    there = daemon.containers[container]["Config"]["Labels"]
    assert {key for key, value in there.items() if value and not key.startswith("airdock.dev/author/")} == {
        "airdock.dev/gateway", "airdock.dev/worker-group", "airdock.dev/image", "airdock.dev/dag-id",
    }  # fmt: skip
    assert there["airdock.dev/gateway"] == "0f1e2d3c-4b5a"
    assert backend.inspect(container)["Config"]["Labels"] == author


def test_an_author_sees_the_labels_of_the_image(pair: Pair) -> None:
    daemon, backend = pair
    daemon.image("busybox:1.37", Labels={"a": "image", "b": "image"})
    container, _ = backend.create(request(Labels={"b": "author"}))
    assert backend.inspect(container)["Config"]["Labels"] == {"a": "image", "b": "author"}


def test_the_image_that_was_looked_at_is_the_one_that_runs(pair: Pair) -> None:
    daemon, backend = pair
    container, _ = backend.create(request())
    assert created(daemon)[1]["Image"] == IMAGE_ID
    assert backend.inspect(container)["Config"]["Image"] == "busybox:1.37"


@pytest.mark.parametrize("name", ["k8s_POD_coredns_kube-system_x_0", "web", "a.b-c_d"])
@pytest.mark.attack(actor=AUTHOR, finding=(4,))
def test_names_get_a_prefix_that_nobody_sees(pair: Pair, name: str) -> None:
    daemon, backend = pair
    container, _ = backend.create(request(name))
    assert created(daemon)[0] == {"name": f"airdock-0f1e2d3c-{name}"}
    assert backend.inspect(name)["Name"] == f"/{name}"
    assert backend.inspect(name)["Id"] == container
    with pytest.raises(ApiError) as error:
        backend.create(request(name))
    assert error.value.status == 409
    assert f'"/{name}"' in error.value.message
    with pytest.raises(ApiError, match="No such container"):
        backend.inspect(f"airdock-0f1e2d3c-{name}")


def test_the_daemons_own_name_is_passed_on(pair: Pair) -> None:
    _, backend = pair
    container, _ = backend.create(request())
    assert backend.inspect(container)["Name"] == "/festive_curie"


@pytest.mark.parametrize("name", ["a/b", "../x", "-a", "a b", "ä", "a" * 300])
def test_what_is_no_name(pair: Pair, name: str) -> None:
    daemon, backend = pair
    with pytest.raises(ApiError, match="Invalid container name"):
        backend.create(request(name))
    assert not daemon.asked("POST", "/containers/create")


def test_a_restarted_gateway_knows_names_and_labels(pair: Pair) -> None:
    _, backend = pair
    container, _ = backend.create(request("web", Labels={"team": "x", "airdock.dev/dag-id": "d"}))
    backend.containers.forget(backend.containers.find(container))
    backend._cleanup._adopt()
    assert backend.containers.find("web").labels == {"team": "x", "airdock.dev/dag-id": "d"}
    assert backend.inspect("web")["Config"]["Image"] == "busybox:1.37"


@pytest.mark.parametrize(
    ("platform", "right"), [("linux", True), ("linux/amd64", True), ("linux/386", False)]
)
def test_a_platform_must_be_that_of_the_image(pair: Pair, platform: str, right: bool) -> None:
    daemon, backend = pair
    if right:
        backend.create(request(platform=platform))
        # Another platform of the same name could have other labels.
        assert "platform" not in created(daemon)[0]
    else:
        with pytest.raises(Refusal, match="platform"):
            backend.create(request(platform=platform))


# ---- images and registries


@pytest.mark.parametrize(
    "name", ["a/../../containers", "../containers", "a?all=1", "a/json?x=", "a%2fb", "f" * 65]
)
@pytest.mark.attack(actor=AUTHOR)
def test_a_description_is_of_an_image_alone(pair: Pair, name: str) -> None:
    daemon, backend = pair
    with pytest.raises(ApiError):
        backend.image(name)
    asked = {path for _, path, _, _ in daemon.requests} - {"/version"}
    # A name that an image could have is asked for, and nothing else is.
    assert asked <= ({f"/images/{name}/json"} if name == "f" * 65 else set())


def only(*images: str, **rules: Any) -> dict[str, Any]:
    return {"images": list(images), **rules}


@pytest.mark.parametrize(
    ("rules", "image", "key"),
    [
        (only("busybox"), "busybox:5000/evil/miner:1", "allowed.images"),
        (only("python:3*"), "python:3@sha256:" + "b" * 64, "allowed.images"),
        (only("docker.io/*"), "EVIL/x", "allowed.images"),
        ({}, "evil.example/x", "allowed.registries"),
        ({}, "169.254.169.254/x", "allowed.registries"),
        ({}, "localhost:9200/x", "allowed.registries"),
        ({}, "EVIL/x", "allowed.registries"),
        ({"registries": []}, "busybox", "allowed.registries"),
        (only("ghcr.io/team/*", registries=[]), "ghcr.io/other/x", "allowed.images"),
    ],
)
@pytest.mark.attack(actor=AUTHOR, finding=(6,))
def test_pulls_that_are_refused(tmp_path: Path, rules: dict[str, Any], image: str, key: str) -> None:
    with recording(tmp_path / "d.sock", **rules) as (daemon, backend):
        with pytest.raises(Refusal, match=f"workers.g.socket.{key}"):
            backend.pull(image, "")
        assert not daemon.requests


@pytest.mark.parametrize(
    ("rules", "image", "query"),
    [
        ({}, "busybox", {"fromImage": "docker.io/library/busybox", "tag": "latest"}),
        ({}, "ghcr.io/a/b:1", {"fromImage": "ghcr.io/a/b", "tag": "1"}),
        (
            {},
            "busybox:1@sha256:" + "a" * 64,
            {"fromImage": "docker.io/library/busybox", "tag": "sha256:" + "a" * 64},
        ),
        (
            only("r.example:5000/*", registries=[]),
            "r.example:5000/a:1",
            {"fromImage": "r.example:5000/a", "tag": "1"},
        ),
        (
            {"registries": ["*"]},
            "any.example/x:1",
            {"fromImage": "any.example/x", "tag": "1"},
        ),
    ],
)
def test_pulls_of_registries_that_the_values_name(
    tmp_path: Path, rules: dict[str, Any], image: str, query: dict[str, str]
) -> None:
    with recording(tmp_path / "d.sock", **rules) as (daemon, backend):
        assert list(backend.pull(image, "")) == [{"status": "Pulling"}]
        assert daemon.asked("POST", "/images/create") == [(query, None)]


SECRET = "body of an internal page"


@pytest.mark.parametrize(("registries", "told"), [(["*"], False), (["a.example"], True)])
@pytest.mark.parametrize(
    "answer", [(500, {"message": SECRET}), (200, [{"errorDetail": {"message": SECRET}, "error": SECRET}])]
)
@pytest.mark.attack(actor=AUTHOR, finding=(6,))
def test_what_a_foreign_server_says_is_not_told(
    tmp_path: Path, registries: list[str], told: bool, answer: tuple[int, Any]
) -> None:
    with recording(tmp_path / "d.sock", registries=registries) as (daemon, backend):
        daemon.answers["POST", "/images/create"] = answer
        try:
            said = json.dumps(list(backend.pull("a.example/x:1", "")))
        except ApiError as error:
            said = error.message
        assert (SECRET in said) is told
        assert "a.example/x:1" in said or told


def login(backend: Daemon, server: str) -> None:
    backend.login(server, {"username": "u", "password": "p", "serveraddress": server})


@pytest.mark.attack(actor=AUTHOR, finding=(6,))
def test_the_gateway_answers_logins_itself(pair: Pair) -> None:
    daemon, backend = pair
    for server in ("", "https://index.docker.io/v1/", "docker.io", "ghcr.io", "https://ghcr.io/v2/"):
        login(backend, server)
    for server in (
        "evil.example",
        "http://169.254.169.254/",
        "ghcr.io.evil.example",
        "ghcr.io:8443",
        "localhost",
    ):
        with pytest.raises(Refusal, match=r"workers\.g\.socket\.allowed\.registries"):
            login(backend, server)
    assert not daemon.requests


@pytest.mark.parametrize(
    ("image", "address"), [("busybox", "https://index.docker.io/v1/"), ("ghcr.io/a/b", "ghcr.io")]
)
@pytest.mark.attack(actor=AUTHOR, finding=(6,))
def test_credentials_are_for_the_registry_of_the_image(pair: Pair, image: str, address: str) -> None:
    daemon, backend = pair
    given = {"username": "u", "password": "p", "serveraddress": "http://evil.example"}
    list(backend.pull(image, base64.urlsafe_b64encode(json.dumps(given).encode()).decode()))
    sent = json.loads(base64.urlsafe_b64decode(daemon.headers[-1]["X-Registry-Auth"]))
    assert sent == {**given, "serveraddress": address}


@pytest.mark.attack(actor=AUTHOR, finding=(25,))
def test_an_id_only_where_any_image_is_allowed(tmp_path: Path) -> None:
    ids = ("sha256:" + "1" * 64, "1" * 64, "111111111111")
    with recording(tmp_path / "d.sock") as (daemon, backend):
        for each in ids:
            daemon.image(each)
            backend.create(request(image=each))
    with recording(tmp_path / "e.sock", images=["docker.io/*"]) as (daemon, backend):
        for each in ids:
            daemon.image(each)
            # Not found: it is asked for by a name that is no start of an id.
            with pytest.raises(ApiError):
                backend.create(request(image=each))
        assert not daemon.asked("POST", "/containers/create")


# ---- what the gateway itself counts and collects


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_containers_have_a_ceiling(tmp_path: Path) -> None:
    with recording(tmp_path / "d.sock", containers=3) as (daemon, backend):
        daemon.image("busybox:1.37")
        for _ in range(3):
            backend.create(request())
        with pytest.raises(Refusal, match=r"workers\.g\.socket\.limits\.containers"):
            backend.create(request())
        assert len(daemon.containers) == 3


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_the_ceiling_holds_for_many_at_once(tmp_path: Path) -> None:
    with recording(tmp_path / "d.sock", containers=3) as (daemon, backend):
        daemon.image("busybox:1.37")

        def create() -> None:
            with contextlib.suppress(Refusal):
                backend.create(request())

        threads = [threading.Thread(target=create) for _ in range(12)]
        for each in threads:
            each.start()
        for each in threads:
            each.join()
        assert len(daemon.containers) == 3


def test_ended_containers_make_room(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with recording(tmp_path / "d.sock", containers=2) as (daemon, backend):
        daemon.image("busybox:1.37")
        old, new = backend.create(request())[0], backend.create(request())[0]
        backend.containers.find(old).ended_at = time.monotonic() - 10
        backend.containers.find(new).ended_at = time.monotonic()
        with pytest.raises(Refusal):
            backend.create(request())
        monkeypatch.setattr(daemon_room, "KEPT", 5.0)
        backend.create(request())
        assert old not in daemon.containers
        assert new in daemon.containers


@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_what_is_never_started_is_collected(pair: Pair) -> None:
    daemon, backend = pair
    never, runs = backend.create(request())[0], backend.create(request())[0]
    backend.containers.find(runs).begun = 1.0
    backend._cleanup._collect(time.monotonic())
    assert len(daemon.containers) == 2
    backend._cleanup._collect(time.monotonic() + 700)
    assert never not in daemon.containers
    assert runs in daemon.containers


@pytest.mark.parametrize(
    ("layer", "volume", "ends"), [(90, 0, False), (110, 0, True), (60, 60, True), (0, 110, True)]
)
@pytest.mark.attack(actor=AUTHOR, finding=(18,))
def test_what_a_container_writes_has_a_ceiling(tmp_path: Path, layer: int, volume: int, ends: bool) -> None:
    with recording(tmp_path / "d.sock", storage=100) as (daemon, backend):
        daemon.image("busybox:1.37")
        container = backend.containers.find(backend.create(request())[0])
        container.begun = time.monotonic()
        daemon.sizes[container.id] = layer
        if volume:
            daemon.volumes["f" * 64] = volume
        daemon.volumes["named"] = 1000
        rules = Rules(socket=str(tmp_path / "d.sock"), storage=100)
        Storage(
            backend._api, Settings(owner="0f1e2d3c-4b5a", worker_group="g", daemon=rules), backend.containers
        ).look()
        assert ("workers.g.socket.limits.storage" in container.lost) is ends
        if ends:
            deadline = time.monotonic() + 10
            while not daemon.asked("POST", f"/containers/{container.id}/stop"):
                assert time.monotonic() < deadline
                time.sleep(0.01)


def test_the_grace_of_a_stop_has_a_ceiling(pair: Pair) -> None:
    daemon, backend = pair
    container, _ = backend.create(request(StopTimeout=10**9))
    assert created(daemon)[1]["StopTimeout"] == 300
    backend.containers.find(container).begun = time.monotonic()
    assert backend.stop(container, 999_999, bool)
    assert daemon.asked("POST", f"/containers/{container}/stop") == [({"t": "300"}, None)]


# ---- docker-py


def test_docker_py_sees_its_own_names_and_labels(pair: Pair, tmp_path: Path) -> None:
    daemon, backend = pair
    server = Server(tmp_path / "gateway.sock", backend, Metrics())
    threading.Thread(target=server.serve, daemon=True).start()
    client = docker.APIClient(f"unix://{tmp_path / 'gateway.sock'}", timeout=60)
    try:
        client.login("u", "p", registry="ghcr.io")
        with pytest.raises(APIError, match="docker_conn_id"):
            client.login("u", "p", registry="evil.example")
        client.create_container("busybox:1.37", ["true"], name="web", labels={"traefik.enable": "true"})
        found = client.inspect_container("web")
        assert (found["Name"], found["Config"]["Labels"]) == ("/web", {"traefik.enable": "true"})
        client.remove_container("web", force=True)
        assert not daemon.containers
    finally:
        client.close()
        server.close()
