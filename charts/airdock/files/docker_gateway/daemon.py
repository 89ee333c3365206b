"""Backend `daemon`: the node's Docker daemon, of which a client sees only the containers that it made itself.

Nothing of a request is passed on: after the policy, a new one is written from the model's fields. Containers
carry the owner's label; what a crash leaves is swept by that label.
"""

from __future__ import annotations

import base64
import dataclasses
import http.client
import json
import re
import socket
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

from . import policy
from .backend import API_VERSION, ApiError, Archive, AttachOptions, Disconnect, Refusal, Stream
from .health import Metrics, log
from .model import (
    BadBody,
    Create,
    DriverConfig,
    HostConfig,
    Mount,
    VolumeOptions,
    mapping,
    parse_json,
    string,
    to_json,
)
from .pods import CONTAINER, DAG, GROUP, OWNER, TASK, quantity
from .settings import Settings

_TIMEOUT = 50.0
_TICK = 5.0
_AUTH = {"username", "password", "email", "serveraddress", "identitytoken", "registrytoken"}
_PROGRESS = ("status", "id", "progress", "progressDetail", "error", "errorDetail")
_VOLUME = "airdock-gateway-"


class _UnixConnection(http.client.HTTPConnection):
    """HTTP to a unix socket."""

    def __init__(self, path: str, timeout: float | None) -> None:
        super().__init__("docker", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        """Connect to the socket."""
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(self._path)


@dataclass
class Container:
    """A container that this gateway made, or found with its own label."""

    id: str
    name: str
    labels: Mapping[str, str]
    tty: bool = False
    begun: float = 0.0
    ended_at: float = 0.0
    auto_remove: bool = False
    adopted: bool = False
    attached: int = 0
    #: Why this gateway ended it, if it did.
    fate: str = ""
    #: Why its exit code is not its own, if so.
    lost: str = ""
    died: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)


