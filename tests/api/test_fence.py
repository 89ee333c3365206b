"""The admission fence of the task namespace.

Every attack is first shown to work where there is no fence, by the same account with the same rights.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.attacks import ATTACKS, POD_SECURITY, Attack, Pod, base
from tests.api.conftest import GIVEN, UNFENCED, UNGUARDED, Installed, make_namespace
from tests.api.control_plane import Client, ControlPlane, Refused
from tests.api.pods import gateway_pod, kpo_pod
from tests.support.waiting import wait_until

TASKS = "airdock-tasks"
POLICY = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "airdock-airdock-task-pods"},
}


def refusal(ask: Callable[[], object]) -> str:
    """The message of a 403, "" if it was granted. Any other refusal is a mistake in the test."""
    try:
        ask()
    except Refused as error:
        assert error.status == 403, str(error)
        return str(error)
    return ""


def attempt(client: Client, installed: Installed, attack: Attack, namespace: str) -> str:
    """The refusal of one attack in a namespace, "" if it works."""
    if installed.plane.version < attack.since:
        pytest.skip(f"Kubernetes {attack.since} knows this first")
    pod = kpo_pod(installed.manifests, namespace=namespace)
    attack.change(pod)
    return refusal(lambda: client.create(pod, dry_run=True))


def by_name(attacks: tuple[Attack, ...]) -> pytest.MarkDecorator:
    return pytest.mark.parametrize("attack", attacks, ids=[attack.name for attack in attacks])


@by_name(ATTACKS)
def test_attack(installed: Installed, attack: Attack) -> None:
    assert attempt(installed.worker, installed, attack, UNFENCED) == "", "works without the fence"
    for namespace in (TASKS, GIVEN):
        said = attempt(installed.worker, installed, attack, namespace)
        if attack.needs_no_limit_range and namespace == TASKS:
            continue
        assert said, f"{attack.name} works in {namespace}"
        if attack.rule == POD_SECURITY:
            assert "violates PodSecurity" in said
        elif "violates PodSecurity" not in said:  # which is asked first, and covers some of the same
            assert attack.says in said
            assert re.search(r"\(tasks\.\w+|\(no value allows this\)", said), said


def test_namespace_without_pod_security(installed: Installed) -> None:
    pod = kpo_pod(installed.manifests, namespace=UNGUARDED)
    said = refusal(lambda: installed.worker.create(pod, dry_run=True))
    assert f"namespace {UNGUARDED} does not enforce Pod Security restricted" in said
    assert "tasks.podSecurity.level" in said


def test_one_refusal_names_all_problems(installed: Installed) -> None:
    pod = kpo_pod(installed.manifests)
    pod["spec"].update(serviceAccountName="default", schedulerName="lax")
    base(pod)["envFrom"] = [{"secretRef": {"name": name}} for name in ("one", "two", "allowed")]
    said = refusal(lambda: installed.worker.create(pod))
    assert said.endswith(
        "denied request: a pod of Airdock release airdock/airdock may not have: "
        "scheduler lax (tasks.admission.schedulers); "
        "Secret one (tasks.admission.secrets); Secret two (tasks.admission.secrets); "
        "service account 'default' instead of airdock-task (tasks.admission.serviceAccounts)"
    )


# What has to be let in


def proper(change: Callable[[Pod], object] = lambda pod: None, **shape: bool) -> Any:
    return (change, shape)


def volumes(*sources: Any) -> Callable[[Pod], object]:
    named = [{"name": f"v{number}", **source} for number, source in enumerate(sources)]
    return lambda pod: pod["spec"].setdefault("volumes", []).extend(named)


PROPER = {
    "bare KubernetesPodOperator": proper(),
    "with XCom": proper(xcom=True),
    "with an init container": proper(init=True),
    "with both": proper(xcom=True, init=True),
    "without resources, which the LimitRange fills in": proper(lambda pod: base(pod).pop("resources")),
    "allowed names by env": proper(
        lambda pod: base(pod).update(
            env=[
                {"name": "A", "valueFrom": {"secretKeyRef": {"name": "allowed", "key": "k"}}},
                {"name": "B", "valueFrom": {"configMapKeyRef": {"name": "allowed", "key": "k"}}},
                {"name": "C", "valueFrom": {"fieldRef": {"fieldPath": "metadata.name"}}},
                {"name": "D", "value": "x"},
            ],
            envFrom=[{"secretRef": {"name": "allowed"}}, {"configMapRef": {"name": "allowed"}}],
        )
    ),
    "allowed volumes": proper(
        volumes(
            {"secret": {"secretName": "allowed"}},
            {"configMap": {"name": "allowed"}},
            {"persistentVolumeClaim": {"claimName": "allowed"}},
            {"emptyDir": {"medium": "Memory", "sizeLimit": "1Mi"}},
            {"downwardAPI": {"items": [{"path": "l", "fieldRef": {"fieldPath": "metadata.labels"}}]}},
            {
                "projected": {
                    "sources": [
                        {"secret": {"name": "allowed"}},
                        {"configMap": {"name": "allowed"}},
                        {"serviceAccountToken": {"path": "t", "audience": "sts.example.com"}},
                    ]
                }
            },
            {"csi": {"driver": "d.example", "nodePublishSecretRef": {"name": "allowed"}}},
            {
                "ephemeral": {
                    "volumeClaimTemplate": {
                        "spec": {
                            "accessModes": ["ReadWriteOnce"],
                            "resources": {"requests": {"storage": "1Gi"}},
                        }
                    }
                }
            },
        )
    ),
    "allowed image": proper(
        lambda pod: base(pod).update(image="registry.example/team/etl@sha256:" + "0" * 64)
    ),
    "allowed image, exactly": proper(lambda pod: base(pod).update(image="registry.example/one:1")),
    "allowed placement": proper(
        lambda pod: pod["spec"].update(
            priorityClassName="batch",
            schedulerName="volcano",
            nodeSelector={"disk": "ssd"},
            tolerations=[{"key": "gpu", "operator": "Exists", "effect": "NoSchedule"}],
        )
    ),
    "what Kubernetes adds": proper(
        lambda pod: pod["spec"].update(
            tolerations=[
                {"key": f"node.kubernetes.io/{key}", "operator": "Exists", "effect": effect, **seconds}
                for key, effect, seconds in (
                    ("not-ready", "NoExecute", {"tolerationSeconds": 300}),
                    ("unreachable", "NoExecute", {"tolerationSeconds": 300}),
                    ("memory-pressure", "NoSchedule", {}),
                )
            ]
        )
    ),
    "allowed account, pull secret and label": proper(
        lambda pod: (
            pod["spec"].update(serviceAccountName="cloud", imagePullSecrets=[{"name": "allowed"}]),
            pod["metadata"]["labels"].update(
                {"airdock.dev/allowed": "x", "app.kubernetes.io/instance": "mine"}
            ),
        )
    ),
    "probe of its own": proper(
        lambda pod: base(pod).update(livenessProbe={"httpGet": {"path": "/", "port": 80}})
    ),
}


@pytest.mark.parametrize("name", PROPER)
@pytest.mark.parametrize("namespace", [TASKS, GIVEN])
def test_let_in(installed: Installed, name: str, namespace: str) -> None:
    if "LimitRange" in name and namespace != TASKS:
        pytest.skip("a given namespace brings its own LimitRange")
    change, shape = PROPER[name]
    pod = kpo_pod(installed.manifests, namespace=namespace, **shape)
    change(pod)
    installed.worker.create(pod, dry_run=True)


def test_bare_operator_with_default_values(install: Callable[..., Installed]) -> None:
    bare = install({}, release="bare", namespace="bare")
    pod = kpo_pod(bare.manifests, xcom=True)
    created = bare.worker.create(pod)
    assert created["spec"]["tolerations"], "the API server added tolerations, and the fence took them"
    assert not created["spec"].get("imagePullSecrets")
    assert [volume["name"] for volume in created["spec"]["volumes"]] == ["xcom"], "no token"


GATEWAY = {
    "workers": {"default": {"mode": "kubernetes", "queues": ["default"]}},
    "tasks": {
        "registries": {"registry.example": {"pullSecret": "registry-example"}},
        "claims": {"data": {"claimName": "data-claim"}},
        "binds": {"/srv/models": {"claimName": "models-claim"}},
        "networks": {"backend": {"labels": {"reach": "backend"}}},
    },
}


@pytest.mark.parametrize(
    "body",
    [
        {},
        {
            "Image": "registry.example/etl:1",
            "Labels": {
                "airdock.dev/retrieve-output": "/tmp/script.out",
                "airdock.dev/dag-id": "weather",
                "airdock.dev/try-number": "1",
                "team": "data",
            },
            "HostConfig": {
                "NetworkMode": "none",
                "Memory": 64 << 20,
                "Mounts": [
                    {"Type": "volume", "Source": "data", "Target": "/data"},
                    {"Type": "bind", "Source": "/srv/models", "Target": "/models", "ReadOnly": True},
                    {"Type": "bind", "Source": "/run/airdock-tmp/airflowtmpabc123", "Target": "/tmp/airflow"},
                ],
            },
        },
        {"HostConfig": {"NetworkMode": "backend"}},
    ],
    ids=["bare", "with everything", "named network"],
)
def test_pod_of_the_docker_gateway(install: Callable[..., Installed], tmp_path: Path, body: Any) -> None:
    """What the release's own values let DockerOperator have is let in without being listed again."""
    release = install(GATEWAY, release="airdock", namespace="docker")
    release.worker.create(gateway_pod(release.manifests, tmp_path, **body), dry_run=True)


