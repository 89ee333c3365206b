"""A second native cluster, of another name, so that one of the user's is left alone."""

from __future__ import annotations

import contextlib
import io
import json
import os
import subprocess
import sys
import tarfile
import tempfile
from pathlib import Path
from typing import Any

import pytest

from scripts import tools
from scripts.cluster import node_images
from tests.e2e.native_cluster import host_state
from tests.support.waiting import wait_until

NAME = "airdock-e2e"
STATE = Path("/var/lib") / NAME
KUBECONFIG = STATE / "kubeconfig"
DOCKER_SOCKET = STATE / "node/run/docker.sock"
NODE_ADDRESS = "198.19.96.2"
REGISTRY = f"{NODE_ADDRESS}:5000"
ENVIRONMENT = os.environ | {"AIRDOCK_INSTANCE": NAME, "AIRDOCK_NETWORK": "198.19.64.0/18"}
IMAGE = "airdock-e2e/busybox:1"


needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="the native cluster needs root")


def cluster(command: str, timeout: float = 1200) -> subprocess.CompletedProcess[str]:
    """Run `python -m scripts.cluster COMMAND` for the test's own cluster."""
    words = [sys.executable, "-m", "scripts.cluster", command]
    return subprocess.run(
        words, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout, check=False
    )


def start() -> None:
    """Start the cluster."""
    done = cluster("up")
    assert done.returncode == 0, done.stderr


def stop() -> None:
    """Take the cluster down."""
    done = cluster("down")
    assert done.returncode == 0, done.stderr


def node_process() -> int:
    """The host's id of the node's PID 1."""
    return int(json.loads((STATE / "supervisor.json").read_text())["process"])


def node_processes() -> set[str]:
    """Ids of all processes in the node's cgroup."""
    found: set[str] = set()
    for file in Path("/sys/fs/cgroup").glob(f"**/{NAME}/**/cgroup.procs"):
        found |= set(file.read_text().split())
    return found


def command_of(process: str) -> str:
    with contextlib.suppress(OSError):
        return Path("/proc", process, "cmdline").read_text().replace("\0", " ")
    return ""


def everything_on_the_node() -> set[tuple[str, str]]:
    """All processes in the node's namespaces, also if one had got out of its cgroup."""
    found = host_state.processes_in(host_state.namespaces(node_processes()))
    assert len(found) > 10
    return found


def kubectl(*words: str, stdin: str | None = None) -> str:
    command = [str(tools.pinned("kubectl")), f"--kubeconfig={KUBECONFIG}", *words]
    done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=180, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def docker(*words: str) -> str:
    command = [str(tools.pinned("docker")), "--host", f"unix://{DOCKER_SOCKET}", *words]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def pod(name: str, script: str, **spec: Any) -> dict[str, Any]:
    """A pod that runs a shell script once."""
    container = {"name": "main", "image": IMAGE, "command": ["sh", "-c", script], **spec.pop("container", {})}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": name, "labels": {"app": name}},
        "spec": {
            "restartPolicy": "Never",
            "terminationGracePeriodSeconds": 0,
            "containers": [container],
            **spec,
        },
    }


def run_pod(manifest: dict[str, Any]) -> str:
    """Run a pod to its end and return its log."""
    name = manifest["metadata"]["name"]
    kubectl("apply", "--filename=-", stdin=json.dumps(manifest))
    ended = "jsonpath={.status.phase}"
    wait_until(
        lambda: kubectl("get", "pod", name, f"--output={ended}") in ("Succeeded", "Failed"),
        60,
        f"pod {name} ends",
        0.2,
    )
    log = kubectl("logs", name)
    assert kubectl("get", "pod", name, f"--output={ended}") == "Succeeded", log
    return log


def push_image() -> None:
    busybox = next(image for image in node_images.images() if image.name == node_images.HELPER)
    with tempfile.NamedTemporaryFile() as layer, tarfile.open(layer.name, "w") as tar:
        for path, file in busybox.files.items():
            tar.add(file, path)
        for path, target in busybox.links.items():
            link = tarfile.TarInfo(path)
            link.type, link.linkname = tarfile.SYMTYPE, target
            tar.addfile(link, io.BytesIO())
        tar.close()
        append = ["append", "--insecure", "--oci-empty-base", "--new_layer", layer.name]
        subprocess.run([str(tools.path("crane")), *append, "--new_tag", f"{REGISTRY}/{IMAGE}"], check=True)
