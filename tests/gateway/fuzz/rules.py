"""What must hold for any input, held against what the gateway made of it.

`wire`: the input is all that a client sends on one connection to the daemon backend. `body`: the input is a
create body, for both backends. The rules are written here again, not taken from the gateway's own tables: any
outcome but an answer or a good request raises.

`docker_gateway` is what stands first on sys.path.
"""

# ruff: noqa: SIM905
from __future__ import annotations

import json
import os
import re
import socket
import sys
from pathlib import Path
from typing import Any

from docker_gateway import (
    cluster_manifest,
    cluster_users,
    daemon,
    daemon_api,
    daemon_container,
    daemon_watch,
    hangups,
    health,
    model,
    server,
    wire,
)
from docker_gateway.backend import ApiError
from docker_gateway.settings import Daemon as Rules
from docker_gateway.settings import Settings, Tasks, Volume

RULES = Rules(
    socket="/nowhere",
    binds=["/srv/shared"],
    volumes=["data"],
    networks=["backend"],
    pids=100,
    cgroup_parent="none",
    memory="1Gi",
)
TASKS = Tasks(
    claims={"data": Volume("data-claim")}, binds={"/srv/shared": Volume("shared-claim")},
    user="auto", user_namespaces="auto",
)  # fmt: skip
#: All that may reach the daemon in a create body.
TOP = frozenset(
    (
        "Image Entrypoint Cmd Env User WorkingDir Hostname Domainname Labels Tty AttachStdout AttachStderr"
        " ExposedPorts Volumes NetworkDisabled StopSignal StopTimeout Healthcheck HostConfig"
        " AttachStdin OpenStdin StdinOnce"
    ).split()
)
HOST = frozenset(
    (
        "Memory MemorySwap MemoryReservation ShmSize PidsLimit CpuShares CpuQuota CpuPeriod NanoCpus Ulimits"
        " Mounts Tmpfs ReadonlyRootfs NetworkMode Dns DnsSearch DnsOptions ExtraHosts CapDrop"
        " SecurityOpt DeviceRequests GroupAdd PidMode IpcMode CgroupnsMode Init LogConfig RestartPolicy"
        " AutoRemove"
    ).split()
)
KNOWN_TOP = TOP | {"MacAddress", "Runtime", "NetworkingConfig"}
KNOWN_HOST = {f.metadata[key] for f in model.dataclasses.fields(model.HostConfig) for key in ("key", "also")}
ENDPOINTS = re.compile(
    r"GET /version|GET /_ping|GET /info|GET /images/json|GET /containers/json"
    r"|POST /images/create|POST /containers/create"
    r"|GET /images/[A-Za-z0-9][A-Za-z0-9._:/@-]*/json\Z"
    r"|(GET|POST|DELETE) /containers/[0-9a-f]{64}(/[a-z]+)?\Z"
)


def forwarded(body: dict[str, Any]) -> None:
    """Hold a create body for the daemon against what may be in one."""
    assert body.keys() <= TOP, body.keys() - TOP
    host = body["HostConfig"]
    assert host.keys() <= HOST, host.keys() - HOST
    assert host["SecurityOpt"] == ["no-new-privileges"]
    assert 0 < host["Memory"] == host["MemorySwap"] <= 1 << 30
    assert 0 < host["PidsLimit"] <= RULES.pids
    assert host.get("NetworkMode", "") in ("", "default", "bridge", "none", "backend")
    assert host.get("PidMode", "") in ("", "private")
    assert host.get("IpcMode", "") in ("", "private", "none")
    assert host.get("CgroupnsMode", "") in ("", "private")
    assert "DeviceRequests" not in host
    assert host.get("RestartPolicy", {}).get("Name", "no") in ("", "no")
    for mount in host.get("Mounts", []):
        assert mount.get("Source", "") in ("", "data", "/srv/shared"), mount
        assert mount.get("Type", "") in ("", "volume", "tmpfs", "bind"), mount
        assert "DriverConfig" not in mount.get("VolumeOptions", {}), mount
        assert not mount.get("BindOptions", {}).get("Propagation"), mount
    assert body["Labels"]["airdock.dev/gateway"] == "owner"
    values(body, host)


#: Of the daemon's only image.
IMAGE = "sha256:" + "1" * 64
OURS = re.compile(
    r"airdock\.dev/(gateway|image|author/.*|retrieve-output|xcom-all|dag-id|task-id|run-id|map-index|try-number)",
    re.DOTALL,
)


