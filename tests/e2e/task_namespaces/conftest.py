"""One installation for all tests of this folder."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator

import pytest

from scripts.live import TASKS
from scripts.overlays.definitions import merged
from tests.e2e.conftest import Release, install
from tests.e2e.task_namespaces.support import (
    AUTHOR_VALUES,
    DAG,
    GROUP_VALUES,
    GROUPS,
    KINDS,
    REATTACH,
    objects,
)
from tests.support import registry as private_registry


@pytest.fixture(scope="package")
def opened(dags: Release) -> Iterator[Release]:
    """The release with what the DAGs need and with the two groups, and as it was afterwards."""
    target = dags.target
    (node, *_) = (each["metadata"]["name"] for each in target.items("nodes"))
    values = merged(merged(dags.values, AUTHOR_VALUES), GROUP_VALUES)
    with contextlib.ExitStack() as stack:
        stack.callback(install, target, dict(dags.values))
        install(target, values)
        wanted = objects()
        names = [f"{each['kind'].lower()}/{each['metadata']['name']}" for each in wanted]
        stack.callback(target.kubectl, "delete", "-n", TASKS, "--ignore-not-found", "--wait=false", *names)
        target.apply(*wanted)
        stack.callback(target.kubectl, "label", "node", node, "airdock.dev/e2e-")
        target.kubectl("label", "node", node, "airdock.dev/e2e=here", "--overwrite")
        if target.native:
            stack.enter_context(private_registry.running(target))
        dags.airflow.wait_for_dags(
            [DAG, REATTACH, *(f"e2e_{kind}_{group}" for kind in KINDS for group in GROUPS)]
        )
        yield Release(target, dags.airflow, values, target.groups())
