"""The rules of the admission fence: each is needed, and each stops its attacks alone."""

from __future__ import annotations

import copy
from functools import partial
from typing import Any

import pytest

from tests.api.attacks import ATTACKS, POD_SECURITY, Attack
from tests.api.conftest import Installed, make_namespace
from tests.api.control_plane import ControlPlane
from tests.api.fence import POLICY, attempt, by_name
from tests.api.test_fence_updates import UPDATES
from tests.support.waiting import wait_until


def test_expressions_are_well_typed(control_plane: ControlPlane, installed: Installed) -> None:
    """The API server checks validations against the types of what they read, and warns in the status.

    It does not look into variables, so each is made a validation here.
    """
    admin = control_plane.admin
    policy = copy.deepcopy(admin.get(POLICY))
    del policy["status"]
    expressions = [each["expression"] for each in policy["spec"]["variables"]]
    typos = ["object.spec.nodeNam == ''", "oldObject.spec.nodeNam == ''"]
    warned = {}
    for name, checked in {"sound": expressions, "unsound": [*expressions, *typos]}.items():
        policy["metadata"] = {"name": f"types-{name}"}
        policy["spec"]["validations"] = [{"expression": f"type({each}) == type({each})"} for each in checked]
        admin.create(policy)
        wait_until(lambda: "typeChecking" in admin.get(policy).get("status", {}), 60, "checked")
        warned[name] = admin.get(policy)["status"]["typeChecking"].get("expressionWarnings", [])
    assert warned["sound"] == []
    assert len(warned["unsound"]) == len(typos)


def _without(rule: str, policy: Any) -> None:
    for variable in policy["spec"]["variables"]:
        if variable["name"] == rule:
            variable["expression"] = "[]"


@pytest.fixture(scope="module")
def weakened(control_plane: ControlPlane, installed: Installed) -> dict[str, str]:
    """Copies of the fence, each without one part, each over a namespace of its own: part -> namespace.

    A part is a rule, or one line of an expression that adds to what the rules see. Pod Security is off, and
    with it the rule that wants it, so that each attack meets its own rule.
    """
    policy = control_plane.admin.get(POLICY)
    policy["metadata"] = {}
    del policy["status"]
    _without("podSecurity", policy)
    copies = {"": policy}
    counted = ("problems", "parts")  # test_size_of_a_pod and test_every_rule_has_an_attack see to them
    for number, variable in enumerate(policy["spec"]["variables"]):
        if variable["name"] in {attack.rule for attack in ATTACKS}:
            copies[variable["name"]] = copy.deepcopy(policy)
            _without(variable["name"], copies[variable["name"]])
        lines = variable["expression"].splitlines()
        for line in range(len(lines)):
            if lines[line].strip().startswith("+ ") and variable["name"] not in counted:
                part = f"{variable['name']}: {lines[line].strip()}"
                copies[part] = copy.deepcopy(policy)
                fewer = [*lines[:line], _closing(lines[line]), *lines[line + 1 :]]
                copies[part]["spec"]["variables"][number]["expression"] = "\n".join(fewer)
    namespaces = {}
    for number, (part, weak) in enumerate(copies.items()):
        name = namespaces[part] = f"weakened-{number}"
        admin = control_plane.admin
        make_namespace(control_plane, name, {name: "x"})
        for account in ("airdock-task", "privileged"):
            metadata = {"name": account, "namespace": name}
            admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        admin.create({**weak, "metadata": {"name": name}})
        scope = {"namespaceSelector": {"matchLabels": {name: "x"}}}
        admin.create(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": name},
                "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": scope},
            }
        )
    spoofing = next(attack for attack in ATTACKS if attack.rule == "labels")
    other = next(attack for attack in ATTACKS if attack.rule == "nodeName")
    for part, name in namespaces.items():
        held = partial(attempt, control_plane.admin, installed, other if part == "labels" else spoofing, name)
        wait_until(held, 60, f"the fence without {part!r} holds")
    return namespaces


def _closing(line: str) -> str:
    """What has to stay of a removed line: the end of an expression that begins above it."""
    return line[line.index(" != ") :] if line.count(")") > line.count("(") else ""


@by_name(tuple(attack for attack in ATTACKS if attack.rule != POD_SECURITY))
def test_each_rule_stops_its_attacks_alone(
    control_plane: ControlPlane, installed: Installed, weakened: dict[str, str], attack: Attack
) -> None:
    said = attempt(control_plane.admin, installed, attack, weakened[""])
    assert attack.says in said
    assert "Airdock release" in said
    said = attempt(control_plane.admin, installed, attack, weakened[attack.rule])
    if "appArmorProfile" in attack.name and control_plane.version < (1, 34):
        # The API server writes an annotation with the same profile, which has a rule of its own.
        assert "annotation container.apparmor" in said
        assert attack.says not in said
    else:
        assert said == ""


def test_each_line_is_needed(
    control_plane: ControlPlane, installed: Installed, weakened: dict[str, str]
) -> None:
    lines = [part for part in weakened if ":" in part]
    known = [attack for attack in _of_fence() if control_plane.version >= attack.since]
    assert len(lines) >= 12
    if control_plane.version < (1, 31):
        lines = [part for part in lines if "image" not in part]
    idle = [
        part
        for part in lines
        if all(attempt(control_plane.admin, installed, attack, weakened[part]) for attack in known)
    ]
    assert not idle, "no attack gets through without them"


def _of_fence() -> list[Attack]:
    return [attack for attack in ATTACKS if attack.rule != POD_SECURITY]


def test_every_rule_has_an_attack(control_plane: ControlPlane, installed: Installed) -> None:
    variables = control_plane.admin.get(POLICY)["spec"]["variables"]
    rules = {
        each["name"] for each in variables if "map(" in each["expression"] and "(tasks." in each["expression"]
    }
    rules |= {each["name"] for each in variables if "(no value allows this)" in each["expression"]}
    tested = {attack.rule for attack in ATTACKS} | set(UPDATES) | {"ephemeralContainers", "podSecurity"}
    # The size, of test_size_of_a_pod; the label, of test_fence_gateways.py.
    tested |= {"problems", "gateway"}
    assert rules <= tested
