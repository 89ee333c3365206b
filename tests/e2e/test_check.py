"""`airdock check` on the cluster that `make up` uses: the same modes, and nothing left behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from scripts import up
from scripts.chart import ROOT
from scripts.check import tried
from scripts.check.cluster import Cluster
from scripts.check.discovery import Served
from scripts.check.places import Places
from scripts.check.pods import Probes
from scripts.check.report import Result
from scripts.check.wanted import Wanted
from scripts.live import Target
from tests.support.waiting import wait_until

MARK = "app.kubernetes.io/created-by=airdock-check"
#: It does not exist: the check copies it.
NAMESPACE = "airdock-not-there"


def command(target: Target, *arguments: str) -> list[str]:
    config = [f"--kubeconfig={target.kubeconfig}"] if target.kubeconfig else []
    return [sys.executable, "-m", "scripts.check", *config, f"--context={target.context}", *arguments]


def check(target: Target, *arguments: str) -> tuple[int, dict[str, Any]]:
    done = subprocess.run(
        command(target, "--namespace", NAMESPACE, "--format", "json", *arguments),
        cwd=ROOT, capture_output=True, text=True,
    )  # fmt: skip
    assert done.returncode in (0, 1), done.stderr
    return done.returncode, json.loads(done.stdout)


def left(target: Target) -> list[str]:
    return [each["metadata"]["name"] for each in target.items("namespaces", "-l", MARK)]


def test_the_modes_are_those_of_make_up(target: Target) -> None:
    values, skipped = up.values(target)
    code, report = check(target)
    assert code == 0, report
    served = {mode for mode, verdict in report["modes"].items() if verdict["served"]}
    assert served == {"kubernetes", "dind", "socket"} - skipped.keys()
    results = {check["name"]: check for check in report["checks"]}
    for name in ("image pull", "DNS", "network policies", "storage class", "rights, cluster-wide"):
        assert results[name]["result"] == "ok", results[name]
    if target.native:
        assert not skipped
        (gid,) = (group["socket"]["gid"] for group in values["workers"].values() if "socket" in group)
        assert results["Docker socket of group socket"]["wayOut"] == f"set workers.<name>.socket.gid: {gid}"
    assert not left(target)


def test_a_missing_socket_and_image(target: Target, tmp_path: Path) -> None:
    """Only what the values use is judged, and each problem has its way out."""
    values = {
        "images": {"xcomSidecar": {"repository": "registry.invalid/none"}},
        "database": {"existingSecret": "database"},
        "broker": {"existingSecret": "broker"},
        "workers": {
            "default": {
                "mode": "socket",
                "queues": ["default"],
                "namespace": f"{NAMESPACE}-workers",
                "socket": {"gid": 4242, "path": "/run/none/docker.sock"},
            }
        },
    }
    file = tmp_path / "values.json"
    file.write_text(json.dumps(values))
    code, report = check(target, "-f", str(file))
    assert (code, list(report["modes"])) == (1, ["socket"])
    results = {check["name"]: check for check in report["checks"]}
    assert results["image pull"]["result"] == "missing"
    assert "images.registry" in results["image pull"]["wayOut"]
    assert results["DNS"]["result"] == "not tried"
    assert results["pods of group default"]["result"] == "ok", "the copy is labelled"
    assert results["Docker socket of group default"]["result"] == "missing"
    assert not left(target)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM])
def test_an_interrupted_check_cleans_up(target: Target, sent: signal.Signals) -> None:
    process = subprocess.Popen(
        command(target, "--namespace", NAMESPACE),
        cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    wait_until(lambda: left(target) or process.poll() is not None, 90, "the check has created its namespace")
    (namespace,) = left(target)
    wait_until(lambda: target.items("pods", "-n", namespace), 60, "the probe pods are there")
    os.killpg(process.pid, sent)
    _, said = process.communicate(timeout=200)
    assert process.returncode == 130
    assert said.strip().endswith("interrupted; the probe pods are deleted")
    assert not left(target)


def test_a_policy_without_effect_is_noticed(target: Target, monkeypatch: pytest.MonkeyPatch) -> None:
    """As with a network plugin that enforces none: the policy selects another pod."""
    cluster = Cluster(target.context, target.kubeconfig)
    wanted = Wanted.rendered({}, "airdock", NAMESPACE, True, Served.by(cluster))
    deny = Probes.deny
    monkeypatch.setattr(Probes, "deny", lambda self, _: deny(self, "nobody"))
    with Places.of(cluster, wanted) as places:
        results = {check.name: check for check in tried.probed(cluster, wanted, places, images=False)}
    assert results[tried.NETWORK].result is Result.MISSING
    assert "does not enforce" in results[tried.NETWORK].seen
    assert results[tried.DNS].result is Result.OK
    assert not left(target)
