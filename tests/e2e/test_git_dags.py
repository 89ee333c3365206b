"""dags.git: repositories on a real sshd and on an https server, in a release that reaches nothing else."""

from __future__ import annotations

import json
import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import versions
from scripts.chart.helm import CHART
from scripts.cluster import REGISTRY, debian
from scripts.live import RELEASE, Airflow, CommandError, Target, registry_image
from scripts.live.airflow_api import PortForward
from scripts.overlays.definitions import merged
from tests.e2e.conftest import QUICK, starting, wait_until
from tests.support.certificates import authority, certificate

pytestmark = pytest.mark.touches("release")

NAMESPACE = "airdock-e2e-git"
IMAGE = f"{REGISTRY}/e2e/git:1"
HOST = f"git.{NAMESPACE}.svc"
TOKEN = "t0ken $(id) %s"
#: Larger than the worker's /tmp, and quick to make, send and check out. No zeros: git leaves holes for them.
LARGE = "1300M"
NAMES = ("platform", "team-b", "reports")
DAG = """
from pathlib import Path

from airflow.sdk import dag, task

ROOT = Path(__file__).parents[1]
try:
    (ROOT / ".git" / "config").open("a").close()
    clone = "open"
except PermissionError:
    clone = "closed"
except OSError as error:
    clone = str(error)


@dag(dag_id="e2e_git_NAME", schedule=None, description=f"the clone is {clone}")
def workflow():
    @task
    def work():
        print("from", (ROOT / "marker").read_text(), "in", ROOT)

    work()


workflow()
"""
#: In the container that fills the volume of repositories.
FILL = f"""
set -e
export HOME=/tmp
git config --global user.name e2e
git config --global user.email e2e@example.com
git config --global init.defaultBranch main
for name in {" ".join(NAMES)}; do
    git init -q /tmp/$name
    cd /tmp/$name
    mkdir dags
    sed "s/NAME/$name/" /settings/dag.py > dags/workflow.py
    printf 'repository %s' $name > marker
    [ $name != platform ] || (yes airdock || true) | head -c {LARGE} > large
    git add -A
    git commit -qm first
    git clone -q --bare /tmp/$name /srv/$name.git
    git -C /srv/$name.git update-server-info
done
"""
SERVE = f"""
import base64, functools, http.server, ssl
WANTED = "Basic " + base64.b64encode(b"git:" + {TOKEN.encode()!r}).decode()
class Handler(http.server.SimpleHTTPRequestHandler):
    def do_GET(self):
        if self.headers.get("Authorization") == WANTED:
            return super().do_GET()
        self.send_response(401)
        self.send_header("WWW-Authenticate", 'Basic realm="git"')
        self.send_header("Content-Length", "0")
        self.end_headers()
server = http.server.ThreadingHTTPServer(("", 8443), functools.partial(Handler, directory="/srv"))
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain("/settings/tls.crt", "/settings/tls.key")
server.socket = context.wrap_socket(server.socket, server_side=True)
server.serve_forever()
"""
SSHD = """Port 2222
HostKey /settings/host-key
AuthorizedKeysFile /settings/authorized_keys
StrictModes no
UsePAM no
PidFile none
"""


@dataclass(frozen=True)
class Key:
    """A key pair: both parts as text, and the file of the private one."""

    file: Path

    @property
    def private(self) -> str:
        return self.file.read_text()

    @property
    def public(self) -> str:
        return " ".join(self.file.with_suffix(".pub").read_text().split()[:2])

    @property
    def fingerprint(self) -> str:
        command = ["ssh-keygen", "-lf", str(self.file)]
        return subprocess.run(command, check=True, capture_output=True, text=True).stdout.split()[1]