class Daemon:
    """Implements backend.Backend."""

    def __init__(self, settings: Settings, metrics: Metrics) -> None:
        self._settings, self._rules, self._metrics = settings, settings.daemon, metrics
        self._owner = settings.owner
        self._version = ""
        self._lock = threading.Lock()
        self._containers: dict[str, Container] = {}
        self._problem, self._problem_since = "the daemon has not answered yet", time.monotonic()
        self._renewed = 0.0
        self._seen: dict[str, tuple[str, float]] = {}
        self._closing = False
        self._listening = threading.Event()
        self._pod_cgroup: str | None = None
        metrics.gauge("containers", "Containers by state.", self._states)

    # ---- life of the backend

    def run(self) -> None:
        """Find what a former life left, and start collecting and listening."""
        for target in (self._collect, self._listen):
            threading.Thread(target=target, name=target.__name__.strip("_"), daemon=True).start()

    def ready(self) -> str:
        """Empty when the daemon answers."""
        return self._problem

    def alive(self) -> str:
        """Tell of a daemon that is gone for a minute.

        A daemon that was restarted has a new socket; the mount in this container still shows the old one, and
        only a restart of the container brings the new one.
        """
        if not self._problem:
            return ""
        try:
            # Mounted here, a socket that the daemon has deleted is still there, without a name elsewhere.
            stale = Path(self._rules.socket).stat().st_nlink == 0
        except OSError:
            stale = False
        if stale:
            return "the Docker daemon has made a new socket, and this container still has the old one"
        return self._problem if time.monotonic() - self._problem_since > 60 else ""

    def close(self) -> None:
        """Remove all containers: nobody could see them any more."""
        self._closing = True
        with self._lock:
            left = list(self._containers.values())
        threads = [threading.Thread(target=self._quietly, args=(self._destroy, each.id)) for each in left]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(20)
        self._quietly(lambda: self._call("DELETE", f"/volumes/{_VOLUME}{self._owner}"))

    # ---- what Docker's clients ask

    def version(self) -> dict[str, Any]:
        """Answer with the daemon's version, and an API that both sides speak."""
        found = self._call("GET", "/version", versioned=False)
        api = min(found.get("ApiVersion", API_VERSION), API_VERSION, key=_numbers)
        keep = {key: found[key] for key in ("Version", "Os", "Arch", "KernelVersion") if key in found}
        return {
            "Platform": {"Name": "Airdock Docker gateway"},
            **keep,
            "ApiVersion": api,
            "MinAPIVersion": "1.40",
        }

    def images(self, name: str) -> list[dict[str, Any]]:
        """List one image."""
        self._check_image(name)
        found = self._call("GET", "/images/json", {"filters": json.dumps({"reference": [name]})})
        keep = ("Id", "RepoTags", "RepoDigests", "Created", "Size")
        return [{key: each.get(key) for key in keep} for each in found]

    def pull(self, image: str, registry_auth: str) -> Iterator[Mapping[str, Any]]:
        """Pull one image, with credentials of known fields."""
        self._check_image(image)
        name, at, digest = image.partition("@")
        if at:
            query = {"fromImage": name, "tag": digest}
        else:
            head, colon, tag = image.rpartition(":")
            named = colon and "/" not in tag
            query = {"fromImage": head if named else image, "tag": tag if named else "latest"}
        headers = {"X-Registry-Auth": _auth(registry_auth)} if registry_auth else {}
        connection, response = self._open("POST", "/images/create", query, None, headers, timeout=None)
        return self._progress(connection, response)

    def _progress(
        self, connection: _UnixConnection, response: http.client.HTTPResponse
    ) -> Iterator[Mapping[str, Any]]:
        try:
            for line in iter(response.readline, b""):
                if line.strip():
                    message = json.loads(line)
                    yield {key: message[key] for key in _PROGRESS if key in message}
        except (OSError, ValueError, http.client.HTTPException) as error:
            raise Disconnect(f"the pull broke: {error}") from None
        finally:
            connection.close()

    def login(self, registry: str, body: Mapping[str, str]) -> None:
        """Let the daemon try credentials."""
        unknown = body.keys() - _AUTH
        if unknown:
            raise BadBody(f"{min(unknown)[:80]!r} is not a field that this gateway knows; remove it")
        self._call("POST", "/auth", body=dict(body))

    def create(self, request: Create) -> tuple[str, list[str]]:
        """Make a container from known fields, with limits, labels and no way to gain privileges."""
        body = self._body(request)
        query = {"name": request.name} if request.name else {}
        if request.platform:
            if not re.fullmatch(r"linux(/[a-z0-9]{1,16}){0,2}", request.platform):
                raise Refusal(
                    "platform", f"{request.platform[:40]!r} is not linux, or linux/amd64 and the like"
                )
            query["platform"] = request.platform
        answer = self._call("POST", "/containers/create", query, body)
        container = Container(
            answer["Id"], request.name, request.labels, request.tty, auto_remove=request.host.auto_remove
        )
        with self._lock:
            self._containers[container.id] = container
        return container.id, list(answer.get("Warnings") or [])

    def _body(self, request: Create) -> dict[str, Any]:
        policy.check_daemon(request)
        self._check_image(request.image)
        rules, host = self._rules, request.host
        for label in request.labels:
            if label.startswith(("airdock.dev/gateway", "airdock.dev/worker-group", CONTAINER)):
                raise Refusal("labels", f"{label[:80]!r} is the gateway's own; use another name")
        for target in request.volumes:
            policy.check_target("volumes", target)
        for target, options in host.tmpfs.items():
            policy.check_target("tmpfs", target)
            policy.tmpfs_size(options)
        mode = host.network_mode
        if mode not in ("", "default", "bridge", "none", *rules.networks):
            names = ", ".join(sorted(rules.networks)) or "none"
            raise Refusal(
                "network_mode", f"the network {mode[:80]!r} is not among the allowed ones ({names})"
            )
        if host.device_requests and not rules.gpus:
            raise Refusal("device_requests", "GPUs are not given to this worker group; ask for daemon.gpus")
        parent = self._cgroup_parent()
        limits = self._limits(request, bool(parent) and rules.cgroup_parent == "auto")
        labels = {**request.labels, OWNER: self._owner}
        if self._settings.worker_group:
            labels[GROUP] = self._settings.worker_group
        # From the fields of the tables alone: a field that is refused does not pass as a zero either.
        passed = {name: getattr(host, name) for name in policy.DAEMON_HOST_PASSED}
        host = dataclasses.replace(
            HostConfig(**passed),
            mounts=tuple(self._mount(mount) for mount in host.mounts),
            binds=tuple(self._bind(entry) for entry in host.binds),
            security_opt=("no-new-privileges",),
            cgroup_parent=parent,
            # Of all in the pod, a task is the first that goes when the pod's memory is used up.
            oom_score_adj=1000 if parent else 0,
            **limits,
        )
        passed = {name: getattr(request, name) for name in policy.DAEMON_PASSED}
        return to_json(dataclasses.replace(Create(**passed), labels=labels, host=host))

    def _cgroup_parent(self) -> str:
        """Give the cgroup that containers are put into; empty for the daemon's default."""
        setting = self._rules.cgroup_parent
        if setting != "auto":
            return "" if setting == "none" else setting
        if self._pod_cgroup is None:
            driver = self._call("GET", "/info").get("CgroupDriver", "")
            cgroups = Path("/proc/self/cgroup").read_text()
            self._pod_cgroup = pod_cgroup(cgroups, driver)
            if self._pod_cgroup:
                log("cgroup-parent", parent=self._pod_cgroup, driver=driver)
            else:
                log("cgroup-parent", parent="the daemon's default", driver=driver, reason=_no_cgroup(cgroups))
        return self._pod_cgroup

    def _limits(self, request: Create, in_pod: bool) -> dict[str, Any]:
        """Give the limits that a container gets. `in_pod`: it lives in this pod's cgroup."""
        rules, host = self._rules, request.host
        memory, cpu = int(quantity(rules.memory)), quantity(rules.cpu)
        limits: dict[str, Any] = {}
        for name, shown, ceiling in (
            ("memory", "mem_limit", memory),
            ("shm_size", "shm_size", memory),
            ("memory_reservation", "mem_reservation", memory),
            ("pids_limit", "pids_limit", rules.pids),
            ("nano_cpus", "nano_cpus", round(cpu * 1e9)),
        ):
            asked = getattr(host, name)
            if asked < 0 or (ceiling and asked > ceiling):
                raise Refusal(shown, f"{asked} is more than this worker group's {ceiling}; ask for less")
        if memory:
            # As much swap as memory would be as much again.
            limits["memory"] = limits["memory_swap"] = host.memory or memory
        if rules.pids:
            limits["pids_limit"] = host.pids_limit or rules.pids
        if cpu and not host.nano_cpus:
            period = host.cpu_period or 100_000
            if host.cpu_quota > cpu * period:
                raise Refusal("cpu_quota", f"it is more than this worker group's {cpu:g} cores; ask for less")
            if in_pod and host.cpu_quota <= 0:
                # The pod's limit holds it, and cgroup v1 refuses a quota that is more than that.
                return limits
            # Not as nano_cpus: of those a daemon refuses more than its node has.
            limits |= {"cpu_period": period, "cpu_quota": max(host.cpu_quota, 0) or round(cpu * period)}
        return limits

    def _mount(self, mount: Mount) -> Mount:
        target = policy.check_target("mounts", mount.target)
        if mount.type == "tmpfs":
            return Mount(target, "", "tmpfs", mount.read_only, tmpfs=mount.tmpfs)
        if mount.type == "bind":
            if re.fullmatch(r".*/airflowtmp[^/]*", mount.source):
                # DockerOperator's temporary directory, empty before and thrown away after. A volume of the
                # container's own is that too, and cannot be a link that DAG code put in the directory's
                # place.
                return Mount(target, "", "volume", volume=VolumeOptions(no_copy=True))
            if mount.bind.propagation not in ("", "rprivate"):
                raise Refusal("mounts", "mount propagation reaches into the node; remove it")
            return Mount(target, self._allowed_bind(mount.source), "bind", mount.read_only)
        if mount.type in ("", "volume"):
            if mount.volume.driver_config != DriverConfig():
                raise Refusal(
                    "mounts", "a volume's driver is the administrator's choice; remove driver_config"
                )
            if ".." in mount.volume.subpath.split("/") or mount.volume.subpath.startswith("/"):
                raise Refusal("mounts", "a subpath is relative and has no '..'")
            options = VolumeOptions(no_copy=mount.volume.no_copy, subpath=mount.volume.subpath)
            return Mount(
                target, self._allowed_volume(mount.source), "volume", mount.read_only, volume=options
            )
        raise Refusal("mounts", f"the type {mount.type[:40]!r} is not known; use volume or tmpfs")

    def _bind(self, entry: str) -> str:
        source, _, rest = entry.partition(":")
        target, _, mode = rest.partition(":")
        if set(mode.split(",")) - {"", "ro", "rw", "nocopy"}:
            raise Refusal("binds", f"the mode {mode[:40]!r} is not known; use ro or rw")
        target = policy.check_target("binds", target)
        allowed = self._allowed_bind(source) if source.startswith("/") else self._allowed_volume(source)
        return ":".join(filter(None, (allowed, target, mode)))

    def _allowed_bind(self, source: str) -> str:
        # The very path: below it, a container may have put a link to anywhere.
        if source not in self._rules.binds:
            names = ", ".join(sorted(self._rules.binds)) or "none"
            raise Refusal("mounts", f"the directory {source[:200]!r} is not among the allowed ones ({names})")
        return source

    def _allowed_volume(self, name: str) -> str:
        if name and name not in self._rules.volumes:
            names = ", ".join(sorted(self._rules.volumes)) or "none"
            raise Refusal("mounts", f"the volume {name[:80]!r} is not among the allowed ones ({names})")
        return name

    def _check_image(self, image: str) -> None:
        policy.check_image(image, self._rules.images, "daemon.images")

    def start(self, container_id: str) -> bool:
        """Start it, once its end can be heard of."""
        container = self._find(container_id)
        if not self._listening.wait(_TICK):
            raise ApiError(
                503, self._problem or "the node's Docker daemon does not tell its events", "daemon"
            )
        first = not container.begun
        begun = container.begun = container.begun or time.monotonic()
        started = bool(self._call("POST", f"/containers/{container.id}/start") != {"status": 304})
        if first:
            self._metrics.start_seconds(time.monotonic() - begun)
        return started

    def attach(self, container_id: str, options: AttachOptions, upgrade: Callable[[bool], Stream]) -> None:
        """Join the client's connection with one to the daemon."""
        container = self._find(container_id)
        query = {
            "stdout": "1",
            "stderr": "1",
            "logs": str(int(options.logs)),
            "stream": str(int(options.stream)),
        }
        daemon = self._hijack(f"/containers/{container.id}/attach?{urlencode(query)}")
        with daemon:
            stream = upgrade(container.tty)
            with container.lock:
                container.attached += 1
            done = threading.Event()

            def hangup() -> None:
                if not done.is_set():
                    log("client-gone", **self._names(container))
                    self._end(container, 10, "the task's process ended")
                    daemon.shutdown(socket.SHUT_RDWR)

            stream.on_hangup(hangup)
            try:
                while data := daemon.recv(16 * 1024):
                    stream.relay(data)
            finally:
                done.set()
                with container.lock:
                    container.attached -= 1

    def wait(self, container_id: str, condition: str, gone: Callable[[], bool]) -> int:
        """Wait with the daemon, which may take any time."""
        container = self._find(container_id)
        if container.adopted:
            raise ApiError(500, "the Docker gateway was restarted while the container ran", "infrastructure")
        query = {"condition": condition}
        code, reason = None, ""
        try:
            answer = self._call("POST", f"/containers/{container.id}/wait", query, timeout=None)
            code = int(answer["StatusCode"])
            reason = (answer.get("Error") or {}).get("Message", "") or self._died(container)
        except ApiError as error:
            if error.status == 404:
                raise
            reason = f"the Docker daemon does not say how the container ended: {error.message}"
        container.ended_at = time.monotonic()
        seconds = round(container.ended_at - (container.begun or container.ended_at), 3)
        self._metrics.ended("infrastructure" if reason else "failure" if code else "success")
        log("container-ended", exit_code=None if reason else code, error=reason or None, seconds=seconds,
            **self._names(container))  # fmt: skip
        if reason or code is None:
            raise ApiError(500, reason, "infrastructure")
        return code

    def _died(self, container: Container) -> str:
        """Tell why an exit code is not the container's own; empty if it is.

        A daemon that goes down ends its containers in good order, and answers with their exit codes, 0 for
        those that exit 0 on SIGTERM. Its events tell: it says `kill` before `die`.
        """
        if not container.died.wait(10):
            return "the Docker daemon did not say that the container died"
        return container.lost

    def inspect(self, container_id: str) -> dict[str, Any]:
        """Describe it, without what tells about the node."""
        container = self._find(container_id)
        found = self._call("GET", f"/containers/{container.id}/json")
        keep = ("Id", "Name", "Created", "Path", "Args", "Image", "RestartCount")
        config = {k: v for k, v in found.get("Config", {}).items() if k not in ("OnBuild",)}
        state = {k: v for k, v in found.get("State", {}).items() if k != "Pid"}
        host = {"NetworkMode": found.get("HostConfig", {}).get("NetworkMode", "")}
        result = {key: found.get(key) for key in keep}
        return {**result, "State": state, "Config": config, "HostConfig": host, "Mounts": []}

    def stop(self, container_id: str, grace: int | None) -> bool:
        """Stop it in the background: Airflow's supervisor kills the task 5 s after it asked it to end."""
        self._end(self._find(container_id), 10 if grace is None else grace, "it was stopped")
        return True

    def remove(self, container_id: str, force: bool) -> None:
        """Remove it with its anonymous volumes."""
        container = self._find(container_id)
        self._call("DELETE", f"/containers/{container.id}", {"force": str(int(force)), "v": "1"})
        with self._lock:
            self._containers.pop(container.id, None)

    def archive(self, container_id: str, path: str) -> Archive:
        """Pass on a file of the container as it comes."""
        container = self._find(container_id)
        try:
            connection, response = self._open("GET", f"/containers/{container.id}/archive", {"path": path})
        except ApiError as error:
            if error.status == 404:
                raise
            raise Disconnect(error.message) from None
        stat = json.loads(base64.b64decode(response.getheader("X-Docker-Container-Path-Stat") or "e30="))

        def chunks() -> Iterator[bytes]:
            try:
                while data := response.read1(64 * 1024):
                    yield data
            except (OSError, http.client.HTTPException) as error:
                raise Disconnect(f"the archive broke: {error}") from None
            finally:
                connection.close()

        return Archive(
            str(stat.get("name", "")),
            int(stat.get("size", 0)),
            int(stat.get("mode", 0)),
            str(stat.get("mtime", "")),
            chunks(),
        )

    # ---- what time brings

    def _end(self, container: Container, grace: int, why: str) -> None:
        container.fate = container.fate or why

        def work() -> None:
            try:
                self._call(
                    "POST", f"/containers/{container.id}/stop", {"t": str(grace)}, timeout=grace + 30.0
                )
            except ApiError as error:
                if error.status != 404:
                    log("stop-failed", error=error.message, **self._names(container))

        threading.Thread(target=work, name="stop", daemon=True).start()

    def _destroy(self, container_id: str) -> None:
        self._call("DELETE", f"/containers/{container_id}", {"force": "1", "v": "1"})

    def _quietly(self, work: Callable[..., Any], *arguments: Any) -> None:
        try:
            work(*arguments)
        except ApiError as error:
            if error.status not in (404, 409):
                log("daemon-failed", error=error.message)

    def _collect(self) -> None:
        adopted = False
        while not self._closing:
            try:
                self._call("GET", "/_ping", raw=True, timeout=10.0)
                self._problem = ""
                if not adopted:
                    self._adopt()
                    adopted = True
                self._tick(time.monotonic())
            except ApiError as error:
                if not self._problem:
                    self._problem_since = time.monotonic()
                self._problem = error.message
            except Exception as error:
                log("collector-failed", error=repr(error))
            time.sleep(_TICK)

    def _listen(self) -> None:
        """Hear of the ends of this gateway's containers, for as long as the daemon lives."""
        filters = json.dumps({"label": [f"{OWNER}={self._owner}"], "event": ["kill", "die"]})
        while not self._closing:
            try:
                query = {"since": str(int(time.time()) - 1), "filters": filters}
                connection, response = self._open("GET", "/events", query, timeout=None)
                try:
                    self._listening.set()
                    for line in iter(response.readline, b""):
                        self._heard(json.loads(line))
                finally:
                    self._listening.clear()
                    connection.close()
            except (ApiError, OSError, ValueError, http.client.HTTPException):
                pass
            if not self._closing:
                self._lose_all("the node's Docker daemon went away while the container ran")
            time.sleep(0.5)

    def _heard(self, event: Mapping[str, Any]) -> None:
        with self._lock:
            container = self._containers.get((event.get("Actor") or {}).get("ID", ""))
        if container is None or container.died.is_set():
            return
        if event.get("Action") == "die":
            container.ended_at = container.ended_at or time.monotonic()
            container.died.set()
        elif not container.fate:
            container.lost = "the container was stopped from outside, or the node's Docker daemon went down"

    def _lose_all(self, why: str) -> None:
        with self._lock:
            lost = [c for c in self._containers.values() if c.begun and not c.died.is_set()]
        for container in lost:
            container.lost, container.ended_at = why, time.monotonic()
            container.died.set()
            # A daemon with live-restore would let it run on, with nobody to read its output.
            self._end(container, 10, why)

    def _adopt(self) -> None:
        """End what ran before this process was restarted: its output went nowhere."""
        filters = json.dumps({"label": [f"{OWNER}={self._owner}"]})
        for each in self._call("GET", "/containers/json", {"all": "1", "filters": filters}):
            with self._lock:
                if each["Id"] in self._containers:
                    continue
                name = (each.get("Names") or ["/"])[0][1:]
                container = Container(each["Id"], name, each.get("Labels") or {}, adopted=True)
                container.ended_at = time.monotonic()
                self._containers[container.id] = container
            log("adopted", **self._names(container))
            self._end(container, 10, "the Docker gateway was restarted")

    def _tick(self, now: float) -> None:
        with self._lock:
            containers = list(self._containers.values())
        for each in containers:
            if each.ended_at and now - each.ended_at > self._rules.ttl_seconds and not each.attached:
                self._quietly(self._destroy, each.id)
                with self._lock:
                    self._containers.pop(each.id, None)
        if self._rules.lease_seconds > 0 and now - self._renewed > self._rules.lease_seconds / 4:
            self._renewed = now
            self._renew()
            self._sweep(now)

    def _renew(self) -> None:
        """Say that this gateway lives.

        The node's daemon is all that gateways of a node share, so a volume of it.
        """
        name = _VOLUME + self._owner
        self._quietly(lambda: self._call("DELETE", f"/volumes/{name}"))
        self._call("POST", "/volumes/create", body={"Name": name, "Labels": {OWNER: self._owner}})

    def _sweep(self, now: float) -> None:
        """Remove what gateways left whose volume has not changed for `lease_seconds`, by the own clock."""
        filters = json.dumps({"label": [OWNER]})
        volumes = self._call("GET", "/volumes", {"filters": filters}).get("Volumes") or []
        stamps = {
            v["Name"].removeprefix(_VOLUME): v.get("CreatedAt", "")
            for v in volumes
            if v["Name"].startswith(_VOLUME)
        }
        containers = self._call("GET", "/containers/json", {"all": "1", "filters": filters})
        owners = {c["Labels"][OWNER] for c in containers} | set(stamps)
        owners.discard(self._owner)
        self._seen = {owner: seen for owner, seen in self._seen.items() if owner in owners}
        for owner in owners:
            stamp = stamps.get(owner, "")
            if owner not in self._seen or self._seen[owner][0] != stamp:
                self._seen[owner] = stamp, now
            elif now - self._seen[owner][1] > self._rules.lease_seconds:
                left = [c["Id"] for c in containers if c["Labels"][OWNER] == owner]
                log("sweep", gateway=owner, containers=len(left))
                for each in left:
                    self._quietly(self._destroy, each)
                self._quietly(lambda name=_VOLUME + owner: self._call("DELETE", f"/volumes/{name}"))

    # ---- requests to the daemon

    def _open(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None,
        headers: Mapping[str, str] | None = None, timeout: float | None = _TIMEOUT, versioned: bool = True,
    ) -> tuple[_UnixConnection, http.client.HTTPResponse]:  # fmt: skip
        """Send a request; gives connection and answer, or raises ApiError for any answer but success."""
        connection = _UnixConnection(self._rules.socket, timeout)
        fields = dict(headers or {})
        data = None
        if body is not None:
            data, fields["Content-Type"] = json.dumps(body).encode(), "application/json"
        prefix = f"/v{self._api()}" if versioned else ""
        try:
            connection.request(
                method, prefix + path + (f"?{urlencode(query)}" if query else ""), data, fields
            )
            response = connection.getresponse()
            if response.status < 300 or response.status == 304:
                return connection, response
            text = response.read(64 * 1024)
        except (OSError, http.client.HTTPException) as error:
            connection.close()
            raise ApiError(503, _silent(error), "daemon") from None
        connection.close()
        try:
            message = str(json.loads(text)["message"])
        except (ValueError, KeyError, TypeError):
            message = text.decode("utf-8", "replace").strip()
        raise ApiError(response.status, message or f"the daemon answered {response.status}", "daemon")

    def _call(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None,
        timeout: float | None = _TIMEOUT, versioned: bool = True, raw: bool = False,
    ) -> Any:  # fmt: skip
        connection, response = self._open(method, path, query, body, None, timeout, versioned)
        try:
            data = response.read()
        except (OSError, http.client.HTTPException) as error:
            raise ApiError(503, f"the node's Docker daemon broke off: {error}", "daemon") from None
        finally:
            connection.close()
        if response.status == 304:
            return {"status": 304}
        return json.loads(data) if data and not raw else {}

    def _api(self) -> str:
        if not self._version:
            self._version = "?"
            try:
                self._version = self.version()["ApiVersion"]
            finally:
                if self._version == "?":
                    self._version = ""
        return self._version

    def _hijack(self, target: str) -> socket.socket:
        """Open a raw stream; raises ApiError if the daemon does not switch."""
        prefix = f"/v{self._api()}"
        sock = socket.socket(socket.AF_UNIX)
        try:
            sock.settimeout(_TIMEOUT)
            sock.connect(self._rules.socket)
            headers = "Host: docker\r\nConnection: Upgrade\r\nUpgrade: tcp\r\nContent-Length: 0\r\n\r\n"
            sock.sendall(f"POST {prefix}{target} HTTP/1.1\r\n{headers}".encode("ascii"))
            answer = b""
            # One byte at a time: what follows the head belongs to the stream.
            while not answer.endswith(b"\r\n\r\n"):
                byte = sock.recv(1)
                if not byte or len(answer) > 16 * 1024:
                    raise OSError("the connection ended")
                answer += byte
            status = int(answer.split(b" ", 2)[1])
            if status != 101:
                length = re.search(rb"(?i)content-length: *(\d+)", answer)
                text = sock.recv(min(int(length[1]), 4096)) if length else b""
                sock.close()
                raise ApiError(
                    status if status >= 400 else 500,
                    text.decode("utf-8", "replace")[:500] or "not attached",
                    "daemon",
                )
            sock.settimeout(None)
            return sock
        except (OSError, ValueError) as error:
            sock.close()
            raise ApiError(503, f"the node's Docker daemon does not answer: {error}", "daemon") from None

    def _find(self, wanted: str) -> Container:
        with self._lock:
            found = self._containers.get(wanted)
            if found is None:
                matches = [
                    c for c in self._containers.values() if c.id.startswith(wanted) or c.name == wanted
                ]
                found = matches[0] if len(matches) == 1 else None
        if found is None:
            raise ApiError(404, f"No such container: {wanted[:80]}", "not-found")
        return found

    def _names(self, container: Container) -> dict[str, Any]:
        return {
            "container": container.id[:12],
            "dag": container.labels.get(DAG),
            "task": container.labels.get(TASK),
        }

    def _states(self) -> dict[str, float]:
        with self._lock:
            containers = list(self._containers.values())
        states: Counter[str] = Counter()
        for each in containers:
            states["exited" if each.ended_at else "running" if each.begun else "created"] += 1
        return dict(states)


