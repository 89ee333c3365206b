"""The admission fence and objects beside pods that tasks.rbac lets workers create.

Every attack is first shown to work where there is no fence, by the same account with the same rights.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest

from scripts.chart import ROOT
from tests.api.conftest import UNFENCED, Installed, make_namespace, wait_for_count
from tests.api.control_plane import OTHER, Client, ControlPlane, Refused
from tests.api.fence import TASKS, refusal
from tests.api.fence_decisions import OBJECTS, claim, job
from tests.api.fence_decisions.decision import NO_VALUE, Decision
from tests.api.fence_decisions.schema import fields
from tests.api.pods import kpo_pod
from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until

DOCS = ROOT / "docs" / "task-namespace.md"
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "airdock-airdock-task-objects"},
}
VERSIONS = {"PersistentVolumeClaim": "v1", "Job": "batch/v1", "Widget": "example.com/v1"}
PROPER: dict[str, dict[str, Any]] = {
    "PersistentVolumeClaim": claim.PROPER,
    "Job": job.PROPER,
    "Widget": {"size": 1},
}
Object = dict[str, Any]


def made(kind: str, namespace: str, name: str = "theirs", **metadata: Any) -> Object:
    """An object that is admitted, but for what is given."""
    return {
        "apiVersion": VERSIONS[kind],
        "kind": kind,
        "metadata": {"name": name, "namespace": namespace, **metadata},
        "spec": copy.deepcopy(PROPER[kind]),
    }


@pytest.fixture(scope="module", autouse=True)
def holds(installed: Installed) -> None:
    """Wait until the policy holds."""
    job = made("Job", TASKS, finalizers=["example.com/x"])
    wait_until(lambda: refusal(lambda: installed.worker.create(job, dry_run=True)), 60, "the fence holds")


@pytest.fixture(scope="module")
def worker(installed: Installed) -> Client:
    """One client for all cases: each finds out what the API has."""
    return installed.worker


@pytest.mark.parametrize(
    ("kind", "path", "schema"),
    [
        ("PersistentVolumeClaim", "api/v1", "io.k8s.api.core.v1.PersistentVolumeClaim"),
        ("Job", "apis/batch/v1", "io.k8s.api.batch.v1.Job"),
    ],
)
def test_every_field_is_decided(control_plane: ControlPlane, kind: str, path: str, schema: str) -> None:
    """A field that a new version of Kubernetes brings fails here until somebody decides about it."""
    schemas = control_plane.admin.request("GET", f"/openapi/v3/{path}")["components"]["schemas"]
    found = set(fields(schemas, schemas[schema], OBJECTS[kind]))
    assert not found - OBJECTS[kind].keys(), "no decision"
    if not OTHER:
        assert not OBJECTS[kind].keys() - found, "no field of the pinned version"


CASES = [
    (kind, path)
    for kind, decisions in OBJECTS.items()
    for path, one in decisions.items()
    if one.verdict not in ("nested", "server")
]


def changed(kind: str, path: str, value: Any, namespace: str) -> Object:
    """An object with an example of a decision."""
    found = made(kind, namespace)
    part, _, field = path.partition(".")
    if part == "metadata":
        found["metadata"][field] = value
    else:
        found["spec"].update(value)
    return found


def verdict(decision: Decision, said: str) -> None:
    if decision.verdict == "allowed":
        assert said == ""
    else:
        assert "Airdock release" in said, said
        assert decision.key in said
        assert decision.verdict == "refused" or decision.key != NO_VALUE


@pytest.mark.parametrize(("kind", "path"), CASES)
@pytest.mark.attack(actor=AUTHOR, finding=(14, 15))
def test_decision(control_plane: ControlPlane, worker: Client, kind: str, path: str) -> None:
    decision = OBJECTS[kind][path]
    if control_plane.version < decision.since:
        pytest.skip(f"Kubernetes {decision.since} has this first")

    def said(namespace: str, value: Any) -> str:
        return refusal(lambda: worker.create(changed(kind, path, value, namespace), dry_run=True))

    assert said(UNFENCED, decision.example) == "", "works without the fence"
    verdict(decision, said(TASKS, decision.example))
    if decision.fine is not None:
        assert said(TASKS, decision.fine) == "", "the value allows it"


@pytest.fixture(scope="module", autouse=True)
def _counted(installed: Installed) -> None:
    wait_for_count(installed, "count/widgets.example.com")


METADATA = [path for path, one in claim.CLAIM.items() if path.startswith("metadata.") and one.key]


@pytest.mark.parametrize("path", METADATA)
@pytest.mark.attack(actor=AUTHOR, finding=(15,))
def test_metadata_of_custom_resources(worker: Client, path: str) -> None:
    """Each resource of tasks.rbac.rules, whatever its kind."""
    decision = claim.CLAIM[path]

    def said(namespace: str, value: Any) -> str:
        return refusal(lambda: worker.create(changed("Widget", path, value, namespace), dry_run=True))

    assert said(UNFENCED, decision.example) == ""
    verdict(decision, said(TASKS, decision.example))
    if decision.fine is not None:
        assert said(TASKS, decision.fine) == ""


@pytest.mark.parametrize("kind", ["Job", "Widget"])
@pytest.mark.parametrize("path", METADATA)
@pytest.mark.attack(actor=AUTHOR, finding=(15,))
def test_patch_of_another_object(installed: Installed, worker: Client, kind: str, path: str) -> None:
    """Only what a change adds is judged: an object that had it before can still be patched."""
    decision = claim.CLAIM[path]
    admin, field = installed.plane.admin, path.removeprefix("metadata.")
    change = {"metadata": {field: decision.example}}
    for namespace in (UNFENCED, TASKS):
        there = made(kind, namespace, f"{kind}-{field}".lower())
        admin.create(there)
        said = refusal(partial(patch, worker, there, change))
        assert (said == "") if namespace == UNFENCED else (decision.key in said)
        patch(admin, there, change)
        if field != "ownerReferences":  # of which the garbage collector sees that the owner is not there
            patch(admin, there, change, dry_run=False)
            patch(worker, there, {"metadata": {"labels": {"seen": "x"}}})
        patch(admin, there, {"metadata": {"finalizers": None}}, dry_run=False)
        admin.delete(there)


def patch(client: Client, manifest: Object, change: Any, *, dry_run: bool = True) -> None:
    """A merge patch, which custom resources take, too."""
    query = {"dryRun": "All"} if dry_run else {}
    client.request("PATCH", client.path(manifest), change, query=query, type_="application/merge-patch+json")


def missing(client: Client, manifest: Object) -> bool:
    try:
        client.get(manifest)
    except Refused as error:
        return error.status == 404
    return False


# Volumes of the cluster


#: Less than other tests' claims without a class ask for: the controller would bind these.
SMALL = "16Mi"


def free_volume(installed: Installed, name: str, **spec: Any) -> None:
    """A volume that nobody uses."""
    installed.plane.admin.apply(
        {
            "apiVersion": "v1",
            "kind": "PersistentVolume",
            "metadata": {"name": name, "labels": {"volume": name}},
            "spec": {
                "capacity": {"storage": SMALL},
                "accessModes": ["ReadWriteOnce"],
                "nfs": {"server": "10.0.0.7", "path": "/payroll"},
                **spec,
            },
        }
    )


#: How an author could use it: the claim's spec, and its annotations.
FREE: dict[str, tuple[dict[str, Any], dict[str, str]]] = {
    "by name": ({"volumeName": "free-by-name", "storageClassName": ""}, {}),
    "by selector": (
        {"selector": {"matchLabels": {"volume": "free-by-selector"}}, "storageClassName": ""},
        {},
    ),
    "without a class": ({"storageClassName": ""}, {}),
    "by class": ({"storageClassName": "free-by-class"}, {}),
    "by annotation": ({}, {"volume.beta.kubernetes.io/storage-class": "free-by-annotation"}),
    "by empty annotation": ({}, {"volume.beta.kubernetes.io/storage-class": ""}),
}


@pytest.mark.parametrize("how", FREE)
@pytest.mark.attack(actor=AUTHOR)
def test_free_volume_of_the_cluster(installed: Installed, worker: Client, how: str) -> None:
    """The controller binds it, and whoever may mount the claim reads it."""
    name = f"free-{how.replace(' ', '-')}"
    named = how in ("by class", "by annotation")
    free_volume(installed, name, **({"storageClassName": name} if named else {}))
    spec, annotations = FREE[how]

    def stealing(namespace: str) -> Object:
        found = made("PersistentVolumeClaim", namespace, name, annotations=annotations)
        found["spec"].update(spec, resources={"requests": {"storage": SMALL}})
        return found

    said = refusal(lambda: worker.create(stealing(TASKS)))
    assert re.search(r"\((tasks\.admission\.(storageClasses|annotations)|no value allows this)\)", said), said
    worker.create(stealing(UNFENCED))
    admin = installed.plane.admin

    def bound() -> bool:
        return bool(admin.get(stealing(UNFENCED)).get("status", {}).get("phase") == "Bound")

    wait_until(bound, 180, "the volume is the author's")
    volume = {"apiVersion": "v1", "kind": "PersistentVolume", "metadata": {"name": name}}
    for each in (stealing(UNFENCED), volume):
        admin.delete(each)
        wait_until(partial(missing, admin, each), 60, "gone, so that no other claim gets it")


@pytest.mark.attack(actor=AUTHOR)
def test_claims_of_the_values(installed: Installed, worker: Client) -> None:
    """What tasks.claims and tasks.binds name, the authors cannot delete or replace; others they can."""
    admin = installed.plane.admin
    for namespace in (UNFENCED, TASKS):
        for name in ("of-the-values", "of-an-author"):
            there = made("PersistentVolumeClaim", namespace, name)
            taken = refusal(partial(worker.create, there, dry_run=True))
            admin.create(there)
            kept = refusal(partial(worker.delete, there))
            if (namespace, name) == (TASKS, "of-the-values"):
                for said in (taken, kept):
                    assert "claim of-the-values, which tasks.claims or tasks.binds uses" in said
                    assert "tasks.admission.exemptUsers" in said
                admin.delete(there)
            else:
                assert taken == kept == ""


# To whom it does not apply


def test_administrators_and_controllers(control_plane: ControlPlane, installed: Installed) -> None:
    """Whoever may do it in every namespace: here somebody's operator, with one right more than a worker."""
    group = "rbac.authorization.k8s.io"
    rule = {"apiGroups": ["example.com"], "resources": ["widgets"], "verbs": ["create"]}
    role = {"apiVersion": f"{group}/v1", "metadata": {"name": "widget-operator"}}
    reference = {"apiGroup": group, "kind": "ClusterRole", "name": "widget-operator"}
    operators = {
        "everywhere": [{"kind": "ServiceAccount", "name": "operator", "namespace": "widgets"}],
        "here": [{"kind": "ServiceAccount", "name": "helper", "namespace": "widgets"}],
    }
    admin = control_plane.admin
    admin.apply({**role, "kind": "ClusterRole", "rules": [rule]})
    admin.apply(
        {**role, "kind": "ClusterRoleBinding", "roleRef": reference, "subjects": operators["everywhere"]}
    )
    here = {"apiVersion": f"{group}/v1", "metadata": {"name": "widget-helper", "namespace": TASKS}}
    admin.apply({**here, "kind": "RoleBinding", "roleRef": reference, "subjects": operators["here"]})
    widget = made("Widget", TASKS, finalizers=["example.com/x"])
    for account, held in (("operator", ""), ("helper", "tasks.admission.controllers")):
        client = control_plane.service_account("widgets", account)
        wait_until(partial(client.may, "create", "widgets", TASKS, group="example.com"), 60, "the right")
        said = refusal(partial(client.create, widget, dry_run=True))
        assert held in said
        assert bool(held) == bool(said)
    admin.create(widget, dry_run=True)
    static = made("PersistentVolumeClaim", TASKS)
    static["spec"].update(volumeName="theirs", storageClassName="")
    admin.create(static, dry_run=True)


