"""A namespace for pods of mode dind, and one such pod."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from scripts.chart.dind_pod import pod_of
from scripts.live import Target
from tests.e2e.dind.pods import (
    NAMESPACE,
    PYTHON,
    DindPod,
    group,
    objects,
    running,
)


@pytest.fixture(scope="session", autouse=True)
def namespace(target: Target) -> Iterator[None]:
    """A namespace for the pods of these tests."""
    if not target.native:
        pytest.skip("the pods pull from the native cluster's registry")
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield
    target.kubectl("delete", "namespace", NAMESPACE, "--ignore-not-found", "--wait=false")


@pytest.fixture(scope="module")
def pod(target: Target) -> Iterator[DindPod]:
    """One pod with the defaults, for all that changes nothing in it."""
    scripts, workload = objects(group())
    with running(target, pod_of(workload, "default"), scripts) as found:
        found.docker("pull", "--quiet", PYTHON)
        yield found
