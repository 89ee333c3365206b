"""`airdock check` against an API server: what it reads, and that Helm needs the rights that it names."""

from __future__ import annotations

import json
import os
import subprocess
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts import tools
from scripts.chart import CHART, HELM3, HELM4, ROOT
from scripts.check import command, rights
from scripts.check.cluster import Cluster
from scripts.check.discovery import Served
from scripts.check.rights import Grant, Right
from scripts.check.wanted import Wanted
from tests.api.conftest import make_namespace
from tests.api.control_plane import ControlPlane, Refused
from tests.support.waiting import wait_until

RBAC = "rbac.authorization.k8s.io/v1"
WITHOUT_CLUSTER_RIGHTS = ROOT / "examples" / "values" / "without-cluster-rights.yaml"
STORES = {"database": {"existingSecret": "database"}, "broker": {"existingSecret": "broker"}}


@pytest.fixture
def as_user(control_plane: ControlPlane, tmp_path: Path) -> Any:
    """Write the kubeconfig of a user, by impersonation."""

    def written(name: str) -> Path:
        config = json.loads(control_plane.kubeconfig.read_text())
        config["users"][0]["user"]["as"] = name
        file = tmp_path / f"{name}.kubeconfig"
        file.touch(0o600)
        file.write_text(json.dumps(config))
        return file

    return written


class Answer:
    """What the command said."""

    def __init__(self, code: int, report: Mapping[str, Any]):
        self.code = code
        self.checks = {check["name"]: check for check in report["checks"]}
        self.modes = report["modes"]

    def result(self, name: str) -> str:
        return str(self.checks[name]["result"])


@pytest.fixture
def check(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> Any:
    def run(kubeconfig: Path, namespace: str, values: Mapping[str, Any] | Path | None = None) -> Answer:
        arguments = ["--kubeconfig", str(kubeconfig), "--namespace", namespace, "--no-pods"]
        if isinstance(values, Mapping):
            file = tmp_path / "values.yaml"
            file.write_text(yaml.safe_dump(dict(values)))
            values = file
        code = command.main([*arguments, "--format", "json", *(["-f", str(values)] if values else [])])
        return Answer(code, json.loads(capsys.readouterr().out))

    return run


def allow(plane: ControlPlane, user: str, needed: Iterable[Right]) -> None:
    """Give a user exactly these rights, cluster-wide or in their namespaces, in place of any before."""
    by_namespace: dict[str, list[Right]] = {}
    for right in needed:
        by_namespace.setdefault(right.namespace, []).append(right)
    for namespace, found in by_namespace.items():
        rules = [
            {"apiGroups": [right.group], "resources": [right.resource], "verbs": [right.verb]}
            | ({"resourceNames": [right.name]} if right.name else {})
            for right in found
        ]
        kind = "Role" if namespace else "ClusterRole"
        metadata = {"name": user, **({"namespace": namespace} if namespace else {})}
        plane.admin.apply({"apiVersion": RBAC, "kind": kind, "metadata": metadata, "rules": rules})
        plane.admin.apply(
            {
                "apiVersion": RBAC,
                "kind": f"{kind}Binding",
                "metadata": metadata,
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": kind, "name": user},
                "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
            }
        )


def bind(plane: ControlPlane, user: str, cluster_role: str, namespace: str) -> None:
    plane.admin.apply(
        {
            "apiVersion": RBAC,
            "kind": "RoleBinding",
            "metadata": {"name": user, "namespace": namespace},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": cluster_role},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": user}],
        }
    )
    client = plane.user(user)
    wait_until(lambda: client.may("create", "services", namespace), 30, f"{user} has {cluster_role}")


def helm(
    which: str, kubeconfig: Path, namespace: str, values: Mapping[str, Any], cache: Path, *options: str
) -> str:
    """Install, upgrade, uninstall; "" or what Helm said."""
    base = ["--namespace", namespace, "--kubeconfig", str(kubeconfig)]
    upgrade = ["upgrade", "--install", "airdock", str(CHART), "--values", "-", *options]
    changed = {**values, "commonLabels": {"team": "data"}}
    for words, given in ((upgrade, values), (upgrade, changed), (["uninstall", "airdock"], {})):
        done = subprocess.run(
            [tools.path(which), *words, *base],
            input=json.dumps(given),
            capture_output=True,
            text=True,
            env={**os.environ, "HELM_CACHE_HOME": str(cache)},
        )
        if done.returncode:
            return done.stderr
    return ""