def test_claim_of_an_ephemeral_volume(control_plane: ControlPlane, installed: Installed) -> None:
    """Kubernetes' controller creates it with an owner."""
    pod = kpo_pod(installed.manifests)
    pod["metadata"]["name"] = "with-volume"
    template = {"metadata": {}, "spec": claim.PROPER}
    pod["spec"]["volumes"] = [{"name": "data", "ephemeral": {"volumeClaimTemplate": template}}]
    installed.worker.create(pod)
    wanted = made("PersistentVolumeClaim", TASKS, "with-volume-data")
    wait_until(lambda: not missing(control_plane.admin, wanted), 60, "the claim is there")
    control_plane.admin.delete(pod)


def test_exempt_users(control_plane: ControlPlane, installed: Installed) -> None:
    """tasks.admission.exemptUsers may do all, tasks.admission.controllers only what concerns metadata."""
    group = "rbac.authorization.k8s.io"
    subjects = [{"apiGroup": group, "kind": "User", "name": name} for name in ("debugger", "controller")]
    role = {"apiVersion": f"{group}/v1", "metadata": {"name": "edits", "namespace": TASKS}}
    rules = [{"apiGroups": [""], "resources": ["persistentvolumeclaims"], "verbs": ["create"]}]
    control_plane.admin.apply({**role, "kind": "Role", "rules": rules})
    reference = {"apiGroup": group, "kind": "Role", "name": "edits"}
    control_plane.admin.apply({**role, "kind": "RoleBinding", "roleRef": reference, "subjects": subjects})
    owned = made("PersistentVolumeClaim", TASKS, finalizers=["example.com/x"])
    static = made("PersistentVolumeClaim", TASKS)
    static["spec"]["volumeName"] = "theirs"
    for name, held in (("debugger", False), ("controller", True)):
        client = control_plane.user(name)
        wait_until(partial(client.may, "create", "persistentvolumeclaims", TASKS), 60, "the right")
        client.create(owned, dry_run=True)
        assert ("no value allows this" in refusal(partial(client.create, static, dry_run=True))) == held


