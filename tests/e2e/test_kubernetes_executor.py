"""Worker groups whose tasks get a pod each, beside Celery's and alone; what a DAG may say of such a pod."""

from __future__ import annotations

import contextlib
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from scripts.live import NAMESPACE, RELEASE, TASKS, CommandError
from scripts.overlays.definitions import merged
from tests.e2e.conftest import DAG_FILES, Release, Run, install, wait_until
from tests.support.attacks import AUTHOR

pytestmark = pytest.mark.touches("release")

#: Not the release's name: what is left of a test that was killed is told apart.
EXECUTOR = "e2e-executor"
#: Queue and group -> its mode.
GROUPS = {"once": "kubernetes", "once-dind": "dind"}
TEMPLATES = "/opt/airflow/pod_templates"

#: A hostPath and a privileged container: root on the node.
ATTACK: dict[str, Any] = {
    "apiVersion": "v1",
    "kind": "Pod",
    "metadata": {"name": "attack", "namespace": EXECUTOR},
    "spec": {
        "containers": [
            {
                "name": "base",
                "image": "busybox:1.37",
                "command": ["cat", "/node/etc/shadow"],
                "securityContext": {"privileged": True, "runAsUser": 0, "runAsNonRoot": False},
                "volumeMounts": [{"name": "node", "mountPath": "/node"}],
            }
        ],
        "volumes": [{"name": "node", "hostPath": {"path": "/"}}],
    },
}
DAG_FILE = '''
"""Tasks of KubernetesExecutor whose authors say something of the pod."""
import os
{before}
from airflow.providers.standard.operators.python import PythonOperator
from airflow.sdk import DAG
from kubernetes.client import models

OVERRIDE = {override}

def show():
    return os.environ.get("SAID")

with DAG("{dag_id}", schedule=None):
    PythonOperator(
        task_id="work", python_callable=show, queue="once-dind", executor="KubernetesExecutor",
        executor_config={{"pod_template_file": "{templates}/once-dind.yaml", "pod_override": OVERRIDE}},
    )
'''
OVERRIDES = {
    "allowed": """models.V1Pod(spec=models.V1PodSpec(containers=[models.V1Container(
    name="base", env=[models.V1EnvVar(name="SAID", value="by the author")],
    resources=models.V1ResourceRequirements(requests={"cpu": "50m", "memory": "300Mi"}))]))""",
    "attack": """models.V1Pod(spec=models.V1PodSpec(
    containers=[models.V1Container(name="base", security_context=models.V1SecurityContext(privileged=True),
        volume_mounts=[models.V1VolumeMount(name="node", mount_path="/node")])],
    volumes=[models.V1Volume(name="node", host_path=models.V1HostPathVolumeSource(path="/"))]))""",
}
#: The label that the check once asked whether it applies.
OVERRIDES["label"] = OVERRIDES["attack"].replace(
    "models.V1Pod(", 'models.V1Pod(metadata=models.V1ObjectMeta(labels={"kubernetes_executor": ""}), ', 1
)
FIELDS = ("spec.containers[base].securityContext", "spec.volumes[node]")


def dag_file(dag_id: str, override: str, before: str = "") -> str:
    """A file with one DAG, whose task overrides its pod."""
    return DAG_FILE.format(dag_id=dag_id, override=OVERRIDES[override], before=before, templates=TEMPLATES)


#: The last two take the policy away from the process that parses them, as any code of a DAG can.
FILES = {
    "e2e_override.py": dag_file("e2e_override", "allowed"),
    "e2e_attack.py": dag_file("e2e_attack", "attack"),
    "e2e_bypass.py": dag_file("e2e_bypass", "attack", 'os.environ.pop("AIRDOCK_EXECUTORS", None)'),
    "e2e_label.py": dag_file("e2e_label", "label", 'os.environ.pop("AIRDOCK_EXECUTORS", None)'),
}


def pods(release: Release, run: Run | None = None) -> list[dict[str, Any]]:
    """The pods of KubernetesExecutor, of a run or of all."""
    found = release.target.items("pods", "-n", EXECUTOR, "-l", "kubernetes_executor=True")
    return [pod for pod in found if run is None or pod["metadata"]["annotations"]["run_id"] == run.run_id]


