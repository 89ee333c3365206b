"""files/scripts/wait_for_fence.py as the worker runs it: it ends when the fence holds, and only then."""

from __future__ import annotations

import copy
import os
import threading
from collections.abc import Callable
from functools import partial
from pathlib import Path
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

import pytest

from scripts.chart import CHART, render
from tests.api.conftest import UNFENCED, UNGUARDED, Install, Installed, make_namespace
from tests.api.fence import refusal
from tests.api.pods import kpo_pod
from tests.support.chart_modules import load_module
from tests.support.waiting import wait_until

SCRIPT = CHART / "files" / "scripts" / "wait_for_fence.py"
Run = Callable[..., ModuleType]
RULES = [{"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["create", "patch"]}]
RIGHTS: list[dict[str, Any]] = [{"jobs": True, "claims": True}, {"rules": RULES}]


def said(module: ModuleType, release: Installed, words: str) -> bool:
    """Tell whether the worker waits, for this reason."""
    return words in module.missing(release.task_namespace)


@pytest.fixture
def script(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Give the script as a worker of a release would run it, with a token of its account."""

    def loaded(installed: Installed, **environment: str) -> ModuleType:
        deployment = installed.manifests.one("Deployment", component="worker")
        assert deployment.pod
        container = deployment.pod.container("wait-for-fence")
        command = list(container.raw["command"])
        assert Path(command[1]).name == SCRIPT.name
        for name in [name for name in os.environ if name.startswith("AIRDOCK_")]:
            monkeypatch.delenv(name)
        server = urlsplit(installed.plane.server)
        variables = installed.manifests.environment(deployment, container) | {
            "KUBERNETES_SERVICE_HOST": str(server.hostname),
            "KUBERNETES_SERVICE_PORT": str(server.port),
        }
        for name, value in (variables | environment).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", command[1:])
        account = f"/api/v1/namespaces/{installed.namespace}/serviceaccounts/{deployment.pod.service_account}"
        request = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {}}
        token = installed.plane.admin.request("POST", f"{account}/token", request)["status"]["token"]
        (tmp_path / "token").write_text(token)
        (tmp_path / "ca.crt").write_bytes((installed.plane.directory / "pki" / "apiserver.crt").read_bytes())
        (tmp_path / "last-words").touch()
        module = load_module(SCRIPT)
        monkeypatch.setattr(module.api_server, "ACCOUNT", tmp_path)
        monkeypatch.setattr(module.waiting, "LAST_WORDS", tmp_path / "last-words")
        monkeypatch.setattr(module, "TIMEOUT_SECONDS", 2)
        return module

    return loaded


def test_goes_on_where_the_fence_holds(
    script: Run, installed: Installed, capsys: pytest.CaptureFixture[str]
) -> None:
    module = script(installed)
    assert module.missing(installed.task_namespace) == ""
    # Pod Security that is not there is the fence's business too: it refuses, so it holds.
    assert module.missing(UNGUARDED) == ""
    del module.sys.argv[1:]
    module.main()
    assert f"Namespace {installed.task_namespace} has its admission fence" in capsys.readouterr().out


def test_stops_before_a_namespace_without_the_fence(
    script: Run, installed: Installed, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    """Of tasks.extraNamespaces, one lacks the label."""
    module = script(installed)
    assert UNFENCED in module.sys.argv
    with pytest.raises(SystemExit, match=f"Namespace {UNFENCED} has no admission fence") as end:
        module.main()
    for words in ("label airdock.dev/tasks", "ValidatingAdmissionPolicies", "tasks.admission.enabled"):
        assert words in str(end.value)
    assert (tmp_path / "last-words").read_text() == str(end.value)
    assert capsys.readouterr().out.count(f"Waiting for the admission fence of namespace {UNFENCED}") == 1


def test_another_refusal_is_not_the_fence(script: Run, installed: Installed) -> None:
    """No right to make pods, no such account: neither says that the fence holds."""
    module = script(installed)
    assert "cannot create resource" in module.missing("default")
    module = script(installed, AIRDOCK_TASK_SERVICE_ACCOUNT="nobody")
    assert 'serviceaccount "nobody" not found' in module.missing(UNFENCED)
    module = script(installed, KUBERNETES_SERVICE_PORT="1")
    assert "could not be reached" in module.missing(installed.task_namespace)


def test_without_a_fence_it_waits_for_none(
    script: Run, install: Install, capsys: pytest.CaptureFixture[str]
) -> None:
    release = install({"tasks": {"admission": {"enabled": False}}}, release="open", namespace="open")
    module = script(release)
    wait_until(lambda: "would take" in module.missing(release.task_namespace), 60, "the worker may ask")
    module.main()
    assert "no fence to wait for" in capsys.readouterr().out


@pytest.mark.parametrize("rbac", RIGHTS, ids=lambda rbac: "+".join(rbac))
def test_it_waits_for_each_policy(script: Run, install: Install, rbac: dict[str, Any]) -> None:
    """One of them is missing, and then it is there."""
    values = {"tasks": {"rbac": rbac, "admission": {"storageClasses": ["allowed"]}}}
    release = install(values, release="each", namespace=f"each-{min(rbac)}")
    module = script(release)
    wait_until(lambda: not module.missing(release.task_namespace), 60, "the fence holds")
    policies = release.manifests.all("ValidatingAdmissionPolicy", component="tasks")
    assert len(policies) == 4
    for policy in policies:
        release.plane.admin.delete(policy.raw)
        words = f"would take pod {policy.name}-"
        wait_until(partial(said, module, release, words), 30, f"{policy} is missed")
        release.plane.admin.apply_all([policy])
        wait_until(lambda: not module.missing(release.task_namespace), 60, "the fence holds again")


def test_custom_resources_alone(script: Run, installed: Installed) -> None:
    """Until the policy for them is active, an attack works, and the worker waits."""
    plane = installed.plane  # with widgets.example.com
    manifests = render({"tasks": {"rbac": {"rules": RULES}}}, release="custom", namespace="custom")
    make_namespace(plane, "custom")
    late = [m for m in manifests if m.kind.startswith("ValidatingAdm") and "task-objects" in m.name]
    assert len(late) == 2
    plane.admin.apply_all([m for m in manifests if m not in late])
    release = Installed(plane, "custom", "custom", manifests)
    module = script(release)
    wait_until(partial(said, module, release, "task-objects-"), 60, "only this policy is missing")
    attack = {
        "apiVersion": "example.com/v1",
        "kind": "Widget",
        "metadata": {
            "name": "kept",
            "namespace": release.task_namespace,
            "finalizers": ["example.com/kept"],
        },
    }
    assert refusal(lambda: release.worker.create(attack, dry_run=True)) == ""
    with pytest.raises(SystemExit, match=r"would take pod \S+-task-objects-"):
        module.main()
    plane.admin.apply_all(late)
    wait_until(lambda: not module.missing(release.task_namespace), 60, "the fence holds")
    assert "finalizer example.com/kept" in refusal(lambda: release.worker.create(attack, dry_run=True))


def test_a_policy_of_before_does_not_count(script: Run, installed: Installed) -> None:
    """An upgrade adds a right, and the worker starts before Helm has changed the policy."""
    plane = installed.plane
    before, after = (
        render({"tasks": {"rbac": rbac}}, release="older", namespace="older")
        for rbac in ({"jobs": True}, {"jobs": True, "rules": RULES})
    )
    make_namespace(plane, "older")
    plane.admin.apply_all(before)
    module = script(Installed(plane, "older", "older", before))
    older = Installed(plane, "older", "older", after)
    wait_until(lambda: not module.missing(older.task_namespace), 60, "the old fence holds")
    plane.admin.apply_all([m for m in after if not m.kind.startswith("ValidatingAdm")])
    module = script(older)
    with pytest.raises(SystemExit, match="has no admission fence"):
        module.main()
    plane.admin.apply_all(after)
    wait_until(lambda: not module.missing(older.task_namespace), 60, "the new fence holds")


def test_the_forbidden_pods_open_nothing(script: Run, install: Install) -> None:
    """A policy is missing. Of its pod, the policy for pods lets pass what creates nothing, and that alone."""
    release = install({}, release="forbid", namespace="forbid")
    admin, namespace = release.plane.admin, release.task_namespace
    module = script(release)
    names = module.os.environ["AIRDOCK_FORBIDDEN_PODS"].split()
    wait_until(lambda: not module.missing(namespace), 60, "the fence holds")
    proper = kpo_pod(release.manifests, namespace=namespace)
    hostile = copy.deepcopy(proper)
    hostile["spec"]["nodeName"] = "any"
    for pod in (proper, hostile):
        for name in names:
            pod["metadata"]["name"] = name
            for dry_run in (True, False):
                words = refusal(partial(release.worker.create, pod, dry_run=dry_run))
                assert "rejects every pod with this name" in words or (not dry_run and "Airdock" in words)
    for policy in release.manifests.all("ValidatingAdmissionPolicy", component="tasks"):
        if policy.name.endswith("-task-pods"):
            continue
        admin.delete(policy.raw)
        (name,) = (name for name in names if name.startswith(policy.name))
        hostile["metadata"]["name"] = name
        wait_until(lambda: not refusal(partial(release.worker.create, hostile, dry_run=True)), 30, "passes")
        assert "spec.nodeName" in refusal(partial(release.worker.create, hostile))
        hostile["metadata"]["name"] = f"{name}-2"
        assert "spec.nodeName" in refusal(partial(release.worker.create, hostile, dry_run=True))


def test_the_policies_come_later(script: Run, installed: Installed) -> None:
    """As Helm does it: everything is there but the policies, and then they are."""
    plane = installed.plane
    manifests = render({}, release="late", namespace="late")
    policies = [m for m in manifests if m.kind.startswith("ValidatingAdmissionPolicy")]
    make_namespace(plane, "late")
    plane.admin.apply_all([m for m in manifests if m not in policies])
    release = Installed(plane, "late", "late", manifests)
    module = script(release)
    wait_until(lambda: "would take" in module.missing(release.task_namespace), 60, "the worker may ask")
    module.TIMEOUT_SECONDS = 30
    waiting = threading.Thread(target=module.main, daemon=True)
    waiting.start()
    waiting.join(2)
    assert waiting.is_alive(), "it went on without the fence"
    plane.admin.apply_all(policies)
    waiting.join(30)
    assert not waiting.is_alive(), "it still waits behind the fence"
