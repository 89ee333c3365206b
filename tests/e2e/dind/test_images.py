"""Mode dind: images and private registries."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

from scripts.chart.dind_pod import pod_of
from scripts.live import Target
from tests.e2e.conftest import wait_until
from tests.e2e.dind.pods import (
    IMAGE,
    NAMESPACE,
    container,
    group,
    objects,
    running,
)
from tests.support import registry as private_registry


def test_images_are_pulled_before_the_worker_starts(target: Target) -> None:
    script = "docker images; echo listed; exec sleep 3600"
    scripts, workload = objects(group(pullBeforeStart=[IMAGE]), script=script)
    with running(target, pod_of(workload, "pull"), scripts) as pod:
        wait_until(
            lambda: "listed" in pod.logs("worker"), 30, "the images that are there when the worker starts"
        )
        assert IMAGE.split(":")[0] in pod.logs("worker")


REGISTRY_HOST = f"registry.{NAMESPACE}.svc"
PRIVATE = f"{REGISTRY_HOST}:{private_registry.PORT}"


def registry(directory: Path) -> list[dict[str, Any]]:
    """Give the objects of a registry with a password, and with a certificate that nobody knows."""
    key, certificate = directory / "tls.key", directory / "tls.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "1", "-subj", "/CN=registry",
         "-addext", f"subjectAltName=DNS:{REGISTRY_HOST}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    logins = private_registry.docker_config(PRIVATE)
    files = {"tls.key": key.read_text(), "tls.crt": certificate.read_text()}
    labels = {"app": "registry"}
    container = {
        "name": "registry",
        "image": private_registry.IMAGE,
        "command": ["registry", "serve", "/etc/registry/config.yml"],
        "env": [
            {"name": "REGISTRY_HTTP_TLS_CERTIFICATE", "value": "/tls/tls.crt"},
            {"name": "REGISTRY_HTTP_TLS_KEY", "value": "/tls/tls.key"},
        ],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "tls", "configMap": {"name": "registry"}}]}

    def made(kind: str, name: str, **rest: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest}

    config = {".dockerconfigjson": json.dumps(logins)}
    ports = [{"port": private_registry.PORT}]
    return [
        made("ConfigMap", "registry", data=files),
        made("Service", "registry", spec={"selector": labels, "ports": ports}),
        made("Secret", "logins", type="kubernetes.io/dockerconfigjson", stringData=config),
        made("Pod", "registry", spec=spec),
    ]


def test_a_private_registry_with_its_own_authority(target: Target, tmp_path: Path) -> None:
    """It takes the authority's certificate and the login; the privileged container holds no login."""
    private_registry.push_image()
    target.apply(*registry(tmp_path))
    image = f"{PRIVATE}/private/{IMAGE}"
    authority = {PRIVATE: {"name": "registry", "key": "tls.crt"}}
    target.kubectl("wait", "pod/registry", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=110s")

    scripts, workload = objects(group(registryCAs=authority, pullSecret="logins"))
    with running(target, pod_of(workload, "both"), scripts) as pod:
        pod.sh(
            f"docker pull -q {IMAGE}; docker tag {IMAGE} {image}; docker push -q {image}; docker rmi {image}"
        )
        pod.docker("pull", "--quiet", image)
        assert all(
            "registries" not in mount["name"] for mount in container(pod.body, "docker")["volumeMounts"]
        )

    _scripts, workload = objects(group(pullSecret="logins"))
    with running(target, pod_of(workload, "no-authority")) as pod:
        assert "certificate signed by unknown authority" in pod.fails("pull", image)

    _scripts, workload = objects(group(registryCAs=authority))
    with running(target, pod_of(workload, "no-login")) as pod:
        assert "no basic auth credentials" in pod.fails("pull", image)
