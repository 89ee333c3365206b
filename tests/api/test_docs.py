"""docs/task-namespace.md: what it says was run."""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Callable
from typing import Any

import pytest
import yaml

from scripts import tools
from scripts.chart import CHART, ROOT
from tests.api.attacks import ATTACKS, POD_SECURITY
from tests.api.conftest import UNGUARDED, Installed, make_namespace
from tests.api.control_plane import ControlPlane, Refused
from tests.api.fence import attempt
from tests.api.test_rights import ASKED
from tests.support.waiting import wait_until

DOCS = ROOT / "docs" / "task-namespace.md"
VALUES = "examples/values/without-cluster-rights.yaml"
NAMESPACE, TASKS = "team", "team-tasks"


def table(heading: str) -> list[list[str]]:
    """Cells of the table under a heading, without its head; backquotes are taken off."""
    section = DOCS.read_text().split(f"## {heading}\n")[1].split("\n## ")[0]
    rows = [line.strip("|").split("|") for line in section.splitlines() if line.startswith("|")]
    return [[cell.strip().replace("`", "") for cell in row] for row in rows[2:]]


def command(start: str) -> list[str]:
    """The words of the command in the docs that begins so, up to a pipe."""
    text = DOCS.read_text().replace("\\\n", " ")
    found = re.search(rf"^{start}.*$", text, re.M)
    assert found, start
    return found[0].split(" | ")[0].split()


@pytest.fixture(scope="module")
def installer(control_plane: ControlPlane) -> Callable[..., subprocess.CompletedProcess[str]]:
    """Runs Helm as somebody who is admin of two namespaces."""
    for namespace in (NAMESPACE, TASKS):
        make_namespace(control_plane, namespace)
        control_plane.admin.apply(
            {
                "apiVersion": "rbac.authorization.k8s.io/v1",
                "kind": "RoleBinding",
                "metadata": {"name": "installer", "namespace": namespace},
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "admin"},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": "installer"}],
            }
        )

    def run(*arguments: str) -> subprocess.CompletedProcess[str]:
        who = ["--kubeconfig", str(control_plane.kubeconfig), "--kube-as-user", "installer"]
        return subprocess.run(
            [tools.path("helm"), *arguments, *who],
            capture_output=True,
            text=True,
            cwd=ROOT,
            env={**os.environ, "HELM_CACHE_HOME": str(control_plane.directory / "helm")},
        )

    return run


def test_messages_without_cluster_rights(
    installer: Callable[..., subprocess.CompletedProcess[str]], control_plane: ControlPlane
) -> None:
    """Each value that the docs name moves the installation past the message beside it."""
    install = ("upgrade", "--install", "trial", str(CHART), "--namespace", NAMESPACE)
    settings: list[str] = []
    given = yaml.safe_load((ROOT / VALUES).read_text())["tasks"]
    for message, values in table("Without cluster rights"):
        done = installer(
            "upgrade",
            "--install",
            "trial",
            str(CHART),
            "--namespace",
            NAMESPACE,
            *settings,
            "--take-ownership",
        )
        assert done.returncode != 0
        assert message in done.stderr
        for dotted, value in re.findall(r"(tasks\.[\w.]+)(?:: (\w+))?", values):
            if not value:
                value = given[dotted.removeprefix("tasks.")]
            settings += ["--set", f"{dotted}={value}"]
    done = installer(*install, *settings)
    assert done.returncode == 0, done.stderr
    assert installer("uninstall", "trial", "--namespace", NAMESPACE).returncode == 0


def test_without_cluster_rights(
    installer: Callable[..., subprocess.CompletedProcess[str]], control_plane: ControlPlane
) -> None:
    done = installer(*command("helm install")[1:])
    assert done.returncode == 0, done.stderr

    # Without the administrator's fence the account has the rights, and nothing looks at its pods.
    worker = control_plane.service_account(NAMESPACE, "airdock-worker-default")
    metadata = {"name": "x", "namespace": TASKS}
    spec: dict[str, Any] = {"containers": [{"name": "base", "image": "busybox:1.37"}]}
    stealing = {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}
    spec["containers"][0]["envFrom"] = [{"secretRef": {"name": "any"}}]
    wait_until(lambda: worker.may("create", "pods", TASKS), 60, "the rights hold")
    worker.create(stealing, dry_run=True)

    rendered = subprocess.run(
        [tools.path("helm"), *command("helm template")[1:]],
        capture_output=True,
        text=True,
        cwd=ROOT,
        check=True,
    )
    for each in yaml.safe_load_all(rendered.stdout):
        control_plane.admin.apply(each)
    label = re.search(r"```yaml\n(.*?)```", DOCS.read_text(), re.S)
    assert label
    control_plane.admin.apply(yaml.safe_load(label[1]))

    def refused() -> bool:
        try:
            worker.create(stealing, dry_run=True)
        except Refused as error:
            return "violates PodSecurity" in str(error)
        return False

    wait_until(refused, 60, "Pod Security holds")


def test_attack_list(control_plane: ControlPlane, installed: Installed) -> None:
    """One line for each way of being stopped, in the words of the API server."""
    if control_plane.version < (1, 31):
        pytest.skip("the docs have all attacks")
    rows: dict[str, list[str]] = {}
    for attack in ATTACKS:
        # Where Pod Security is off, so that the fence is heard on what both refuse.
        said = attempt(control_plane.admin, installed, attack, UNGUARDED).partition("may not have: ")[2]
        problems = [each for each in said.split("; ") if not each.startswith("namespace ")]
        opened = re.search(r"\((tasks[^()]*)\)", "; ".join(problems))
        if attack.rule == POD_SECURITY:
            how = "403 by Pod Security *restricted*"
        elif opened:
            how = "403, names " + re.sub(r"tasks\.[\w.]+", r"`\g<0>`", opened[1])
        else:
            how = "403; no value allows it"
        rows.setdefault(how, []).append(attack.name)
    rows["403, names `tasks.admission.execContainers`"] = ["command run in the task's own container"]
    rows["403, names `tasks.admission.exemptUsers`"] = [
        "ephemeral container",
        "attach, port-forward and proxy, by somebody who has the right",
    ]
    rows["the API server rejects the Job's pod; an event of the Job says why"] = [
        "Job that makes the pod (`tasks.rbac.jobs`)"
    ]
    rows["403 from the 101st on; `tasks.quota`"] = ["10,000 pods"]
    rows["403; the account has no such right"] = [*ASKED, "impersonation"]
    rows["403; the image of a running pod cannot be changed"] = ["another image for a running pod"]
    expected = "\n".join(f"- {how}: {'; '.join(names)}" for how, names in rows.items())
    found = re.search(r"<!-- attacks.*?-->\n(.*?)\n?<!-- end of attacks -->", DOCS.read_text(), re.S)
    assert found
    assert found[1].strip() == expected, f"docs/task-namespace.md should have:\n{expected}"