def pod_cgroup(cgroups: str, driver: str) -> str:
    """Give the cgroup that holds this pod, as the daemon's cgroup driver names it; empty if there is none.

    `cgroups` is /proc/self/cgroup. Where this container has a cgroup namespace of its own, as with cgroup v2,
    it shows nothing but `/`.
    """
    # 4:memory:/kubepods/burstable/pod<uid>/<container>, or with cgroup v2 0::/kubepods/...
    fields = [line.split(":", 2) for line in cgroups.splitlines()]
    paths = {controllers: path for _, controllers, path in fields}
    path = paths.get("memory") or paths.get("", "")
    match = re.fullmatch(r"(/[A-Za-z0-9._/-]*pod[0-9a-f]{8}[0-9a-f_-]{20,28}(?:\.slice)?)/[^/]+", path)
    if not match:
        return ""
    if driver == "systemd":
        slice_name = match[1].rpartition("/")[2]
        return slice_name if slice_name.endswith(".slice") else ""
    return match[1]


def _no_cgroup(cgroups: str) -> str:
    """Say why pod_cgroup found nothing in `cgroups`, and what follows."""
    if cgroups.strip() == "0::/":
        why = "with cgroup v2 a container is not shown the cgroup of its pod"
    else:
        why = "/proc/self/cgroup names no pod's cgroup that this driver could take"
    return f"{why}: this pod's limits do not hold the containers, each one's ceilings do"


def _auth(header: str) -> str:
    """Read registry credentials and write them again from known fields."""
    try:
        fields = mapping(
            parse_json(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))), "X-Registry-Auth"
        )
    except ValueError:
        raise BadBody("X-Registry-Auth is not base64 of a JSON object") from None
    known = {key: string(value, key) for key, value in fields.items() if key in _AUTH and value is not None}
    return base64.urlsafe_b64encode(json.dumps(known).encode()).decode()


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def _silent(error: Exception) -> str:
    return f"the node's Docker daemon does not answer: {error or type(error).__name__}"