def key(directory: Path, name: str) -> Key:
    file = directory / name
    subprocess.run(["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(file)], check=True)
    return Key(file)


def image() -> None:
    """Push Airflow's image, which has git, with Debian's sshd."""
    names = ("openssh-server", "libwrap0", "libnsl2", "libtirpc3")
    packages = [each for each in debian.with_dependencies("openssh-server") if each.startswith(names)]
    tree = debian.tree("sshd", " ".join(packages), lambda *where: debian.unpack(packages, *where))
    files = {"usr/sbin/sshd": tree / "usr/sbin/sshd", "usr/lib": tree / "usr/lib"}
    registry_image.push(IMAGE, files, base=f"{REGISTRY}/apache/airflow:{versions.AIRFLOW}")


def secret(name: str, data: dict[str, str], kind: str = "Secret") -> dict[str, Any]:
    field = "stringData" if kind == "Secret" else "data"
    return {"apiVersion": "v1", "kind": kind, "metadata": {"name": name, "namespace": NAMESPACE}, field: data}


def server() -> list[dict[str, Any]]:
    """Give the pod with both servers, and their Service."""
    metadata = {"name": "git", "namespace": NAMESPACE, "labels": {"app": "git"}}
    mounts = [{"name": "srv", "mountPath": "/srv"}, {"name": "settings", "mountPath": "/settings"}]

    def container(name: str, *command: str, port: int = 0) -> dict[str, Any]:
        ready = {"readinessProbe": {"tcpSocket": {"port": port}, "periodSeconds": 1}} if port else {}
        return {"name": name, "image": IMAGE, "command": [*command], "volumeMounts": mounts, **ready}

    spec = {
        "terminationGracePeriodSeconds": 1,
        "securityContext": {"fsGroup": 0},
        "initContainers": [container("fill", "bash", "-c", FILL)],
        "containers": [
            container("ssh", "/usr/sbin/sshd", "-D", "-e", "-f", "/settings/sshd_config", port=2222),
            container("https", "python", "-c", SERVE, port=8443),
        ],
        "volumes": [
            {"name": "srv", "emptyDir": {}},
            {"name": "settings", "secret": {"secretName": "git-server", "defaultMode": 0o440}},
        ],
    }
    service = {"selector": {"app": "git"}, "ports": [{"name": str(p), "port": p} for p in (2222, 8443)]}
    return [
        {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec},
        {"apiVersion": "v1", "kind": "Service", "metadata": metadata, "spec": service},
    ]


def values(host: Key, other: Key) -> dict[str, Any]:
    def repository(name: str, secret: str, shown: Key) -> dict[str, str]:
        url = f"ssh://airflow@{HOST}:2222/{name}.git"
        return {"repository": url, "sshKeySecret": secret, "knownHosts": f"[{HOST}]:2222 {shown.public}"}

    to_git = {"to": [{"podSelector": {"matchLabels": {"app": "git"}}}]}
    egress = {"egress": [{**to_git, "ports": [{"port": 2222}, {"port": 8443}]}]}
    git: dict[str, dict[str, str]] = {
        "platform": repository("platform", "deploy-platform", host),
        "team-b": repository("team-b", "deploy-team-b", host),
        "reports": {"repository": f"https://{HOST}:8443/reports.git", "tokenSecret": "token-reports"},
        "stranger": repository("platform", "deploy-platform", other),
    }
    return {
        "dags": {
            "git": {name: {**each, "subdir": "dags"} for name, each in git.items()},
            "storage": {"emptyDir": {"sizeLimit": "5Gi"}},
        },
        "trust": {"configMap": "company-ca"},
        "networkPolicy": {"egress": "strict", "dagProcessor": egress, "workers": egress},
        "workers": {"default": {"mode": "kubernetes", "concurrency": 1}},
    }


@dataclass(frozen=True)
class Cloned:
    """The release, and the keys of its repositories."""

    target: Target
    airflow: Airflow
    host: Key
    deploy: dict[str, Key]

    def pods(self) -> list[dict[str, Any]]:
        selector = f"app.kubernetes.io/instance={RELEASE}"
        pods = self.target.items("pods", "-n", NAMESPACE, "-l", selector)
        return [pod for pod in pods if "deletionTimestamp" not in pod["metadata"]]

    def inside(self, component: str, *command: str) -> str:
        workload = "deployment/" + RELEASE + {"worker": "-worker-default"}.get(component, f"-{component}")
        return self.target.kubectl("exec", "-n", NAMESPACE, workload, "-c", component, "--", *command)


@pytest.fixture(scope="module")
def cloned(target: Target, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cloned]:
    if not target.native:
        pytest.skip("the image of the Git server is made in the native cluster's registry")
    if shutil.which("ssh-keygen") is None:
        pytest.skip("ssh-keygen is missing: install openssh-client")
    directory = tmp_path_factory.mktemp("git")
    host, other = key(directory, "host"), key(directory, "other")
    deploy = {name: key(directory, name) for name in ("platform", "team-b")}
    ca = authority(directory, "company")
    tls = certificate(directory, "git", NAMESPACE, ca)
    image()
    # As on a Git host, a deploy key opens its repository, whatever the client names.
    lines = [f"restrict,command=\"git-upload-pack '/srv/{n}.git'\" {k.public}" for n, k in deploy.items()]
    settings = {
        "dag.py": DAG,
        "sshd_config": SSHD,
        "host-key": host.private,
        "authorized_keys": "\n".join(lines) + "\n",
        "tls.crt": tls["tls.crt"],
        "tls.key": tls["tls.key"],
    }
    target.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found")
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    try:
        target.apply(
            secret("git-server", settings),
            secret("company-ca", {"ca.crt": ca[1].read_text()}, "ConfigMap"),
            *(secret(f"deploy-{n}", {"ssh-privatekey": k.private}) for n, k in deploy.items()),
            secret("token-reports", {"token": TOKEN}),
            *server(),
        )
        ready = ("pod/git", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=180s")
        target.kubectl("wait", *ready, timeout=190)
        with starting():
            target.helm(
                "upgrade", "--install", RELEASE, str(CHART), f"--namespace={NAMESPACE}", "--values=-",
                "--wait", "--timeout=420s", stdin=json.dumps(merged(QUICK, values(host, other))),
            )  # fmt: skip
        admin = target.secret(f"{RELEASE}-admin", NAMESPACE)
        with PortForward(target.kubectl_command, NAMESPACE, f"svc/{RELEASE}-api-server", 8080) as forward:
            airflow = Airflow(forward.url, admin["username"], admin["password"])
            yield Cloned(target, airflow, host, deploy)
    finally:
        target.helm("uninstall", RELEASE, f"--namespace={NAMESPACE}", "--ignore-not-found")
        target.kubectl("delete", "namespace", NAMESPACE, f"{NAMESPACE}-{RELEASE}-tasks", "--ignore-not-found")


@pytest.mark.parametrize("name", NAMES)
def test_a_dag_of_each_repository_runs(cloned: Cloned, name: str) -> None:
    dag_id = f"e2e_git_{name}"
    cloned.airflow.wait_for_dags([dag_id], 180)
    cloned.airflow.unpause(dag_id)
    run = cloned.airflow.trigger(dag_id)
    assert cloned.airflow.wait(dag_id, run) == "success"
    (task,) = cloned.airflow.tasks(dag_id, run)
    log = cloned.airflow.log(task)
    assert f"from repository {name} in /opt/airflow/bundles/{name}/versions/" in log
    # Where the dag-processor runs git, the code of a DAG cannot write.
    assert cloned.airflow.dags()[dag_id]["description"] == "the clone is closed"


def test_another_host_key_is_rejected_with_the_value_and_the_host(cloned: Cloned) -> None:
    def said() -> str:
        workload = f"deployment/{RELEASE}-dag-processor"
        log = cloned.target.kubectl("logs", "-n", NAMESPACE, workload, "-c", "dag-processor", "--tail=-1")
        return next((line for line in log.splitlines() if "dags.git.stranger.knownHosts: " in line), "")

    line = wait_until(said, 120, "a line that names the value")
    assert f"{HOST}:2222 has a host key ({cloned.host.fingerprint}) that is not among these" in line
    with pytest.raises(CommandError):
        cloned.inside("dag-processor", "ls", "/opt/airflow/bundles/stranger/bare")


def test_a_repository_may_be_larger_than_tmp(cloned: Cloned) -> None:
    """Its files were checked out in both pods, and no kubelet has evicted one."""
    for component in ("dag-processor", "worker"):
        used = cloned.inside(component, "du", "-sm", "/opt/airflow/bundles/platform")
        assert int(used.split()[0]) > 1024, component
        assert int(cloned.inside(component, "du", "-sm", "/tmp").split()[0]) < 512, component
    for pod in cloned.pods():
        assert pod["status"]["phase"] == "Running", pod["metadata"]["name"]


def test_only_what_clones_has_the_keys(cloned: Cloned) -> None:
    having, looked = set(), 0
    for pod in cloned.pods():
        component = pod["metadata"]["labels"]["app.kubernetes.io/component"]
        sidecars = [c for c in pod["spec"].get("initContainers", ()) if c.get("restartPolicy") == "Always"]
        for container in (*pod["spec"]["containers"], *sidecars):
            look = ("exec", pod["metadata"]["name"], "-n", NAMESPACE, "-c", container["name"], "--")
            try:
                found = cloned.target.kubectl(*look, "cat", "/run/airdock-git/platform/ssh-key")
            except CommandError as error:
                assert "No such file" in error.stderr, (component, container["name"], error.stderr)
            else:
                assert found.strip() == cloned.deploy["platform"].private.strip()
                having.add((component, container["name"]))
            looked += 1
    assert having == {("dag-processor", "dag-processor"), ("worker", "worker")}
    assert looked > 6


def test_no_secret_is_in_an_environment_or_a_clone(cloned: Cloned) -> None:
    """The search finds what is there: the address of the https server."""
    secrets = [TOKEN, *(each.private.splitlines()[2] for each in cloned.deploy.values())]
    for component in ("dag-processor", "worker"):
        for place in ("/proc/self/environ", "/opt/airflow/bundles/reports/bare/config"):
            found = cloned.inside(component, "cat", place)
            assert HOST in found, (component, place)
            assert not [each for each in secrets if each in found], (component, place)
