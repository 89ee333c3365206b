"""A Kubernetes control plane for tests: etcd, kube-apiserver and kube-controller-manager, without a node.

    with ControlPlane.started() as plane:
        plane.admin.apply(manifests)
        plane.service_account("airdock", "airdock-worker-default").create(pod, dry_run=True)

Everything is in one temporary directory and on free ports of 127.0.0.1, or of another address of this
machine. Authorization is RBAC, and the default admission plugins are on: Pod Security,
ValidatingAdmissionPolicy, quota, limits, service accounts. The kernel kills the processes when the one that
started them dies, however it dies; the directory that such a run leaves behind is removed by the next.

The pinned binaries are used. `AIRDOCK_KUBERNETES_BINARIES` names a directory with a kube-apiserver and a
kube-controller-manager of another version. There, feature gates are on whose fields a later version has. An
API server up to 1.35 can crash while it compiles policies (_LAST_FAULTY): the request is sent again.
"""

from __future__ import annotations

import ctypes
import fcntl
import json
import os
import re
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from functools import cache, cached_property, partial
from pathlib import Path
from typing import Any

import kubernetes.client
from kubernetes.client import ApiException
from urllib3.exceptions import HTTPError

from scripts import tools
from scripts.chart import Manifest
from tests.support.ports import free_ports

Object = Mapping[str, Any]
_PREFIX = "airdock-api-"
_START_SECONDS = 90
#: https://github.com/kubernetes/kubernetes/issues/135757: up to 1.35, all policies share one map of the
#: types of their variables. A policy that is compiled writes it while others are evaluated.
_LAST_FAULTY = 35
#: The directory with the programs of another version; empty: the pinned ones.
OTHER = os.environ.get("AIRDOCK_KUBERNETES_BINARIES", "")
#: Feature gates that bring a field of pods, claims or Jobs, and the minors that have them, off by default. A
#: cluster may have them on, so the fence has to judge these fields.
_GATES = {
    "ContainerRestartRules": range(34, 35),
    "DynamicResourceAllocation": range(30, 34),
    "EnvFiles": range(34, 35),
    "ImageVolume": range(31, 35),
    "JobManagedBy": range(30, 32),
    "PodLevelResources": range(32, 34),
    "ProcMountType": range(30, 33),
    "UserNamespacesSupport": range(30, 33),
    "VolumeAttributesClass": range(30, 34),
}


class ControlPlaneError(Exception):
    """The control plane does not start; the message has the end of the log."""


class Refused(Exception):
    """The API server said no (4xx); the message is its own."""

    def __init__(self, status: int, message: str):
        super().__init__(message)
        self.status = status