def derived(plane: ControlPlane, namespace: str) -> tuple[dict[str, Any], set[Right], list[Grant]]:
    """Create a release's namespaces; give its values, Helm's rights for its objects, and what it grants."""
    for each in (namespace, f"{namespace}-airdock-tasks"):
        make_namespace(plane, each)
    values = {**STORES, "tasks": {"createNamespace": False}}
    served = Served.by(Cluster("", plane.kubeconfig))
    wanted = Wanted.rendered(values, "airdock", namespace, True, served)
    return values, rights.of_objects(wanted, served), list(rights.of_grants(wanted))


@pytest.mark.parametrize("which", [HELM4, HELM3])
def test_rights_are_those_of_helm(
    control_plane: ControlPlane, as_user: Any, check: Any, tmp_path: Path, which: str
) -> None:
    """With what the check asks for, and nothing else, Helm installs, upgrades and uninstalls."""
    user, namespace = f"installer-{which}", f"check-{which}"
    values, of_objects, grants = derived(control_plane, namespace)
    granted = set().union(*(grant.rights for grant in grants))
    needed = of_objects | granted
    # Without `--wait` Helm does not watch.
    least = {right for right in needed if right.verb not in rights.WAIT or right.resource == "secrets"}
    allow(control_plane, user, least | granted)
    config = as_user(user)
    client = control_plane.user(user)
    wait_until(lambda: client.may("patch", "deployments", namespace, group="apps"), 30, "the rights hold")
    assert helm(which, config, namespace, values, tmp_path) == ""
    wait = ("--wait", "--timeout", "4s")
    assert "cannot list" in helm(which, config, namespace, values, tmp_path, *wait)
    allow(control_plane, user, needed)
    wait_until(lambda: client.may("watch", "deployments", namespace, group="apps"), 30, "the rights hold")
    # No node runs the pods.
    assert "deadline exceeded" in helm(which, config, namespace, values, tmp_path, *wait)
    answer = check(config, namespace, values)
    assert answer.code == 0, answer.checks
    assert list(answer.modes) == ["kubernetes"]
    assert answer.modes["kubernetes"]["served"]
    assert answer.result("pods of group default") == "not tried", "the installer may not create pods"


@pytest.mark.parametrize(
    ("lost", "said"),
    [
        (("apps", "deployments", "create"), "create deployments.apps"),
        (("", "secrets", "list"), "list secrets"),
        # The role of the workers.
        (("", "pods/exec", "create"), "create pods/exec"),
    ],
)
def test_a_missing_right_is_named(
    control_plane: ControlPlane,
    as_user: Any,
    check: Any,
    tmp_path: Path,
    lost: tuple[str, str, str],
    said: str,
) -> None:
    """And Helm fails without it."""
    namespace = "check-lacking"
    user = f"lacking-{lost[1].replace('/', '-')}"
    values, of_objects, grants = derived(control_plane, namespace)
    needed = of_objects.union(*(grant.rights for grant in grants))
    allow(
        control_plane,
        user,
        {right for right in needed if (right.group, right.resource, right.verb) != lost},
    )
    client = control_plane.user(user)
    wait_until(lambda: client.may("get", "services", namespace), 30, "the rights hold")
    answer = check(as_user(user), namespace, values)
    assert answer.code == 1
    missing = [each for each in answer.checks.values() if each["result"] == "missing"]
    assert len(missing) == 1
    assert missing[0]["details"] == [said]
    assert answer.modes["kubernetes"]["missing"] == [missing[0]["name"]]
    assert "forbidden" in helm(HELM4, as_user(user), namespace, values, tmp_path)


