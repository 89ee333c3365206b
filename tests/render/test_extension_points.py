"""What a user adds to pods: who inherits it, which containers get it, and what is refused."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import CHART, HELM3, HELM4, RenderError, kubernetes_types, render
from tests.policies.pod_security_cases import CASES, Case
from tests.render.values import BOTH_EXECUTORS, FAB_INGRESS, MODES, SOCKET, overlaid

TYPES = kubernetes_types.definitions()
LIMITS = {"limits": {"cpu": 1, "memory": "64Mi"}}
CA: dict[str, Any] = {
    "env": {"CA": "/ca/ca.crt"},
    "envFrom": [{"configMapRef": {"name": "proxy"}}],
    "volumes": {"ca": {"configMap": {"name": "ca"}}},
    "volumeMounts": {"ca": {"mountPath": "/ca"}},
}


def default_group(**values: Any) -> dict[str, Any]:
    return {"workers": {"default": values}}


def refused(values: dict[str, Any]) -> str:
    with pytest.raises(RenderError) as caught:
        render(values)
    return str(caught.value)


def reached(values: dict[str, Any]) -> set[tuple[str, str]]:
    """(component, container) of those that have CA whole; a container that has a part of it fails."""
    found = set()
    for workload, pod in render(overlaid(values, {"podDefaults": CA})).pods:
        for container in pod.containers:
            parts = (
                "CA" in container.env,
                {"configMapRef": {"name": "proxy"}} in (container.raw.get("envFrom") or ()),
                any(mount.path == "/ca" for mount in container.mounts),
            )
            assert len(set(parts)) == 1, (workload, container.name, parts)
            if parts[0]:
                found.add((workload.component or workload.name, container.name))
    return found


#: Containers with an account's token: they talk to the API server alone. What DAG code may write (PYTHONPATH
#: on
#: a shared volume) must not reach them.
TOKEN = {"create-secrets", "share-secrets", "wait-for-fence", "docker-gateway"}
#: Sidecars that do not run Airflow.
WITHOUT = {*TOKEN, "log-groomer", "docker", "docker-prune"}


@pytest.mark.parametrize(
    "values",
    [MODES, FAB_INGRESS, BOTH_EXECUTORS, overlaid(SOCKET, {"workerDefaults": {"socket": {"filter": False}}})],
    ids=["modes", "fab", "executors", "raw-socket"],
)
def test_every_container_that_runs_airflow_has_it(values: dict[str, Any]) -> None:
    values = overlaid(values, {"database": {"cleanup": {"enabled": True}}})
    every = {
        (workload.component or workload.name, container.name)
        for workload, pod in render(overlaid(values, {"podDefaults": CA})).pods
        for container in pod.containers
    }
    assert reached(values) == {(owner, name) for owner, name in every if name not in WITHOUT}
    assert reached(values) >= {
        ("api-server", "migrate"),
        ("api-server", "create-admin"),
        ("scheduler", "wait-for-migrations"),
        ("database-cleanup", "database-cleanup"),
        ("postgres", "postgres"),
    }


def test_order_and_restarts() -> None:
    added = {
        "initContainers": {"b": {"image": "x/b"}, "a": {"image": "x:5000/a:1"}},
        "sidecars": {"c": {"image": "c@sha256:" + "0" * 64, "resources": LIMITS}},
    }
    worker = render(default_group(**added)).one("Deployment", component="worker").pod.raw
    mine = worker["initContainers"][:3]
    assert [c["name"] for c in mine] == ["a", "b", "c"], "before the chart's own"
    assert len(worker["initContainers"]) > 3
    assert [c.get("restartPolicy") for c in mine] == [None, None, "Always"]
    assert [c["imagePullPolicy"] for c in mine] == ["IfNotPresent", "Always", "IfNotPresent"]
    assert mine[0]["resources"] == worker["containers"][0]["resources"]
    for container in mine:
        assert container["securityContext"] == {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
        }


def test_who_inherits() -> None:
    values = {
        "podDefaults": {
            "nodeSelector": {"a": "1", "b": "1"},
            "tolerations": [{"key": "all", "operator": "Exists"}],
            "volumes": {"v": {"configMap": {"name": "v"}}, "gone": {"emptyDir": {}}},
            "env": {"A": "1", "B": {"valueFrom": {"configMapKeyRef": {"name": "x", "key": "y"}}}},
        },
        "workerDefaults": {"nodeSelector": {"b": "2"}, "strategy": {"type": "RollingUpdate"}},
        "workers": {
            "default": {
                "nodeSelector": {"a": None, "c": "3"},
                "tolerations": [],
                "strategy": {"type": "Recreate"},
                "volumes": {"v": {"secret": {"secretName": "v"}}, "gone": None},
                "env": {"B": {"valueFrom": {"secretKeyRef": {"name": "x", "key": "y"}}}},
            }
        },
        "controlPlane": {"scheduler": {"nodeSelector": None, "tolerations": None}},
    }
    for helm in (HELM4, HELM3):
        manifests = render(values, helm=helm)
        pods = {workload.component: (workload, pod) for workload, pod in manifests.pods if workload.component}
        assert len(pods) == 7
        for component, (_, pod) in pods.items():
            if component not in ("worker", "scheduler"):
                assert pod.raw["nodeSelector"] == {"a": "1", "b": "1"}, component
                assert pod.raw["tolerations"] == [{"key": "all", "operator": "Exists"}], component
                assert pod.volumes["v"]["configMap"] == {"name": "v"}
        assert not {"nodeSelector", "tolerations"} & set(pods["scheduler"][1].raw)
        worker, pod = pods["worker"]
        assert pod.raw["nodeSelector"] == {"b": "2", "c": "3"}
        assert "tolerations" not in pod.raw
        assert worker.raw["spec"]["strategy"] == {"type": "Recreate"}
        assert set(pod.volumes["v"]) == {"name", "secret"}, "one kind of source"
        assert "gone" not in pod.volumes
        assert dict(pod.container("worker").env["B"].source) == {"secretKeyRef": {"name": "x", "key": "y"}}


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_null_replicas_leave_the_field_to_an_autoscaler(helm: str) -> None:
    names = ("apiServer", "scheduler", "dagProcessor", "triggerer")
    values = {
        "controlPlane": {name: {"replicas": None} for name in names},
        "workers": {
            "default": {"replicas": None},
            "own": {"mode": "dind", "queues": ["own"], "replicas": None},
        },
    }
    deployments = list(render(values, helm=helm).all("Deployment"))
    assert len(deployments) == 6
    assert not [deployment.name for deployment in deployments if "replicas" in deployment.raw["spec"]]


def test_numbers_of_probes() -> None:
    values = {
        "controlPlane": {"scheduler": {"livenessProbe": {"periodSeconds": 61}}},
        **default_group(startupProbe={"initialDelaySeconds": 7}),
    }
    before, after = (
        {
            workload.component: {c.name: c.probes for c in pod.containers}
            for workload, pod in render(each).pods
        }
        for each in ({}, values)
    )
    scheduler = after["scheduler"]["scheduler"]["livenessProbe"]
    assert scheduler == {**before["scheduler"]["scheduler"]["livenessProbe"], "periodSeconds": 61}
    worker = after["worker"]["worker"]["startupProbe"]
    assert worker == {**before["worker"]["worker"]["startupProbe"], "initialDelaySeconds": 7}


def test_dollars_reach_the_container_as_they_are_written() -> None:
    """The kubelet reads $$ as $ and expands $(NAME): each $ is doubled, whatever block the variable is in."""
    text = "p$$w$(HOME)$x"
    env = {"SAMPLE": text}
    manifests = render({"podDefaults": {"env": env}, "workers": {"default": {"env": {"OTHER": text}}}})
    seen = [
        container.env[name].value
        for _, pod in manifests.pods
        for container in pod.containers
        for name in ("SAMPLE", "OTHER")
        if name in container.env
    ]
    assert len(seen) > 10
    assert set(seen) == {text.replace("$", "$$")}


def test_variables_and_pools() -> None:
    text = "5$ $$ $(HOME)"
    secret = {"valueFrom": {"secretKeyRef": {"name": "variables", "key": "token"}}}
    airflow = {
        "variables": {"price": text, "limits": {"cpu": [1, True]}, "count": 7, "token": secret},
        "pools": {"ware$(HOME)": {"slots": 3, "includeDeferred": True}},
    }
    manifests = render({"airflow": airflow})
    seen = 0
    for workload, pod in manifests.pods:
        for container in pod.containers:
            if "AIRFLOW_CONFIG" not in container.env:
                continue
            seen += 1
            assert container.env["AIRFLOW_VAR_PRICE"].value == text.replace("$", "$$")
            assert json.loads(container.env["AIRFLOW_VAR_LIMITS"].value or "") == {"cpu": [1, True]}
            assert container.env["AIRFLOW_VAR_COUNT"].value == "7"
            assert container.env["AIRFLOW_VAR_TOKEN"].secret == ("variables", "token")
            pools = container.env.get("AIRDOCK_POOLS")
            assert (pools is not None) == (container.name == "migrate"), (workload, container.name)
            if pools:
                assert json.loads(pools.value or "") == {"ware$$(HOME)": airflow["pools"]["ware$(HOME)"]}
    assert seen > 8


def test_network_rules_of_a_component() -> None:
    """A rule reaches its component alone; the metadata addresses all that run Airflow, and no store."""
    keys = {
        "apiServer": "api-server", "scheduler": "scheduler", "dagProcessor": "dag-processor",
        "triggerer": "triggerer", "workers": "worker", "database": "postgres", "broker": "redis",
        "pooler": "pooler",
    }  # fmt: skip
    rules = {
        key: {way: [{"ports": [{"port": 7000 + number}]}] for way in ("ingress", "egress")}
        for number, key in enumerate(keys)
    }
    manifests = render(
        {
            "networkPolicy": {**rules, "metadata": True},
            "database": {"cleanup": {"enabled": True}, "pooler": {"enabled": True}},
        }
    )
    found = {
        policy.name: policy.raw["spec"] for policy in manifests.all("NetworkPolicy", namespace="airdock")
    }
    for number, (key, component) in enumerate(keys.items()):
        rule = {"ports": [{"port": 7000 + number}]}
        for way in ("ingress", "egress"):
            owners = {name for name, spec in found.items() if rule in (spec.get(way) or ())}
            assert owners == {f"airdock-{component}"}, (key, way)
    reaching = {name for name, spec in found.items() if '"port": 988' in json.dumps(spec)}
    assert reaching == {f"airdock-{component}" for component in keys.values()} - {
        "airdock-postgres",
        "airdock-redis",
        "airdock-pooler",
    }


@pytest.mark.parametrize("component", ["apiServer", "triggerer", "scheduler"])
def test_an_existing_account_has_the_rights(component: str) -> None:
    """What was bound to the chart's account is bound to the user's, and the chart creates none."""
    dashed = {"apiServer": "api-server"}.get(component, component)
    values = overlaid(BOTH_EXECUTORS, {"controlPlane": {component: {"serviceAccount": {"name": "mine"}}}})

    def bound(given: dict[str, Any], name: str) -> set[str]:
        return {
            str(binding)
            for binding in render(given).all("RoleBinding")
            for subject in binding.raw["subjects"]
            if subject["name"] == name and subject["namespace"] == "airdock"
        }

    chart = f"airdock-{dashed}"
    assert bound(BOTH_EXECUTORS, chart)
    assert bound(values, "mine") == bound(BOTH_EXECUTORS, chart)
    assert not bound(values, chart)
    accounts = {account.name for account in render(values).all("ServiceAccount")}
    assert not {"mine", chart} & accounts


def test_an_existing_account_of_workers() -> None:
    values = overlaid(MODES, default_group(serviceAccount={"name": "mine"}))
    assert "airdock-worker-default" not in {a.name for a in render(values).all("ServiceAccount")}
    bindings = [b for b in render(values).all("RoleBinding") if b.component == "tasks"]
    assert len(bindings) >= 2
    for binding in bindings:
        names = {subject["name"] for subject in binding.raw["subjects"]}
        assert names in ({"mine"}, {"airdock-triggerer"})
    both = overlaid(values, {"controlPlane": {"apiServer": {"serviceAccount": {"name": "mine"}}}})
    assert "each would have the permissions of the other" in refused(both)
    fenced = overlaid(
        values, {"tasks": {"admission": {"exemptUsers": ["system:serviceaccount:airdock:mine"]}}}
    )
    assert "tasks.admission.exemptUsers" in refused(fenced)


def required(kind: str) -> dict[str, Any]:
    """A value for each field that the schema requires of a kind of volume."""
    reference = TYPES["kubernetes.Volume"]["properties"][kind]["$ref"]
    found = TYPES[reference.removeprefix("#/$defs/")]
    values = {"string": "x", "integer": 1, "array": ["x"], None: {}}
    return {name: values[found["properties"][name].get("type")] for name in found.get("required", ())}


def of_the_user(case: Case) -> tuple[dict[str, Any], bool]:
    """A case's container and volumes as values of a worker group; False if values cannot have it."""
    spec, annotations = case.spec, case.metadata.get("annotations", {})
    extra = [*spec.get("initContainers", ()), *spec.get("containers", ())[1:]]
    pod = {key: value for key, value in spec.items() if key not in ("containers", "initContainers")}
    volumes = pod.pop("volumes", [])
    context = pod.pop("securityContext", {})
    plain = {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}}
    if pod or context != plain or not (extra or volumes or annotations):
        return {}, False
    values: dict[str, Any] = {}
    for container in extra:
        context = {key: value for key, value in container["securityContext"].items() if value is not None}
        own = {**container, "image": "a", "resources": LIMITS, "securityContext": context}
        values["sidecars"] = {own.pop("name"): own}
    for volume in volumes:
        source = {
            kind: None if value is None else {**required(kind), **value}
            for kind, value in volume.items()
            if kind != "name"
        }
        values.setdefault("volumes", {})[volume["name"]] = source
    return {**values, "podAnnotations": annotations}, True