def values(body: dict[str, Any], host: dict[str, Any]) -> None:
    """Hold the values that are passed on against what others on the node act on, and what a task may take."""
    assert body["Image"] == IMAGE
    for name, value in body["Labels"].items():
        assert OURS.fullmatch(name) or not value, name
    devices = [entry for entry in body["Env"] if "_VISIBLE_DEVICES" in entry.partition("=")[0]]
    assert "NVIDIA_VISIBLE_DEVICES=void" in devices
    assert not [each for each in devices if "=" in each and each.partition("=")[0].startswith("NVIDIA")][1:]
    assert host.get("CpuShares", 0) <= 2048
    assert host["LogConfig"] == {
        "Type": "json-file", "Config": {"max-size": str(100 << 20), "max-file": "2"},
    }  # fmt: skip
    ceilings = {"core": 0, "nice": 0, "rtprio": 0, "memlock": 4 << 30, "nofile": 1 << 20}
    for ulimit in host["Ulimits"]:
        most = ceilings.get(ulimit["Name"], 1 << 63)
        assert ulimit.get("Soft", 0) <= most, ulimit
        assert ulimit.get("Hard", 0) <= most, ulimit
    assert body["Healthcheck"]["Interval"] >= 10_000_000_000
    assert body["Healthcheck"]["StartInterval"] >= 10_000_000_000
    assert 0 <= body.get("StopTimeout", 0) <= 300


def pod(manifest: dict[str, Any], in_namespace: bool) -> None:
    """Hold a pod against Pod Security "restricted" and against the kubelet's expansion of $(NAME)."""
    spec = manifest["spec"]
    for name in (
        "hostNetwork",
        "hostPID",
        "hostIPC",
        "shareProcessNamespace",
        "nodeName",
        "runtimeClassName",
    ):
        assert name not in spec, name
    assert spec["automountServiceAccountToken"] is False
    if in_namespace:
        assert spec["hostUsers"] is False
    else:
        assert "hostUsers" not in spec
        assert spec["securityContext"]["runAsNonRoot"] is True
        assert spec["securityContext"].get("runAsUser", 1) > 0
    for volume in spec.get("volumes", []):
        assert volume.keys() <= {"name", "emptyDir", "persistentVolumeClaim"}, volume
    for container in [*spec["containers"], *spec.get("initContainers", [])]:
        security = container["securityContext"]
        assert security["allowPrivilegeEscalation"] is False
        assert security["capabilities"] == {"drop": ["ALL"]}
        assert "privileged" not in security
        values = [e["value"] for e in container.get("env", [])]
        for text in [*values, *container.get("args", []), *container.get("command", [])]:
            assert "$(" not in text.replace("$$", ""), text
    assert json.loads(json.dumps(manifest)) == manifest


def strict_keys(raw: Any) -> None:
    """Check that every key of a body that was taken is a known one, as it is spelled, and there once.

    A daemon takes any spelling: one that we let pass unread would be read there.
    """
    assert raw.keys() <= KNOWN_TOP, raw.keys() - KNOWN_TOP
    if raw.get("HostConfig"):
        assert raw["HostConfig"].keys() <= KNOWN_HOST, raw["HostConfig"].keys() - KNOWN_HOST