# The rules


def test_each_rule_is_needed(control_plane: ControlPlane, installed: Installed) -> None:
    """Copies of the policy, each without one rule, over namespaces of their own: its attacks work there."""
    admin = control_plane.admin
    policy = admin.get(POLICY)
    variables = [each["name"] for each in policy["spec"]["variables"] if "tasks." in each["expression"]]
    variables += [each["name"] for each in policy["spec"]["variables"] if NO_VALUE in each["expression"]]
    weak: dict[str, str] = {}
    for rule in sorted({*variables} - {"problems"}):
        name = weak[rule] = f"objects-{rule.lower()}"
        part = {"metadata": {"name": name}, "spec": copy.deepcopy(policy["spec"])}
        conditions = part["spec"]["matchConditions"]
        # The administrator of these tests is not exempt.
        part["spec"]["matchConditions"] = [each for each in conditions if "exempt" in each["name"]]
        for variable in part["spec"]["variables"]:
            if variable["name"] == rule:
                variable["expression"] = "[]"
        make_namespace(control_plane, name, {name: "x"})
        admin.create({**POLICY, **part})
        scope = {"namespaceSelector": {"matchLabels": {name: "x"}}}
        binding = {"policyName": name, "validationActions": ["Deny"], "matchResources": scope}
        admin.create(
            {**POLICY, "kind": f"{POLICY['kind']}Binding", "metadata": part["metadata"], "spec": binding}
        )
        probe = made("Job" if rule != "jobs" else "Widget", name, finalizers=["example.com/x"])
        if rule == "objectFinalizers":
            probe = made("Job", name, labels={"example.com/x": "y"})
        wait_until(
            partial(refusal, partial(admin.create, probe, dry_run=True)), 60, f"the fence without {rule}"
        )
    assert len(weak) >= 9
    attacks: list[Callable[[str], Object]] = [
        partial(changed, kind, path, OBJECTS[kind][path].example)
        for kind, path in CASES
        if OBJECTS[kind][path].key and control_plane.version >= OBJECTS[kind][path].since
    ]
    attacks.append(lambda namespace: made("PersistentVolumeClaim", namespace, "of-the-values"))

    def works(attack: Callable[[str], Object], namespace: str) -> bool:
        return not refusal(lambda: admin.create(attack(namespace), dry_run=True))

    idle = [rule for rule, name in weak.items() if not any(works(attack, name) for attack in attacks)]
    assert not idle, "no attack gets through without them"