#: The minor version of the standard in tasks.podSecurity.version.
LATEST = 36
#: Cases by a number, which is in the name of their worker group.
MINE = {f"c{number}": case for number, case in enumerate(CASES) if of_the_user(case)[1]}
#: A chart of the real helpers, and one template that shows what they find in .Values.blocks.
PROBE = """
apiVersion: v1
kind: ConfigMap
metadata: {name: probe}
data:
  {{- range $name, $block := .Values.blocks }}
  {{ $name }}: {{ include "airdock.podSecurityFindings" (dict "root" $ "key" $name "values" $block) | quote }}
  {{- end }}
"""


def test_restricted_as_upstream_has_it(tmp_path: Path) -> None:
    """Every way to break it that the policies know, by a user's container, volume or annotation."""
    (tmp_path / "templates").mkdir()
    (tmp_path / "Chart.yaml").write_text("apiVersion: v2\nname: probe\nversion: 1.0.0\n")
    for name in ("lib/_merge", "workload/_values", "workload/_pod_security"):
        shutil.copy(CHART / "templates" / f"{name}.tpl", tmp_path / "templates")
    (tmp_path / "templates" / "probe.yaml").write_text(PROBE)
    blocks = {name: of_the_user(case)[0] for name, case in MINE.items()}
    (probe,) = render({"blocks": blocks}, chart=tmp_path)
    assert len(MINE) > 60
    for word in (
        "privileged",
        "hostPort",
        "hostPath",
        "procMount",
        "lifecycle",
        "apparmor",
        "seLinuxOptions",
    ):
        assert word in json.dumps(blocks)
    for name, case in MINE.items():
        found = json.loads(probe.raw["data"][name])
        # What a securityContext leaves out, the chart fills in.
        filled = case.name.startswith(("escalation not said", "no capabilities"))
        wanted = [level for level in ("baseline", "restricted") if case.refused(level, LATEST) and not filled]
        levels = {2: ["privileged"], 1: ["baseline"], 0: []}[len(wanted)]
        assert [each["level"] for each in found] == levels, (case.name, found)
        for each in found:
            assert each["key"].startswith(f"{name}."), each


def test_a_violation_is_named_and_can_be_accepted() -> None:
    key = "workers.default.sidecars.a.securityContext.privileged"
    sidecar = {"image": "a", "resources": LIMITS, "securityContext": {"privileged": True}}
    values = default_group(namespace="own", sidecars={"a": sidecar})
    assert f"- {key}: gives the container all rights of the node" in refused(values)
    found = {
        namespace.name: namespace.labels["pod-security.kubernetes.io/enforce"]
        for namespace in render({**values, "podSecurity": {"exemptions": [key]}}).all("Namespace")
    }
    assert found["own"] == "privileged"


def test_an_exemption_of_a_default_is_its_key() -> None:
    values = {"podDefaults": {"volumes": {"logs": {"hostPath": {"path": "/var/log"}}}}}
    said = refused(values)
    assert said.count("podDefaults.volumes.logs.hostPath: mounts a directory of the node") == 1
    exempt = {**values, "podSecurity": {"exemptions": ["podDefaults.volumes.logs.hostPath"]}}
    assert all("logs" in pod.volumes for _, pod in render(exempt).pods)