def no_accidental_fallback(raw: Any, message: str) -> None:
    """Check that a refusal does not make DockerOperator run the task without its temporary directory.

    Its `_run_image` (provider 4.6.1) does so if the whole path of the directory, which it created with the
    prefix `airflowtmp`, is in the message. Any other path may be named.
    """
    for mount in (raw.get("HostConfig") or {}).get("Mounts") or []:
        if mount.get("Type") == "bind" and (mount.get("Source") or "").split("/")[-1].startswith(
            "airflowtmp"
        ):
            assert mount["Source"] not in message, message


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is there twice, in any spelling."""
    result = dict(pairs)
    assert len(result) == len(pairs), "a key twice"
    return result


class Answer:
    """What the daemon answers: that all is well."""

    status = 200

    def __init__(self, data: bytes) -> None:
        self._data = data

    def read(self, size: int = -1) -> bytes:
        data, self._data = self._data, b""
        return data

    read1 = readline = read

    def getheader(self, name: str) -> str | None:
        return None

    def close(self) -> None: ...

    cut = close


class Api(daemon_api.DaemonApi):
    """A client of a daemon whose requests are looked at, not sent."""

    def open(
        self, method: str, path: str, query: Any = None, body: Any = None, *rest: Any, **more: Any
    ) -> Any:
        assert ENDPOINTS.match(f"{method} {path}"), (method, path)
        if path == "/containers/create":
            forwarded(body)
        answers = {
            "/version": {"ApiVersion": "1.47"},
            "/containers/create": {"Id": "f" * 64},
            "/images/json": [],
            "/containers/json": [{"Id": "f" * 64, "Names": ["/a"]}, {"Id": "e" * 64}],
        }
        labels = {"io.kubernetes.docker.type": "container"}
        config = {"Labels": labels, "Env": ["NVIDIA_VISIBLE_DEVICES=all"]}
        # For any image and any container.
        container = {"StatusCode": 0, "State": {}, "Config": config, "HostConfig": {}, "Id": IMAGE}
        data = json.dumps(answers.get(path, container)).encode()
        return Answer(data), Answer(data)

    def hijack(self, target: str) -> socket.socket:
        assert re.match(r"/containers/[0-9a-f]{64}/attach\?", target), target
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours


class Container(daemon_container.Container):
    """A container that does not end in the background."""

    def end(self, *_: Any) -> None: ...


class Watch(daemon_watch.Watch):
    """Knows of no container that was lost."""

    def why_lost(self, *_: Any) -> str:
        return ""


class Manifests:
    """The cluster backend as far as it makes something of a body."""

    alive = str

    def create(self, request: model.Create) -> tuple[str, list[str]]:
        for way in cluster_users.Users(TASKS).ways(request):
            built = cluster_manifest.build(
                request, "0" * 64, Settings(owner="owner", worker_group="group", tasks=TASKS),
                always_pull=False, way=way,
            )  # fmt: skip
            pod(built.manifest, way is cluster_users.Way.NAMESPACE)
        return "0" * 64, built.notes


class Silent:
    """A connection whose answers are not looked at."""

    def respond_json(self, *_: Any, **__: Any) -> None: ...


def one_message(data: bytes, request: wire.Request) -> None:
    """Read a message that was taken a second time, by the letter of RFC 9112: there is one way to see it."""
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert not re.search(rb"[\r\n\0]", b"".join(lines)), "a bare line end"
    names = [line.split(b":")[0].lower() for line in lines[1:]]
    single = [name for name in names if name != b"accept"]
    assert len(set(single)) == len(single), "a header twice"
    fields = {name: line.partition(b":")[2].strip() for name, line in zip(names, lines[1:], strict=True)}
    assert not {b"content-length", b"transfer-encoding"} <= fields.keys(), "two lengths"
    if b"transfer-encoding" in fields:
        body = b""
        while rest:
            size, _, rest = rest.partition(b"\r\n")
            assert re.fullmatch(rb"[0-9A-Fa-f]{1,8}", size), size
            length = int(size, 16)
            body, end, rest = body + rest[:length], rest[length : length + 2], rest[length + 2 :]
            assert end == b"\r\n", "a chunk's end"
            assert length or not rest, "after the last chunk"
    else:
        assert re.fullmatch(rb"[0-9]+", fields.get(b"content-length", b"0")), "length"
        assert int(fields.get(b"content-length", b"0")) == len(rest), "length"
        body = rest
    assert request.body == body


class Connection(wire.Connection):
    """Takes part in what it reads: the first request must be all that was sent."""

    def read(self) -> wire.Request:
        request = super().read()
        if self.sent is not None:
            one_message(self.sent, request)
            self.sent = None
        return request

    sent: bytes | None = None


def front(backend: Any) -> server.Server:
    """Give a server that lets no error be an outcome; its socket is not used."""
    path = Path(f"/tmp/airdock-fuzz-{os.getpid()}.sock")
    made = server.Server(path, backend, health.Metrics())
    path.unlink()
    return made


def fail(event: str, **fields: Any) -> None:
    """Stand in for the log: an error that the server survives is a fault all the same."""
    assert event != "internal-error", fields


for module in [module for name, module in sys.modules.items() if name.startswith("docker_gateway.")]:
    if hasattr(module, "log"):
        module.log = fail  # type: ignore[attr-defined]
daemon.Container, daemon.Watch = Container, Watch  # type: ignore[misc]
filtered = daemon.Daemon(
    Settings(backend="daemon", owner="owner", daemon=RULES), health.Metrics(), Api("/nowhere")
)
filtered.watch.listening.set()
# They come for as long as the client is there, which is for ever here.
filtered.events = lambda options, gone: iter(())  # type: ignore[method-assign]
fronts = front(filtered), front(Manifests())


def wire_input(data: bytes) -> None:
    """Send all bytes, close the sending half, and let the server answer."""
    if len(data) > 60_000:
        return
    filtered.containers = type(filtered.containers)()
    filtered.containers.add(Container("f" * 64, "name", {}))
    client, sock = socket.socketpair(socket.AF_UNIX)
    with client, sock:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        connection = Connection(sock)
        connection.sent = data
        try:
            while fronts[0]._request(connection):
                pass
        except (OSError, wire.Closed, server.Disconnect):
            pass
        finally:
            hangups.HANGUPS.forget(sock)


def body_input(data: bytes) -> None:
    """Make a pod and a daemon's create body of it, as the server does."""
    for each in fronts:
        try:
            each._create(Silent(), wire.Request("POST", "/containers/create", body=data))  # type: ignore[arg-type]
        except model.BadBody:
            return
        except ApiError as refusal:
            no_accidental_fallback(json.loads(data), refusal.message)
    strict_keys(json.loads(data, object_pairs_hook=unique))


TARGETS = {"wire": wire_input, "body": body_input}
