"""Every weakening anywhere in the chart is caught by name, and every policy catches one."""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable
from functools import cache
from typing import Any

import pytest

from scripts.chart import Manifest, Manifests, freeze
from scripts.lint import reach
from scripts.lint.accepted import ACCEPTED
from scripts.lint.model import DIND_VARIANT, Found, Policy
from scripts.lint.policies import BY_ID, POLICIES
from scripts.lint.reach import Endpoint
from tests.policies import mutations
from tests.policies.mutations import Mutant, alone, mutants, together
from tests.policies.scenarios import ALL, BY_NAME
from tests.render.scenarios import Scenario

#: What weakens nothing in a variant of mode dind, by its name: a daemon that is not `privileged` needs
#: escalation all the same, and Pod Security lets pods with a user namespace run as root.
HARMLESS: dict[str, tuple[str, ...]] = {
    "sysbox": ("privilege escalation",),
    "userNamespace": ("privilege escalation", "runAsNonRoot", "pod runAsNonRoot"),
}
#: Scenarios whose network is open by the user's wish: nothing there can be opened further.
UNFENCED = {scenario.name for scenario in ALL if not scenario.effective["networkPolicy"]["enabled"]}
#: Between them these have everything that the chart can render.
COVERING = ("modes", "fab-ingress", "maximal")
#: Not a policy but a contract of the chart: who may talk to whom (test_docs.test_flows_are_exact).
FLOWS = "flows"

OBJECT_POLICIES = tuple(policy for policy in POLICIES if policy.check_object)
RELEASE_POLICIES = tuple(policy for policy in POLICIES if policy.check_release)

ACCEPTED_OF = {policy.id: [one for one in ACCEPTED if one.policy == policy.id] for policy in POLICIES}

#: What is wrong, and whether nothing accepts it.
Wrong = tuple[str, str, Found, bool]


def _wrong(policy: Policy, manifest: Manifest, found: Found) -> Wrong:
    is_open = not any(acceptance.covers(policy, manifest, found) for acceptance in ACCEPTED_OF[policy.id])
    return policy.id, str(manifest), found, is_open


def _of_object(manifest: Manifest) -> frozenset[Wrong]:
    """What is wrong with an object by itself."""
    return frozenset(
        _wrong(policy, manifest, found)
        for policy in OBJECT_POLICIES
        for found in policy.check_object(manifest)  # type: ignore[misc]
    )


def _of_release(manifests: Manifests) -> frozenset[Wrong]:
    return frozenset(
        _wrong(policy, manifest, found)
        for policy in RELEASE_POLICIES
        for manifest, found in policy.check_release(manifests)  # type: ignore[misc]
    )


def _flows(manifests: Manifests) -> set[tuple[str, str, int]]:
    pods = {str(manifest): reach.endpoint(manifest, pod) for manifest, pod in manifests.pods}
    outside = {"stranger": Endpoint("elsewhere", {"app": "other"}, "10.1.2.3")}
    return {
        (source, target, port)
        for source, start in {**pods, **outside}.items()
        for target, end in pods.items()
        for port in (8080, 8793, 8794, 5432, 6379, 2375)
        if source != target and reach.connects(manifests, start, end, port)
    }


class Judge:
    """Says which policies catch a mutant of one release."""

    def __init__(self, manifests: Manifests):
        self.manifests = manifests
        self._release = _of_release(manifests)
        self._flows = _flows(manifests)
        self._objects = {id(manifest): _of_object(manifest) for manifest in manifests}

    def catching(self, mutant: Mutant, *, accepted: bool = False) -> set[str]:
        """The policies; with ``accepted`` all that see it, even if what they see is accepted by name.

        Without, one policy is enough, and those that look at the whole release are asked last.
        """
        before = self._objects[id(mutant.old)] if mutant.old else frozenset()
        after = _of_object(mutant.new) if mutant.new else frozenset()
        found = {policy for policy, _, _, is_open in after - before if is_open or accepted}
        if mutant.wide and (accepted or not found):
            changed = mutant.apply(self.manifests)
            found |= {p for p, _, _, is_open in _of_release(changed) - self._release if is_open or accepted}
            if mutant.mutator in mutations.NETWORK and not found and _flows(changed) - self._flows:
                found.add(FLOWS)
        return found


@cache
def _alone(text: str) -> tuple[int, tuple[str, ...]]:
    """How many mutants an object has by itself, and which nothing catches. Releases share objects."""
    manifest = Manifest(freeze(json.loads(text)))
    judge = Judge(Manifests((manifest,)))
    harmless = HARMLESS.get(manifest.annotations.get(DIND_VARIANT, ""), ())
    weakening = [mutant for mutant in alone(manifest) if not mutant.mutator.startswith(harmless)]
    caught = [(mutant, bool(judge.catching(mutant))) for mutant in weakening]
    return len(caught), tuple(f"{mutant.mutator} in {mutant.place}" for mutant, done in caught if not done)


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_every_weakening_is_caught(scenario: Scenario, record_mutants: Callable[[int, int], None]) -> None:
    judge = Judge(scenario.render())
    count = 0
    survivors: list[str] = []
    for manifest in judge.manifests:
        number, left = _alone(json.dumps(manifest.raw))
        count += number
        survivors += left
    for mutant in together(judge.manifests):
        if scenario.name in UNFENCED and mutant.mutator in mutations.NETWORK:
            continue
        count += 1
        if not judge.catching(mutant):
            survivors.append(f"{mutant.mutator} in {mutant.place}")
    record_mutants(count - len(survivors), count)
    assert not survivors, "\n".join(survivors)


@cache
def _kill_sets() -> dict[str, set[str]]:
    """By policy: the mutators that it catches, over the covering scenarios."""
    kills: dict[str, set[str]] = defaultdict(set)
    for name in COVERING:
        judge = Judge(BY_NAME[name].render())
        for mutant in mutants(judge.manifests):
            for policy in judge.catching(mutant, accepted=True):
                kills[policy].add(mutant.mutator)
    return kills


def test_every_policy_catches_something() -> None:
    idle = sorted(set(BY_ID) - set(_kill_sets()))
    assert not idle, f"no mutant needs these policies: {idle}"


#: Policies that catch the same mutants, and why they are two.
TWINS: dict[frozenset[str], str] = {}


def test_no_two_policies_are_one() -> None:
    by_kills: dict[frozenset[str], set[str]] = defaultdict(set)
    for policy, kills in _kill_sets().items():
        by_kills[frozenset(kills)].add(policy)
    same = {frozenset(policies) for policies in by_kills.values() if len(policies) > 1}
    assert same == set(TWINS), "merge them, or say why they are two"


def test_every_mutator_fits_somewhere() -> None:
    used: set[str] = set()
    for name in COVERING:
        used |= {mutant.mutator for mutant in mutants(BY_NAME[name].render())}
    every: set[str] = {*mutations.CONTAINERS, *mutations.PODS, *mutations.TEMPLATES, *mutations.OBJECTS}
    assert not every - used, f"these change nothing: {sorted(every - used)}"


def test_a_mutant_differs() -> None:
    manifests: Any = BY_NAME["modes"].render()
    for mutant in mutants(manifests):
        if mutant.old and mutant.new:
            assert mutant.old.raw != mutant.new.raw, f"{mutant.mutator} in {mutant.place}"
