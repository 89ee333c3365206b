"""Exit codes count only if the container itself ended; statuses are as a kubelet wrote them."""

from __future__ import annotations

from typing import Any

import pytest
from docker_gateway.cluster_judgement import KILLED, STOPPED, Ended, judge, trouble


def pod(
    state: dict[str, Any] | None = None, meta: dict[str, Any] | None = None, **status: Any
) -> dict[str, Any]:
    statuses = [{"name": "container", "state": state}] if state else []
    return {"metadata": {"uid": "u", **(meta or {})}, "status": {"containerStatuses": statuses, **status}}


def terminated(code: int, reason: str = "Completed", message: str = "") -> dict[str, Any]:
    return {"terminated": {"exitCode": code, "reason": reason, "message": message}}


DELETED = {"deletionTimestamp": "2026-01-01T00:00:00Z"}
DISRUPTED = {
    "conditions": [
        {
            "type": "DisruptionTarget",
            "status": "True",
            "reason": "EvictionByEvictionAPI",
            "message": "Eviction API: evicting",
        }
    ]
}


@pytest.mark.parametrize(
    ("code", "reason"), [(0, "Completed"), (1, "Error"), (3, "Error"), (137, "OOMKilled"), (143, "Error")]
)
def test_the_containers_own_end(code: int, reason: str) -> None:
    # The phase lags behind: it is not asked.
    assert judge(pod(terminated(code, reason), phase="Running"), False, "") == Ended(
        code, out_of_memory=reason == "OOMKilled"
    )


@pytest.mark.parametrize("code", [0, 3, 137])
@pytest.mark.parametrize(
    ("extra", "words"),
    [
        ({"meta": DELETED}, "was deleted"),
        (DISRUPTED, "EvictionByEvictionAPI"),
        (
            {"reason": "DeadlineExceeded", "message": "Pod was active longer"},
            "DeadlineExceeded: Pod was active",
        ),
        ({"reason": "Evicted", "message": "The node was low on memory"}, "low on memory"),
    ],
)
def test_the_clusters_end_is_never_an_exit_code(code: int, extra: dict[str, Any], words: str) -> None:
    ended = judge(pod(terminated(code), phase="Succeeded", **extra), False, "")
    assert ended is not None
    assert ended.code is None
    assert words in ended.message


def test_deleted_before_it_ended() -> None:
    for state in (None, {"running": {}}, {"waiting": {"reason": "ContainerCreating"}}):
        assert judge(pod(state), False, "") is None
        ended = judge(pod(state), True, "")
        assert ended is not None
        assert ended.code is None
        assert "deleted" in ended.message


@pytest.mark.parametrize(
    ("fate", "exit_code", "code"),
    [
        (STOPPED, 0, None), (STOPPED, 143, 143), (STOPPED, 137, 137), (STOPPED, None, None),
        (KILLED, 0, 137), (KILLED, 137, 137), (KILLED, 3, 3), (KILLED, None, 137),
        ("it was killed (SIGINT)", 0, None), ("it was killed (SIGINT)", 130, 130),
        ("the task's process ended", 143, None), ("removed", 137, None), ("", 137, None),
    ],
)  # fmt: skip
def test_the_code_of_what_a_client_ends(fate: str, exit_code: int | None, code: int | None) -> None:
    """A client of the socket gets the code, which is never 0. All other ends have none."""
    state = None if exit_code is None else terminated(exit_code)
    ended = judge(pod(state, meta=DELETED), True, fate)
    assert ended is not None
    assert ended.code == code
    assert "the pod was deleted" in ended.message
    evicted = judge(pod(state, meta=DELETED, **DISRUPTED), True, fate)
    assert evicted is not None
    assert evicted.code is None, "the cluster was first"


def test_a_client_that_ends_a_container_waits_for_its_end() -> None:
    assert judge(pod({"running": {}}, meta=DELETED), False, KILLED) is None


def test_a_deleted_pod_has_not_ended_while_its_container_runs() -> None:
    assert judge(pod({"running": {}}, meta=DELETED, phase="Running"), False, "") is None


@pytest.mark.parametrize("reason", ["StartError", "ContainerCannotRun", "ContainerStatusUnknown"])
def test_a_container_that_never_ran(reason: str) -> None:
    ended = judge(pod(terminated(128, reason, 'exec: "x": not found'), phase="Failed"), False, "")
    assert ended is not None
    assert ended.code is None
    assert 'exec: "x": not found' in ended.message


def test_a_pod_that_the_kubelet_refuses() -> None:
    ended = judge(
        pod(phase="Failed", reason="OutOfcpu", message="Node didn't have enough resource"), False, ""
    )
    assert ended is not None
    assert "enough resource" in ended.message


def test_the_sidecars_exit_code_is_not_asked() -> None:
    status = {"initContainerStatuses": [{"name": "retrieve-output", "state": terminated(1)}]}
    assert judge(pod(terminated(0), **status), False, "") == Ended(0)


def test_trouble() -> None:
    def patience(value: dict[str, Any]) -> str | None:
        found = trouble(value)
        return found.patience if found else None

    waiting = lambda reason: {"waiting": {"reason": reason, "message": "why"}}  # noqa: E731
    ready = lambda status: {"type": "PodReadyToStartContainers", "status": status}  # noqa: E731
    scheduled = {"type": "PodScheduled", "status": "True"}
    creating = {"state": waiting("ContainerCreating"), "phase": "Pending"}
    assert patience(pod(**creating)) == "scheduleSeconds"
    assert patience(pod(**creating, conditions=[scheduled])) == ""
    assert patience(pod(**creating, conditions=[scheduled, ready("False")])) == "mountSeconds"
    assert patience(pod(**creating, conditions=[scheduled, ready("True")])) == ""
    assert patience(pod({"running": {}})) is None
    assert patience(pod(waiting("ImagePullBackOff"))) == "pullSeconds"
    assert patience(pod(waiting("CreateContainerError"))) == "createSeconds"
    assert patience(pod(waiting("RunContainerError"))) == "createSeconds"
    assert patience(pod(waiting("InvalidImageName"))) == "now"
    assert patience(pod(waiting("CreateContainerConfigError"))) == "now"
    unscheduled = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": "0/1 nodes",
    }
    assert patience(pod(phase="Pending", conditions=[unscheduled])) == "scheduleSeconds"
    found = trouble(pod(phase="Pending", conditions=[unscheduled]))
    assert found is not None
    assert "0/1 nodes" in found.message
