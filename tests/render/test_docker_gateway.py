"""The Docker gateway's settings: each is set by a value or fixed by the chart, and null opens none."""

from __future__ import annotations

import dataclasses
import json
import re
import sys
from collections.abc import Iterator
from typing import Any, get_type_hints

import pytest

from scripts.chart import CHART, Manifests, RenderError, load_yaml, render
from scripts.chart.values_schema import schema
from tests.render.scenarios import SOCKET, overlaid
from tests.support.image_references import CASES, MALFORMED_ENTRIES
from tests.support.paths import FILES

sys.path.insert(0, str(FILES))
import airflow_local_settings
from docker_gateway import settings as gateway

#: What the chart fixes for every gateway, or writes to the container's environment.
FIXED = {
    "backend",
    "socket",
    "healthHost",
    "healthPort",
    "owner",
    "workerGroup",
    "kubernetes.server",
    "kubernetes.tokenFile",
    "kubernetes.caFile",
    "daemon.socket",
    "daemon.trustDirectory",
    "tasks.namespace",
    "tasks.serviceAccount",
    "tasks.retrieveImage",
    "tasks.retrievePullPolicy",
}
#: Those whose absence, which no chart renders, is safer than the chart's default; or, of forbiddenPods, all
#: that there can be without the chart's admission policies.
SAFER = {"tasks.user", "tasks.userNamespaces", "tasks.stdin", "tasks.forbiddenPods"}
#: Every value that sets one, each to another than its default.
TASKS: dict[str, Any] = {
    "user": 7,
    "userNamespaces": "on",
    "resources": {"requests": {"cpu": "7m"}},
    "registries": {"r": {"pullSecret": "p"}},
    "imagePullSecrets": ["p"],
    "claims": {"c": {"claimName": "c"}},
    "binds": {"/b": {"claimName": "c"}},
    "networks": {"n": {"labels": {"a": "b"}}},
    "pod": {"nodeSelector": {"a": "b"}},
    "podLabels": {"a": "b"},
    "podAnnotations": {"a": "b"},
    "gpuResource": "example.com/gpu",
    "gpusPerContainer": 7,
    "ulimits": "refuse",
    "stdin": True,
    "env": {"A": "b"},
    "tmp": {"sizeLimit": "7Gi"},
    "resultMaxSize": "7Mi",
    "ttlSeconds": 7,
    "ttlSecondsAfterFinished": 7,
    "timeouts": {"scheduleSeconds": 7, "mountSeconds": 7, "pullSeconds": 7, "createSeconds": 7},
    "admission": {"images": ["example.com/*"], "maxTerminationGracePeriodSeconds": 70},
    "networkPolicy": {"egress": "strict"},
}
NODE: dict[str, Any] = {
    "allowed": {
        "images": ["a"],
        "registries": ["r.example:5000"],
        "binds": ["/b", {"path": "/c", "readOnly": True}],
        "volumes": ["vv"],
        "networks": ["nn"],
        "gpus": True,
    },
    "limits": {
        "memory": "7Gi",
        "cpu": "7",
        "pids": 7,
        "storage": "7Gi",
        "logs": "7Mi",
        "anonymousVolumes": 7,
        "containers": 7,
        "healthcheckSeconds": 7,
        "stopSeconds": 7,
        "ulimits": {"nofile": 7},
    },
    "cgroupParent": "none",
    "ttlSeconds": 7,
}
VALUES = overlaid(
    overlaid(SOCKET, {"tasks": TASKS, "workers": {"node": {"socket": NODE}}}),
    {
        "workerDefaults": {"dockerGateway": {"leaseSeconds": 7}},
        "trust": {"configMap": "ca", "tasks": {"configMap": "all", "key": "all.pem"}, "containers": True},
        "workers": {"default": {"mode": "kubernetes", "queues": ["default"]}},
    },
)


def written(manifests: Manifests, group: str) -> dict[str, Any]:
    """The settings file of a group's gateway."""
    found = manifests.one("ConfigMap", name=f"airdock-worker-{group}-docker-gateway")
    read: dict[str, Any] = json.loads(found.raw["data"]["settings.json"])
    return read