def test_an_installer_without_cluster_rights(control_plane: ControlPlane, as_user: Any, check: Any) -> None:
    """The values of docs/task-namespace.md are enough, and the chart's own are not."""
    example = yaml.safe_load(WITHOUT_CLUSTER_RIGHTS.read_text())
    for namespace in ("team", example["tasks"]["namespace"]):
        make_namespace(control_plane, namespace)
        bind(control_plane, "team-lead", "admin", namespace)
    config = as_user("team-lead")
    answer = check(config, "team", {**example, **STORES})
    assert answer.code == 0, answer.checks
    assert "rights, cluster-wide" not in answer.checks
    own = check(config, "team")
    assert own.code == 1
    wide = own.checks["rights, cluster-wide"]
    assert wide["result"] == "missing"
    assert any("create" in line and "namespaces" in line for line in wide["details"])
    for value in ("tasks.createNamespace: false", "tasks.admission.enabled: false"):
        assert value in wide["wayOut"]
    tasks = own.checks["rights in team-airdock-tasks"]
    assert "tasks.quota.enabled: false" in tasks["wayOut"]


def test_somebody_without_rights_creates_nothing(
    control_plane: ControlPlane, as_user: Any, capsys: pytest.CaptureFixture[str]
) -> None:
    """Pods are not tried, and the table says why."""
    kinds = ("namespaces", "pods")
    before = {kind: control_plane.admin.request("GET", f"/api/v1/{kind}")["items"] for kind in kinds}
    config = str(as_user("guest"))
    assert command.main(["--kubeconfig", config, "--namespace", "check-guest", "--format", "json"]) == 1
    answer = Answer(1, json.loads(capsys.readouterr().out))
    for name in ("image pull", "network policies", "pods of group dind", "Docker socket of group socket"):
        assert answer.result(name) == "not tried", answer.checks[name]
    assert "cannot create resource" in answer.checks["DNS"]["seen"]
    assert answer.result("rights in check-guest") == "missing"
    after = {kind: control_plane.admin.request("GET", f"/api/v1/{kind}")["items"] for kind in kinds}
    assert {kind: len(found) for kind, found in after.items()} == {
        kind: len(found) for kind, found in before.items()
    }


def test_grants_need_escalate_and_bind(control_plane: ControlPlane, as_user: Any, check: Any) -> None:
    """A Role may grant what its author lacks, if he has `escalate`; a binding, if he has `bind`."""
    namespace, user = "check-escalate", "escalator"
    values, needed, grants = derived(control_plane, namespace)
    allow(control_plane, user, needed)
    client = control_plane.user(user)
    wait_until(lambda: client.may("get", "services", namespace), 30, "the rights hold")
    assert check(as_user(user), namespace, values).code == 1
    allow(control_plane, user, needed | {grant.instead for grant in grants})
    wait_until(
        lambda: client.may("bind", "roles", namespace, group="rbac.authorization.k8s.io",
                           name="airdock-create-secrets"),
        30, "the rights hold",
    )  # fmt: skip
    assert check(as_user(user), namespace, values).code == 0


def test_pod_security_of_the_namespace(control_plane: ControlPlane, check: Any) -> None:
    """A restricted namespace serves mode kubernetes; the others are refused, with the way out."""
    namespace = "check-restricted"
    make_namespace(control_plane, namespace, {"pod-security.kubernetes.io/enforce": "restricted"})
    workers = {
        "default": {"mode": "kubernetes", "queues": ["default"]},
        "dind": {"mode": "dind", "queues": ["dind"]},
        "socket": {"mode": "socket", "queues": ["socket"], "socket": {"gid": 999}},
    }
    answer = check(control_plane.kubeconfig, namespace, {**STORES, "workers": workers})
    assert answer.code == 1
    assert {mode: verdict["served"] for mode, verdict in answer.modes.items()} == {
        "kubernetes": True,
        "dind": False,
        "socket": False,
    }
    for group in ("dind", "socket"):
        refused = answer.checks[f"pods of group {group}"]
        assert "violates PodSecurity" in refused["seen"]
        assert "workers.<name>.namespace" in refused["wayOut"]
    assert answer.result("pods of group default") == "ok"
    elsewhere = {**workers["dind"], "namespace": "check-dind"}
    moved = {**STORES, "workers": {"default": workers["default"], "dind": elsewhere}}
    answer = check(control_plane.kubeconfig, namespace, moved)
    assert answer.code == 0
    assert answer.result("pods of group dind") == "not tried", "the chart creates the namespace"
    make_namespace(control_plane, "check-dind", {"pod-security.kubernetes.io/enforce": "baseline"})
    assert check(control_plane.kubeconfig, namespace, moved).modes["dind"]["served"] is False


