"""examples/kustomize: another namespace, a prefix, images, a further group; and mistakes."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.chart import ROOT, Manifests, render
from scripts.overlays.__main__ import main
from scripts.overlays.build import BuildError, build
from scripts.overlays.check import problems, stale
from scripts.overlays.generate import dump
from tests.overlays.support import built, copied, kustomization
from tests.render.contracts import CONTRACTS
from tests.render.scenarios import Scenario

EXAMPLE = ROOT / "examples" / "kustomize"
RELEASE, TASKS = "team-data", "team-data-tasks"


@pytest.fixture(scope="module")
def manifests() -> Manifests:
    return build(EXAMPLE)


def test_nothing_stays_behind(manifests: Manifests) -> None:
    assert {m.namespace for m in manifests if not m.cluster_scoped} == {RELEASE, TASKS}
    assert {m.name for m in manifests.all("Namespace")} == {RELEASE, TASKS}
    assert not manifests.all("ConfigMap", name="airdock-names")
    for binding in manifests.all("ValidatingAdmissionPolicy"):
        assert "team-data" in binding.name


def test_rights_follow(manifests: Manifests) -> None:
    accounts = {(m.namespace, m.name) for m in manifests.all("ServiceAccount")}
    bindings = manifests.all("RoleBinding")
    assert {binding.namespace for binding in bindings} == {RELEASE, TASKS}
    for binding in bindings:
        for subject in binding.get("subjects"):
            assert (subject["namespace"], subject["name"]) in accounts
            assert subject["namespace"] == RELEASE
        assert manifests.find("Role", namespace=binding.namespace, name=binding.get("roleRef", "name"))


def test_the_fence_follows(manifests: Manifests) -> None:
    (tasks,) = [m for m in manifests.all("Namespace") if "airdock.dev/tasks" in m.labels]
    assert tasks.name == TASKS
    # Another installation's fence must not hold this namespace, nor this one another's.
    assert tasks.labels["airdock.dev/tasks"] == "team-data.airdock"
    assert manifests.find("ServiceAccount", namespace=TASKS, name=tasks.labels["airdock.dev/task-account"])
    bindings = manifests.all("ValidatingAdmissionPolicyBinding")
    assert len(bindings) == 3
    for binding in bindings:
        assert manifests.find("ValidatingAdmissionPolicy", name=binding.get("spec", "policyName"))
        scope = binding.get("spec", "matchResources", "namespaceSelector", "matchLabels")
        assert scope == {"airdock.dev/tasks": "team-data.airdock"}


def test_the_label_of_workers_namespaces_follows(manifests: Manifests) -> None:
    """Workers of another installation, in a namespace that carries its label, do not get in here."""
    policies = [m.raw for m in manifests.all("NetworkPolicy") if "airdock.dev/release" in json.dumps(m.raw)]
    assert {policy["metadata"]["name"] for policy in policies} == {
        "data-airdock-api-server",
        "data-airdock-redis",
    }
    for policy in policies:
        values = re.findall('"airdock.dev/release": "([^"]*)"', json.dumps(policy))
        assert values
        assert set(values) == {"team-data.airdock"}


def test_pods_find_what_was_renamed(manifests: Manifests) -> None:
    worker = manifests.one("Deployment", component="worker", group="default")
    assert worker.pod
    env = manifests.environment(worker, worker.pod.container("worker"))
    assert env["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"] == "http://data-airdock-api-server:8080/execution/"
    assert env["AIRDOCK_TASK_SERVICE_ACCOUNT"] == "data-airdock-task"
    assert f'"namespace":"{TASKS}"' in env["AIRFLOW_CONN_KUBERNETES_DEFAULT"]
    assert "registry.example.com/busybox:1.37" in env["AIRFLOW_CONN_KUBERNETES_DEFAULT"]
    assert "https://git.example.com/data/dags.git" in env["AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_CONFIG_LIST"]
    assert worker.get("spec", "replicas") == 3
    assert worker.pod.container("worker").raw["resources"]["limits"]["memory"] == "8Gi"
    images = {c.image for _, _, c in manifests.containers}
    assert not any(image.startswith("apache/") for image in images)


@pytest.mark.parametrize("name", ["references", "in-cluster-urls", "made-secrets", "selectors"])
def test_contract(name: str, manifests: Manifests) -> None:
    scenario = Scenario("user", namespace=RELEASE)
    assert not list(CONTRACTS[name](manifests, scenario))


# Mistakes: each is made in a copy of the example, and named.


def without(field: str, entry: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content[field].remove(entry)


def append(field: str, entry: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.setdefault(field, []).append(entry)


def put(field: str, value: Any) -> Callable[[dict[str, Any]], None]:
    return lambda content: content.update({field: value})


ACCOUNT = "{name: airdock-triggerer, namespace: airdock}"
DELETE = f"{{$patch: delete, apiVersion: v1, kind: ServiceAccount, metadata: {ACCOUNT}}}"
NAMES = {
    "rights left behind": (append("patches", {"patch": DELETE}), "no account has its rights"),
    "tasks left behind": (
        without("transformers", "../../overlays/names/tasks"),
        "airdock-tasks has no such ServiceAccount",
    ),
    "fence left behind": (without("transformers", "../../overlays/names/fence"), "the fence is open"),
}
PATCH = {
    "target": {"kind": "Deployment", "name": "airdock-worker"},
    "patch": "- {op: add, path: /a, value: b}",
}


def changed(tmp_path: Path, *changes: Callable[[dict[str, Any]], None]) -> Path:
    copied(tmp_path)
    folder = Path(shutil.copytree(EXAMPLE, tmp_path / "examples" / "kustomize"))
    content = yaml.safe_load((folder / "kustomization.yaml").read_text())
    for change in changes:
        change(content)
    return kustomization(folder, **content)


@pytest.mark.parametrize("mistake", NAMES)
def test_a_stale_name_is_found(mistake: str, tmp_path: Path) -> None:
    change, sentence = NAMES[mistake]
    assert any(sentence in found for found in stale(build(changed(tmp_path, change))))


def test_namespace_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["check", str(changed(tmp_path, put("namespace", "team-data")))]) == 1
    assert "`namespace:` also moves the objects of the task namespace" in capsys.readouterr().out


def test_entries_without_effect_are_found(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Exactly they, after the stale names: one run for all, because it builds once for each entry."""
    image = append("images", {"name": "postgress", "newTag": "18"})
    rights, sentence = NAMES["rights left behind"]
    ingress = append("components", "../../overlays/components/ingress")
    url = {"name": "airdock-env", "namespace": "airdock", "behavior": "merge"}
    url |= {"literals": ["AIRFLOW__API__BASE_URL=https://airflow.acme.io"]}
    changes = rights, image, append("patches", PATCH), ingress, append("configMapGenerator", url)
    assert main(["check", str(changed(tmp_path, *changes))]) == 1
    first, second, third, fourth = capsys.readouterr().out.splitlines()
    assert sentence in first
    assert "patches has an entry without effect, {'kind': 'Deployment', 'name': 'airdock-worker'}" in second
    assert "images has an entry without effect, postgress" in third
    assert "configMapGenerator has an entry without effect" in fourth
    assert "Merge them one level higher" in fourth


