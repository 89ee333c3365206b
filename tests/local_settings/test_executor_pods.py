"""What a pod_override may change of a pod of KubernetesExecutor: every field, one after another.

tests/e2e/test_kubernetes_executor.py does the same through Airflow's own merge, in the scheduler.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Iterator
from functools import cache
from typing import Any

import pytest
from kubernetes.client import models

from scripts.chart import Manifests
from tests.render.scenarios import BY_NAME
from tests.support import annotation_keys
from tests.support.attacks import AUTHOR
from tests.support.chart_modules import load_module
from tests.support.paths import FILES

SOURCE = FILES / "airdock_executor_pods.py"
GROUPS = ("default", "dind", "socket")
DEFAULT = {"image", "resources", "env", "envFrom", "volumes", "volumeMounts", "imagePullSecrets"}


def _refused() -> Callable[[Any, Any, set[str]], list[str]]:
    found: Callable[[Any, Any, set[str]], list[str]] = load_module(SOURCE).refused
    return found


refused = _refused()


@cache
def manifests() -> Manifests:
    """The release, rendered once."""
    return BY_NAME["kubernetes-executor"].render()


def template(group: str) -> dict[str, Any]:
    """The template of a group, as a pod in the API's form."""
    manifest = manifests().one("PodTemplate", group=group)
    pod: dict[str, Any] = copy.deepcopy(manifest.raw)["template"]
    pod["metadata"]["namespace"] = manifest.namespace
    return pod


def made(group: str) -> dict[str, Any]:
    """The pod that the executor creates from the template for a task without a pod_override."""
    pod = template(group)
    pod["metadata"]["name"] = "dag-task-abc"
    pod["metadata"]["labels"] |= {"dag_id": "dag", "kubernetes_executor": "True"}
    pod["metadata"].setdefault("annotations", {})["dag_id"] = "dag"
    base = pod["spec"]["containers"][0]
    base["args"] = ["python", "-m", "airflow.sdk.execution_time.execute_workload"]
    base["env"].append({"name": "AIRFLOW_IS_K8S_EXECUTOR_POD", "value": "True"})
    return pod


def paths(value: Any, path: tuple[Any, ...] = ()) -> Iterator[tuple[Any, ...]]:
    """The paths of all maps, lists and leaves in a value."""
    if path:
        yield path
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield from paths(item, (*path, key))


def allowed(path: tuple[Any, ...], names: set[str]) -> bool:
    """Whether an author may say something here that replaces what the template has."""
    replaced = names - {"env", "envFrom", "volumes", "volumeMounts"}
    if path[:3] == ("spec", "containers", 0):
        return len(path) > 3 and path[3] in replaced
    return path[0] == "spec" and len(path) > 1 and path[1] in replaced - {"image", "resources"}


@pytest.mark.parametrize("group", GROUPS)
def test_the_executors_own_pod_passes(group: str) -> None:
    assert refused(made(group), made(group), set()) == []


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("names", [set(), DEFAULT], ids=["nothing", "default"])
@pytest.mark.attack(actor=AUTHOR, finding=(1, 2, 11, 12))
def test_every_field_of_the_template_is_held(group: str, names: set[str]) -> None:
    """Each value changed, and each left out: all but those that are on the list."""
    ours = made(group)
    for path in [*paths(ours["spec"], ("spec",)), *paths(ours["metadata"], ("metadata",))]:
        if path[0] == path[-1] or allowed(path, names):
            continue
        for change in ("changed", "removed"):
            pod = made(group)
            holder: Any = pod
            for key in path[:-1]:
                holder = holder[key]
            if change == "removed":
                del holder[path[-1]]
            else:
                holder[path[-1]] = "something else"
            try:
                found = refused(pod, ours, names)
            except (AttributeError, IndexError, KeyError, TypeError):
                continue  # an error refuses too: Airflow makes no pod when its hook raises
            assert found, f"{path} {change}"


