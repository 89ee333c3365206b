"""How `airdock check` judges what a cluster says: kubelets' answers as recorded, and the rendered chart."""

from __future__ import annotations

import json
from typing import Any

import pytest

from scripts.chart import versions
from scripts.check import rights
from scripts.check.cluster import CommandError, stream
from scripts.check.discovery import Kind, Served
from scripts.check.pods import trouble
from scripts.check.probe import Sockets, as_pod
from scripts.check.report import Check, Report, Result, as_json, text
from scripts.check.tried import CGROUP, USERS, judged, untried
from scripts.check.wanted import Wanted

SERVED = Served(versions.KUBERNETES, {}, ())
DIND = {"workers": {"default": {"mode": "dind", "queues": ["default"], "dind": {"variant": "userNamespace"}}}}


def wanted(values: dict[str, Any] | None = None) -> Wanted:
    return Wanted.rendered(values or {}, "airdock", "airdock", values is not None, SERVED)


def status(**state: Any) -> dict[str, Any]:
    return {"status": {"phase": "Pending", "containerStatuses": [{"image": "busybox:1.37", "state": state}]}}


@pytest.mark.parametrize(
    ("pod", "kind", "words"),
    [
        ({"status": {"phase": "Pending"}}, "", ""),
        (status(waiting={"reason": "ContainerCreating"}), "", ""),
        (status(running={}), "", ""),
        (
            status(waiting={"reason": "ErrImagePull", "message": "failed to resolve reference"}),
            "pull",
            "busybox:1.37: failed to resolve reference",
        ),
        (
            status(waiting={"reason": "CreateContainerError", "message": "user namespaces are not enabled"}),
            "start",
            "user namespaces are not enabled",
        ),
        (
            {"status": {"conditions": [{"reason": "Unschedulable", "message": "0/3 nodes are available"}]}},
            "schedule",
            "0/3 nodes",
        ),
        ({"status": {"phase": "Failed", "message": "deadline"}}, "start", "deadline"),
    ],
)
def test_why_a_pod_does_not_run(pod: dict[str, Any], kind: str, words: str) -> None:
    found, why = trouble(pod)
    assert found == kind
    assert words in why


def test_without_values_each_mode_is_looked_at() -> None:
    """The exit code is about the chart's own."""
    assert wanted().modes == {"kubernetes": True, "dind": False, "socket": False}
    assert wanted({}).modes == {"kubernetes": True}
    assert wanted(DIND).modes == {"dind": True}
    executor = wanted({"executor": "KubernetesExecutor"})
    assert [(group.mode, group.namespace) for group in executor.groups] == [
        ("kubernetes", "airdock-executor")
    ]


def test_pods_of_the_executor_are_no_objects() -> None:
    """They are in a ConfigMap: Helm needs no right on PodTemplates."""
    served = Served(versions.KUBERNETES, {("", "PodTemplate"): Kind("podtemplates", True)}, ())
    release = wanted({"executor": "KubernetesExecutor"})
    assert release.manifests.all("PodTemplate")
    assert "podtemplates" not in {right.resource for right in rights.of_objects(release, served)}


def test_what_needs_user_namespaces() -> None:
    """The variant of dind, and tasks.userNamespaces: "on"; else nothing is stopped."""

    def stops(values: dict[str, Any], name: str) -> frozenset[str]:
        (found,) = (check for check in untried(wanted(values), "no") if check.name == name)
        return found.stops

    assert stops({}, USERS) == frozenset()
    assert stops({"tasks": {"userNamespaces": "on"}}, USERS) == frozenset({"kubernetes"})
    assert stops(DIND, USERS) == stops(DIND, CGROUP) == frozenset({"dind"})


@pytest.mark.parametrize(
    ("gids", "asked", "result", "way"),
    [
        ({"a": 999}, ("a",), Result.OK, ""),
        ({"a": 1001}, ("a",), Result.MISSING, "set workers.docker.socket.gid: 1001"),
        ({"a": 999, "b": 998}, ("a", "b"), Result.MISSING, "workers.docker.nodeSelector"),
        ({"a": 999}, ("a", "b"), Result.OK, "nodeSelector"),
    ],
)
@pytest.mark.parametrize("raw", [False, True])
def test_groups_of_docker_sockets(
    gids: dict[str, int], asked: tuple[str, ...], result: Result, way: str, raw: bool
) -> None:
    """Compared with what the pods are given, with and without the filter."""
    group = {"mode": "socket", "queues": ["default"], "socket": {"gid": 999, "filter": not raw}}
    release = wanted({"workers": {"default": None, "docker": group}})
    (found,) = release.groups
    check = judged(release, found, "/var/run/docker.sock", Sockets(gids, asked, len(asked)))
    assert check.result is result
    assert way in check.way_out


def test_the_probe_has_the_image_of_the_values() -> None:
    """Also where no worker group names it."""
    mirror = {"images": {"registry": "registry.example.com/mirror"}}
    name = "registry.example.com/mirror/busybox:1.37"
    assert wanted(mirror).probe_image == name
    assert wanted({**mirror, **DIND}).probe_image == name
    assert wanted({"images": {"xcomSidecar": {"tag": "musl"}}}).probe_image == "busybox:musl"


def test_a_workload_as_a_pod() -> None:
    """Claims of a StatefulSet are volumes that its template does not name."""
    postgres = wanted({}).manifests.one("StatefulSet", component="postgres").pod
    assert postgres
    pod = as_pod(postgres, "any", "elsewhere")
    assert {"name": "data", "emptyDir": {}} in pod["spec"]["volumes"]
    assert pod["spec"]["serviceAccountName"] == "default"
    assert pod["metadata"]["namespace"] == "elsewhere"


def test_the_report() -> None:
    stops = frozenset({"dind"})
    checks = (
        Check("pods of group dind", Result.MISSING, "refused", "set another namespace", stops),
        Check("image pull", Result.NOT_TRIED, "no pods", stops=stops | {"kubernetes"}),
        Check("network policies", Result.MISSING, "not enforced", "install a plugin"),
        Check("rights in a-namespace-with-quite-a-long-name", Result.OK, "all"),
    )
    modes = {"kubernetes": True, "dind": False, "socket": True}
    report = Report("kind-a", checks, modes)
    assert not report.failed, "no wanted mode is stopped"
    shown = text(report)
    assert "mode kubernetes: nothing is in the way, but this was not tried: image pull" in shown
    assert "mode dind: cannot be served, see: pods of group dind" in shown
    assert "mode socket: can be served" in shown
    assert "-> set another namespace" in shown
    assert max(map(len, shown.splitlines())) <= 120
    told = json.loads(as_json(report))
    assert told["modes"]["dind"] == {
        "wanted": False,
        "served": False,
        "missing": ["pods of group dind"],
        "notTried": ["image pull"],
    }
    assert Report("kind-a", checks, {"dind": True}).failed


def test_kubectls_answers() -> None:
    assert list(stream('{"a": 1}\n{"b": {}}\n')) == [{"a": 1}, {"b": {}}]
    words = (
        'Error from server (Forbidden): error when creating "STDIN": pods "a" is forbidden: violates '
        'PodSecurity "restricted:latest": privileged'
    )
    assert CommandError(["kubectl"], words).reason.startswith("violates PodSecurity")
    invalid = 'Error from server (Invalid): error when creating "STDIN": Pod "a" is invalid: spec'
    assert CommandError(["kubectl"], invalid).reason == 'Pod "a" is invalid: spec'
