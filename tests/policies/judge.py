"""Says which policies catch a mutant: those that read what it changes are asked, no others.

For each policy it is written down once what it reads of an object or a release (reads.py). `in_full` asks
every policy, and test_mutations.py compares both on a sample.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any

from scripts.chart import Manifest, Manifests
from scripts.lint import reach
from scripts.lint.accepted import ACCEPTED
from scripts.lint.model import Found, Policy
from scripts.lint.policies import POLICIES
from scripts.lint.reach import Endpoint
from tests.policies import mutations
from tests.policies.mutations import Mutant
from tests.policies.reads import ANY_KIND, Log, Read, Watched, WatchedManifests, changes, watched

#: Not a policy but a contract of the chart: who may talk to whom (test_docs.test_flows_are_exact).
FLOWS = "flows"
PORTS = (8080, 8793, 8794, 5432, 6379, 2375)
STRANGER = Endpoint("elsewhere", {"app": "other"}, "10.1.2.3")

OBJECT_POLICIES = tuple(policy for policy in POLICIES if policy.check_object)
RELEASE_POLICIES = tuple(policy for policy in POLICIES if policy.check_release)
ACCEPTED_OF = {policy.id: [one for one in ACCEPTED if one.policy == policy.id] for policy in POLICIES}

#: What is wrong, and whether nothing accepts it.
Wrong = tuple[str, str, Found, bool]
#: (source, target, port); pods by their place in the release, the stranger after them.
Flow = tuple[int, int, int]


def _wrong(policy: Policy, manifest: Manifest, found: Found) -> Wrong:
    is_open = not any(acceptance.covers(policy, manifest, found) for acceptance in ACCEPTED_OF[policy.id])
    return policy.id, str(manifest), found, is_open


def _of_object(policy: Policy, manifest: Manifest) -> frozenset[Wrong]:
    """What is wrong with an object by itself."""
    return frozenset(_wrong(policy, manifest, found) for found in policy.check_object(manifest))  # type: ignore[misc]


def _of_release(policy: Policy, manifests: Manifests) -> frozenset[Wrong]:
    return frozenset(_wrong(policy, *pair) for pair in policy.check_release(manifests))  # type: ignore[misc]


def _ends(manifests: Manifests) -> list[Endpoint]:
    return [*(reach.endpoint(manifest, pod) for manifest, pod in manifests.pods), STRANGER]


def _sent(source: int, manifests: Manifests) -> frozenset[Flow]:
    """What a pod's own policies let it open."""
    ends = _ends(manifests)
    return frozenset(
        (source, target, port)
        for target, end in enumerate(ends[:-1])
        for port in PORTS
        if source != target and reach.allowed(manifests, ends[source], end, port, "Egress")
    )


def _received(target: int, manifests: Manifests) -> frozenset[Flow]:
    """What a pod's own policies let others open."""
    ends = _ends(manifests)
    return frozenset(
        (source, target, port)
        for source, end in enumerate(ends)
        for port in PORTS
        if source != target and reach.allowed(manifests, ends[target], end, port, "Ingress")
    )


@dataclass
class _Asked:
    """Questions about one thing, with their answers, and which of them read what."""

    answers: dict[object, frozenset[Any]]
    readers: dict[Read, list[object]]

    @classmethod
    def of(cls, questions: Iterable[object], ask: Callable[[object], frozenset[Any]], log: Log) -> _Asked:
        """Ask each of them about something that is watched by the log."""
        answers, readers = {}, defaultdict(list)
        for question in questions:
            log.reads = set()
            answers[question] = ask(question)
            for read in log.reads:
                readers[read].append(question)
        return cls(answers, readers)

    def concerned(self, changed: Iterable[Read]) -> set[Any]:
        """Whose answer may be another one after a change."""
        return {question for read in changed for question in self.readers.get(read, ())}