def test_size_of_a_pod(installed: Installed) -> None:
    """2000 parts are within the cost that the API server allows; more are refused before they cost that."""

    def pod(containers: int, variables: int, volumes: int) -> Pod:
        made = kpo_pod(installed.manifests)
        secret = {"valueFrom": {"secretKeyRef": {"name": "allowed", "key": "k"}}}
        env = [{"name": f"V{number}", **secret} for number in range(variables)]
        made["spec"]["containers"] = [
            {**base(made), "name": f"c{number}", "env": env} for number in range(containers)
        ]
        made["spec"]["volumes"] = [
            {"name": f"v{number}", "configMap": {"name": "allowed"}} for number in range(volumes)
        ]
        return made

    installed.worker.create(pod(10, 194, 50), dry_run=True)
    stealing = pod(10, 193, 50)
    base(stealing)["envFrom"] = [{"secretRef": {"name": "stolen"}}]
    assert "Secret stolen" in refusal(lambda: installed.worker.create(stealing, dry_run=True))
    for large in (pod(10, 194, 51), pod(10, 1000, 0)):
        said = refusal(partial(installed.worker.create, large, dry_run=True))
        assert "more than 2000 containers, variables and volumes" in said


def test_pull_secret_of_the_task_account(installed: Installed) -> None:
    created = installed.worker.create(kpo_pod(installed.manifests), dry_run=True)
    assert created["spec"]["imagePullSecrets"] == [{"name": "registry"}]