def test_another_policy_is_named(control_plane: ControlPlane, check: Any) -> None:
    """Of an administrator, about pods; found by the dry run, whatever it is."""
    namespace = "check-policed"
    make_namespace(control_plane, namespace)
    policy = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicy",
        "metadata": {"name": "check-registries"},
        "spec": {
            "matchConstraints": {
                "resourceRules": [
                    {
                        "apiGroups": [""],
                        "apiVersions": ["v1"],
                        "operations": ["CREATE"],
                        "resources": ["pods"],
                    }
                ]
            },
            "validations": [{"expression": "false", "message": "only from registry.example.com"}],
        },
    }
    binding = {
        "apiVersion": "admissionregistration.k8s.io/v1",
        "kind": "ValidatingAdmissionPolicyBinding",
        "metadata": {"name": "check-registries"},
        "spec": {
            "policyName": "check-registries",
            "validationActions": ["Deny"],
            "matchResources": {
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}}
            },
        },
    }
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "any", "namespace": namespace},
        "spec": {"containers": [{"name": "any", "image": "busybox"}]},
    }

    def refused() -> bool:
        try:
            control_plane.admin.create(pod, dry_run=True)
        except Refused:
            return True
        return False

    assert check(control_plane.kubeconfig, namespace, STORES).code == 0
    for each in (policy, binding):
        control_plane.admin.apply(each)
    wait_until(refused, 30, "the policy holds")
    answer = check(control_plane.kubeconfig, namespace, STORES)
    for each in (policy, binding):
        control_plane.admin.delete(each)
    assert answer.code == 1
    assert "only from registry.example.com" in answer.checks["pods of group default"]["seen"]


def test_storage_classes_and_kinds(control_plane: ControlPlane, check: Any) -> None:
    """No class is the default here, and no operator is installed."""
    make_namespace(control_plane, "check-storage")
    answer = check(control_plane.kubeconfig, "check-storage")
    storage = answer.checks["storage class"]
    assert storage["result"] == "missing"
    assert "no class is the default" in storage["seen"]
    assert "database.embedded.storage.storageClassName" in storage["wayOut"]
    disk = {"embedded": {"storage": {"storageClassName": "check-disk"}}}
    named = {"database": disk, "broker": disk}
    answer = check(control_plane.kubeconfig, "check-storage", named)
    assert "no class check-disk" in answer.checks["storage class"]["seen"]
    control_plane.admin.apply(
        {
            "apiVersion": "storage.k8s.io/v1",
            "kind": "StorageClass",
            "metadata": {"name": "check-disk"},
            "provisioner": "example.com/none",
        }
    )
    assert check(control_plane.kubeconfig, "check-storage", named).result("storage class") == "ok"
    monitor = {"apiVersion": "example.com/v9", "kind": "Gadget", "metadata": {"name": "any"}}
    answer = check(control_plane.kubeconfig, "check-storage", {**STORES, "extraObjects": [monitor]})
    assert (answer.code, answer.checks["kinds"]["details"]) == (1, ["Gadget example.com/v9"])


def test_a_cluster_without_admission_policies(control_plane: ControlPlane) -> None:
    """Judged from the list of an API server that lacks them; no supported version does by default."""
    from scripts.check import facts

    served = Served.by(Cluster("", control_plane.kubeconfig))
    wanted = Wanted.rendered({}, "airdock", "airdock", True, served)
    assert facts.admission(served, wanted).result.value == "ok"
    lacking = Served(
        served.version,
        {key: kind for key, kind in served.kinds.items() if key != facts.POLICY},
        served.api_versions,
    )
    assert facts.admission(lacking, wanted).result.value == "missing"
    without = Wanted.rendered(
        {"tasks": {"admission": {"enabled": False}}}, "airdock", "airdock", True, served
    )
    assert facts.admission(lacking, without).result.value == "ok"
    old = Served("v1.29.14", served.kinds, served.api_versions)
    answer = facts.version(old, Wanted.rendered({}, "airdock", "airdock", True, old))
    assert (answer.result.value, answer.stops) == ("missing", frozenset({"kubernetes"}))