def of_component(name: str, behavior: str, file: str, text: str, folder: Path) -> dict[str, Any]:
    """Write a file beside a kustomization; give the entry that puts it into a component's ConfigMap."""
    folder.mkdir(parents=True, exist_ok=True)
    (folder / file).write_text(text)
    return {"name": f"airdock-{name}", "namespace": "airdock", "behavior": behavior, "files": [file]}


@pytest.mark.parametrize(
    ("component", "name", "behavior", "file"),
    [
        ("fab", "webserver-config", "replace", "webserver_config.py"),
        ("fab", "webserver-config", "merge", "more.py"),
        ("mode-socket", "worker-socket-docker-gateway", "replace", "settings.json"),
    ],
)
def test_a_components_file_is_replaced_one_level_higher(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], component: str, name: str, behavior: str, file: str
) -> None:
    overlays = copied(tmp_path)
    below, above, same = overlays / "mine", overlays / "above", overlays / "same"
    parts = [f"../components/{part}" for part in dict.fromkeys(("docker-gateway", component))]
    entry = of_component(name, behavior, file, "{}", above)
    kustomization(below, resources=["../base"], components=parts)
    kustomization(above, resources=["../mine"], configMapGenerator=[entry])
    (found,) = [m for m in build(above, hashes=False).all("ConfigMap") if m.name == f"airdock-{name}"]
    assert found.raw["data"][file] == "{}"
    of_component(name, behavior, file, "{}", same)
    kustomization(same, resources=["../base"], components=parts, configMapGenerator=[entry])
    assert main(["check", str(same)]) == 2
    assert "one level higher" in capsys.readouterr().err


