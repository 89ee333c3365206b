"""What the watch makes of the pods that it is told of, and of those that it no longer sees."""

from __future__ import annotations

from typing import Any

import pytest
from docker_gateway.cluster_admission import Admission
from docker_gateway.cluster_api import KubernetesApi
from docker_gateway.cluster_container import Container
from docker_gateway.cluster_creation import Creation
from docker_gateway.cluster_pods import Pods
from docker_gateway.cluster_removal import Removal
from docker_gateway.cluster_replacement import Replacement
from docker_gateway.cluster_users import Users
from docker_gateway.cluster_waiting import Waiting
from docker_gateway.cluster_watch import Watch
from docker_gateway.containers import Containers
from docker_gateway.health import Metrics
from docker_gateway.model import Create
from docker_gateway.settings import Kubernetes, Settings

ID = "c0ffee" * 10 + "abcd"


def pod(**status: Any) -> dict[str, Any]:
    state = {
        "containerStatuses": [
            {"name": "container", "state": {"running": {"startedAt": "2026-01-01T00:00:00Z"}}}
        ],
        "phase": "Running",
    }
    meta = {"name": f"p-{ID[:12]}", "uid": "u", "annotations": {"airdock.dev/container-id": ID}}
    return {"metadata": meta, "spec": {"containers": [{"image": "a"}]}, "status": state | status}


@pytest.fixture
def containers() -> Containers[Container]:
    return Containers()


@pytest.fixture
def watch(containers: Containers[Container], monkeypatch: pytest.MonkeyPatch) -> Watch:
    api = KubernetesApi(Kubernetes(server="http://nowhere"))
    pods = Pods(api, "tasks")
    # The pod's deletion would be a request in the background.
    monkeypatch.setattr(pods, "delete", lambda *_: None)
    settings, metrics = Settings(owner="o"), Metrics()
    users, waiting = Users(settings.tasks), Waiting(api, settings.tasks)
    admission, creation = Admission(pods, users, settings), Creation(pods, waiting, containers, metrics)
    replacement = Replacement(pods, admission, creation, users, metrics)
    removal = Removal(pods, containers)
    return Watch(api, pods, settings, containers, replacement, removal, metrics)


def test_a_pod_that_was_deleted_while_nothing_was_watched_has_ended(
    watch: Watch, containers: Containers[Container]
) -> None:
    container = Container(ID, Create(image="a"), f"p-{ID[:12]}", begun=1.0)
    containers.add(container)
    watch._relist([pod()])
    assert container.running
    assert container.ended is None
    watch._relist([])
    assert container.gone
    assert container.ended is not None
    assert container.ended.code is None
    assert "deleted" in container.ended.message


def test_a_pod_of_another_life_is_adopted_and_has_no_exit_code(
    watch: Watch, containers: Containers[Container]
) -> None:
    watch._relist([pod()])
    container = containers.find(ID[:12])
    assert container.ended is not None
    assert container.ended.code is None
    assert "restarted" in container.ended.message


def test_times_of_a_container(watch: Watch, containers: Containers[Container]) -> None:
    """The cluster tells how long the pod waited for a node, and for its image."""
    container = Container(
        ID, Create(image="a", labels={"airdock.dev/dag-id": "sales"}), f"p-{ID[:12]}", begun=1.0
    )
    containers.add(container)
    times = {"PodScheduled": "2025-12-31T23:59:30Z", "PodReadyToStartContainers": "2025-12-31T23:59:56Z"}
    conditions = [
        {"type": kind, "status": "True", "lastTransitionTime": time} for kind, time in times.items()
    ]
    seen = pod(conditions=conditions)
    seen["metadata"]["creationTimestamp"] = "2025-12-31T23:59:10Z"
    watch._relist([seen])
    watch._relist([seen])
    lines = watch._metrics.text().splitlines()
    assert 'airdock_gateway_phase_seconds_sum{phase="schedule"} 20.0' in lines
    assert 'airdock_gateway_phase_seconds_sum{phase="pull"} 4.0' in lines
    assert 'airdock_gateway_phase_seconds_count{phase="pull"} 1' in lines
    watch._relist([])
    lines = watch._metrics.text().splitlines()
    assert 'airdock_gateway_ended_total{outcome="infrastructure",dag_id="sales"} 1' in lines
    assert 'airdock_gateway_phase_seconds_count{phase="run"} 1' in lines
