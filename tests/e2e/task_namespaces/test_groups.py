"""Two worker groups with task namespaces of their own: where their pods run, and where they may not."""

from __future__ import annotations

import json
import time

import pytest

from scripts.chart import render
from scripts.live import FINISHED, NAMESPACE, RELEASE, TASKS
from tests.api.pods import kpo_pod
from tests.e2e.conftest import Release, install, wait_until
from tests.e2e.task_namespaces.support import DEFERRING, GROUPS, HOMES, KINDS
from tests.support.attacks import AUTHOR

pytestmark = pytest.mark.touches("release")

#: In a worker, with its own token: the answer of the API server to a dry run.
ATTEMPT = """
import json, sys
from kubernetes import client, config
config.load_incluster_config()
pod = json.load(sys.stdin)
try:
    client.CoreV1Api().create_namespaced_pod(pod["metadata"]["namespace"], pod, dry_run="All")
    print(201)
except client.ApiException as error:
    print(error.status, error.body)
"""


@pytest.fixture(scope="module")
def seen(opened: Release) -> dict[tuple[str, str], tuple[str, set[str]]]:
    """(kind, group) -> state of the run, and the namespaces in which its pods were seen."""
    script = "echo done; sleep 5"
    runs = {(kind, group): opened.start(f"e2e_{kind}_{group}", script) for kind in KINDS for group in GROUPS}
    found: dict[tuple[str, str], set[str]] = {key: set() for key in runs}
    deadline = time.monotonic() + 400
    while True:
        unfinished = {key: run for key, run in runs.items() if run.task.state not in FINISHED}
        for pod in opened.target.items("pods", "-A"):
            labels = pod["metadata"].get("labels", {})
            dag_id = labels.get("dag_id") or labels.get("airdock.dev/dag-id")
            for key, run in runs.items():
                if dag_id == run.dag_id:
                    found[key].add(pod["metadata"]["namespace"])
        if not unfinished:
            break
        assert time.monotonic() < deadline, f"still running: {sorted(unfinished)}"
        time.sleep(0.5)
    for (kind, group), run in runs.items():
        log = run.log
        assert "done" in log
        ignored = kind == "deferred" and group != DEFERRING
        assert ("deferrable=True is ignored" in log) == ignored, f"{kind} of {group}"
    return {key: (run.wait(), found[key]) for key, run in runs.items()}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("kind", KINDS)
def test_pods_run_in_the_groups_namespace(
    seen: dict[tuple[str, str], tuple[str, set[str]]], kind: str, group: str
) -> None:
    """KubernetesPodOperator, DockerOperator by the gateway, and a task for the triggerer, if it may."""
    assert seen[kind, group] == ("success", {HOMES[group]})


@pytest.mark.parametrize(("group", "other"), [GROUPS, GROUPS[::-1]])
@pytest.mark.attack(actor=AUTHOR)
def test_a_worker_makes_no_pod_in_anothers_namespace(opened: Release, group: str, other: str) -> None:
    """The same pod with the same token: first where it may."""
    manifests = render(opened.values, release=RELEASE, namespace=NAMESPACE)
    (worker,) = (
        pod["metadata"]["name"]
        for pod in opened.staying("worker")
        if pod["metadata"]["labels"]["airdock.dev/worker-group"] == group
    )

    def attempt(namespace: str) -> str:
        pod = json.dumps(kpo_pod(manifests, group=group, namespace=namespace))
        return opened.inside(worker, "worker", "python", "-c", ATTEMPT, stdin=pod)

    assert attempt(HOMES[group]).split()[0] == "201"
    for namespace in (HOMES[other], TASKS):
        said = attempt(namespace)
        assert said.startswith("403"), said
        assert "cannot create resource" in said


def test_each_namespace_has_its_own_quota(opened: Release) -> None:
    for namespace in HOMES.values():
        (quota,) = opened.target.items("resourcequota", "-n", namespace)
        assert quota["spec"]["hard"]["pods"] == "7"


def test_without_keep_they_go_with_the_group(dags: Release, opened: Release) -> None:
    """Last of all: without the groups, tasks.keepNamespace: false leaves nothing."""
    install(dags.target, dict(dags.values))

    def left() -> set[str]:
        names = {each["metadata"]["name"] for each in opened.target.items("namespaces")}
        return names & set(HOMES.values())

    wait_until(lambda: not left(), 90, "namespaces of the groups deleted")
