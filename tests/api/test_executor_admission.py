"""The admission policy of KubernetesExecutor's namespace: every field of a pod, without any code of Airflow.

The scheduler's account creates the pods; it may create any pod there. So this is what a DAG author gets who
reaches the metadata database, or finds any other way past the check in the scheduler.
"""

from __future__ import annotations

import copy
from collections.abc import Callable
from functools import partial
from typing import Any

import pytest
from kubernetes.client import models

from tests.api.conftest import Install, Installed
from tests.api.control_plane import Client, ControlPlane, Refused
from tests.support import annotation_keys
from tests.support.attacks import AUTHOR
from tests.support.waiting import wait_until

NAME = "executor-fence"
GROUPS = {"plain": "kubernetes", "docker": "dind"}
SAID = "may not differ from the template of worker group"


def values(enabled: bool, overrides: list[str] | None = None) -> dict[str, Any]:
    """Two groups, of which one needs a privileged namespace, so that Pod Security stops nobody."""
    groups = {
        name: {"mode": mode, "queues": [name], "executor": "KubernetesExecutor"}
        for name, mode in GROUPS.items()
    }
    executor: dict[str, Any] = {
        "admission": {"enabled": enabled, "annotations": ["webhook.example.com/added"]}
    }
    if overrides is not None:
        executor["allowedOverrides"] = overrides
    return {
        "executor": "KubernetesExecutor",
        "kubernetesExecutor": executor,
        "workers": {"default": None, **groups},
        "tasks": {"admission": {"enabled": False, "controllers": ["a-network-plugin"]}},
    }


def task(release: Installed, group: str) -> dict[str, Any]:
    """The pod that the executor sends: the group's template with what Airflow's PodGenerator adds."""
    (template,) = (
        t for t in release.manifests.all("PodTemplate") if t.labels["airdock.dev/worker-group"] == group
    )
    pod: dict[str, Any] = {"apiVersion": "v1", "kind": "Pod", **copy.deepcopy(template.raw)["template"]}
    pod["metadata"] |= {"name": "dag-task-abc", "namespace": template.namespace}
    pod["metadata"]["labels"] |= {"dag_id": "dag", "kubernetes_executor": "True", "airflow-worker": "1"}
    pod["metadata"].setdefault("annotations", {})["dag_id"] = "dag"
    base = pod["spec"]["containers"][0]
    base["args"] = ["python", "-m", "airflow.sdk.execution_time.execute_workload"]
    base["env"].append({"name": "AIRFLOW_IS_K8S_EXECUTOR_POD", "value": "True"})
    return pod


def said(scheduler: Client, pod: dict[str, Any]) -> str:
    """What the API server says of a pod; nothing if it takes it."""
    try:
        scheduler.create(pod, dry_run=True)
    except Refused as error:
        return str(error)
    return ""


def release(install: Install, plane: ControlPlane, name: str, chosen: dict[str, Any]) -> Installed:
    """Install, with what some attacks need, and wait for the policy to hold."""
    plane.admin.apply(
        {
            "apiVersion": "node.k8s.io/v1",
            "kind": "RuntimeClass",
            "metadata": {"name": "theirs"},
            "handler": "runc",
        }
    )
    installed = install(chosen, release=name, namespace=name)
    if chosen["kubernetesExecutor"]["admission"]["enabled"]:
        pod = task(installed, "plain")
        pod["spec"]["shareProcessNamespace"] = True
        scheduler = installed.account("scheduler")
        wait_until(
            lambda: SAID in said(scheduler, pod),
            60,
            lambda: f"the policy of the executor's pods holds; it says: {said(scheduler, pod)}",
        )
    return installed


@pytest.fixture(scope="module")
def guarded(install: Install, control_plane: ControlPlane) -> Installed:
    """A release with the policy and no override that is allowed."""
    return release(install, control_plane, NAME, values(True, []))


@pytest.fixture(scope="module")
def open_release(install: Install, control_plane: ControlPlane) -> Installed:
    """The same without the policy."""
    return release(install, control_plane, f"{NAME}-off", values(False, []))


