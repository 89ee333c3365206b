"""Worker groups in namespaces of their own: who reaches whom, and what they need there."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.chart import Manifests, render
from scripts.lint import reach
from scripts.lint.reach import Endpoint
from tests.render.scenarios import BY_NAME
from tests.render.values import NAMESPACES, overlaid

LEVEL = "pod-security.kubernetes.io/enforce"


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    return BY_NAME["namespaces"].render()


def end(manifests: Manifests, component: str, group: str = "") -> Endpoint:
    """The pods of a component, or of a worker group."""
    (found,) = (
        (manifest, pod)
        for manifest, pod in manifests.pods
        if manifest.component == component and manifest.group == group
    )
    return reach.endpoint(*found)


@pytest.mark.parametrize("group", NAMESPACES["workers"])
def test_flows_cross_namespaces(manifests: Manifests, group: str) -> None:
    worker = end(manifests, "worker", group)
    api, redis = end(manifests, "api-server"), end(manifests, "redis")
    assert reach.connects(manifests, worker, api, 8080)
    assert reach.connects(manifests, worker, redis, 6379)
    assert reach.connects(manifests, api, worker, 8793), "logs are read from it"
    assert not reach.connects(manifests, worker, end(manifests, "postgres"), 5432)
    assert not reach.connects(manifests, redis, worker, 8793)
    for other in set(NAMESPACES["workers"]) - {group}:
        assert not reach.connects(manifests, worker, end(manifests, "worker", other), 8793)
    # Labels alone open nothing: a stranger may give himself any.
    stranger = Endpoint("stranger", worker.labels)
    assert not reach.connects(manifests, stranger, api, 8080)
    assert not reach.connects(manifests, stranger, redis, 6379)


@pytest.mark.parametrize("made_by", ["the chart", "the user"])
def test_workers_that_drain_in_a_namespace_that_their_group_has_left(
    manifests: Manifests, made_by: str
) -> None:
    """Its label lets them finish; nobody gets in by labels of pods, or by another release's namespace."""
    worker = end(manifests, "worker", "dind")
    label = {"airdock.dev/release": "airdock.airdock"}
    if made_by == "the chart":
        namespace = manifests.one("Namespace", name=worker.namespace).raw
        assert label.items() <= namespace["metadata"]["labels"].items()
    else:
        namespace = {"kind": "Namespace", "metadata": {"name": worker.namespace, "labels": label}}
    left = BY_NAME["modes"].render()
    api, redis = end(left, "api-server"), end(left, "redis")

    def reaches(namespace: dict[str, Any], source: Endpoint) -> tuple[bool, bool, bool]:
        there = Manifests.of([*left.changed(), ("", namespace)])
        return (
            reach.connects(there, source, api, 8080),
            reach.connects(there, source, redis, 6379),
            reach.allowed(there, api, source, 8793, "Egress"),
        )

    assert reaches(namespace, worker) == (True, True, True)
    assert not reach.connects(
        Manifests.of([*left.changed(), ("", namespace)]), worker, end(left, "postgres"), 5432
    )
    stranger = Endpoint(worker.namespace, {"app": "other"})
    assert reaches(namespace, stranger)[:2] == (False, False)
    for labels in ({}, {"airdock.dev/release": "other.airdock"}, {"airdock.dev/release": "airdock.other"}):
        foreign = {"kind": "Namespace", "metadata": {"name": worker.namespace, "labels": labels}}
        assert reaches(foreign, worker)[:2] == (False, False), labels


def test_secrets_that_leave_the_release_namespace(manifests: Manifests) -> None:
    referenced = {
        (manifest.namespace, reference.name)
        for manifest, pod in manifests.pods
        for reference in pod.references
        if reference.kind == "Secret" and manifest.namespace != "airdock"
    }
    assert referenced == {
        (namespace, name)
        for namespace in ("team-docker", "team-pods", "team-sysbox")
        for name in ("airdock-redis", "airdock-api-secret-key")
    }


def test_level_that_the_groups_need(manifests: Manifests) -> None:
    levels = {m.name: m.labels[LEVEL] for m in manifests.all("Namespace") if m.component == "worker"}
    assert levels == {"team-docker": "privileged", "team-pods": "restricted", "team-sysbox": "baseline"}


def test_one_group_that_says_no_keeps_the_namespace_from_being_made() -> None:
    values = overlaid(NAMESPACES, {"workers": {"socket": {"createNamespace": False}}})
    made = {m.name for m in render(values).all("Namespace")}
    assert "team-docker" not in made
    assert {"team-pods", "team-sysbox"} <= made


def test_given_secrets_are_not_made_there() -> None:
    """Whoever gives a Secret gives it in each namespace; only what the cluster makes is copied."""
    api = render(overlaid(NAMESPACES, {"secrets": {"redis": "given"}})).one(
        "Deployment", component="api-server"
    )
    assert api.pod
    share = api.pod.container("share-secrets").env
    assert "AIRDOCK_MAKE_API_SECRET_KEY_AS" in share
    assert "AIRDOCK_MAKE_REDIS_AS" not in share
    assert "REDIS_PASSWORD" not in share
