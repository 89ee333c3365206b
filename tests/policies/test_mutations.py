"""Every weakening anywhere in the chart is caught by name, and every policy catches one."""

from __future__ import annotations

import json
import random
import zlib
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import pytest

from scripts.chart import Manifest, Manifests
from scripts.lint.model import DIND_VARIANT
from scripts.lint.policies import BY_ID
from tests.policies import mutations
from tests.policies.judge import Judge
from tests.policies.mutations import alone, mutants, together
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
#: Into how many tests the objects of all scenarios are divided, which run side by side.
PARTS = 6


def objects(part: int) -> list[Manifest]:
    """The different objects of all scenarios, each in one part."""
    found = {json.dumps(manifest.raw): manifest for scenario in ALL for manifest in scenario.render()}
    return [manifest for text, manifest in found.items() if zlib.crc32(text.encode()) % PARTS == part]


@pytest.mark.parametrize("part", range(PARTS))
def test_every_weakening_of_an_object_is_caught(
    part: int, record_mutants: Callable[[int, int], None]
) -> None:
    """Whose harm shows in the object itself, whatever the release."""
    count, survivors = 0, []
    for manifest in objects(part):
        judge = Judge(Manifests((manifest,)))
        harmless = HARMLESS.get(manifest.annotations.get(DIND_VARIANT, ""), ())
        for mutant in alone(manifest):
            if not mutant.mutator.startswith(harmless):
                count += 1
                if not judge.catching(mutant):
                    survivors.append(f"{mutant.mutator} in {mutant.place}")
    record_mutants(count - len(survivors), count)
    assert not survivors, "\n".join(survivors)


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_every_weakening_of_a_release_is_caught(
    scenario: Scenario, record_mutants: Callable[[int, int], None]
) -> None:
    """Whose harm shows beside the other objects."""
    judge = Judge(scenario.render())
    count, survivors = 0, []
    for mutant in together(judge.manifests):
        if scenario.name in UNFENCED and mutant.mutator in mutations.NETWORK:
            continue
        count += 1
        if not judge.catching(mutant):
            survivors.append(f"{mutant.mutator} in {mutant.place}")
    record_mutants(count - len(survivors), count)
    assert not survivors, "\n".join(survivors)


@pytest.mark.parametrize("scenario", random.Random(14).sample(ALL, 10), ids=str)
def test_asking_the_concerned_policies_misses_nothing(scenario: Scenario) -> None:
    """What the judge finds by asking a few policies is what all of them find, on a sample."""
    chance = random.Random(14)
    judge = Judge(scenario.render())
    every = [*mutants(judge.manifests)]
    network = [mutant for mutant in every if mutant.mutator in mutations.NETWORK]
    sample = [*chance.sample(every, 40), *chance.sample(network, min(10, len(network)))]
    for mutant in sample:
        for accepted in (False, True):
            found, wanted = (ask(mutant, accepted=accepted) for ask in (judge.catching, judge.in_full))
            assert found == wanted, f"{scenario}: {mutant.mutator} in {mutant.place}"


def test_every_policy_is_needed() -> None:
    """Each catches a mutant of the covering scenarios, and no two catch the same mutators."""
    kills: dict[str, set[str]] = defaultdict(set)
    for name in COVERING:
        judge = Judge(BY_NAME[name].render())
        for mutant in mutants(judge.manifests):
            for policy in judge.catching(mutant, accepted=True):
                kills[policy].add(mutant.mutator)
    idle = sorted(set(BY_ID) - set(kills))
    assert not idle, f"no mutant needs these policies: {idle}"
    by_kills: dict[frozenset[str], set[str]] = defaultdict(set)
    for policy, caught in kills.items():
        by_kills[frozenset(caught)].add(policy)
    same = [sorted(policies) for policies in by_kills.values() if len(policies) > 1]
    assert not same, "merge them: they catch the same mutants"


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