# Pods that are there already


@pytest.fixture(scope="module")
def running(installed: Installed) -> dict[str, Pod]:
    """One pod with an XCom sidecar in each namespace; the unfenced one breaks rules that hold elsewhere."""
    pods = {}
    for namespace in (TASKS, UNFENCED):
        pod = kpo_pod(installed.manifests, namespace=namespace, xcom=True)
        pod["metadata"]["name"] = "running"
        pods[namespace] = installed.worker.create(pod)
    return pods


UPDATES: dict[str, Any] = {
    "fixedImages": {"spec": {"containers": [{"name": "base", "image": "busybox:1.36"}]}},
    "labels": {"metadata": {"labels": {"airdock.dev/mode": "dind"}}},
    # The API server lets none be taken away, so that these come on top.
    "tolerations": {"spec": {"tolerations": [{"operator": "Exists"}]}},
}


@pytest.mark.parametrize("rule", UPDATES)
def test_update(installed: Installed, running: dict[str, Pod], rule: str) -> None:
    worker, change = installed.worker, copy.deepcopy(UPDATES[rule])
    if rule == "tolerations":
        change["spec"]["tolerations"] += running[TASKS]["spec"]["tolerations"]
    worker.patch(running[UNFENCED], change, dry_run=True)
    said = refusal(lambda: worker.patch(running[TASKS], change, dry_run=True))
    assert "Airdock release" in said


