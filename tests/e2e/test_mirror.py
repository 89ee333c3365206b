"""Images from a registry of the user's own, with a login, while the one they were copied from is away."""

from __future__ import annotations

import json
import os
import signal
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import pytest

from scripts.chart import render
from scripts.chart.helm import CHART
from scripts.cluster import REGISTRY
from scripts.live import RELEASE, Target, registry_image
from scripts.mirror.needed import mirrored, needed
from scripts.overlays.definitions import merged
from tests.e2e.conftest import SMALL, starting
from tests.support import registry

#: Every component in every mode whose images the kubelet pulls.
VALUES: dict[str, Any] = {
    "imagePullSecrets": ["mirror"],
    "workers": {"default": {"mode": "kubernetes"}, "dind": {"mode": "dind", "queues": ["dind"]}},
}
NAMESPACE = "airdock-e2e-mirror"
PATH = "mirror"

pytestmark = pytest.mark.touches("node")


def copy_images() -> None:
    """Copy what the release needs, under the names that the chart will look for."""
    node = REGISTRY.partition(":")[0]
    with TemporaryDirectory() as directory:
        address = f"{node}:{registry.PORT}"
        Path(directory, "config.json").write_text(json.dumps(registry.docker_config(address)))
        for image in needed(render(VALUES)):
            source = image.name if "/" in image.name else f"library/{image.name}"
            copy = mirrored(image.name, f"{address}/{PATH}")
            registry_image.crane("copy", mirrored(source, REGISTRY), copy, config=directory)


@contextmanager
def first_registry_stopped() -> Iterator[None]:
    """Let the node's registry, which is docker.io's mirror too, answer nobody."""
    (process,) = (
        int(each.parent.name)
        for each in Path("/proc").glob("[0-9]*/cmdline")
        if each.read_bytes().split(b"\0")[1:3] == [b"serve", b"/etc/registry.yaml"]
    )
    os.kill(process, signal.SIGSTOP)
    try:
        yield
    finally:
        os.kill(process, signal.SIGCONT)


@pytest.fixture
def mirror(target: Target) -> Iterator[Target]:
    """A registry with a login and the release's images, and the login in the release's namespace."""
    with registry.running(target):
        copy_images()
        login = json.dumps(registry.docker_config(registry.HOST))
        metadata = {"name": "mirror", "namespace": NAMESPACE}
        target.apply(
            {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}},
            {"apiVersion": "v1", "kind": "Secret", "type": "kubernetes.io/dockerconfigjson",
             "metadata": metadata, "stringData": {".dockerconfigjson": login}},
        )  # fmt: skip
        yield target
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
        spaces = (NAMESPACE, f"{NAMESPACE}-{RELEASE}-tasks")
        target.kubectl("delete", "namespace", *spaces, "--ignore-not-found", "--wait=false")


def test_install_from_a_second_registry_with_the_first_one_cut_off(mirror: Target) -> None:
    values = merged(SMALL, VALUES, {"images": {"registry": f"{registry.HOST}/{PATH}"}})
    with starting(), first_registry_stopped():
        mirror.helm(
            "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
            "--wait", "--timeout=420s", stdin=json.dumps(values),
        )  # fmt: skip
        pods = mirror.items("pods", "-n", NAMESPACE)
    kinds = {pod["metadata"]["labels"]["app.kubernetes.io/component"] for pod in pods}
    assert {"api-server", "scheduler", "postgres", "redis", "worker"} <= kinds
    for pod in pods:
        # The status of a container may name an equal image of the other registry.
        for each in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())):
            assert each["image"].startswith(f"{registry.HOST}/{PATH}/"), each["image"]
        assert all(each["ready"] for each in pod["status"]["containerStatuses"])
