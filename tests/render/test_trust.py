"""trust: who trusts the user's own CA certificates."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import certifi
import pytest

from scripts.chart import CHART, Manifests, RenderError, render
from scripts.chart.manifests import PodSpec
from tests.render.values import DIND, SOCKET, overlaid

VARIABLES = {
    "SSL_CERT_FILE",
    "REQUESTS_CA_BUNDLE",
    "CURL_CA_BUNDLE",
    "GIT_SSL_CAINFO",
    "AWS_CA_BUNDLE",
    "GRPC_DEFAULT_SSL_ROOTS_FILE_PATH",
    "NODE_EXTRA_CA_CERTS",
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


@pytest.mark.parametrize(
    ("trust", "says"),
    [
        ({"configMap": "a", "secret": "b"}, "trust.secret: trust.configMap is set, too. Remove one of them"),
        ({"containers": True}, "trust.containers: there are no certificates to give. Set trust.configMap or"),
        ({"configMap": "a", "containers": None}, "containers"),
        ({"tasks": None}, "tasks"),
    ],
)
def test_what_cannot_be_meant_is_rejected(trust: dict[str, Any], says: str) -> None:
    with pytest.raises(RenderError) as caught:
        render({"trust": trust})
    assert says in str(caught.value)


def settings(found: Manifests, group: str) -> dict[str, Any]:
    written = found.one("ConfigMap", name=f"airdock-worker-{group}-docker-gateway").raw["data"]
    read: dict[str, Any] = json.loads(written["settings.json"])
    return read


def worker(found: Manifests, group: str) -> PodSpec:
    pod = found.one("Deployment", name=f"airdock-worker-{group}").pod
    assert pod
    return pod


@pytest.mark.parametrize("on", [True, False])
def test_task_pods_get_it_on_request(on: bool) -> None:
    """Without certificates for Airflow, too: the ConfigMap is a whole bundle."""
    trust = {"tasks": {"configMap": "bundle", "key": "all.pem"}} if on else {"configMap": "company-ca"}
    found = render({"trust": trust, "tasks": {"env": {"SSL_CERT_FILE": "/mine"}}})
    tasks = settings(found, "default")["tasks"]
    wanted = {"configMap": "bundle", "key": "all.pem"}
    assert tasks.get("trust") == (wanted if on else None)
    others = dict.fromkeys(VARIABLES - {"SSL_CERT_FILE"}, BUNDLE) if on else {}
    assert tasks["env"] == {"SSL_CERT_FILE": "/mine", **others}, "the administrator's own stays"
    env = worker(found, "default").container("worker").env
    assert json.loads(env["AIRDOCK_TASK_ENV"].value or "") == tasks["env"]
    assert ("AIRDOCK_TASK_TRUST" in env) == on
    if on:
        assert json.loads(env["AIRDOCK_TASK_TRUST"].value or "") == wanted
    (policy,) = (each for each in found.all("ValidatingAdmissionPolicy") if each.name.endswith("-task-pods"))
    (rule,) = (v["expression"] for v in policy.raw["spec"]["variables"] if v["name"] == "configMaps")
    assert ('n in ["kube-root-ca.crt","openshift-service-ca.crt","bundle"]' in rule) == on
    assert ('n in ["kube-root-ca.crt","openshift-service-ca.crt"]' in rule) != on


CONTAINERS: dict[str, Any] = {"trust": {"configMap": "company-ca", "containers": True}}


@pytest.mark.parametrize("on", [True, False])
def test_the_daemon_of_mode_dind_has_the_workers_file_on_request(on: bool) -> None:
    found = render(overlaid(overlaid(DIND, CONTAINERS), {"trust": {"containers": on}}))
    pod = worker(found, "docker")
    mount = {"name": "trust", "mountPath": "/opt/airdock-trust", "readOnly": True}
    assert (mount in pod.container("docker").raw["volumeMounts"]) == on
    env = pod.container("worker").env
    assert ("AIRDOCK_TRUST_DIRECTORY" in env, "AIRDOCK_TRUST_ENV" in env) == (on, on)
    if on:
        assert env["AIRDOCK_TRUST_DIRECTORY"].value == "/opt/airdock-trust"
        assert json.loads(env["AIRDOCK_TRUST_ENV"].value or "") == dict.fromkeys(VARIABLES, BUNDLE)


@pytest.mark.parametrize(("filtered", "who"), [(True, "docker-gateway"), (False, "worker")])
def test_mode_socket_names_the_pods_volume_on_its_node(filtered: bool, who: str) -> None:
    """$(NAME) is what the kubelet puts in, from a variable before it."""
    socket = {"filter": filtered, "kubeletRootDir": "/data/kubelet"}
    found = render(overlaid(overlaid(SOCKET, CONTAINERS), {"workers": {"node": {"socket": socket}}}))
    pod = worker(found, "node")
    for container in pod.containers:
        names = [each.name for each in container.env_list]
        assert ("AIRDOCK_TRUST_DIRECTORY" in names) == (container.name == who)
    container = pod.container(who)
    names = [each.name for each in container.env_list]
    assert names.index("AIRDOCK_POD_UID") < names.index("AIRDOCK_TRUST_DIRECTORY")
    assert container.env["AIRDOCK_TRUST_DIRECTORY"].value == (
        "/data/kubelet/pods/$(AIRDOCK_POD_UID)/volumes/kubernetes.io~empty-dir/trust"
    )
    assert any(volume["name"] == "trust" and "emptyDir" in volume for volume in pod.raw["volumes"])
    if filtered:
        assert settings(found, "node")["daemon"]["env"] == dict.fromkeys(VARIABLES, BUNDLE)
        assert "env" not in settings(render(SOCKET), "node")["daemon"]


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