def test_without_such_rights_there_is_no_policy(installed: Installed) -> None:
    """The policy judges exactly the objects that the worker may create."""
    judged = {
        (group, resource)
        for rule in installed.plane.admin.get(POLICY)["spec"]["matchConstraints"]["resourceRules"]
        if "resourceNames" not in rule  # the pod by which workers recognise the policy
        for group in rule["apiGroups"]
        for resource in rule["resources"]
    }
    pods = {("", "pods"), ("", "pods/exec"), ("", "pods/attach"), ("coordination.k8s.io", "leases")}
    created = {
        (group, resource) for group, resource, verb in installed.worker.rights(TASKS) if verb == "create"
    }
    assert judged == created - pods


def test_list_in_the_docs() -> None:
    """One line for each answer."""
    rows: dict[str, list[str]] = {}
    for kind, path in CASES:
        one = OBJECTS[kind][path]
        how = "admitted" if one.verdict == "allowed" else f"by `{one.key}`"
        how = "rejected" if one.key == NO_VALUE else how
        rows.setdefault(how, []).append(f"{kind} {path.removeprefix('spec.')}")
    expected = "\n".join(f"- {how}: {', '.join(sorted(names))}" for how, names in sorted(rows.items()))
    found = re.search(r"<!-- objects.*?-->\n(.*?)\n?<!-- end of objects -->", DOCS.read_text(), re.S)
    assert found
    assert found[1].strip() == expected, f"docs/task-namespace.md should have:\n{expected}"