def test_operator_patches_its_pod(installed: Installed, running: dict[str, Pod]) -> None:
    installed.worker.patch(running[TASKS], {"metadata": {"labels": {"already_checked": "True"}}})


def test_pod_from_before_the_fence_can_end(control_plane: ControlPlane, installed: Installed) -> None:
    """Controllers still change what is no part of the spec, such as a Job's finalizer, and delete it."""
    make = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "late"}}
    admin = control_plane.admin
    admin.apply(make)
    metadata = {"name": "airdock-task", "namespace": "late"}
    admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
    pod = kpo_pod(installed.manifests, namespace="late")
    pod["metadata"].update(finalizers=["batch.kubernetes.io/job-tracking"])
    pod["metadata"]["labels"]["airdock.dev/old"] = "x"
    base(pod)["envFrom"] = [{"secretRef": {"name": "old"}}]
    pod = admin.create(pod)
    admin.apply({**make, "metadata": {"name": "late", "labels": {"airdock.dev/tasks": "airdock.airdock"}}})
    fresh = copy.deepcopy(pod)
    fresh["metadata"] = {"name": "new", "namespace": "late"}
    wait_until(lambda: refusal(lambda: admin.create(fresh, dry_run=True)), 60, "late is fenced")
    assert refusal(lambda: admin.patch(pod, {"spec": {"activeDeadlineSeconds": 5}})), (
        "the spec stays as it is"
    )
    admin.patch(pod, {"metadata": {"finalizers": None, "labels": {"seen": "x"}}})
    admin.delete(pod)


#: Pod Security has nothing against it.
_RESTRICTED = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}, "runAsNonRoot": True}
EPHEMERAL = {
    "spec": {
        "ephemeralContainers": [{"name": "debug", "image": "busybox:1.37", "securityContext": _RESTRICTED}]
    }
}


def careless(control_plane: ControlPlane) -> Client:
    """Somebody with all rights: what stops him is the fence."""
    return control_plane.user("careless", "system:masters")


def test_ephemeral_container(control_plane: ControlPlane, running: dict[str, Pod]) -> None:
    def debug(client: Client, namespace: str) -> str:
        patch = partial(client.patch, running[namespace], EPHEMERAL, dry_run=True)
        return refusal(partial(patch, subresource="ephemeralcontainers"))

    assert debug(careless(control_plane), UNFENCED) == ""
    said = debug(careless(control_plane), TASKS)
    assert "ephemeral container debug (tasks.admission.exemptUsers)" in said
    assert debug(control_plane.user("debugger", "system:masters"), TASKS) == ""


def connect(client: Client, pod: Pod, subresource: str, container: str = "", method: str = "GET") -> str:
    """The refusal of a connection, "" if all of admission let it through: there is no node to serve it."""
    query = {"container": container, "command": "id"} if container else {}
    try:
        client.request(method, client.path(pod, subresource=subresource), query=query)
    except Refused as error:
        if error.status == 400 and "does not have a host assigned" in str(error):
            return ""
        assert error.status == 403, str(error)
        return str(error)
    raise AssertionError("a pod without a node cannot have answered")


@pytest.mark.parametrize("method", ["GET", "POST"])
def test_exec(installed: Installed, running: dict[str, Pod], method: str) -> None:
    worker = installed.worker
    assert connect(worker, running[UNFENCED], "exec", "base", method) == ""
    assert connect(worker, running[TASKS], "exec", "airflow-xcom-sidecar", method) == ""
    assert "tasks.admission.execContainers" in connect(worker, running[TASKS], "exec", "base", method)
    bare = {**running[TASKS]}
    path = worker.path(bare, subresource="exec")
    said = refusal(lambda: worker.request(method, path, query={"command": "id"}))
    assert "exec into container ''" in said, "the container that Kubernetes would choose"


@pytest.mark.parametrize("subresource", ["attach", "portforward", "proxy"])
def test_other_connections(
    control_plane: ControlPlane, installed: Installed, running: dict[str, Pod], subresource: str
) -> None:
    for namespace in (TASKS, UNFENCED):
        said = connect(installed.worker, running[namespace], subresource)
        assert f'cannot get resource "pods/{subresource}"' in said, "the worker has no right to it anywhere"
    client = careless(control_plane)
    if subresource != "proxy":  # whose backend answers differently
        assert connect(client, running[UNFENCED], subresource, "base") == ""
    assert f"{subresource} is not allowed" in connect(client, running[TASKS], subresource)


