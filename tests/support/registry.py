"""The pinned registry (distribution/distribution): a process of this host, or a pod that asks for a login."""

from __future__ import annotations

import base64
import json
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts import tools
from scripts.cluster import REGISTRY
from scripts.live import Target, registry_image
from tests.support.ports import free_port, listens
from tests.support.waiting import wait_until

#: Of the registry in a pod.
NAMESPACE = "e2e-registry"
PORT = 5443
#: As the node's container runtime reaches it: only for localhost does it do without TLS.
HOST = f"localhost:{PORT}"
IMAGE = f"{REGISTRY}/e2e/registry:1"
USER, PASSWORD = "e2e", "e2e-only"
#: What `htpasswd -nbB e2e e2e-only` prints.
_HTPASSWD = "e2e:$2b$05$lDwb2ffleejtnXub1oQ1H.wJL12jtl08iooBPRoi.sEKXqr.PI0ha\n"


def _config(address: str, directory: Path | str, *more: str) -> str:
    lines = ("version: 0.1", "log: {level: warn}", f"storage: {{filesystem: {{rootdirectory: {directory}}}}}")
    return "\n".join((*lines, f'http: {{addr: "{address}"}}', *more, ""))


@contextmanager
def serving(folder: Path) -> Iterator[str]:
    """Run an empty registry on this host, with its files in a folder; gives its address."""
    port = free_port()
    config = folder / "config.yml"
    config.write_text(_config(f"127.0.0.1:{port}", folder / "data"))
    process = subprocess.Popen([tools.pinned("registry"), "serve", config])
    try:
        wait_until(lambda: listens(port) or process.poll() is not None, 30, "the registry listens")
        assert process.poll() is None, "the registry ended"
        yield f"127.0.0.1:{port}"
    finally:
        process.kill()
        process.wait()


def docker_config(host: str) -> dict[str, Any]:
    """The content of a .dockerconfigjson with the login of the registry in a pod."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return {"auths": {host: {"auth": login}}}


def with_login(folder: str, data: str) -> dict[str, str]:
    """The files of a registry that asks for a login; `folder` is where they are, `data` where images are."""
    auth = f"auth: {{htpasswd: {{realm: e2e, path: {folder}/htpasswd}}}}"
    return {"config.yml": _config(f"0.0.0.0:{PORT}", data, auth), "htpasswd": _HTPASSWD}


def push_image() -> None:
    """Push the image of the registry that asks for a login, IMAGE, to the native cluster's registry."""
    files = with_login("/etc/registry", "/tmp")
    registry_image.push_registry(IMAGE, {f"etc/registry/{name}": text for name, text in files.items()})


@contextmanager
def running(target: Target) -> Iterator[None]:
    """Run it in a pod on the native cluster's node, with busybox as <HOST>/private/busybox:1.37."""
    push_image()
    node = REGISTRY.partition(":")[0]
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, _pod())
    try:
        target.kubectl("wait", "pod/registry", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s")
        with TemporaryDirectory() as directory:
            Path(directory, "config.json").write_text(json.dumps(docker_config(f"{node}:{PORT}")))
            image = f"{node}:{PORT}/private/busybox:1.37"
            registry_image.crane("copy", registry_image.BUSYBOX, image, config=directory)
        yield
    finally:
        target.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _pod() -> dict[str, Any]:
    container = {
        "name": "registry",
        "image": IMAGE,
        "command": ["registry", "serve", "/etc/registry/config.yml"],
        "readinessProbe": {"tcpSocket": {"port": PORT}, "periodSeconds": 1},
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "registry", "namespace": NAMESPACE},
        "spec": {"hostNetwork": True, "containers": [container]},
    }
