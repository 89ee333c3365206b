"""The admission fence of the task namespace: what it refuses, and what it has to let in.

Every attack is first shown to work where there is no fence, by the same account with the same rights.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from tests.api.attacks import ATTACKS, POD_SECURITY, Attack, Pod, base
from tests.api.conftest import GIVEN, UNFENCED, UNGUARDED, Installed
from tests.api.fence import TASKS, attempt, by_name, refusal
from tests.api.pods import gateway_pod, kpo_pod
from tests.support import annotation_keys
from tests.support.attacks import AUTHOR


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


@pytest.mark.attack(actor=AUTHOR)
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
                            "storageClassName": "allowed",
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
    "annotations": proper(
        lambda pod: pod["metadata"].update(
            annotations={
                **dict.fromkeys(annotation_keys.ADMITTED, "x"),
                "cluster-autoscaler.kubernetes.io/safe-to-evict": "false",
                "prometheus.io/scrape": "true",
                "kubectl.kubernetes.io/last-applied-configuration": "{}",
            }
        )
    ),
    "affinity among its own": proper(
        lambda pod: pod["spec"].update(
            affinity={
                "podAntiAffinity": {
                    "requiredDuringSchedulingIgnoredDuringExecution": [
                        {
                            "topologyKey": "kubernetes.io/hostname",
                            "labelSelector": {},
                            "namespaces": [pod["metadata"]["namespace"]],
                        }
                    ]
                }
            }
        )
    ),
    "AppArmor of the runtime": proper(
        lambda pod: base(pod)["securityContext"].update(appArmorProfile={"type": "RuntimeDefault"})
    ),
    "GPU": proper(lambda pod: base(pod)["resources"]["limits"].update({"nvidia.com/gpu": "1"})),
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


@pytest.mark.attack(actor=AUTHOR)
def test_user_namespaces_let_root_in_and_no_more(install: Callable[..., Installed]) -> None:
    """By default: the Docker gateway gives root a user namespace, and so may others."""
    users = install({}, release="users", namespace="users")

    def root(**more: Any) -> Pod:
        pod = kpo_pod(users.manifests)
        pod["spec"] |= {"securityContext": {"seccompProfile": {"type": "RuntimeDefault"}}, "hostUsers": False}
        base(pod)["securityContext"] |= {"runAsUser": 0, "runAsNonRoot": False, **more}
        return pod

    if users.plane.version >= (1, 35):
        assert users.worker.create(root(), dry_run=True)["spec"]["hostUsers"] is False
    else:
        said = refusal(lambda: users.worker.create(root(), dry_run=True))
        assert 'violates PodSecurity "restricted' in said
        assert "Airdock release" not in said
    inside = root(procMount="Unmasked")
    said = refusal(lambda: users.worker.create(inside, dry_run=True))
    assert "procMount" in said
    for more in ({"allowPrivilegeEscalation": True}, {"capabilities": {"add": ["SYS_ADMIN"]}}):
        said = refusal(lambda more=more: users.worker.create(root(**more), dry_run=True))  # type: ignore[misc]
        assert 'violates PodSecurity "restricted' in said
    for host_users in (None, True):
        pod = root()
        pod["spec"]["hostUsers"] = host_users
        said = refusal(lambda pod=pod: users.worker.create(pod, dry_run=True))  # type: ignore[misc]
        assert 'violates PodSecurity "restricted' in said
    admin = users.plane.admin
    namespace = {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "unfenced-users"}}
    admin.create(namespace)
    inside["metadata"]["namespace"] = "unfenced-users"
    inside["spec"].pop("serviceAccountName", None)
    admin.create(inside, dry_run=True)


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
    gateway, uid = release.bound(f"worker-{len(str(body))}")
    gateway.create(gateway_pod(release.manifests, tmp_path, owner=uid, **body), dry_run=True)


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


@pytest.mark.parametrize(
    ("limits", "says"),
    [
        ({"memory": "100Ti"}, "maximum memory usage per Container"),
        ({"cpu": "100k"}, "maximum cpu usage per Container"),
        ({"ephemeral-storage": "10Ti"}, "maximum ephemeral-storage usage per Container"),
        ({"nvidia.com/gpu": "9"}, "exceeded quota"),
    ],
    ids=lambda part: next(iter(part)) if isinstance(part, dict) else "",
)
@pytest.mark.attack(actor=AUTHOR, finding=(14,))
def test_ceilings(installed: Installed, limits: dict[str, str], says: str) -> None:
    """Limits, whatever the requests are: LimitRange and quota."""

    def said(namespace: str) -> str:
        pod = kpo_pod(installed.manifests, namespace=namespace)
        base(pod)["resources"] = {
            "limits": {"cpu": "1", "memory": "1Gi", **limits},
            "requests": {
                "cpu": "1m",
                "memory": "1Mi",
                **({} if "gpu" in str(limits) else dict.fromkeys(limits, "1")),
            },
        }
        return refusal(lambda: installed.worker.create(pod, dry_run=True))

    assert said(UNFENCED) == ""
    assert says in said(TASKS)


@pytest.mark.attack(actor=AUTHOR, finding=(14,))
def test_many_small_limits_exceed_the_quota(installed: Installed) -> None:
    pod = kpo_pod(installed.manifests)
    limits = {"limits": {"cpu": "60", "memory": "1Gi"}, "requests": {"cpu": "1m", "memory": "1Mi"}}
    pod["spec"]["containers"] = [{**base(pod), "name": f"c{n}", "resources": limits} for n in range(7)]
    said = refusal(lambda: installed.worker.create(pod, dry_run=True))
    assert "exceeded quota" in said
    assert "limits.cpu=420" in said


def test_every_volume_without_a_size_is_bounded(installed: Installed) -> None:
    """The kubelet counts emptyDirs against the sum of the containers' limits for ephemeral-storage."""
    made = installed.worker.create(kpo_pod(installed.manifests, xcom=True, init=True), dry_run=True)
    for container in (*made["spec"]["containers"], *made["spec"]["initContainers"]):
        assert container["resources"]["limits"]["ephemeral-storage"] == "10Gi"
        assert container["resources"]["requests"]["ephemeral-storage"] == "0"


def test_pull_secret_of_the_task_account(installed: Installed) -> None:
    created = installed.worker.create(kpo_pod(installed.manifests), dry_run=True)
    assert created["spec"]["imagePullSecrets"] == [{"name": "registry"}]
