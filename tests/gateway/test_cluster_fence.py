"""The gateway notices that a policy of the fence is gone."""

from __future__ import annotations

from typing import Any

from docker_gateway.cluster_api import ApiStatus, KubernetesApi
from docker_gateway.cluster_fence import Fence
from docker_gateway.health import Metrics
from docker_gateway.settings import Kubernetes, Tasks

REFUSAL = "admission policy denied request: a: Airdock release x/y rejects every pod with this name"


def test_a_missing_policy_is_seen(monkeypatch: Any) -> None:
    answers: dict[str, ApiStatus | None] = {}
    asked: list[tuple[str, Any]] = []

    def request(method: str, path: str, query: Any = None, body: Any = None, patience: float = 0.0) -> Any:
        asked.append((f"{method} {path}", query))
        if status := answers[body["metadata"]["name"]]:
            raise status
        return body

    api = KubernetesApi(Kubernetes(server="http://nowhere"))
    monkeypatch.setattr(api, "request", request)
    metrics = Metrics()
    fence = Fence(api, Tasks(namespace="tasks", forbidden_pods=["a", "b"]), metrics)

    def found() -> dict[str, str]:
        fence.look()
        lines = [line for line in metrics.text().splitlines() if line.startswith("airdock_gateway_fence")]
        return {line.split('"')[1]: line.split()[-1] for line in lines}

    refused = ApiStatus(403, "Forbidden", REFUSAL)
    answers |= {"a": refused, "b": ApiStatus(403, "Forbidden", REFUSAL.replace("a: Air", "b: Air"))}
    assert found() == {"a": "0", "b": "0"}
    assert set(map(str, asked)) == {str(("POST /api/v1/namespaces/tasks/pods", {"dryRun": "All"}))}
    # Nothing rejects it; another policy does; nobody can tell.
    answers |= {"a": None, "b": ApiStatus(403, "Forbidden", "the quota is full")}
    assert found() == {"a": "1", "b": "1"}
    answers |= {"a": refused, "b": ApiStatus(0, "", "no route to host")}
    assert found() == {"a": "0", "b": "1"}