class Judge:
    """Judges the mutants of one release."""

    def __init__(self, manifests: Manifests):
        self.manifests = manifests
        self._log = Log()
        self._watched: dict[int, Watched] = {
            id(manifest): watched(manifest.raw, self._log) for manifest in manifests
        }
        self._objects: dict[int, _Asked] = {}
        self._policies: _Asked | None = None
        self._ways: _Asked | None = None

    def catching(self, mutant: Mutant, *, accepted: bool = False) -> set[str]:
        """The policies; with ``accepted`` all that see it, even if what they see is accepted by name.

        Without, one policy is enough, and those that look at the whole release are asked last.
        """
        changed = self._changed(mutant)
        found = _names(self._new_in_object(mutant, changed), accepted)
        if mutant.wide and (accepted or not found):
            release = mutant.apply(self.manifests)
            found |= _names(self._new_in_release(release, changed), accepted)
            if mutant.mutator in mutations.NETWORK and not found and self._new_flows(release, changed):
                found.add(FLOWS)
        return found

    def in_full(self, mutant: Mutant, *, accepted: bool = False) -> set[str]:
        """The same by asking all of them about everything."""
        old, new = ([thing] if thing else [] for thing in (mutant.old, mutant.new))
        before, after = (
            {wrong for policy in OBJECT_POLICIES for thing in things for wrong in _of_object(policy, thing)}
            for things in (old, new)
        )
        found = _names(after - before, accepted)
        if mutant.wide and (accepted or not found):
            release = mutant.apply(self.manifests)
            before, after = (
                {wrong for policy in RELEASE_POLICIES for wrong in _of_release(policy, manifests)}
                for manifests in (self.manifests, release)
            )
            found |= _names(after - before, accepted)
            if mutant.mutator in mutations.NETWORK and not found and _flows(release) - _flows(self.manifests):
                found.add(FLOWS)
        return found

    def _changed(self, mutant: Mutant) -> set[Read]:
        old, new = mutant.old, mutant.new
        found: set[Read] = set(changes(self._watched[id(old)], new.raw)) if old and new else set()  # type: ignore[arg-type]
        kinds = {thing.kind if thing else None for thing in (old, new)}
        return found | ({("kind", kind) for kind in kinds} | {ANY_KIND} if len(kinds) > 1 else set())

    def _new_in_object(self, mutant: Mutant, changed: set[Read]) -> set[Wrong]:
        if mutant.new is None:
            return set()
        if mutant.old is None:
            return {wrong for policy in OBJECT_POLICIES for wrong in _of_object(policy, mutant.new)}
        key = id(mutant.old)
        if key not in self._objects:
            raw = self._watched[key]
            # A manifest for each policy: it keeps what was read of it.
            self._objects[key] = _Asked.of(
                OBJECT_POLICIES, lambda policy: _of_object(policy, Manifest(raw)), self._log
            )
        asked = self._objects[key]
        return {
            wrong
            for policy in asked.concerned(changed)
            for wrong in _of_object(policy, mutant.new) - asked.answers[policy]
        }

    def _release(self) -> WatchedManifests:
        """The release, watched, for one question."""
        documents = tuple(
            Manifest(self._watched[id(manifest)], manifest.source) for manifest in self.manifests
        )
        return WatchedManifests(documents, log=self._log)

    def _new_in_release(self, release: Manifests, changed: set[Read]) -> set[Wrong]:
        asked = self._policies = self._policies or _Asked.of(
            RELEASE_POLICIES, lambda policy: _of_release(policy, self._release()), self._log
        )
        return {
            wrong
            for policy in asked.concerned(changed)
            for wrong in _of_release(policy, release) - asked.answers[policy]
        }

    def _new_flows(self, release: Manifests, changed: set[Read]) -> frozenset[Flow]:
        asked = self._ways = self._ways or _Asked.of(
            _ways(self.manifests), lambda way: way[0](way[1], self._release()), self._log
        )
        now = asked.answers | {way: way[0](way[1], release) for way in asked.concerned(changed)}
        return _connected(now) - _connected(asked.answers)


def _names(wrongs: Iterable[Wrong], accepted: bool) -> set[str]:
    return {policy for policy, _, _, is_open in wrongs if is_open or accepted}


def _ways(manifests: Manifests) -> list[tuple[Callable[[int, Manifests], frozenset[Flow]], int]]:
    """A question for each pod and direction; a stranger sends, too."""
    count = len(manifests.pods)
    return [*((_sent, number) for number in range(count + 1)), *((_received, n) for n in range(count))]


def _connected(answers: dict[Any, frozenset[Flow]]) -> frozenset[Flow]:
    """What both sides allow."""
    sent, received = (
        frozenset(flow for way, flows in answers.items() if way[0] is side for flow in flows)
        for side in (_sent, _received)
    )
    return sent & received


def _flows(manifests: Manifests) -> frozenset[Flow]:
    return _connected({way: way[0](way[1], manifests) for way in _ways(manifests)})
