"""Coverage-guided fuzzing of the gateway, as a program of its own: libFuzzer ends the process.

    python fuzz.py PACKAGE wire|body [LIBFUZZER OPTIONS] [CORPUS]

PACKAGE is the directory that holds `docker_gateway`. `wire`: the input is all that a client sends on one
connection to the daemon backend. `body`: the input is a create body, for both backends.

After an input that was taken, what the gateway made of it is held against rules that are written here anew,
not taken from its own tables: any other outcome than an answer or a good request is a crash.
"""

# ruff: noqa: SIM905
from __future__ import annotations

import contextlib
import json
import os
import random
import re
import socket
import sys
from pathlib import Path
from typing import Any

import atheris

package, target, *options = sys.argv[1:]
sys.path.insert(0, package)
with atheris.instrument_imports(include=["docker_gateway"]):
    from docker_gateway import daemon, health, model, pods, server, wire
    from docker_gateway.backend import ApiError, Refusal
    from docker_gateway.model import BadBody, parse_create
    from docker_gateway.settings import Daemon as Rules
    from docker_gateway.settings import Settings, Tasks, Volume

assert Path(package).resolve() in Path(server.__file__).resolve().parents, "another package was loaded"

RULES = Rules(
    socket="/nowhere",
    binds=["/srv/shared"],
    volumes=["data"],
    networks=["backend"],
    pids=100,
    cgroup_parent="none",
    memory="1Gi",
)
TASKS = Tasks(claims={"data": Volume("data-claim")}, binds={"/srv/shared": Volume("shared-claim")})
#: All that may reach the daemon in a create body.
TOP = frozenset(
    (
        "Image Entrypoint Cmd Env User WorkingDir Hostname Domainname Labels Tty AttachStdout AttachStderr"
        " ExposedPorts Volumes NetworkDisabled StopSignal StopTimeout Healthcheck HostConfig"
    ).split()
)
HOST = frozenset(
    (
        "Memory MemorySwap MemoryReservation ShmSize PidsLimit CpuShares CpuQuota CpuPeriod NanoCpus Ulimits"
        " Mounts Binds Tmpfs ReadonlyRootfs NetworkMode Dns DnsSearch DnsOptions ExtraHosts CapDrop"
        " SecurityOpt DeviceRequests GroupAdd PidMode IpcMode CgroupnsMode Init LogConfig RestartPolicy"
        " AutoRemove"
    ).split()
)
ENDPOINTS = re.compile(
    r"GET /version|GET /_ping|GET /images/json|POST /images/create|POST /auth|POST /containers/create"
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
    for bind in host.get("Binds", []):
        assert bind.split(":")[0] in ("data", "/srv/shared"), bind
    assert body["Labels"]["airdock.dev/gateway"] == "owner"


def pod(manifest: dict[str, Any]) -> None:
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
    assert spec["securityContext"]["runAsNonRoot"] is True
    assert spec["securityContext"]["runAsUser"] > 0
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
    assert raw.keys() <= known_top, raw.keys() - known_top
    if raw.get("HostConfig"):
        assert raw["HostConfig"].keys() <= known_host, raw["HostConfig"].keys() - known_host


def unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Refuse a key that is there twice, in any spelling."""
    result = dict(pairs)
    assert len(result) == len(pairs), "a key twice"
    return result


known_top = TOP | {"OpenStdin", "StdinOnce", "AttachStdin", "MacAddress", "Runtime", "NetworkingConfig"}
known_host = {f.metadata["key"] for f in model.dataclasses.fields(model.HostConfig)}
cluster_settings = Settings(owner="owner", tasks=TASKS)
filter_settings = Settings(backend="daemon", owner="owner", daemon=RULES)


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


class Filter(daemon.Daemon):
    """The daemon backend whose requests are looked at, not sent."""

    def _open(
        self, method: str, path: str, query: Any = None, body: Any = None, *rest: Any, **more: Any
    ) -> Any:
        assert ENDPOINTS.match(f"{method} {path}"), (method, path)
        if path == "/containers/create":
            forwarded(body)
        answers = {
            "/version": {"ApiVersion": "1.47"},
            "/containers/create": {"Id": "f" * 64},
            "/images/json": [],
        }
        container = {"StatusCode": 0, "State": {}, "Config": {}, "HostConfig": {}}
        data = json.dumps(answers.get(path, container)).encode()
        return Answer(data), Answer(data)

    def _hijack(self, target: str) -> socket.socket:
        assert re.match(r"/containers/[0-9a-f]{64}/attach\?", target), target
        ours, theirs = socket.socketpair()
        theirs.close()
        return ours

    def _end(self, *_: Any) -> None: ...

    def _died(self, *_: Any) -> str:
        return ""


def one_message(data: bytes, request: wire.Request) -> None:
    """Read a message that was taken a second time, by the letter of RFC 9112: there is one way to see it."""
    head, _, rest = data.partition(b"\r\n\r\n")
    lines = head.split(b"\r\n")
    assert not re.search(rb"[\r\n\0]", b"".join(lines)), "a bare line end"
    names = [line.split(b":")[0].lower() for line in lines[1:]]
    assert len(set(names)) == len(names), "a header twice"
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


class Server(server.Server):
    """Answers one connection, and lets no error be an outcome."""

    def __init__(self, backend: Any) -> None:
        path = Path(f"/tmp/airdock-fuzz-{os.getpid()}.sock")
        super().__init__(path, backend, health.Metrics())
        path.unlink()


def fail(event: str, **fields: Any) -> None:
    """Stand in for the log: an error that the server survives is a fault all the same."""
    assert event != "internal-error", fields


backend = Filter(filter_settings, health.Metrics())
backend._listening.set()
server.log = daemon.log = fail
front = Server(backend) if target == "wire" else None


def fuzz_wire(data: bytes) -> None:
    """Send all bytes, close the sending half, and let the server answer."""
    if len(data) > 60_000:
        return
    backend._containers = {"f" * 64: daemon.Container("f" * 64, "name", {})}
    client, sock = socket.socketpair(socket.AF_UNIX)
    with client, sock:
        client.sendall(data)
        client.shutdown(socket.SHUT_WR)
        connection = Connection(sock)
        connection.sent = data
        assert front
        try:
            while front._request(connection):
                pass
        except (OSError, wire.Closed, server.Disconnect):
            pass
        finally:
            wire.HANGUPS.forget(sock)


def fuzz_body(data: bytes) -> None:
    """Make a pod and a daemon's create body of it."""
    try:
        create = parse_create(data)
    except BadBody:
        return
    strict_keys(json.loads(data, object_pairs_hook=unique))
    try:
        forwarded(backend._body(create))
    except (Refusal, BadBody) as refusal:
        assert "airflowtmp" not in str(refusal)
    try:
        pod(
            pods.build(
                create, "0" * 64, "owner", "group", cluster_settings.tasks, always_pull=False, userns=False
            ).manifest
        )
    except (ApiError, BadBody) as refusal:
        assert "airflowtmp" not in str(refusal)


VALUES = [None, True, False, 0, -1, 1 << 40, "", "/", "host", "container:a", "data", "a:b:c", [], {}, "$(A)"]


def mutate_body(data: bytes, size: int, seed: int) -> bytes:
    """Change a body as JSON half of the time: bytes alone would seldom leave it one."""
    pick = random.Random(seed)
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict) or pick.random() < 0.3:
        return bytes(atheris.Mutate(data, size))
    place = value
    if pick.random() < 0.6:
        place = value.setdefault("HostConfig", {})
    if not isinstance(place, dict):
        return bytes(atheris.Mutate(data, size))
    names = sorted(known_host if place is not value else known_top)
    key = pick.choice([*names, *place])
    kind = pick.random()
    if kind < 0.2:
        place.pop(key, None)
    elif kind < 0.4:
        place[pick.choice([key.lower(), key.upper(), key.swapcase(), key + "s"])] = pick.choice(VALUES)
    elif kind < 0.7:
        place[key] = pick.choice(VALUES)
    else:
        text = json.dumps(place.get(key, pick.choice(VALUES))).encode()
        with contextlib.suppress(ValueError):
            place[key] = json.loads(atheris.Mutate(text, len(text) + 20))
    return json.dumps(value).encode()[:size]


