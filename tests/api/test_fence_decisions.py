"""The fence decides about every field of a pod, and each decision holds."""

from __future__ import annotations

import copy
import re
from typing import Any

import pytest

from scripts.chart import ROOT
from tests.api.attacks import Pod, base
from tests.api.conftest import UNFENCED, Installed
from tests.api.control_plane import OTHER, Client, ControlPlane
from tests.api.fence import TASKS, refusal
from tests.api.fence_decisions import DECISIONS
from tests.api.fence_decisions.decision import NO_VALUE, Decision, is_in
from tests.api.fence_decisions.schema import fields
from tests.api.pods import kpo_pod
from tests.support.attacks import AUTHOR

DOCS = ROOT / "docs" / "task-namespace.md"
MERGED = ("annotations", "labels", "securityContext")


def test_every_field_is_decided(control_plane: ControlPlane) -> None:
    """A field that a new version of Kubernetes brings fails here until somebody decides about it."""
    schemas = control_plane.admin.request("GET", "/openapi/v3/api/v1")["components"]["schemas"]
    found = set(fields(schemas, schemas["io.k8s.api.core.v1.Pod"], DECISIONS))
    assert not found - DECISIONS.keys(), "no decision"
    if not OTHER:
        former = {path for path, one in DECISIONS.items() if not is_in(one, control_plane.version)}
        assert not DECISIONS.keys() - found - former, "no field of the pinned version"


def _with(pod: Pod, path: str, value: Any, decision: Decision, where: str = "containers") -> Pod:
    """The pod with a value for the topmost field of a path; for a container's, in one of `where`."""
    pod = copy.deepcopy(pod)
    pod["spec"].setdefault("volumes", []).append({"name": "data", "emptyDir": {}})
    if path.startswith("metadata."):
        target, rest = pod["metadata"], path.removeprefix("metadata.")
    elif path.startswith("spec.containers[]."):
        rest = path.removeprefix("spec.containers[].")
        target = base(pod)
        if where == "initContainers":
            target = {**copy.deepcopy(target), "name": "first"}
            if rest.startswith(("lifecycle", "livenessProbe", "readinessProbe", "startupProbe")):
                target["restartPolicy"] = "Always"  # a sidecar, which alone may have them
            pod["spec"]["initContainers"] = [target]
    else:
        target, rest = pod["spec"], path.removeprefix("spec.")
    field = rest.partition(".")[0].removesuffix("[]")
    if field == "os":  # a pod for Windows may have nothing of Linux
        pod["spec"]["securityContext"] = base(pod)["securityContext"] = {"runAsNonRoot": True}
    if field == "volumes":
        value = [*target["volumes"], *value]
    target[field] = {**target.get(field, {}), **value} if field in MERGED else value
    pod["spec"].update(decision.beside or {})
    return pod


CHECKED = {path: one for path, one in DECISIONS.items() if one.verdict not in ("nested", "server")}
CASES = [
    (path, where)
    for path, one in CHECKED.items()
    for where in ("containers", "initContainers")
    if where == "containers" or (path.startswith("spec.containers[].") and one.verdict != "allowed")
]


@pytest.fixture(scope="module")
def worker(installed: Installed) -> Client:
    """One client for all cases: each finds out what the API has."""
    return installed.worker


@pytest.mark.parametrize(("path", "where"), CASES, ids=lambda part: part)
@pytest.mark.attack(actor=AUTHOR, finding=(5, 11, 13, 14, 15, 23))
def test_decision(
    control_plane: ControlPlane, installed: Installed, worker: Client, path: str, where: str
) -> None:
    decision = DECISIONS[path]
    if not is_in(decision, control_plane.version):
        pytest.skip(f"Kubernetes {control_plane.version} does not have this field")

    def said(namespace: str, value: Any) -> str:
        pod = _with(kpo_pod(installed.manifests, namespace=namespace), path, value, decision, where)
        return refusal(lambda: worker.create(pod, dry_run=True))

    assert said(UNFENCED, decision.example) == "", "works without the fence"
    answer = said(TASKS, decision.example)
    if decision.verdict == "allowed":
        assert answer == ""
    elif decision.verdict == "Pod Security":
        assert "violates PodSecurity" in answer
    else:
        assert "Airdock release" in answer or "violates PodSecurity" in answer, answer
        assert decision.key in answer or "violates PodSecurity" in answer
        assert decision.verdict == "refused" or decision.key != NO_VALUE
    if decision.fine is not None:
        assert said(TASKS, decision.fine) == "", "the value allows it"


#: Parts of a path that would make the list in the docs longer and say nothing.
SHORT = {
    "requiredDuringSchedulingIgnoredDuringExecution": "required",
    "preferredDuringSchedulingIgnoredDuringExecution": "preferred",
    "ephemeral.volumeClaimTemplate": "ephemeral",
}
PATCHED = [path for path, one in CHECKED.items() if path.startswith("metadata.") and one.key]


@pytest.fixture(scope="module")
def running(installed: Installed) -> dict[str, Pod]:
    """A pod of somebody else in each namespace."""
    pods = {}
    for namespace in (TASKS, UNFENCED):
        pod = kpo_pod(installed.manifests, namespace=namespace)
        pod["metadata"]["name"] = "another-authors"
        pods[namespace] = installed.worker.create(pod)
    return pods


@pytest.mark.parametrize("path", PATCHED)
@pytest.mark.attack(actor=AUTHOR, finding=(15,))
def test_patch_of_another_pod(
    control_plane: ControlPlane, installed: Installed, running: dict[str, Pod], path: str
) -> None:
    change = {"metadata": {path.removeprefix("metadata."): CHECKED[path].example}}
    assert refusal(lambda: installed.worker.patch(running[UNFENCED], change, dry_run=True)) == ""
    said = refusal(lambda: installed.worker.patch(running[TASKS], change, dry_run=True))
    assert CHECKED[path].key in said
    # Controllers do this with every pod: network plugins, garbage collection, Jobs.
    for name in ("controller", "system:kube-controller-manager"):
        control_plane.user(name, "system:masters").patch(running[TASKS], change, dry_run=True)


def test_list_in_the_docs() -> None:
    """One line for each answer. Of a field that is decided as a whole, its name; else the path."""
    rows: dict[str, list[str]] = {}
    for path, one in CHECKED.items():
        if one.until < (2, 0):
            continue
        how = {"allowed": "admitted", "Pod Security": "judged by Pod Security"}.get(one.verdict)
        how = how or ("rejected" if one.key == NO_VALUE else f"by `{one.key}`")
        name = path.removeprefix("spec.").replace("[]", "")
        for long, short in SHORT.items():
            name = name.replace(long, short)
        rows.setdefault(how, []).append(name)
    expected = "\n".join(f"- {how}: {', '.join(sorted(set(names)))}" for how, names in sorted(rows.items()))
    found = re.search(r"<!-- decisions.*?-->\n(.*?)\n?<!-- end of decisions -->", DOCS.read_text(), re.S)
    assert found
    assert found[1].strip() == expected, f"docs/task-namespace.md should have:\n{expected}"