def settings(kind: Any = gateway.Settings, path: tuple[str, ...] = ()) -> Iterator[tuple[str, Any]]:
    """Every setting that the gateway reads, with its default."""
    hints = get_type_hints(kind)
    for field in dataclasses.fields(kind):
        here = (*path, gateway.camel(field.name))
        if dataclasses.is_dataclass(hints[field.name]):
            yield from settings(hints[field.name], here)
        else:
            yield ".".join(here), getattr(kind(), field.name)


def at(values: dict[str, Any], path: str) -> Any:
    found: Any = values
    for step in path.split("."):
        found = found.get(step) if isinstance(found, dict) else None
    return found


DEFAULTS = dict(settings())


@pytest.mark.parametrize("path", sorted(set(DEFAULTS) - FIXED))
def test_every_setting_is_set_by_a_value(path: str) -> None:
    group = "node" if path.startswith("daemon.") else "default"
    value = at(written(render(VALUES), group), path)
    assert value is not None, f"{path} of settings.py is set by no value: add one to the chart, or remove it"
    default = DEFAULTS[path]
    assert json.dumps(value) != json.dumps(default), f"set {path} to another value than its default here"


def test_fixed_settings_are_the_gateways_own() -> None:
    assert set(DEFAULTS) >= FIXED
    for group in ("default", "node"):
        assert {path for path in FIXED if at(written(render(VALUES), group), path) is not None} == {
            "backend",
            "workerGroup",
        }


@pytest.mark.parametrize("group", ["default", "node"])
def test_defaults_of_chart_and_gateway_are_the_same(group: str) -> None:
    values = overlaid(SOCKET, {"workers": {"default": {"mode": "kubernetes", "queues": ["default"]}}})
    found = written(render(overlaid(values, {"tasks": {"blockNodeScaleDown": False}})), group)
    for path, default in DEFAULTS.items():
        value = at(found, path)
        if path in SAFER:
            assert not default
        elif path not in FIXED and value is not None:
            assert value == default, path


def test_a_container_without_limits_gets_the_same_in_each_mode() -> None:
    """In mode dind, the containers of a worker share the limits of their daemon."""
    values = load_yaml((CHART / "values.yaml").read_text(), "values.yaml")[0]
    tasks, defaults = values["tasks"], values["workerDefaults"]
    limits = {"cpu": "2", "memory": "4Gi"}
    assert tasks["resources"]["limits"] == limits
    assert limits.items() <= tasks["limitRange"]["limits"][0]["default"].items()
    assert limits.items() <= defaults["socket"]["limits"].items()
    assert defaults["dind"]["resources"]["limits"] == limits
    assert tasks["resources"] == json.loads(airflow_local_settings.DEFAULT_RESOURCES)


def test_the_gateway_takes_what_the_chart_writes(tmp_path: Any) -> None:
    for group in ("default", "node"):
        file = tmp_path / group
        file.write_text(json.dumps(written(render(VALUES), group)))
        loaded = gateway.load({"AIRDOCK_GATEWAY_CONFIG": str(file), "AIRDOCK_GATEWAY_OWNER": "o"})
        assert loaded.worker_group == group
    assert loaded.daemon.pids == 7


def test_entries_for_images_are_checked() -> None:
    pattern = re.compile(schema()["$defs"]["imageEntry"]["pattern"])
    assert all(pattern.search(entry) for entry, _, admits in CASES if admits)
    assert not [entry for entry in MALFORMED_ENTRIES if pattern.search(entry)]


def socket(**allowed: Any) -> dict[str, Any]:
    return {"mode": "socket", "queues": ["q"], "socket": {"gid": 999, "allowed": allowed}}