def test_a_fence_whose_variables_a_patch_replaced_is_found(manifests: Manifests) -> None:
    """A strategic merge patch has no key for the list. Each variable that an expression uses."""
    whole = list(manifests.changed())
    assert not [each for each in stale(Manifests.of(whole)) if "does not define" in each]
    for policy in manifests.all("ValidatingAdmissionPolicy"):
        variables = policy.get("spec", "variables")
        used = [v["name"] for v in variables if re.search(rf"variables\.{v['name']}\b", str(policy.raw))]
        assert used
        for name in used:
            kept = [each for each in variables if each["name"] != name]
            raw = {**policy.raw, "spec": {**policy.get("spec"), "variables": kept}}
            others = [pair for pair in whole if pair[1]["metadata"]["name"] != policy.name]
            found = [each for each in stale(Manifests.of([*others, ("", raw)])) if "does not define" in each]
            assert len(found) == 1, (policy, name)
            assert f"({name})" in found[0]
            assert policy.name in found[0]


def test_the_example_has_no_problem() -> None:
    assert problems(EXAMPLE) == []


def test_two_releases_in_one_build(manifests: Manifests) -> None:
    """Each has its own names; what is missing in one of them is still found."""
    other = list(built("kubernetes").changed())
    both = [*manifests.changed(), *other]
    assert list(stale(Manifests.of(both))) == []
    (redis,) = [
        raw for _, raw in other if (raw["kind"], raw["metadata"]["name"]) == ("Service", "airdock-redis")
    ]
    redis["metadata"]["name"] = "renamed"
    (found,) = stale(Manifests.of(both))
    assert "AIRDOCK_REDIS_HOST is airdock-redis" in found


def test_lists_of_the_fence_by_a_patch(tmp_path: Path) -> None:
    """What docs/kustomize.md shows: a patch with the whole policies, as Helm renders them."""
    fence = [
        m.raw for m in render({"tasks": {"admission": {"secrets": ["warehouse"]}}}) if "Admission" in m.kind
    ]
    assert len(fence) == 6
    overlays = copied(tmp_path)
    folder = kustomization(overlays / "mine", resources=["../kubernetes"], patches=[{"path": "fence.yaml"}])
    (folder / "fence.yaml").write_text("---\n".join(dump(json.loads(json.dumps(raw))) for raw in fence))
    assert problems(folder) == []
    specs = {(m.kind, m.name): m.get("spec") for m in build(folder) if "Admission" in m.kind}
    assert specs == {(raw["kind"], raw["metadata"]["name"]): raw["spec"] for raw in fence}
    assert "warehouse" in json.dumps([*specs.values()])


def test_kubectls_own_errors_are_passed_on(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = kustomization(tmp_path / "user", resources=["gone.yaml"])
    assert main(["check", str(folder)]) == 2
    assert "gone.yaml" in capsys.readouterr().err
    with pytest.raises(BuildError, match="has no kustomization"):
        problems(tmp_path)


def test_autoscaling_follows(tmp_path: Path) -> None:
    """The policy would hold nobody if it named the account of another installation."""
    top = copied(tmp_path)
    shutil.copy(EXAMPLE / "names.yaml", kustomization(tmp_path / "team"))
    folder = kustomization(
        tmp_path / "team",
        resources=["../overlays/kubernetes", "names.yaml"],
        components=["../overlays/components/autoscaling"],
        transformers=[f"../overlays/names/{name}" for name in ("release", "tasks", "fence", "autoscaling")],
        namePrefix="data-",
    )
    assert top.is_dir()
    manifests = build(folder)
    assert not list(problems(folder))
    (binding,) = (
        each
        for each in manifests.all("ValidatingAdmissionPolicyBinding")
        if each.name.endswith("-autoscaler")
    )
    account = binding.get("spec", "paramRef")
    assert manifests.one("ServiceAccount", namespace=account["namespace"], name=account["name"])
    assert binding.name == binding.get("spec", "policyName") == "team-data-airdock-airdock-autoscaler"
    scaled = manifests.one("ScaledObject")
    assert manifests.one("Deployment", name=scaled.get("spec", "scaleTargetRef", "name"))
    assert ".team-data.svc:8080/" in scaled.get("spec", "triggers")[0]["metadata"]["url"]