#: A value that no template has, for each field of a pod's spec.
SPEC: dict[str, Any] = {
    "activeDeadlineSeconds": 5,
    "affinity": {"podAntiAffinity": {"requiredDuringSchedulingIgnoredDuringExecution": [
        {"topologyKey": "kubernetes.io/os", "namespaceSelector": {}, "labelSelector": {}}]}},
    "automountServiceAccountToken": True,
    "containers": [{"name": "theirs", "image": "busybox:1.37"}],
    "dnsConfig": {"nameservers": ["10.0.0.1"]},
    "dnsPolicy": "Default",
    "enableServiceLinks": True,
    "hostAliases": [{"ip": "10.0.0.1", "hostnames": ["theirs"]}],
    "hostIPC": True,
    "hostNetwork": True,
    "hostPID": True,
    "hostUsers": False,
    "hostname": "theirs",
    "imagePullSecrets": [{"name": "theirs"}],
    "initContainers": [{"name": "theirs", "image": "busybox:1.37"}],
    "nodeName": "control-plane",
    "nodeSelector": {"pool": "theirs"},
    "os": {"name": "linux"},
    "priorityClassName": "system-node-critical",
    "readinessGates": [{"conditionType": "example.com/theirs"}],
    "resourceClaims": [{"name": "theirs", "resourceClaimName": "theirs"}],
    "resources": {"limits": {"cpu": "16", "memory": "16Gi"}},
    "restartPolicy": "OnFailure",
    "runtimeClassName": "theirs",
    "schedulerName": "theirs",
    "schedulingGates": [{"name": "example.com/theirs"}],
    "securityContext": {"runAsUser": 0, "runAsNonRoot": False},
    "serviceAccountName": "default",
    "setHostnameAsFQDN": True,
    "shareProcessNamespace": True,
    "subdomain": "theirs",
    "terminationGracePeriodSeconds": 2**31 - 1,
    "tolerations": [{"operator": "Exists"}],
    "topologySpreadConstraints": [{"maxSkew": 1, "topologyKey": "kubernetes.io/hostname",
        "whenUnsatisfiable": "DoNotSchedule", "labelSelector": {}}],
    "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
}  # fmt: skip
#: Fields that another part of the API server judges, or that it does not know without a feature gate.
NOT_OURS = {
    "ephemeralContainers": "not in a new pod",
    "hostnameOverride": "behind a feature gate",
    "overhead": "the RuntimeClass's",
    "preemptionPolicy": "the PriorityClass's",
    "priority": "the PriorityClass's",
    "schedulingGroup": "behind a feature gate",
    "serviceAccount": "another name of serviceAccountName",
}
#: The same for a container.
CONTAINER: dict[str, Any] = {
    "args": ["theirs"],
    "command": ["theirs"],
    "env": [{"name": "LD_PRELOAD", "value": "theirs"}],
    "envFrom": [{"secretRef": {"name": "theirs"}}],
    "image": "registry.example.com/theirs:1",
    "imagePullPolicy": "Always",
    "lifecycle": {"postStart": {"exec": {"command": ["theirs"]}}},
    "livenessProbe": {"exec": {"command": ["theirs"]}},
    "ports": [{"containerPort": 31337, "hostPort": 31337}],
    "readinessProbe": {"exec": {"command": ["theirs"]}},
    "restartPolicy": "Always",
    "securityContext": {"privileged": True},
    "startupProbe": {"httpGet": {"port": 80, "host": "169.254.169.254"}},
    "stdin": True,
    "stdinOnce": True,
    "tty": True,
    "volumeMounts": [{"name": "theirs", "mountPath": "/theirs"}],
    "workingDir": "/theirs",
}
NOT_OURS_OF_CONTAINER = {
    "name": "a container of another name is another container",
    "resizePolicy": "changes nothing but a resize, which nobody may ask for",
    "resources": "the quota's",
    "restartPolicyRules": "behind a feature gate",
    "terminationMessagePath": "a file of the container itself",
    "terminationMessagePolicy": "a file of the container itself",
    "volumeDevices": "needs a block volume, which no group has",
}


def names(model: Any) -> set[str]:
    """The fields of a model in the API's spelling."""
    return set(model.attribute_map.values())


def test_every_field_is_decided() -> None:
    """A field that a new version of the API brings fails here until somebody decides about it."""
    assert names(models.V1PodSpec) == SPEC.keys() | NOT_OURS.keys()
    assert names(models.V1Container) == CONTAINER.keys() | NOT_OURS_OF_CONTAINER.keys()


