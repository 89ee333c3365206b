"""Runs the policies over manifests."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from scripts.chart import Manifests
from scripts.lint.accepted import ACCEPTED
from scripts.lint.model import SEVERITIES, Acceptance, Finding, Policy
from scripts.lint.policies import POLICIES


def findings(
    manifests: Manifests,
    policies: Iterable[Policy] = POLICIES,
    accepted: Iterable[Acceptance] = ACCEPTED,
) -> list[Finding]:
    """All that breaks a policy, the gravest first; each with the acceptance that covers it, if any."""
    order = {severity: number for number, severity in enumerate(SEVERITIES)}
    return sorted(_findings(manifests, policies, tuple(accepted)), key=lambda f: order[f.policy.severity])


def _findings(
    manifests: Manifests, policies: Iterable[Policy], accepted: tuple[Acceptance, ...]
) -> Iterator[Finding]:
    for policy in policies:
        for manifest, found in policy.check(manifests):
            covers = [entry for entry in accepted if entry.covers(policy, manifest, found)]
            cover = next((entry for entry in covers if not entry.expired), None)
            yield Finding(policy, manifest, found, cover, None if cover else next(iter(covers), None))
