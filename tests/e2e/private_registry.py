"""A registry that asks for a password, in a pod on the node's network, with one image in it."""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from scripts.cluster import REGISTRY
from scripts.live import Target, registry_image

NAMESPACE = "e2e-registry"
PORT = 5443
#: As the node's container runtime reaches it: only for localhost does it do without TLS.
HOST = f"localhost:{PORT}"
USER, PASSWORD = "e2e", "e2e-only"
#: What `htpasswd -nbB e2e e2e-only` prints.
_HTPASSWD = "e2e:$2b$05$lDwb2ffleejtnXub1oQ1H.wJL12jtl08iooBPRoi.sEKXqr.PI0ha\n"
_CONFIG = f"""
version: 0.1
log: {{level: warn}}
storage: {{filesystem: {{rootdirectory: /tmp}}}}
http: {{addr: "0.0.0.0:{PORT}"}}
auth: {{htpasswd: {{realm: e2e, path: /etc/registry/htpasswd}}}}
"""
IMAGE = f"{REGISTRY}/e2e/registry:1"


def docker_config(host: str) -> dict[str, Any]:
    """Give the content of a .dockerconfigjson with the registry's login."""
    login = base64.b64encode(f"{USER}:{PASSWORD}".encode()).decode()
    return {"auths": {host: {"auth": login}}}


def push_image() -> None:
    """Push the registry's own image, IMAGE, to the native cluster's registry."""
    registry_image.push(IMAGE, {"etc/registry/config.yml": _CONFIG, "etc/registry/htpasswd": _HTPASSWD})


@contextmanager
def running(target: Target) -> Iterator[None]:
    """Run the registry on the native cluster, with busybox as <HOST>/private/busybox:1.37."""
    push_image()
    node = REGISTRY.partition(":")[0]
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}, _pod())
    try:
        target.kubectl("wait", "pod/registry", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s")
        with TemporaryDirectory() as directory:
            Path(directory, "config.json").write_text(json.dumps(docker_config(f"{node}:{PORT}")))
            image = f"{node}:{PORT}/private/busybox:1.37"
            registry_image.crane("copy", f"{REGISTRY}/library/busybox:1.37", image, config=directory)
        yield
    finally:
        target.kubectl("delete", "namespace", NAMESPACE, "--wait=false")


def _pod() -> dict[str, Any]:
    probe = {"tcpSocket": {"port": PORT}, "periodSeconds": 1}
    container = {
        "name": "registry",
        "image": IMAGE,
        "command": ["registry", "serve", "/etc/registry/config.yml"],
        "readinessProbe": probe,
    }
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "registry", "namespace": NAMESPACE},
        "spec": {"hostNetwork": True, "containers": [container]},
    }
