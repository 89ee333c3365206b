"""Mode dind: options of the daemon by values."""

from __future__ import annotations

import json

from scripts.chart.dind_pod import pod_of
from scripts.live import Target
from tests.e2e.conftest import wait_until
from tests.e2e.dind.pods import IMAGE, group, log_of, objects, running


def test_the_daemon_has_its_options(target: Target) -> None:
    options = {
        "labels": ["team=data"],
        "log-driver": "local",
        "log-opts": {"max-file": 3},
        "default-shm-size": "128M",
        "init": False,
    }
    scripts, workload = objects(group(daemon=options))
    with running(target, pod_of(workload, "daemon"), scripts) as pod:
        info = json.loads(pod.docker("info", "--format", "{{json .}}"))
        assert (info["Labels"], info["LoggingDriver"]) == (["team=data"], "local")
        assert pod.docker("version", "--format", "{{.Server.MinAPIVersion}}").strip() == "1.24"
        first = ("run", "--rm", IMAGE, "sh", "-c", "echo $$")
        assert pod.docker(*first).strip() == "1", "as s6-overlay must be"
        assert pod.docker(*first[:2], "--init", *first[2:]).strip() != "1"


def test_the_daemon_says_which_option_it_does_not_take(target: Target) -> None:
    """What only dockerd itself can judge."""
    scripts, workload = objects(group(daemon={"builder": {"gc": {"enabled": "yes"}}}))
    with running(target, pod_of(workload, "wrong-option"), scripts, ready=False) as pod:
        said = "airdock: dockerd rejects workers.<name>.dind.daemon: "
        wait_until(lambda: said in log_of(pod), 60, "the daemon's log says why")
        assert "cannot unmarshal string" in log_of(pod)
