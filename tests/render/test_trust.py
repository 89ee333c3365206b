"""trust: who trusts the user's own CA certificates."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import certifi
import pytest

from scripts.chart import CHART, Manifests, RenderError, render
from tests.render.values import DIND, overlaid

VARIABLES = {
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
}
BUNDLE = "/opt/airdock-trust/ca-certificates.crt"
CERTIFICATE = Path(certifi.where()).read_text(encoding="utf-8").partition("-----BEGIN")[2]
CERTIFICATE = (
    "-----BEGIN" + CERTIFICATE.partition("-----END CERTIFICATE-----")[0] + "-----END CERTIFICATE-----\n"
)


def rendered(**values: Any) -> Manifests:
    return render(overlaid({"trust": {"configMap": "company-ca"}}, values))


@pytest.mark.parametrize("executor", ["CeleryExecutor", "KubernetesExecutor"])
def test_every_container_that_runs_airflow_has_the_file(executor: str) -> None:
    found = rendered(executor=executor, database={"cleanup": {"enabled": True}})
    pods = [manifest.pod for manifest in found if manifest.pod]
    assert pods
    for pod in pods:
        runs_airflow = [c for c in pod.containers if "AIRFLOW_CONFIG" in c.env]
        for container in pod.containers:
            has = container in runs_airflow
            assert (container.env.keys() >= VARIABLES) == has, (pod, container.name)
            mounts = {mount["mountPath"]: mount for mount in container.raw.get("volumeMounts", ())}
            if has:
                assert {container.env[name].value for name in VARIABLES} == {BUNDLE}
                assert mounts["/opt/airdock-trust"]["readOnly"]
        if runs_airflow:
            assert pod.raw["initContainers"][0]["name"] == "trust", "what the others run needs it"


def test_nothing_changes_without_it() -> None:
    names = {c.name for m in render() if m.pod for c in m.pod.containers}
    assert "trust" not in names
    assert not VARIABLES & {v.name for m in render() if m.pod for c in m.pod.containers for v in c.env_list}


@pytest.mark.parametrize(
    ("trust", "source"),
    [
        (
            {"configMap": "a", "key": "b"},
            {"configMap": {"name": "a", "items": [{"key": "b", "path": "ca.crt"}]}},
        ),
        (
            {"secret": "a"},
            {"secret": {"secretName": "a", "items": [{"key": "ca.crt", "path": "ca.crt"}]}},
        ),
    ],
)
def test_the_daemon_of_mode_dind_reads_it_itself(trust: dict[str, str], source: dict[str, Any]) -> None:
    pod = render(overlaid(DIND, {"trust": trust})).one("Deployment", component="worker").pod
    assert pod
    volumes = {volume["name"]: volume for volume in pod.raw["volumes"]}
    assert volumes["docker-trust"] == {"name": "docker-trust", **source}
    assert volumes["trust-source"] == {"name": "trust-source", **source}
    daemon = pod.container("docker")
    assert daemon.env["SSL_CERT_DIR"].value == "/run/airdock-trust"
    assert {"name": "docker-trust", "mountPath": "/run/airdock-trust", "readOnly": True} in daemon.raw[
        "volumeMounts"
    ]


def test_one_source_only() -> None:
    with pytest.raises(
        RenderError, match=r"trust\.secret: trust\.configMap is set, too\. Remove one of them"
    ):
        render({"trust": {"configMap": "a", "secret": "b"}})


def written(directory: Path, own: str) -> tuple[int, str, str]:
    """What the init container's script does: its exit code, what it says, and the file."""
    (directory / "own").write_text(own)
    command = [sys.executable, "-SE", CHART / "files/scripts/trust.py", directory / "own", directory / "all"]
    done = subprocess.run(command, capture_output=True, text=True)
    result = directory / "all"
    return done.returncode, done.stdout + done.stderr, result.read_text() if result.exists() else ""


def test_the_file_has_the_systems_certificates_and_the_users(tmp_path: Path) -> None:
    code, said, result = written(tmp_path, CERTIFICATE.strip())
    assert code == 0, said
    assert result.endswith(f"\n{CERTIFICATE}")
    system = Path("/etc/ssl/certs/ca-certificates.crt")
    if system.exists():
        assert result.startswith(system.read_text())
    else:
        assert "the image has no CA certificates" in said


@pytest.mark.parametrize(
    "own", ["", "MIIB", "-----BEGIN CERTIFICATE-----\nabc\n-----END CERTIFICATE-----\n", "\xff"]
)
def test_what_is_no_certificate_is_said(tmp_path: Path, own: str) -> None:
    code, said, result = written(tmp_path, own)
    assert (code, result) == (1, "")
    assert "airdock: trust: the key trust.key of the ConfigMap or Secret has no whole certificate" in said
