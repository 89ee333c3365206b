"""Mode dind: scripts before the worker starts, and a proxy."""

from __future__ import annotations

import json

from scripts.chart.dind_pod import pod_of
from scripts.cluster import REGISTRY
from scripts.live import Target
from tests.e2e.conftest import wait_until
from tests.e2e.dind.pods import IMAGE, DindPod, group, objects, running

#: Nothing listens there.
DEAD = "http://127.0.0.1:9"


def test_scripts_run_before_the_worker_starts(target: Target) -> None:
    """They can do again what is done, and the network is there for the worker."""
    network = "docker network inspect etl > /dev/null 2>&1 || docker network create $NETWORK"
    settings = {
        "scripts": {"b-network": network, "a-pull": f"docker pull -q {IMAGE}"},
        "env": {"NETWORK": "etl"},
    }
    scripts, workload = objects(group(init=settings))
    with running(target, pod_of(workload, "init"), scripts) as pod:
        assert "etl" in pod.docker("network", "ls", "--format", "{{.Name}}").split()
        assert (
            pod.docker("run", "--rm", "--pull=never", "--network=etl", IMAGE, "echo", "ran").strip() == "ran"
        )
        assert pod.logs("docker-init").index("script a-pull") < pod.logs("docker-init").index(
            "script b-network"
        )


def test_a_script_that_fails_keeps_the_worker_from_starting(target: Target) -> None:
    """One that ends with an error, and one that does not end; the pod's status has the sentence."""
    for name, timeout, script, says in (
        ("fails", 60, "docker pull -q nowhere.invalid/x", "fails: the script ended with exit code 1"),
        ("hangs", 3, "sleep 600", "hangs: the scripts did not end within 3 s"),
    ):
        scripts, workload = objects(group(init={"scripts": {name: script}, "timeoutSeconds": timeout}))
        with running(target, pod_of(workload, name), scripts, ready=False) as pod:
            wait_until(lambda pod=pod: said(pod) != "", 120, "the script has failed")  # type: ignore[misc]
            assert f"airdock: workers.w.dind.init.scripts.{says}" in said(pod)
            assert not pod.status("worker").get("started")


def said(pod: DindPod) -> str:
    """Give the last message of the container docker-init."""
    try:
        status = pod.status("docker-init")
    except StopIteration:
        return ""
    ended = [status[key].get("terminated") or {} for key in ("state", "lastState") if key in status]
    return " ".join(each.get("message", "") for each in ended).strip()


def test_the_daemon_pulls_through_its_proxy(target: Target) -> None:
    """A proxy that is dead: pulls fail, but from hosts that are not for it; containers get it on request."""
    host = REGISTRY.split(":")[0]
    proxy = {"http": DEAD, "https": DEAD, "containers": True}
    scripts, workload = objects(group(proxy=proxy))
    with running(target, pod_of(workload, "proxy"), scripts) as pod:
        assert "127.0.0.1:9" in pod.fails("pull", IMAGE)
    _scripts, workload = objects(group(proxy={**proxy, "noProxy": [host]}))
    with running(target, pod_of(workload, "no-proxy")) as pod:
        pod.docker("pull", "--quiet", IMAGE)
        found = pod.docker("run", "--rm", IMAGE, "env")
        assert f"HTTPS_PROXY={DEAD}" in found
        assert f",{host}" in found
        config = json.loads(pod.sh("cat $DOCKER_CONFIG/config.json"))
        assert config["proxies"]["default"]["httpProxy"] == DEAD
    _scripts, workload = objects(group(proxy={**proxy, "noProxy": [host], "containers": False}))
    with running(target, pod_of(workload, "own-proxy")) as pod:
        assert "PROXY" not in pod.docker("run", "--rm", IMAGE, "env")