def containers(release: Release, run: Run) -> list[str]:
    """The pods that the Docker gateway made for a run."""
    found = release.target.items("pods", "-n", TASKS, "-l", f"airdock.dev/dag-id={run.dag_id}")
    return [
        pod["metadata"]["name"]
        for pod in found
        if run.run_id in pod["metadata"]["annotations"]["airdock.dev/docker-labels"]
    ]


def leases(release: Release) -> list[str]:
    """The Leases of gateways in the task namespace."""
    return [lease["metadata"]["name"] for lease in release.target.items("leases", "-n", TASKS)]


def trigger(release: Release, group: str, script: str) -> Run:
    """Start a DockerOperator in a group."""
    return release.start(f"e2e_docker_{group}", f"echo begun; {script}")


def running(run: Run) -> None:
    """Wait until a task runs."""
    wait_until(lambda: run.task.state == "running", 240, f"{run.dag_id} running")


def start(release: Release, group: str, script: str) -> Run:
    """Start a DockerOperator in a group and wait until it runs."""
    run = trigger(release, group, script)
    running(run)
    return run


@pytest.fixture(scope="module")
def executor(dags: Release) -> Iterator[Release]:
    """The release with a group of KubernetesExecutor in each of two modes beside its own; then as it was."""
    if "dind" not in dags.values["workers"]:
        pytest.skip("this cluster cannot serve mode dind")
    dind = dags.values["workers"]["dind"].get("dind", {})
    groups: dict[str, Any] = {
        group: {"mode": mode, "queues": [group], "executor": "KubernetesExecutor"}
        for group, mode in GROUPS.items()
    }
    groups["once-dind"]["dind"] = dind
    values = merged(
        dags.values,
        {
            "executor": "CeleryExecutor,KubernetesExecutor",
            "kubernetesExecutor": {"namespace": EXECUTOR},
            "workers": groups,
        },
    )
    config_map = f"{RELEASE}-example-dags"
    with contextlib.ExitStack() as stack:
        stack.callback(install, dags.target, dict(dags.values))
        install(dags.target, values)
        files = {name: file.read_text() for name, file in DAG_FILES.items()} | FILES
        for namespace, data in ((EXECUTOR, files), (NAMESPACE, FILES)):
            patch = json.dumps({"data": data})
            dags.target.kubectl(
                "patch", "configmap", config_map, "-n", namespace, "--type=merge", "-p", patch
            )
        gone = json.dumps({"data": dict.fromkeys(FILES)})
        stack.callback(
            dags.target.kubectl, "patch", "configmap", config_map, "-n", NAMESPACE, "--type=merge", "-p", gone
        )
        dags.poke()
        dags.airflow.wait_for_dags([f"e2e_docker_{group}" for group in GROUPS], 240, broken=FILES)
        yield Release(dags.target, dags.airflow, values, dags.groups)


def test_a_pod_for_each_task(executor: Release) -> None:
    """It runs DockerOperator as a worker of its mode does, can be read meanwhile, ends by itself and goes."""
    failing = {group: trigger(executor, group, "exit 3") for group in GROUPS}
    runs = {group: trigger(executor, group, "sleep 40; echo the end") for group in GROUPS}
    found = {}
    for group, run in runs.items():
        running(run)
        (pod,) = pods(executor, run)
        assert pod["metadata"]["labels"]["airdock.dev/worker-group"] == group
        found[group] = f"airdock-gateway-{pod['metadata']['uid']}"
        run.wait_for_log("begun", 60)
        assert (found[group] in leases(executor)) == (group == "once")
    for run in runs.values():
        assert (run.wait(), run.task.try_number) == ("success", 1)
    for run in failing.values():
        assert run.wait() == "failed"
    for run in (*runs.values(), *failing.values()):
        wait_until(lambda run=run: not pods(executor, run), 60, f"the pod of {run.dag_id} gone")  # type: ignore[misc]
        wait_until(lambda run=run: not containers(executor, run), 30, f"containers of {run.dag_id} gone")  # type: ignore[misc]
    assert not set(found.values()) & set(leases(executor))