@pytest.mark.parametrize("group", GROUPS)
def test_the_executors_own_pod_is_taken(guarded: Installed, group: str) -> None:
    scheduler = guarded.account("scheduler")
    assert said(scheduler, task(guarded, group)) == ""


def _spec(field: str, pod: dict[str, Any]) -> None:
    value, ours = copy.deepcopy(SPEC[field]), pod["spec"].get(field)
    pod["spec"][field] = (
        [*ours, *value] if isinstance(ours, list) else ours | value if isinstance(ours, dict) else value
    )


def _container(where: str, field: str, pod: dict[str, Any]) -> None:
    # The last init container is the mode's sidecar.
    container = pod["spec"][where][-1]
    value, ours = copy.deepcopy(CONTAINER[field]), container.get(field)
    if field == "volumeMounts":
        pod["spec"]["volumes"].append({"name": "theirs", "emptyDir": {}})
    container[field] = [*ours, *value] if isinstance(ours, list) else value
    if field == "restartPolicy" and where == "initContainers":
        for probe in ("livenessProbe", "readinessProbe", "startupProbe"):
            container.pop(probe, None)  # only a sidecar has them
        del container[field]


def _annotate(key: str, pod: dict[str, Any]) -> None:
    pod["metadata"]["annotations"][key] = "unconfined" if "apparmor" in key else "x"


OWNER = {"apiVersion": "v1", "kind": "ConfigMap", "name": "theirs", "uid": "1"}
ATTACKS: dict[str, Callable[[dict[str, Any]], Any]] = {
    f"spec.{field}": partial(_spec, field) for field in SPEC
}
ATTACKS |= {
    f"base.{field}": partial(_container, "containers", field) for field in CONTAINER if field != "args"
}
ATTACKS |= {f"sidecar.{field}": partial(_container, "initContainers", field) for field in CONTAINER}
ATTACKS |= {
    "another group's account": lambda pod: pod["spec"].update(
        serviceAccountName=f"{NAME}-airdock-worker-docker"
    ),
    "another group's label": lambda pod: pod["metadata"]["labels"].update(
        {"airdock.dev/worker-group": "docker"}
    ),
    "no group": lambda pod: pod["metadata"]["labels"].pop("airdock.dev/worker-group"),
    "a label without a value": lambda pod: pod["metadata"]["labels"].update({"sidecar.istio.io/inject": ""}),
    "an annotation without a value": lambda pod: pod["metadata"]["annotations"].update(
        {"sidecar.istio.io/inject": ""}
    ),
    "a component's label": lambda pod: pod["metadata"]["labels"].update(
        {"app.kubernetes.io/component": "postgres"}
    ),
    **{f"annotation {key}": partial(_annotate, key) for key in annotation_keys.REFUSED},
    "finalizers": lambda pod: pod["metadata"].update(finalizers=["example.com/theirs"]),
    "an owner": lambda pod: pod["metadata"].update(ownerReferences=[OWNER]),
    "the daemon's data in the task": lambda pod: pod["spec"]["containers"][0]["volumeMounts"].append(
        {"name": pod["spec"]["initContainers"][-1]["volumeMounts"][0]["name"], "mountPath": "/theirs"}
    ),
    "a token": lambda pod: pod["spec"]["volumes"].append(
        {"name": "theirs", "projected": {"sources": [{"serviceAccountToken": {"path": "token"}}]}}
    ),
    "a volume of ours with another source": lambda pod: next(
        v for v in pod["spec"]["volumes"] if v["name"] == "tmp"
    ).update(emptyDir=None, hostPath={"path": "/"}),
    "a ConfigMap of ours with another name": lambda pod: next(
        v for v in pod["spec"]["volumes"] if v["name"] == "scripts"
    ).update(configMap={"name": "theirs"}),
    "the executor's variable from a Secret": lambda pod: pod["spec"]["containers"][0]["env"].append(
        {"name": "AIRFLOW_IS_K8S_EXECUTOR_POD", "valueFrom": {"secretKeyRef": {"name": "theirs", "key": "k"}}}
    ),
}
#: In the group of the mode alone.
ONLY = {"another group's account": "plain", "another group's label": "plain"}
#: The first version with the field of an attack, if need be by a feature gate (control_plane.py).
SINCE = {"spec.resourceClaims": (1, 31), "spec.resources": (1, 32), "base.restartPolicy": (1, 34)}


