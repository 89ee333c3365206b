"""Writes docs/security.md from introduction.md, the policies, and what the chart renders to.

And the rules of docs/lint.md.

python -m scripts.lint.docs            # write them
python -m scripts.lint.docs --check    # exit 1 if they are not what would be written
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from scripts.chart import ROOT, Manifests, render
from scripts.lint import reach
from scripts.lint.accepted import ACCEPTED
from scripts.lint.engine import findings
from scripts.lint.model import SEVERITIES, Finding, Policy, mode_of
from scripts.lint.policies import POLICIES
from scripts.lint.reach import Endpoint
from scripts.lint.report import SCHEMA_RULE

PAGE = ROOT / "docs" / "security.md"
RULES = ROOT / "docs" / "lint.md"
_BEGIN, _END = "<!-- begin: written by `make docs` from scripts/lint/policies -->\n", "<!-- end -->\n"
#: The three modes side by side.
VALUES: dict[str, Any] = {
    "workers": {
        "default": {"mode": "kubernetes", "queues": ["default"]},
        "dind": {"mode": "dind", "queues": ["dind"]},
        "socket": {"mode": "socket", "queues": ["socket"], "socket": {"gid": 999}},
    }
}
MODES = {"": "control plane, data", "kubernetes": "kubernetes", "dind": "dind", "socket": "socket"}
INTRODUCTION = (Path(__file__).parent / "introduction.md").read_text()


def page() -> str:
    """The whole page."""
    manifests = render(VALUES)
    found = findings(manifests)
    if left := [finding for finding in found if not finding.accepted]:
        raise RuntimeError(f"not satisfied and not accepted: {left[0].policy.id} in {left[0].manifest}")
    sections = [INTRODUCTION, _controls(found), _accepted(found), _conditional(found), _network(manifests)]
    return "\n".join(sections)


def _controls(found: list[Finding]) -> str:
    lines = [
        "## Controls\n",
        "*yes*: every object of the release meets the control; this is not a promise about DAG authors, see",
        "[Who can do what](#who-can-do-what). A number: an [accepted finding](#accepted-findings).",
        f"Standards: {'; '.join(_editions())}.\n",
        f"| control | severity | {' | '.join(MODES.values())} | standards |",
        f"|---|---|{'---|' * len(MODES)}---|",
    ]
    numbers = _numbers(found)
    for policy in _ordered(POLICIES):
        cells = []
        for mode in MODES:
            marks = dict.fromkeys(
                str(numbers[_key(finding)])
                for finding in found
                if finding.policy is policy and mode_of(finding.manifest) == mode
            )
            cells.append(", ".join(marks) or "yes")
        title = f"{policy.title} ([`{policy.id}`](lint.md#{policy.id}))"
        lines.append(f"| {title} | {policy.severity} | {' | '.join(cells)} | {_standards(policy) or '-'} |")
    return "\n".join(lines) + "\n"


def _standards(policy: Policy) -> str:
    return ", ".join(f"{entry.short} {entry.section}" for entry in policy.standards)


def _editions() -> list[str]:
    entries = [standard for policy in POLICIES for standard in policy.standards]
    return list(dict.fromkeys(f"{entry.short} is {entry.name} {entry.edition}" for entry in entries))


def _ordered(policies: Iterable[Policy]) -> list[Policy]:
    return sorted(policies, key=lambda policy: SEVERITIES.index(policy.severity))


def _key(finding: Finding) -> str:
    assert finding.accepted
    return finding.accepted.reason


def _numbers(found: list[Finding]) -> dict[str, int]:
    return {key: number for number, key in enumerate(dict.fromkeys(map(_key, found)), 1)}


def _accepted(found: list[Finding]) -> str:
    lines = ["## Accepted findings\n"]
    for reason, number in _numbers(found).items():
        members = [finding for finding in found if _key(finding) == reason]
        controls = ", ".join(dict.fromkeys(f"`{finding.policy.id}`" for finding in members))
        lines += [f"{number}. {controls}, in {_places(members)}.", f"    {_escaped(reason)}"]
    return "\n".join(lines) + "\n"


def _escaped(text: str) -> str:
    """Text in which Markdown takes `<name>` for no HTML tag."""
    return text.replace("<", "\\<")


def _places(members: list[Finding]) -> str:
    """The objects with their containers: `Deployment api-server (migrate, create-admin)`.

    Of many objects, the names alone.
    """
    places: dict[tuple[str, str], dict[str, None]] = {}
    for finding in members:
        place = finding.manifest.kind, finding.manifest.name.removeprefix("airdock-")
        places.setdefault(place, {})[finding.found.container] = None
    if len(places) > 2:
        return ", ".join(dict.fromkeys(name for _, name in places))
    return ", ".join(
        f"{kind} {name} ({', '.join(filter(None, inside))})" if any(inside) else f"{kind} {name}"
        for (kind, name), inside in places.items()
    )


def _conditional(found: list[Finding]) -> str:
    """Acceptances that these values do not need."""
    used = {(finding.policy.id, _key(finding)) for finding in found}
    others = dict.fromkeys((entry.policy, entry.reason) for entry in ACCEPTED)
    lines = ["These findings occur only with other values, and are accepted too:\n"]
    lines += [
        f"- `{policy}`: {_escaped(reason)}" for policy, reason in others if (policy, reason) not in used
    ]
    return "\n".join(lines) + "\n"


#: Outside the release, as a pod would see it.
WORLD = {
    "the internet": (Endpoint(address="203.0.113.7"), 443),
    "metadata address": (Endpoint(address="169.254.169.254"), 80),
    "the cluster's DNS": (Endpoint("kube-system", {"k8s-app": "kube-dns"}, "10.1.2.4"), 53),
    "another pod of the cluster": (Endpoint("elsewhere", {"app": "other"}, "10.1.2.3"), 8000),
}


def reachability(manifests: Manifests) -> dict[str, dict[str, str]]:
    """By component (worker groups by name), by target: the ports on which it gets through; "" for none.

    Targets are the release's components with the ports that their containers declare, then WORLD.
    """
    pods = {
        (manifest.component if manifest.component != "worker" else f"worker {manifest.group}"): (
            manifest,
            pod,
        )
        for manifest, pod in manifests.pods
    }
    ends = {name: reach.endpoint(manifest, pod) for name, (manifest, pod) in pods.items()}
    for namespace in manifests.all("Namespace"):
        ends["task pods"] = Endpoint(namespace.name, {})
    outside = {name: end for name, (end, _) in WORLD.items() if end.namespace == "elsewhere"}
    table: dict[str, dict[str, str]] = {}
    for source, start in {**ends, **outside}.items():
        row = {}
        for target, end in ends.items():
            declared = (
                [port["containerPort"] for c in pods[target][1].containers for port in c.ports]
                if target in pods
                else []
            )
            ports = [
                port
                for port in (*declared, 2375)
                if source != target and reach.connects(manifests, start, end, port)
            ]
            row[target] = ", ".join(map(str, ports))
        for target, (end, port) in WORLD.items():
            opens = source in ends and reach.allowed(manifests, start, end, port, "Egress")
            row[target] = str(port) if opens else ""
        table[source] = row
    return table


def _network(manifests: Manifests) -> str:
    table = reachability(manifests)
    targets = list(next(iter(table.values())))
    lines = [
        "## Network\n",
        "The ports on which a pod (row) can connect to a target (column). The table is computed from the",
        "NetworkPolicies of a default release. It leaves out the Kubernetes API server (443, 6443), which is",
        "open to pods with a token and to pods that reach the internet.\n",
        "The cluster's network plugin must enforce NetworkPolicies. The cluster that `make up` starts runs",
        "Calico; tests/e2e/test_network.py tries each connection there.\n",
        f"| from | {' | '.join(targets)} |",
        f"|---|{'---|' * len(targets)}",
    ]
    for source, row in table.items():
        lines.append(f"| {source} | {' | '.join(row[target] or '-' for target in targets)} |")
    return "\n".join(lines) + "\n"


def rules(text: str) -> str:
    """docs/lint.md with a paragraph for each rule, to which SARIF links by the rule's name."""
    before, rest = text.split(_BEGIN)
    return before + _BEGIN + "\n".join(_rules()) + "\n" + _END + rest.split(_END)[1]


def _rules() -> Iterable[str]:
    yield "\n## Rules\n"
    yield "[security.md](security.md#controls) has the standards' editions.\n"
    yield f"### {SCHEMA_RULE}\n"
    yield "Objects are valid for Kubernetes. Severity: high.\n"
    yield "The schemas are those of Kubernetes in the version of `--kube-version`. Custom resources are not"
    yield "checked.\n"
    for policy in sorted(POLICIES, key=lambda policy: policy.id):
        yield f"### {policy.id}\n"
        yield f"{policy.title}. Severity: {policy.severity}.\n"
        yield f"Why: {_escaped(policy.why)}\n"
        yield f"Fix: {_escaped(policy.fix)}\n"
        if policy.standards:
            yield f"Standards: {_standards(policy)}.\n"


def main() -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.lint.docs", description=__doc__)
    parser.add_argument("--check", action="store_true", help="change nothing; exit 1 if a page is stale")
    options = parser.parse_args()
    for file, wanted in ((PAGE, page()), (RULES, rules(RULES.read_text()))):
        if not options.check:
            file.write_text(wanted)
        elif not file.exists() or file.read_text() != wanted:
            print(f"{file.relative_to(ROOT)} is stale: run `make docs`.", file=sys.stderr)
            return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