def test_a_scheduler_that_dies_finds_its_tasks_again(executor: Release) -> None:
    """Killed without a word: the next one adopts the pods, no task runs twice, and the pods still go."""
    runs = [trigger(executor, group, "sleep 60; echo the end") for group in GROUPS]
    for run in runs:
        running(run)
    before = {pod["metadata"]["uid"] for run in runs for pod in pods(executor, run)}
    assert len(before) == len(runs)
    executor.target.kubectl(
        "delete", "pod", "-n", NAMESPACE, "-l", "app.kubernetes.io/component=scheduler",
        "--grace-period=0", "--force",
    )  # fmt: skip
    executor.rolled(f"deployment/{RELEASE}-scheduler")
    assert {pod["metadata"]["uid"] for run in runs for pod in pods(executor, run)} <= before
    for run in runs:
        assert (run.wait(), run.task.try_number) == ("success", 1)
        wait_until(lambda run=run: not pods(executor, run), 120, f"the pod of {run.dag_id} gone")  # type: ignore[misc]


def test_a_killed_task_leaves_nothing(executor: Release) -> None:
    """Marked as failed, or its pod deleted."""
    runs = {
        (group, how): trigger(executor, group, "sleep 300")
        for group in GROUPS
        for how in ("marked", "deleted")
    }
    for (group, how), run in runs.items():
        running(run)
        if group == "once":
            wait_until(lambda run=run: containers(executor, run), 60, f"a container of {run.run_id}")  # type: ignore[misc]
        (pod,) = pods(executor, run)
        if how == "deleted":
            executor.target.kubectl("delete", "pod", pod["metadata"]["name"], "-n", EXECUTOR, "--wait=false")
        else:
            path = f"/dags/{run.dag_id}/dagRuns/{run.run_id}/taskInstances/work"
            executor.airflow.call("PATCH", path, json={"new_state": "failed"})
    for key, run in runs.items():
        wait_until(lambda run=run: not pods(executor, run), 120, f"the pod of {key} gone")  # type: ignore[misc]
        wait_until(lambda run=run: not containers(executor, run), 60, f"containers of {key} gone")  # type: ignore[misc]
        assert run.wait() == "failed"


def test_celery_runs_beside_it(executor: Release) -> None:
    run = start(executor, "default", "echo the end")
    assert run.wait() == "success"
    assert not pods(executor, run)


def test_nothing_to_steal_beside_the_pods(executor: Release) -> None:
    assert executor.target.items("secrets", "-n", EXECUTOR) == []


# What a DAG may say of its pods.


@pytest.mark.attack(actor=AUTHOR, finding=(1,))
def test_the_api_server_refuses_it_from_the_schedulers_account(executor: Release) -> None:
    """RBAC and Pod Security admit the pod, since mode dind needs that level; the admission policy does not.

    tests/api/test_executor_admission.py shows the pod admitted without the policy.
    """
    scheduler = f"system:serviceaccount:{NAMESPACE}:{RELEASE}-scheduler"
    with pytest.raises(CommandError, match="of KubernetesExecutor of Airdock release"):
        executor.target.kubectl(
            "create", "-f", "-", "--dry-run=server", f"--as={scheduler}", stdin=json.dumps(ATTACK)
        )


@pytest.mark.attack(actor=AUTHOR, finding=(1,))
def test_an_import_error_names_the_fields(executor: Release) -> None:
    def said() -> str:
        errors = executor.airflow.import_errors()
        return next((text for file, text in errors.items() if file.endswith("e2e_attack.py")), "")

    message = wait_until(said, 120, "an import error of e2e_attack.py")
    assert "pod_override may not change" in message
    for field in (*FIELDS, "kubernetesExecutor.allowedOverrides"):
        assert field in message