ATTACKS: dict[str, tuple[Callable[[dict[str, Any]], Any], str]] = {
    "hostPath": (
        lambda spec: spec["volumes"].append({"name": "node", "hostPath": {"path": "/"}}),
        "spec.volumes[node]",
    ),
    "token of the account": (
        lambda spec: spec["volumes"].append(
            {"name": "mine", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
        ),
        "spec.volumes[mine]",
    ),
    "another volume under a name of ours": (
        lambda spec: spec["volumes"].append({"name": "tmp", "emptyDir": {}}),
        "spec.volumes[tmp]",
    ),
    "node": (lambda spec: spec.update(nodeName="control-plane"), "spec.nodeName"),
    "host network": (lambda spec: spec.update(hostNetwork=True), "spec.hostNetwork"),
    "account": (lambda spec: spec.update(serviceAccountName="other"), "spec.serviceAccountName"),
    "tolerations": (lambda spec: spec.update(tolerations=[{"operator": "Exists"}]), "spec.tolerations"),
    "another container": (
        lambda spec: spec["containers"].append({"name": "mine", "securityContext": {"privileged": True}}),
        "spec.containers",
    ),
    "init container": (
        lambda spec: spec["initContainers"].append({"name": "mine", "image": "busybox"}),
        "spec.initContainers",
    ),
    "the daemon's variables": (
        lambda spec: spec["initContainers"][-1]["env"].append({"name": "LD_PRELOAD", "value": "x"}),
        "spec.initContainers",
    ),
    "privileged": (
        lambda spec: spec["containers"][0]["securityContext"].update(privileged=True),
        "spec.containers[base].securityContext",
    ),
    "a sidecar's volume": (
        lambda spec: spec["containers"][0]["volumeMounts"].append(
            {"name": spec["initContainers"][-1]["volumeMounts"][0]["name"], "mountPath": "/theirs"}
        ),
        "is the group's own",
    ),
    "a writable socket directory": (
        lambda spec: [mount.pop("readOnly", None) for mount in spec["containers"][0]["volumeMounts"]],
        "spec.containers[base].volumeMounts",
    ),
}


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.parametrize("attack", ATTACKS)
@pytest.mark.attack(actor=AUTHOR, finding=(1, 2, 11, 12))
def test_attacks_are_refused_by_name(group: str, attack: str) -> None:
    change, field = ATTACKS[attack]
    pod = made(group)
    change(pod["spec"])
    assert field in " ".join(refused(pod, made(group), DEFAULT))


@pytest.mark.parametrize("group", GROUPS)
def test_what_the_list_allows(group: str) -> None:
    pod = made(group)
    base = pod["spec"]["containers"][0]
    base |= {"image": "mine:1", "resources": {"limits": {"memory": "8Gi"}}}
    base["env"].append({"name": "MINE", "value": "1"})
    base["envFrom"].append({"configMapRef": {"name": "mine"}})
    base["volumeMounts"].append({"name": "data", "mountPath": "/data"})
    pod["spec"]["volumes"].append({"name": "data", "persistentVolumeClaim": {"claimName": "data"}})
    pod["spec"]["imagePullSecrets"] = [{"name": "mine"}]
    assert refused(pod, made(group), DEFAULT) == []
    for name in DEFAULT:
        assert refused(pod, made(group), DEFAULT - {name}), f"{name} is not on the list"


def test_placement_is_a_matter_of_the_list() -> None:
    pod = made("dind")
    pod["spec"]["nodeSelector"] = {"pool": "big"}
    assert refused(pod, made("dind"), DEFAULT) == ["spec.nodeSelector"]
    assert refused(pod, made("dind"), DEFAULT | {"nodeSelector"}) == []


METADATA: dict[str, tuple[dict[str, Any], list[str]]] = {
    "a label that NetworkPolicies select by": (
        {"labels": {"app.kubernetes.io/component": "postgres"}},
        ["metadata.labels[app.kubernetes.io/component]"],
    ),
    "the executor's label": (
        {"labels": {"kubernetes_executor": ""}},
        ["metadata.labels[kubernetes_executor]"],
    ),
    "the executor's annotation": ({"annotations": {"dag_id": "other"}}, ["metadata.annotations[dag_id]"]),
    "a controller's label": (
        {"labels": {"example.com/inject": "1"}},
        ["metadata.labels[example.com/inject]"],
    ),
    "finalizers": ({"finalizers": ["keep.example.com/me"]}, ["metadata.finalizers"]),
    "words of the author's own": (
        {"labels": {"team": "a"}, "annotations": dict.fromkeys(annotation_keys.ADMITTED, "b")},
        [],
    ),
    **{
        f"annotation {key}": ({"annotations": {key: "x"}}, [f"metadata.annotations[{key}]"])
        for key in annotation_keys.REFUSED
    },
}


@pytest.mark.parametrize("name", METADATA)
@pytest.mark.attack(actor=AUTHOR, finding=(1, 2, 11, 12))
def test_metadata(name: str) -> None:
    given, found = METADATA[name]
    pod = made("default")
    for key, value in given.items():
        if isinstance(value, dict):
            pod["metadata"].setdefault(key, {}).update(value)
        else:
            pod["metadata"][key] = value
    assert refused(pod, made("default"), DEFAULT) == found


#: Fields of the models that an author may set: on the list, or lists that take entries beside the group's.
OPEN = {f"containers[base].{key}" for key in DEFAULT - {"volumes", "imagePullSecrets"}} | {"imagePullSecrets"}


def fields(model: Any) -> Iterator[tuple[str, str]]:
    """Name and type of each field of a model of the Kubernetes client, in the API's spelling."""
    for attribute, kind in model.openapi_types.items():
        yield model.attribute_map[attribute], kind


def anything(kind: str) -> Any:
    """A value of a field's type that no template has."""
    if kind.startswith("list["):
        return [{"name": "theirs"} if "V1" in kind else "theirs"]
    if kind.startswith("dict"):
        return {"example.com/theirs": "1"}
    simple: dict[str, Any] = {"str": "theirs", "int": 31337, "bool": True, "datetime": "2026-01-01T00:00:00Z"}
    return simple.get(kind, {"theirs": "1"})


@pytest.mark.parametrize("group", GROUPS)
@pytest.mark.attack(actor=AUTHOR, finding=(1, 2, 11, 12))
def test_every_field_of_the_api_is_decided(group: str) -> None:
    """A field that a new version of the client brings is refused, as all are that nobody allowed."""
    places: list[tuple[str, Any, Callable[[dict[str, Any]], dict[str, Any]]]] = [
        ("", models.V1Pod, lambda pod: pod),
        ("metadata.", models.V1ObjectMeta, lambda pod: pod["metadata"]),
        ("", models.V1PodSpec, lambda pod: pod["spec"]),
        ("containers[base].", models.V1Container, lambda pod: pod["spec"]["containers"][0]),
    ]
    passed = set()
    for prefix, model, place in places:
        for field, kind in fields(model):
            if field in ("metadata", "spec", "containers"):
                continue
            pod = made(group)
            holder = place(pod)
            value = anything(kind)
            ours = holder.get(field)
            holder[field] = [*ours, *value] if isinstance(ours, list) and isinstance(value, list) else value
            assert pod != made(group), field
            if not refused(pod, made(group), DEFAULT):
                passed.add(f"{prefix}{field}")
    # A volume without a source is an emptyDir.
    assert passed == OPEN | {"volumes"}