@dataclass
class Client:
    """The API as one user sees it. Refusals are raised as Refused, other errors as ApiException."""

    api: kubernetes.client.ApiClient
    #: Called if the connection breaks; tells whether to send the request again.
    recover: Callable[[], bool] = lambda: False
    _resources: dict[str, dict[str, Any]] = field(default_factory=dict, repr=False)

    def request(
        self,
        method: str,
        path: str,
        body: Any = None,
        *,
        query: Mapping[str, str] | None = None,
        type_: str = "",
    ) -> Any:
        """One call; the answer's JSON, or its text where it is not JSON."""
        headers = {"Accept": "application/json"}
        if body is not None:
            headers["Content-Type"] = type_ or "application/json"
        call = partial(
            self.api.call_api,
            path,
            method,
            query_params=list((query or {}).items()),
            header_params=headers,
            body=body,
            auth_settings=["BearerToken"],
            _preload_content=False,
            _return_http_data_only=True,
        )
        try:
            try:
                response = call()
            except HTTPError:
                if not self.recover():
                    raise
                response = call()
        except ApiException as error:
            if not 400 <= (error.status or 0) < 500:
                raise
            try:
                message = json.loads(error.body)["message"]
            except (TypeError, ValueError, KeyError):
                message = str(error.body)
            raise Refused(error.status, message) from None
        text = response.data.decode()
        try:
            return json.loads(text)
        except ValueError:
            return text

    def path(self, manifest: Object, *, named: bool = True, subresource: str = "") -> str:
        """The URL path of an object, or of its kind's collection."""
        version = manifest["apiVersion"]
        root = f"/apis/{version}" if "/" in version else f"/api/{version}"
        if root not in self._resources:
            found = self.request("GET", root)["resources"]
            self._resources[root] = {each["kind"]: each for each in found if "/" not in each["name"]}
        resource = self._resources[root].get(manifest["kind"])
        if resource is None:
            raise LookupError(f"the API server has no {manifest['kind']} in {version}")
        metadata = manifest["metadata"]
        parts = [root]
        if resource["namespaced"]:
            parts += ["namespaces", metadata.get("namespace", "default")]
        parts += [resource["name"], *([metadata["name"]] if named else []), *filter(None, [subresource])]
        return "/".join(parts)

    def get(self, manifest: Object) -> Any:
        """The object of this kind, name and namespace as it is."""
        return self.request("GET", self.path(manifest))

    def create(self, manifest: Object, *, dry_run: bool = False) -> Any:
        """Create it; with `dry_run` all of admission and validation happens, and nothing is stored."""
        return self.request(
            "POST", self.path(manifest, named=False), manifest, query={"dryRun": "All"} if dry_run else {}
        )

    def apply(self, manifest: Object | Manifest, *, dry_run: bool = False) -> Any:
        """Server-side apply, as `helm install` and `kubectl apply --server-side` do."""
        raw = manifest.raw if isinstance(manifest, Manifest) else manifest
        query = {"fieldManager": "tests", "force": "true", "fieldValidation": "Strict"}
        if dry_run:
            query["dryRun"] = "All"
        return self.request("PATCH", self.path(raw), raw, query=query, type_="application/apply-patch+yaml")

    def apply_all(self, manifests: Iterable[Object | Manifest]) -> None:
        """Apply them, namespaces first."""
        raw = [each.raw if isinstance(each, Manifest) else each for each in manifests]
        for each in sorted(raw, key=lambda each: each["kind"] != "Namespace"):
            self.apply(each)

    def patch(self, manifest: Object, change: Any, *, dry_run: bool = False, subresource: str = "") -> Any:
        """Strategic merge patch, as KubernetesPodOperator makes it."""
        return self.request(
            "PATCH",
            self.path(manifest, subresource=subresource),
            change,
            query={"dryRun": "All"} if dry_run else {},
            type_="application/strategic-merge-patch+json",
        )

    def delete(self, manifest: Object) -> None:
        """Delete it at once, without a grace period."""
        self.request("DELETE", self.path(manifest), query={"gracePeriodSeconds": "0"})

    def may(self, verb: str, resource: str, namespace: str = "", *, name: str = "", group: str = "") -> bool:
        """Ask the API server by a SelfSubjectAccessReview; `resource` may be pods/exec."""
        resource, _, subresource = resource.partition("/")
        attributes = {
            "verb": verb,
            "resource": resource,
            "subresource": subresource,
            "namespace": namespace,
            "name": name,
            "group": group,
        }
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectAccessReview"}
        review = {**kind, "metadata": {}, "spec": {"resourceAttributes": attributes}}
        return bool(self.create(review)["status"]["allowed"])

    def rights(self, namespace: str) -> set[tuple[str, str, str]]:
        """All that this user may do in the namespace, as (group, resource, verb).

        From a SelfSubjectRulesReview, less what every authenticated user may ask about itself.
        """
        kind = {"apiVersion": "authorization.k8s.io/v1", "kind": "SelfSubjectRulesReview"}
        answer = self.create({**kind, "metadata": {}, "spec": {"namespace": namespace}})["status"]
        assert not answer["incomplete"] and not answer.get("evaluationError"), answer
        everybody = {"selfsubjectaccessreviews", "selfsubjectrulesreviews", "selfsubjectreviews"}
        found = {
            (group, f"{resource}={name}" if name else resource, verb)
            for rule in answer["resourceRules"]
            for group in rule.get("apiGroups") or [""]
            for resource in rule["resources"]
            for verb in rule["verbs"]
            for name in rule.get("resourceNames") or [""]
        }
        return {each for each in found if each[1] not in everybody}