@pytest.mark.parametrize(
    ("workers", "words"),
    [
        ({"a": socket(binds=["/srv/data", "/srv/data/models"])}, "/srv/data/models is below /srv/data"),
        (
            {"a": socket(binds=[{"path": "/srv"}, {"path": "/srv/x", "readOnly": True}])},
            "/srv/x is below /srv",
        ),
        (
            {"a": socket(binds=["/srv/data"]), "b": socket(binds=["/srv/data/models"])},
            "workers.a.socket.allowed",
        ),
        ({"a": socket(binds=["/srv", {"path": "/srv"}])}, "two entries have the same path"),
        ({"a": socket(binds=["/run"])}, "contains the Docker socket"),
        ({"a": socket(binds=["/var/run"])}, "contains the Docker socket"),
        ({"a": socket(binds=["/var"])}, "contains the Docker socket"),
        ({"a": socket(networks=["host"])}, "the node's network"),
        ({"a": socket(networks=["container:x"])}, "networks/0"),
        *(
            ({"a": socket(binds=[path])}, "binds/0")
            for path in ("/", "/a/", "a", "/a/../b", "/a/.", "//a", "/a:b")
        ),
        *(
            ({"a": socket(registries=[host])}, "registries/0")
            for host in ("https://a.b", "a.b/c", "*.a.b", "")
        ),
    ],
)
def test_what_is_allowed_is_checked(workers: dict[str, Any], words: str) -> None:
    with pytest.raises(RenderError) as error:
        render(overlaid(SOCKET, {"workers": {"node": None, **workers}}))
    assert words in str(error.value)


def test_similar_names_are_no_directories_below() -> None:
    groups = {
        "a": socket(binds=["/srv/data", "/srv/data-2", "/srv/.x", "/srv/..x"]),
        "b": socket(binds=["/srv/data"]),
    }
    render(overlaid(SOCKET, {"workers": {"node": None, **groups}}))


@pytest.mark.parametrize("key", ["filter", "allowed", "limits", "cgroupParent"])
def test_null_opens_nothing(key: str) -> None:
    with pytest.raises(RenderError, match=key):
        render({**SOCKET, "workerDefaults": {"socket": {key: None}}})


@pytest.mark.parametrize(
    ("pod", "admission", "words"),
    [
        (
            {"priorityClassName": "high"},
            {"priorityClasses": ["high"]},
            "tasks.admission.priorityClasses",
        ),
        ({"schedulerName": "mine"}, {"schedulers": ["*"]}, "tasks.admission.schedulers"),
        (
            {"tolerations": [{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}]},
            {"tolerations": [{"key": "gpu", "operator": "Exists"}]},
            "tasks.admission.tolerations",
        ),
    ],
)
def test_pods_that_the_admission_policy_would_reject_are_refused(
    pod: dict[str, Any], admission: dict[str, Any], words: str
) -> None:
    with pytest.raises(RenderError, match="rejects") as error:
        render({"tasks": {"pod": pod}})
    assert words in str(error.value)
    with pytest.raises(RenderError, match=r"workers\.default\.tasks\.pod"):
        render({"workers": {"default": {"tasks": {"pod": pod}}}})
    allowed = {"tasks": {"pod": pod, "admission": admission}}
    assert written(render(allowed), "default")["tasks"]["pod"] == pod
    assert written(render({"tasks": {"pod": pod, "admission": {"enabled": False}}}), "default")


def test_groups_of_one_namespace_may_have_other_pods() -> None:
    """The Docker gateway's, and those of the Kubernetes operators by the hook."""
    pod, labels, note = {"nodeSelector": {"gpu": "yes"}}, {"cost": "gpu"}, {"note": "$(HOME)"}
    gpu = {"queues": ["gpu"], "tasks": {"pod": pod, "podLabels": labels, "podAnnotations": note}}
    manifests = render({"workers": {"gpu": gpu}, "tasks": {"blockNodeScaleDown": False}})
    assert written(manifests, "gpu")["tasks"]["pod"] == pod
    assert written(manifests, "default")["tasks"]["pod"] == {}
    hooks = {}
    for group in ("default", "gpu"):
        worker = manifests.one("Deployment", name=f"airdock-worker-{group}")
        assert worker.pod
        hooks[group] = worker.pod.container("worker").env.get("AIRDOCK_TASK_POD")
    assert hooks["default"] is None
    assert hooks["gpu"]
    found = json.loads(str(hooks["gpu"].value).replace("$$", "$"))
    assert found == {"spec": pod, "labels": labels, "annotations": note}
