"""proxy: who gets it, and what is reached without it."""

from __future__ import annotations

import json
from typing import Any
from urllib.request import proxy_bypass_environment

import pytest
import requests

from scripts.chart import Manifests, RenderError, render
from tests.render.values import DIND, overlaid

URL = "http://proxy.example.com:3128"
RANGE = "10.244.0.0/16"
PROXY: dict[str, Any] = {"http": URL, "https": URL, "noProxy": [RANGE, ".example.org"]}
NAMES = {"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy"}


def rendered(proxy: dict[str, Any], **values: Any) -> Manifests:
    return render(overlaid(values, {"proxy": proxy}))


def test_every_container_that_runs_airflow_has_it() -> None:
    found = rendered(PROXY, database={"cleanup": {"enabled": True}})
    for manifest in found:
        for container in manifest.pod.containers if manifest.pod else ():
            names = container.env.keys()
            # Airflow's own path of settings is in each, and the gateway is no Airflow.
            assert (names >= NAMES) == ("AIRFLOW_CONFIG" in names), (manifest.name, container.name)
    assert not NAMES & {v.name for m in render() if m.pod for c in m.pod.containers for v in c.env_list}


@pytest.mark.parametrize("attached", [True, False], ids=["attached", "with a control plane"])
def test_the_releases_own_connections_go_past_it(attached: bool) -> None:
    """As Python's own libraries read the variable."""
    plane: dict[str, Any] = {}
    if attached:
        plane = {
            "controlPlane": {"enabled": False, "executionApiUrl": "http://api.other:8080/execution/"},
            "broker": {"existingSecret": "broker"},
            "secrets": {"apiSecretKey": "key"},
        }
    found = rendered(PROXY, **plane)
    worker = found.one("Deployment", component="worker")
    assert worker.pod
    seen = found.environment(worker, worker.pod.container("worker"))
    seen["NO_PROXY"] = seen["NO_PROXY"].replace("$(KUBERNETES_SERVICE_HOST)", "10.96.0.1")
    api = seen["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"]
    past = (
        api,
        "http://10.244.3.4:8793/log/x",
        "https://10.96.0.1:443/api",
        "http://a.ns.svc/",
        "http://b.example.org",
    )
    for url in (*past, "http://example.com", "http://10.245.0.1"):
        assert requests.utils.should_bypass_proxies(url, seen["NO_PROXY"]) is (url in past), url
    for host in ("10.96.0.1", "a.ns.svc"):
        assert proxy_bypass_environment(host, {"no": seen["NO_PROXY"]})


def test_a_daemon_has_the_releases_proxy_or_its_own() -> None:
    def daemon(dind: dict[str, Any]) -> dict[str, Any]:
        found = render(overlaid(DIND, {"proxy": PROXY, "workers": {"docker": {"dind": {"proxy": dind}}}}))
        worker = found.one("Deployment", component="worker")
        assert worker.pod
        return found.environment(worker, worker.pod.container("docker"))

    assert daemon({})["HTTPS_PROXY"] == URL
    assert daemon({"noProxy": ["mine"]})["NO_PROXY"].endswith(f"{RANGE},.example.org,mine")
    own = daemon({"http": "http://other:1"})
    assert own["HTTP_PROXY"] == "http://other:1"
    assert "HTTPS_PROXY" not in own
    assert RANGE not in own["NO_PROXY"]


@pytest.mark.parametrize("tasks", [True, False])
def test_task_pods_get_it_on_request(tasks: bool) -> None:
    groups = {"default": {"mode": "kubernetes"}}
    found = rendered(
        {**PROXY, "tasks": tasks}, workers=groups, tasks={"env": {"A": "$(B)", "http_proxy": "x"}}
    )
    settings = found.one("ConfigMap", name="airdock-worker-default-docker-gateway").raw["data"]
    env = json.loads(settings["settings.json"])["tasks"]["env"]
    assert env["A"] == "$(B)"
    assert env["http_proxy"] == "x", "the administrator's own"
    assert env.get("HTTPS_PROXY") == (URL if tasks else None)
    worker = found.one("Deployment", component="worker")
    assert worker.pod
    hook = next(v for v in worker.pod.container("worker").env_list if v.name == "AIRDOCK_TASK_ENV").value
    assert json.loads(str(hook).replace("$$", "$")) == env


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ({"http": "http://me:pw@a", "noProxy": [RANGE]}, "proxy.http: contains a user name"),
        (
            {"https": URL, "existingSecret": "a", "noProxy": [RANGE]},
            "proxy.https: proxy.existingSecret is set",
        ),
        ({"existingSecret": "a", "tasks": True, "noProxy": [RANGE]}, "proxy.tasks: every task could read"),
        ({"noProxy": ["a"]}, "proxy: no proxy is set"),
        ({"tasks": True}, "proxy: no proxy is set"),
        ({"http": URL}, "proxy.noProxy: has no address range"),
        ({"http": URL, "noProxy": ["fd00::/8"]}, "/proxy/noProxy/0"),
    ],
)
def test_what_cannot_be_meant_is_rejected(proxy: dict[str, Any], says: str) -> None:
    with pytest.raises(RenderError) as caught:
        rendered(proxy)
    assert says in str(caught.value)