@dataclass
class ControlPlane:
    """A running control plane; make one by `started`."""

    directory: Path
    server: str
    _token: str = field(repr=False)
    _processes: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict, repr=False)
    _commands: dict[str, tuple[str | Path, ...]] = field(default_factory=dict, repr=False)

    @classmethod
    @contextmanager
    def started(cls, address: str = "127.0.0.1") -> Iterator[ControlPlane]:
        """Start it, with its API server at this address, and remove it with all that it wrote.

        Raises:
            ControlPlaneError: if a process ends, or is not ready within 90 s.
            ToolError: if a binary cannot be had.
        """
        _remove_left_behind()
        directory = Path(tempfile.mkdtemp(prefix=_PREFIX))
        with (directory / "lock.new").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            # Under its name it is locked from the first moment: an unlocked one means a run that is over.
            (directory / "lock.new").rename(directory / "lock")
            etcd_port, peer_port, api_port = free_ports(3)
            plane = cls(directory, f"https://{address}:{api_port}", secrets.token_hex(16))
            try:
                plane._start_etcd(etcd_port, peer_port)
                plane._start_api_server(address, api_port, etcd_port)
                plane._start_controller_manager()
                yield plane
            finally:
                plane._stop()
                shutil.rmtree(directory, ignore_errors=True)

    @cached_property
    def admin(self) -> Client:
        """The API as cluster-admin."""
        return self._client()

    def service_account(self, namespace: str, name: str) -> Client:
        """The API as a service account sees it; its groups come with it."""
        return self.user(f"system:serviceaccount:{namespace}:{name}")

    def user(self, name: str, group: str = "") -> Client:
        """The API as a user sees it, by impersonation."""
        headers = {"Impersonate-User": name, **({"Impersonate-Group": group} if group else {})}
        return self._client(headers)

    def bearer(self, token: str) -> Client:
        """The API as the holder of a token sees it."""
        return self._client(token=token)

    @cached_property
    def kubeconfig(self) -> Path:
        """A kubeconfig file of the administrator, for helm and kubectl (which have an `--as` each)."""
        return self._kubeconfig("admin")

    @cached_property
    def version(self) -> tuple[int, int]:
        """Major and minor version of the API server."""
        major, minor, _ = self.admin.request("GET", "/version")["gitVersion"].removeprefix("v").split(".", 2)
        return int(major), int(minor)

    def _client(self, headers: Mapping[str, str] | None = None, token: str = "") -> Client:
        settings = kubernetes.client.Configuration(host=self.server)
        settings.ssl_ca_cert = str(self.directory / "pki" / "apiserver.crt")
        settings.api_key = {"authorization": f"Bearer {token or self._token}"}
        settings.retries = False
        api = kubernetes.client.ApiClient(settings)
        for name, value in (headers or {}).items():
            api.set_default_header(name, value)
        return Client(api, self._recover)

    def _kubeconfig(self, name: str) -> Path:
        authority = str(self.directory / "pki" / "apiserver.crt")
        config = {
            "apiVersion": "v1",
            "kind": "Config",
            "current-context": name,
            "clusters": [
                {"name": name, "cluster": {"server": self.server, "certificate-authority": authority}}
            ],
            "users": [{"name": name, "user": {"token": self._token}}],
            "contexts": [{"name": name, "context": {"cluster": name, "user": name}}],
        }
        file = self.directory / f"{name}.kubeconfig"
        file.touch(0o600)
        file.write_text(json.dumps(config))
        return file

    def _start_etcd(self, port: int, peer_port: int) -> None:
        client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{peer_port}"
        self._run(
            "etcd",
            tools.path("etcd"),
            f"--data-dir={self.directory / 'etcd'}",
            f"--listen-client-urls={client}",
            f"--advertise-client-urls={client}",
            f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}",
            f"--initial-cluster=default={peer}",
            "--unsafe-no-fsync",
        )

    def _start_api_server(self, address: str, port: int, etcd_port: int) -> None:
        pki = self.directory / "pki"
        pki.mkdir()
        key = ["openssl", "genrsa", "-out", str(pki / "service-accounts.key"), "2048"]
        subprocess.run(key, check=True, capture_output=True)
        tokens = self.directory / "tokens.csv"
        tokens.touch(0o600)
        tokens.write_text(f'{self._token},admin,admin,"system:masters"\n')
        self._run(
            "kube-apiserver",
            _binary("kube-apiserver"),
            f"--bind-address={address}",
            f"--secure-port={port}",
            f"--cert-dir={pki}",
            f"--etcd-servers=http://127.0.0.1:{etcd_port}",
            f"--token-auth-file={tokens}",
            "--authorization-mode=RBAC",
            "--service-account-issuer=https://kubernetes.default.svc",
            f"--service-account-key-file={pki / 'service-accounts.key'}",
            f"--service-account-signing-key-file={pki / 'service-accounts.key'}",
            "--service-cluster-ip-range=10.0.0.0/24",
            "--endpoint-reconciler-type=none",
            # Nodes of clusters allow privileged containers; what forbids them is Pod Security.
            "--allow-privileged",
            *_gates(),
        )
        self._wait("kube-apiserver", self._ready)

    def _start_controller_manager(self) -> None:
        self._run(
            "kube-controller-manager",
            _binary("kube-controller-manager"),
            f"--kubeconfig={self._kubeconfig('controller-manager')}",
            f"--service-account-private-key-file={self.directory / 'pki' / 'service-accounts.key'}",
            f"--root-ca-file={self.directory / 'pki' / 'apiserver.crt'}",
            # As in kubeadm's clusters: a Job's pod is made by the job controller's own account.
            "--use-service-account-credentials",
            "--leader-elect=false",
            "--secure-port=0",
        )
        self._wait("kube-controller-manager", self._default_account_is_there)

    def _ready(self) -> bool:
        with suppress(Exception):
            return bool(Client(self.admin.api).request("GET", "/readyz") == "ok")
        return False

    def _default_account_is_there(self) -> bool:
        with suppress(Refused):
            account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "default"}}
            return bool(self.admin.get(account))
        return False

    def _recover(self) -> bool:
        """Tell whether a request whose connection broke may be sent again, by a fault of the version.

        Raises:
            ControlPlaneError: if there is no excuse; with the end of the API server's log.
        """
        name, running = "kube-apiserver", True
        with suppress(subprocess.TimeoutExpired):
            self._processes[name].wait(0.5)
            running = False
        what = "closed a connection" if running else "ended"
        if not OTHER or _minor() > _LAST_FAULTY:
            raise ControlPlaneError(f"{name} {what}:\n{self._end(name)}")
        panics = [line for line in self._log(name).splitlines() if re.search("panic|fatal error", line)]
        print(f"{name} 1.{_minor()} {what}:", *panics[-5:], sep="\n", file=sys.stderr)
        if not running:
            self._run(name, *self._commands[name])
            self._wait(name, self._ready)
        return True

    def _run(self, name: str, *command: str | Path) -> None:
        self._commands[name] = command
        with (self.directory / f"{name}.log").open("wb") as log:
            self._processes[name] = subprocess.Popen(
                command,
                stdout=log,
                stderr=log,
                stdin=subprocess.DEVNULL,
                preexec_fn=_die_with_parent,
            )

    def _wait(self, name: str, ready: Callable[[], bool]) -> None:
        deadline = time.monotonic() + _START_SECONDS
        while not ready():
            for other, process in self._processes.items():
                if process.poll() is not None:
                    raise ControlPlaneError(f"{other} ended:\n{self._end(other)}")
            if time.monotonic() > deadline:
                raise ControlPlaneError(f"{name} is not ready after {_START_SECONDS} s:\n{self._end(name)}")
            time.sleep(0.1)

    def _end(self, name: str) -> str:
        return self._log(name)[-3000:]

    def _log(self, name: str) -> str:
        return (self.directory / f"{name}.log").read_text(errors="replace")

    def _stop(self) -> None:
        # Nothing of it is kept, so there is nothing to wait for.
        for process in self._processes.values():
            process.kill()
        for process in self._processes.values():
            process.wait()


def _binary(name: str) -> Path:
    return Path(OTHER) / name if OTHER else tools.path(name)


def _gates() -> list[str]:
    if not OTHER:
        return []
    on = [f"{gate}=true" for gate, minors in _GATES.items() if _minor() in minors]
    return [f"--feature-gates={','.join(on)}"] if on else []


@cache
def _minor() -> int:
    version = [_binary("kube-apiserver"), "--version"]
    said = subprocess.run(version, check=True, capture_output=True, text=True)
    return int(said.stdout.split(".")[1])


def _die_with_parent() -> None:
    """Run in the child: SIGKILL when the parent is gone (prctl PR_SET_PDEATHSIG)."""
    ctypes.CDLL(None).prctl(1, signal.SIGKILL)


def _remove_left_behind() -> None:
    """Remove the directories of runs that are over: their lock is free."""
    for directory in Path(tempfile.gettempdir()).glob(f"{_PREFIX}*"):
        with suppress(OSError), (directory / "lock").open() as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(directory, ignore_errors=True)
