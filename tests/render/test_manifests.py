"""The reader of manifests itself."""

from __future__ import annotations

import copy
from typing import Any

import pytest

from scripts.chart import ManifestError, Manifests, load_yaml

POD = """
apiVersion: v1
kind: Pod
metadata: {name: p, namespace: ns, labels: {a: b}}
spec:
  serviceAccountName: robot
  initContainers:
    - {name: once, image: i}
    - {name: beside, image: i, restartPolicy: Always}
  containers:
    - name: main
      image: i
      env:
        - {name: X, value: "1"}
        - {name: Z, valueFrom: {secretKeyRef: {name: s, key: k}}}
      envFrom: [{configMapRef: {name: c, optional: true}}]
      volumeMounts:
        - {name: outer, mountPath: /data}
        - {name: inner, mountPath: /data/in, readOnly: true}
  ephemeralContainers: [{name: shell, image: i}]
  volumes:
    - {name: outer, emptyDir: {}}
    - {name: inner, projected: {sources: [{secret: {name: t, items: [{key: a, path: a}]}}]}}
"""


def wrapped(kind: str, *path: str) -> dict[str, Any]:
    """The pod inside an object of another kind."""
    pod = load_yaml(POD)[0]
    inner: Any = {"metadata": pod["metadata"], "spec": pod["spec"]}
    for step in reversed(path):
        inner = {step: inner}
    return {"apiVersion": "x/v1", "kind": kind, "metadata": {"name": "w"}, **inner}


@pytest.mark.parametrize(
    "kind", ["Deployment", "StatefulSet", "DaemonSet", "ReplicaSet", "Job", "CronJob", "Pod"]
)
def test_every_kind_gives_its_pod(kind: str) -> None:
    paths = {"CronJob": ("spec", "jobTemplate", "spec", "template"), "Pod": ()}
    manifests = Manifests.of([("", wrapped(kind, *paths.get(kind, ("spec", "template"))))])
    pod = manifests.one(kind).pod
    assert pod
    roles = {container.name: container.role for container in pod.containers}
    assert roles == {"once": "init", "beside": "sidecar", "main": "main", "shell": "ephemeral"}
    assert pod.service_account == "robot"


def test_container_by_name_and_mount_by_path() -> None:
    pod = Manifests.parse(POD).one("Pod").pod
    assert pod
    main = pod.container("main")
    assert main.mount_at("/data").volume == "outer"
    assert main.env["Z"].secret == ("s", "k")
    covering = main.mount_over("/data/in/deep/file")
    assert covering
    assert covering.volume == "inner"
    assert main.mount_over("/database") is None, "a path that only begins alike"
    with pytest.raises(ManifestError, match=r"no mount at /tmp; it has /data, /data/in"):
        main.mount_at("/tmp")
    with pytest.raises(ManifestError, match="no container docker; it has once, beside, main, shell"):
        pod.container("docker")


def test_references() -> None:
    pod = Manifests.parse(POD).one("Pod").pod
    assert pod
    found = {(r.kind, r.name, r.key, r.optional) for r in pod.references}
    assert found == {
        ("ServiceAccount", "robot", None, False),
        ("Secret", "s", "k", False),
        ("ConfigMap", "c", None, True),
        ("Secret", "t", "a", False),
    }


def test_one_says_what_is_there() -> None:
    manifests = Manifests.parse(POD)
    with pytest.raises(ManifestError, match=r"0 objects match Pod\(name=q\); there are: Pod ns/p"):
        manifests.one("Pod", name="q")
    assert manifests.find("Pod", name="q") is None


@pytest.mark.parametrize(
    ("selector", "selects"),
    [
        ({}, True),
        ({"matchLabels": {"a": "b"}}, True),
        ({"matchLabels": {"a": "c"}}, False),
        ({"matchExpressions": [{"key": "a", "operator": "In", "values": ["b", "c"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "NotIn", "values": ["b"]}]}, False),
        ({"matchExpressions": [{"key": "z", "operator": "NotIn", "values": ["b"]}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "Exists"}]}, True),
        ({"matchExpressions": [{"key": "a", "operator": "DoesNotExist"}]}, False),
    ],
)
def test_network_policy_selects(selector: dict[str, Any], selects: bool) -> None:
    policy = {"kind": "NetworkPolicy", "metadata": {"name": "x"}, "spec": {"podSelector": selector}}
    assert Manifests.of([("", policy)]).one("NetworkPolicy").selects({"a": "b"}) is selects


def test_service_without_a_selector_selects_nothing() -> None:
    service = {"kind": "Service", "metadata": {"name": "x"}, "spec": {}}
    assert not Manifests.of([("", service)]).one("Service").selects({"a": "b"})


def test_read_only_and_copyable() -> None:
    raw = Manifests.parse(POD).one("Pod").raw
    with pytest.raises(TypeError, match="read-only"):
        raw["spec"]["containers"][0]["image"] = "x"
    with pytest.raises(TypeError, match="read-only"):
        raw["spec"]["containers"].append({})
    mine = copy.deepcopy(raw)
    mine["spec"]["containers"][0]["image"] = "x"
    assert raw["spec"]["containers"][0]["image"] == "i"


def test_lists_and_empty_documents() -> None:
    a, b = "{kind: A, metadata: {name: a}}", "{kind: B, metadata: {name: b}}"
    text = f"---\n# nothing\n---\nkind: List\nitems: [{a}]\n---\n{b}\n"
    assert [manifest.kind for manifest in Manifests.parse(text)] == ["A", "B"]


def test_source_of_a_document() -> None:
    a, b = "{kind: A, metadata: {name: a}}", "{kind: B, metadata: {name: b}}"
    text = f"# Source: c/a.yaml\n{a}\n---\n# Source: c/b.yaml\n{b}\n"
    assert [manifest.source for manifest in Manifests.parse(text)] == ["c/a.yaml", "c/b.yaml"]


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("kind: A\nmetadata: {name: a}\nkind: B", "line 3: the key 'kind' occurs twice"),
        ("a:\n  b: 1\n  b: 2", "line 3: the key 'b' occurs twice"),
        ("kind: [", "x, line 2: did not find"),
        ("just text", "x, line 1: not a Kubernetes object: it has no kind"),
        ("kind: A", "x, line 1: A has no metadata"),
        ("a: .inf", "no form in JSON"),
        ("a: !!python/object:os.system x", "could not determine a constructor"),
    ],
)
def test_bad_yaml_is_one_sentence(text: str, says: str) -> None:
    with pytest.raises(ManifestError) as caught:
        Manifests.parse(text, "x")
    assert says in str(caught.value)


#: As `helm template` and kubectl read them (sigs.k8s.io/yaml); PyYAML differs in most.
SCALARS = {
    "1e3": 1000,
    "1.": 1,
    ".5": 0.5,
    "0x10": 16,
    "-0x10": -16,
    "012": 10,
    "0o14": 12,
    "08": 8,
    "0b11": 3,
    "1_000": 1000,
    "1:30": "1:30",
    "2001-01-01": "2001-01-01",
    "n": False,
    "Y": True,
    "off": False,
    "~": None,
    "Null": None,
    "'1e3'": "1e3",
}


@pytest.mark.parametrize("text", SCALARS)
def test_scalars_are_kubernetes_own(text: str) -> None:
    value = load_yaml(f"a: {text}")[0]["a"]
    assert (value, type(value)) == (SCALARS[text], type(SCALARS[text]))


def test_keys_are_strings() -> None:
    assert load_yaml("y: 1\n2: 3\n~: 4") == [{"true": 1, "2": 3, "null": 4}]