@pytest.mark.parametrize(
    ("attack", "group"),
    [(attack, group) for attack in ATTACKS for group in GROUPS if ONLY.get(attack, group) == group],
)
@pytest.mark.attack(actor=AUTHOR, finding=(1, 2, 11, 12))
def test_attacks(guarded: Installed, open_release: Installed, group: str, attack: str) -> None:
    if guarded.plane.version < (since := SINCE.get(attack, (1, 30))):
        pytest.skip(f"Kubernetes {since} has this first")
    pod = task(guarded, group)
    before = copy.deepcopy(pod)
    ATTACKS[attack](pod)
    assert pod != before
    assert SAID in said(guarded.account("scheduler"), pod), attack
    if group == "docker":  # The same is admitted without the policy.
        pod = task(open_release, group)
        ATTACKS[attack](pod)
        assert said(open_release.account("scheduler"), pod) == "", attack


DEFAULT = ["image", "resources", "env", "envFrom", "volumes", "volumeMounts", "imagePullSecrets"]
ALLOWED: dict[str, Callable[[dict[str, Any]], Any]] = {
    "image": partial(_container, "containers", "image"),
    "env": partial(_container, "containers", "env"),
    "envFrom": partial(_container, "containers", "envFrom"),
    "volumeMounts": partial(_container, "containers", "volumeMounts"),
    "imagePullSecrets": partial(_spec, "imagePullSecrets"),
    "nodeSelector": partial(_spec, "nodeSelector"),
    "tolerations": partial(_spec, "tolerations"),
    "priorityClassName": partial(_spec, "priorityClassName"),
    "activeDeadlineSeconds": partial(_spec, "activeDeadlineSeconds"),
}


@pytest.mark.parametrize("group", GROUPS)
def test_allowed_overrides_are_taken(install: Install, control_plane: ControlPlane, group: str) -> None:
    allowed = sorted({*ALLOWED, "volumes"})
    there = release(install, control_plane, f"{NAME}-some", values(True, allowed))
    scheduler = there.account("scheduler")
    for name, change in ALLOWED.items():
        pod = task(there, group)
        change(pod)
        assert said(scheduler, pod) == "", name
    pod = task(there, group)
    pod["metadata"]["annotations"] |= {"webhook.example.com/added": "x"}
    pod["metadata"]["annotations"] |= dict.fromkeys(annotation_keys.ADMITTED, "by the author")
    assert said(scheduler, pod) == ""
    pod["spec"]["volumes"].append({"name": "node", "hostPath": {"path": "/"}})
    assert "spec.volumes[node]" in said(scheduler, pod)


@pytest.mark.attack(actor=AUTHOR)
def test_a_pod_stays_what_it_is(guarded: Installed) -> None:
    """The scheduler patches labels of its own; nothing that others act on."""
    scheduler = guarded.account("scheduler")
    pod = task(guarded, "plain")
    scheduler.create(pod)
    try:
        scheduler.patch(pod, {"metadata": {"labels": {"airflow_executor_done": "True"}}})
        scheduler.patch(pod, {"metadata": {"annotations": {"note": "of an author"}}}, dry_run=True)
        node = guarded.plane.user("a-network-plugin", "system:masters")
        node.patch(pod, {"metadata": {"annotations": {"cni.example.com/address": "10.0.0.1"}}}, dry_run=True)
        for change in (
            {"metadata": {"labels": {"app.kubernetes.io/component": "postgres"}}},
            {"metadata": {"labels": {"airdock.dev/worker-group": "docker"}}},
            {"metadata": {"labels": {"app.kubernetes.io/component": None}}},
            {"metadata": {"labels": {"example.com/theirs": "1"}}},
            {"metadata": {"labels": {"example.com/theirs": ""}}},
            {"metadata": {"annotations": {"example.com/theirs": "1"}}},
            {"metadata": {"annotations": {"example.com/theirs": ""}}},
            {"metadata": {"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": None}}},
            {"metadata": {"finalizers": ["example.com/theirs"]}},
            {"metadata": {"ownerReferences": [OWNER]}},
            {"spec": {"activeDeadlineSeconds": 5}},
            {"spec": {"containers": [{"name": "base", "image": "registry.example.com/theirs:1"}]}},
        ):
            with pytest.raises(Refused, match=SAID):
                scheduler.patch(pod, change, dry_run=True)
    finally:
        scheduler.delete(pod)