def test_exempt_user(control_plane: ControlPlane, installed: Installed, running: dict[str, Pod]) -> None:
    debugger = control_plane.user("debugger", "system:masters")
    assert connect(debugger, running[TASKS], "exec", "base") == ""
    pod = kpo_pod(installed.manifests)
    base(pod)["envFrom"] = [{"secretRef": {"name": "any"}}]
    debugger.create(pod, dry_run=True)


# Pods that somebody else makes


def test_job_is_no_detour(control_plane: ControlPlane, installed: Installed) -> None:
    """The Job is taken; its pod is made by the job controller, and is a task pod like any other."""
    pod = kpo_pod(installed.manifests)
    template = {"metadata": {"labels": {}}, "spec": pod["spec"]}
    stealing = copy.deepcopy(template)
    stealing["spec"]["containers"][0]["envFrom"] = [{"secretRef": {"name": "database-password"}}]

    def made(namespace: str, name: str, template: Any) -> tuple[bool, list[str]]:
        """Whether the Job has a pod, and the warnings about it."""
        metadata = {"name": name, "namespace": namespace}
        installed.worker.create(
            {"apiVersion": "batch/v1", "kind": "Job", "metadata": metadata, "spec": {"template": template}}
        )
        found: tuple[bool, list[str]] = (False, [])

        def seen() -> bool:
            nonlocal found
            root = f"/api/v1/namespaces/{namespace}"
            pods = control_plane.admin.request(
                "GET", f"{root}/pods", query={"labelSelector": f"job-name={name}"}
            )
            about = {"fieldSelector": f"involvedObject.name={name},type=Warning"}
            events = control_plane.admin.request("GET", f"{root}/events", query=about)["items"]
            found = (bool(pods["items"]), [event["message"] for event in events])
            return any(found)

        wait_until(seen, 60, f"job {name} went on")
        return found

    assert made(UNFENCED, "stealing", stealing) == (True, [])
    assert made(TASKS, "honest", template) == (True, [])
    there, warnings = made(TASKS, "stealing", stealing)
    assert not there
    assert "Secret database-password (tasks.admission.secrets)" in warnings[0]


def test_other_namespaces_are_not_touched(control_plane: ControlPlane, installed: Installed) -> None:
    """The fence of one release does not hold pods elsewhere."""
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "x", "namespace": "default"}}
    spec = {
        "containers": [{"name": "c", "image": "evil.example/x", "envFrom": [{"secretRef": {"name": "s"}}]}]
    }
    control_plane.admin.create({**pod, "spec": spec}, dry_run=True)


# The policies themselves


def test_expressions_are_well_typed(control_plane: ControlPlane, installed: Installed) -> None:
    """The API server checks validations against the types of what they read, and warns in the status.

    It does not look into variables, so each is made a validation here.
    """
    admin = control_plane.admin
    policy = copy.deepcopy(admin.get(POLICY))
    del policy["status"]
    expressions = [each["expression"] for each in policy["spec"]["variables"]]
    typos = ["object.spec.nodeNam == ''", "oldObject.spec.nodeNam == ''"]
    warned = {}
    for name, checked in {"sound": expressions, "unsound": [*expressions, *typos]}.items():
        policy["metadata"] = {"name": f"types-{name}"}
        policy["spec"]["validations"] = [{"expression": f"type({each}) == type({each})"} for each in checked]
        admin.create(policy)
        wait_until(lambda: "typeChecking" in admin.get(policy).get("status", {}), 60, "checked")
        warned[name] = admin.get(policy)["status"]["typeChecking"].get("expressionWarnings", [])
    assert warned["sound"] == []
    assert len(warned["unsound"]) == len(typos)


def _without(rule: str, policy: Any) -> None:
    for variable in policy["spec"]["variables"]:
        if variable["name"] == rule:
            variable["expression"] = "[]"


