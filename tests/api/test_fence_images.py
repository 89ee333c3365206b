"""The rule for images: the table of all implementations, on the API server."""

from __future__ import annotations

import pytest

from scripts.chart import render
from tests.api.attacks import Pod, base
from tests.api.conftest import Installed, make_namespace
from tests.api.control_plane import ControlPlane
from tests.api.fence import POLICY, refusal
from tests.api.pods import kpo_pod
from tests.support.attacks import AUTHOR
from tests.support.image_references import CASES
from tests.support.waiting import wait_until

ENTRIES = tuple(dict.fromkeys(entry for entry, _, _ in CASES if entry))


@pytest.fixture(scope="module")
def namespaces(control_plane: ControlPlane, installed: Installed) -> dict[str, str]:
    """A namespace for each entry, with a policy of nothing but the rule: entry -> namespace."""
    admin, found = control_plane.admin, {}
    for number, entry in enumerate(ENTRIES):
        name = found[entry] = f"image-entry-{number}"
        rendered = render({"tasks": {"admission": {"images": [entry]}}})
        policy = next(each for each in rendered.all(POLICY["kind"]) if each.name.endswith("task-pods"))
        wanted = ("containers", "volumes", "imageNames", "images")
        variables = [each for each in policy.raw["spec"]["variables"] if each["name"] in wanted]
        validation = {
            "reason": "Forbidden",
            "expression": "variables.images.size() == 0",
            "messageExpression": 'variables.images.join("; ")',
        }
        spec = {**policy.raw["spec"], "variables": variables, "validations": [validation]}
        make_namespace(control_plane, name, {name: "x"})
        admin.create({**POLICY, "metadata": {"name": name}, "spec": spec})
        scope = {"namespaceSelector": {"matchLabels": {name: "x"}}}
        admin.create(
            {
                "apiVersion": POLICY["apiVersion"],
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": name},
                "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": scope},
            }
        )
    return found


def _pod(installed: Installed, namespace: str, image: str) -> Pod:
    pod = kpo_pod(installed.manifests, namespace=namespace)
    base(pod)["image"] = image
    pod["spec"].pop("serviceAccountName", None)
    return pod


@pytest.mark.parametrize("entry", ENTRIES)
@pytest.mark.attack(actor=AUTHOR, finding=(16,))
def test_entry(
    control_plane: ControlPlane, installed: Installed, namespaces: dict[str, str], entry: str
) -> None:
    admin, namespace = control_plane.admin, namespaces[entry]
    if entry != "*":
        held = _pod(installed, namespace, "never.example/admitted:1")
        wait_until(lambda: refusal(lambda: admin.create(held, dry_run=True)), 60, "the rule holds")
    wrong = []
    for one, image, admitted in CASES:
        if one != entry or image != image.strip():  # which the API server itself does not take
            continue
        said = refusal(lambda image=image: admin.create(_pod(installed, namespace, image), dry_run=True))
        if admitted is not (said == ""):
            wrong.append((image, said))
    assert not wrong, f"{entry} should decide otherwise"
