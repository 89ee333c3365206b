"""What a policy is, and what it finds."""

from __future__ import annotations

import datetime
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from scripts.chart import POD_TEMPLATES, Container, Manifest, Manifests
from scripts.lint.pod_security import NEWEST_MINOR

Severity = Literal["high", "medium", "low"]
SEVERITIES: tuple[Severity, ...] = ("high", "medium", "low")

MODE = "airdock.dev/mode"
DIND_VARIANT = "airdock.dev/dind-variant"


@dataclass(frozen=True)
class Standard:
    """A section of a published standard, in one edition of it: numbers move between editions."""

    #: As a table has it: CIS.
    short: str
    #: In full: CIS Kubernetes Benchmark.
    name: str
    edition: str
    section: str

    def __str__(self) -> str:
        return f"{self.name} {self.edition}, {self.section}"


def cis(section: str) -> Standard:
    """A section of the CIS Kubernetes Benchmark."""
    return Standard("CIS", "CIS Kubernetes Benchmark", "v1.12", section)


def nsa(control: str) -> Standard:
    """A control of the NSA/CISA Kubernetes Hardening Guidance, by its id in Kubescape."""
    return Standard("NSA", "NSA/CISA Kubernetes Hardening Guidance", "v1.2", control)


def pss(level: str, control: str) -> Standard:
    """A control of the Pod Security Standards."""
    return Standard("PSS", "Pod Security Standards", f"v1.{NEWEST_MINOR}", f"{level}: {control}")


@dataclass(frozen=True)
class Found:
    """One place that breaks a policy."""

    #: Path of the field; below the container if there is one, else below the object.
    field: str
    #: What is there, as a sentence without a full stop.
    message: str
    container: str = ""


CheckObject = Callable[[Manifest], Iterable[Found]]
CheckRelease = Callable[[Manifests], Iterable[tuple[Manifest, Found]]]


@dataclass(frozen=True, eq=False)
class Policy:
    """One rule. Exactly one of the two checks is given."""

    id: str
    title: str
    severity: Severity
    #: Why a reader should care, in a sentence.
    why: str
    #: What to change, in a sentence.
    fix: str
    standards: tuple[Standard, ...] = ()
    #: Judges an object by itself.
    check_object: CheckObject | None = None
    #: Judges objects by what else is there.
    check_release: CheckRelease | None = None

    def check(self, manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
        """All that breaks this policy."""
        if self.check_object:
            for manifest in manifests:
                for found in self.check_object(manifest):
                    yield manifest, found
        if self.check_release:
            yield from self.check_release(manifests)


def mode_of(manifest: Manifest) -> str:
    """The worker mode that an object serves; "" for what every release has."""
    return manifest.annotations.get(MODE) or ("kubernetes" if manifest.component == "tasks" else "")


@dataclass(frozen=True)
class Acceptance:
    """Findings of a policy that are part of the design, and why. Empty selectors match everything."""

    policy: str
    reason: str
    mode: str = ""
    #: Variants of mode dind.
    variants: tuple[str, ...] = ()
    kind: str = ""
    #: A part of the object's name: a release and Kustomize put theirs before or behind it.
    name: str = ""
    component: str = ""
    container: str = ""
    #: The beginning of the field.
    field: str = ""
    #: A part of what is found there.
    message: str = ""
    #: Kind, namespace and name, as reports have them: Ingress airdock/airdock-api-server.
    object: str = ""
    #: The last day on which it applies; None: it has no end.
    until: datetime.date | None = None

    @property
    def expired(self) -> bool:
        """Whether its last day has passed, in local time."""
        return self.until is not None and datetime.date.today() > self.until

    def covers(self, policy: Policy, manifest: Manifest, found: Found) -> bool:
        """Whether it accepts this finding."""
        return (
            policy.id == self.policy
            and self.mode in ("", mode_of(manifest))
            and (not self.variants or manifest.annotations.get(DIND_VARIANT) in self.variants)
            and self.kind in ("", manifest.kind)
            and self.name in manifest.name
            and self.component in ("", manifest.component)
            and self.container in ("", found.container)
            and found.field.startswith(self.field)
            and self.message in found.message
            and self.object in ("", str(manifest))
        )


@dataclass(frozen=True)
class Finding:
    """A place that breaks a policy, and the acceptance that covers it, or did until it expired."""

    policy: Policy
    manifest: Manifest
    found: Found
    accepted: Acceptance | None = None
    expired: Acceptance | None = None


def pod_path(manifest: Manifest) -> str:
    """The path of an object's pod, with a dot at its end: ``spec.template.`` of a Deployment."""
    return "".join(f"{key}." for key in POD_TEMPLATES[manifest.kind])


def is_workload_kind(manifest: Manifest) -> bool:
    """Whether the object makes pods."""
    return manifest.kind in POD_TEMPLATES


def containers_of(manifest: Manifest) -> tuple[Container, ...]:
    """The containers of an object's pod; none for an object without one."""
    return manifest.pod.containers if manifest.pod else ()


def volumes_of(manifest: Manifest) -> Iterable[tuple[str, Mapping[str, Any]]]:
    """(name, volume) of an object's pod; none for an object without one."""
    return manifest.pod.volumes.items() if manifest.pod else ()