@pytest.fixture(scope="module")
def weakened(control_plane: ControlPlane, installed: Installed) -> dict[str, str]:
    """Copies of the fence, each without one part, each over a namespace of its own: part -> namespace.

    A part is a rule, or one line of an expression that adds to what the rules see. Pod Security is off, and
    with it the rule that wants it, so that each attack meets its own rule.
    """
    policy = control_plane.admin.get(POLICY)
    policy["metadata"] = {}
    del policy["status"]
    _without("podSecurity", policy)
    copies = {"": policy}
    counted = ("problems", "parts")  # test_size_of_a_pod and test_every_rule_has_an_attack see to them
    for number, variable in enumerate(policy["spec"]["variables"]):
        if variable["name"] in {attack.rule for attack in ATTACKS}:
            copies[variable["name"]] = copy.deepcopy(policy)
            _without(variable["name"], copies[variable["name"]])
        lines = variable["expression"].splitlines()
        for line in range(len(lines)):
            if lines[line].strip().startswith("+ ") and variable["name"] not in counted:
                part = f"{variable['name']}: {lines[line].strip()}"
                copies[part] = copy.deepcopy(policy)
                fewer = [*lines[:line], _closing(lines[line]), *lines[line + 1 :]]
                copies[part]["spec"]["variables"][number]["expression"] = "\n".join(fewer)
    namespaces = {}
    for number, (part, weak) in enumerate(copies.items()):
        name = namespaces[part] = f"weakened-{number}"
        admin = control_plane.admin
        make_namespace(control_plane, name, {name: "x"})
        for account in ("airdock-task", "privileged"):
            metadata = {"name": account, "namespace": name}
            admin.apply({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": metadata})
        admin.create({**weak, "metadata": {"name": name}})
        scope = {"namespaceSelector": {"matchLabels": {name: "x"}}}
        admin.create(
            {
                "apiVersion": "admissionregistration.k8s.io/v1",
                "kind": "ValidatingAdmissionPolicyBinding",
                "metadata": {"name": name},
                "spec": {"policyName": name, "validationActions": ["Deny"], "matchResources": scope},
            }
        )
    spoofing = next(attack for attack in ATTACKS if attack.rule == "labels")
    other = next(attack for attack in ATTACKS if attack.rule == "nodeName")
    for part, name in namespaces.items():
        held = partial(attempt, control_plane.admin, installed, other if part == "labels" else spoofing, name)
        wait_until(held, 60, f"the fence without {part!r} holds")
    return namespaces


def _closing(line: str) -> str:
    """What has to stay of a removed line: the end of an expression that begins above it."""
    return line[line.index(" != ") :] if line.count(")") > line.count("(") else ""


@by_name(tuple(attack for attack in ATTACKS if attack.rule != POD_SECURITY))
def test_each_rule_stops_its_attacks_alone(
    control_plane: ControlPlane, installed: Installed, weakened: dict[str, str], attack: Attack
) -> None:
    said = attempt(control_plane.admin, installed, attack, weakened[""])
    assert attack.says in said
    assert "Airdock release" in said
    assert attempt(control_plane.admin, installed, attack, weakened[attack.rule]) == ""


def test_each_line_is_needed(
    control_plane: ControlPlane, installed: Installed, weakened: dict[str, str]
) -> None:
    lines = [part for part in weakened if ":" in part]
    known = [attack for attack in _of_fence() if control_plane.version >= attack.since]
    assert len(lines) >= 12
    if control_plane.version < (1, 35):
        lines = [part for part in lines if "image" not in part]
    idle = [
        part
        for part in lines
        if all(attempt(control_plane.admin, installed, attack, weakened[part]) for attack in known)
    ]
    assert not idle, "no attack gets through without them"


def _of_fence() -> list[Attack]:
    return [attack for attack in ATTACKS if attack.rule != POD_SECURITY]


def test_every_rule_has_an_attack(control_plane: ControlPlane, installed: Installed) -> None:
    variables = control_plane.admin.get(POLICY)["spec"]["variables"]
    rules = {
        each["name"] for each in variables if "map(" in each["expression"] and "(tasks." in each["expression"]
    }
    rules |= {each["name"] for each in variables if "(no value allows this)" in each["expression"]}
    tested = {attack.rule for attack in ATTACKS} | set(UPDATES) | {"ephemeralContainers", "podSecurity"}
    tested |= {"problems"}  # the size, of test_size_of_a_pod
    assert rules <= tested