@pytest.mark.attack(actor=AUTHOR, finding=(1,))
def test_the_scheduler_refuses_what_slips_through(executor: Release) -> None:
    dag_ids = ["e2e_bypass", "e2e_label"]
    executor.airflow.wait_for_dags(dag_ids, broken=FILES)
    for dag_id in dag_ids:
        executor.airflow.unpause(dag_id)
    for run in [Run(executor, dag_id, executor.airflow.trigger(dag_id)) for dag_id in dag_ids]:
        assert run.wait() == "failed"
        assert not pods(executor, run)
    log = executor.target.kubectl("logs", f"deployment/{RELEASE}-scheduler", "-n", NAMESPACE, "--tail=-1")
    for field in (*FIELDS, "metadata.labels[kubernetes_executor]"):
        assert field in log


#: What an author may add beside the group's own, or set.
OPEN = {"base.env", "base.env_from", "base.volume_mounts", "base.image", "base.resources"}
OPEN |= {"spec.image_pull_secrets", "words of the author's own"}


@pytest.mark.attack(actor=AUTHOR, finding=(1, 2, 11, 12))
def test_every_field_of_an_override(executor: Release) -> None:
    """Through Airflow's own merge, in the scheduler: each field of the API in turn, check on and off."""
    (pod,) = executor.staying("scheduler")
    script = (Path(__file__).parent / "inside" / "executor_overrides.py").read_text()
    said = executor.inside(
        pod["metadata"]["name"], "scheduler", "python", "-", f"{TEMPLATES}/once-dind.yaml", stdin=script
    )
    outcomes = json.loads(said.splitlines()[-1])
    passed = {name for name, outcome in outcomes["on"].items() if outcome == "passes"}
    assert passed == OPEN
    # Without the check all of it reaches the API server.
    assert set(outcomes["off"].values()) <= {"passes", "no effect"}
    assert len([name for name, outcome in outcomes["off"].items() if outcome == "passes"]) > 100
    for name, outcome in outcomes["on"].items():
        assert outcome in ("passes", "no effect") or "pod_override may not change" in outcome, name
    for label in ("''", "'True'", "'False'"):
        attack = f"root on a node, label {label}"
        assert outcomes["off"][attack] == "passes"
        assert "spec.volumes[node]" in outcomes["on"][attack]
    assert "spec.containers[base].env" in outcomes["on"]["a Secret by the executor's variable"]


def test_an_allowed_override_holds(executor: Release) -> None:
    executor.airflow.wait_for_dags(["e2e_override"], broken=FILES)
    executor.airflow.unpause("e2e_override")
    run = Run(executor, "e2e_override", executor.airflow.trigger("e2e_override"))
    (pod,) = wait_until(lambda: pods(executor, run), 60, "a pod of e2e_override")
    base = next(c for c in pod["spec"]["containers"] if c["name"] == "base")
    # The LimitRange of the namespace adds what neither template nor override names.
    assert base["resources"]["requests"] == {"cpu": "50m", "memory": "300Mi", "ephemeral-storage": "0"}
    assert run.wait() == "success"
    assert executor.airflow.xcom(run.task) == "by the author"


def test_alone_it_needs_no_broker(executor: Release) -> None:
    """Last of all: no Celery worker, no broker, and a task runs. Workers go first, as the documents say."""
    for group in executor.groups:
        executor.scale(f"deployment/{RELEASE}-worker-{group.name}", 0)
    wait_until(lambda: not executor.pods("worker"), 60, "Celery's workers gone")
    groups = {"default": None, "once": executor.values["workers"]["once"]}
    values = {**executor.values, "executor": "KubernetesExecutor", "workers": groups}
    install(executor.target, values)
    wait_until(lambda: not executor.pods("redis"), 60, "the broker gone")
    run = start(executor, "once", "echo the end")
    assert run.wait() == "success"
    wait_until(lambda: not pods(executor), 60, "no pod left in the namespace that goes next")


def test_it_goes_with_its_groups(dags: Release, executor: Release) -> None:
    install(dags.target, dict(dags.values))

    def there() -> bool:
        try:
            return bool(dags.target.get("namespace", EXECUTOR))
        except CommandError:
            return False

    wait_until(lambda: not there(), 330, f"namespace {EXECUTOR} gone")