#: What may stand at the beginning of a line, as a whole line or before what is there.
LINES = [
    b"Content-Length: 3\r\n",
    b"Transfer-Encoding: chunked\r\n",
    b"Connection: close\r\n",
    b"a:b\r\n",
    b"3\r\n",
]
LINES += [b"\r\n", b" ", b"+", b"-", b"0x", b"0", b"\0", b";"]


def mutate_wire(data: bytes, size: int, seed: int) -> bytes:
    """Change bytes, lines or the body, and half of the time make the length right: else few would be read."""
    pick = random.Random(seed)
    head, mark, body = data.partition(b"\r\n\r\n")
    kind = pick.random()
    if kind < 0.3 and mark and body.startswith(b"{"):
        data = head + mark + mutate_body(body, size, seed)
    elif kind < 0.5:
        lines = data.split(b"\r\n")
        place = pick.randrange(len(lines))
        lines[place] = pick.choice(LINES) + lines[place]
        data = b"\r\n".join(lines)
    else:
        data = bytes(atheris.Mutate(data, size))
    if pick.random() < 0.5:
        head, mark, body = data.partition(b"\r\n\r\n")
        data = re.sub(rb"(Content-Length: )[0-9]+", b"\\g<1>%d" % len(body), head) + mark + body
    return data[:size]


run, mutate = {"wire": (fuzz_wire, mutate_wire), "body": (fuzz_body, mutate_body)}[target]
atheris.Setup([sys.argv[0], *options], run, custom_mutator=mutate)
atheris.Fuzz()
