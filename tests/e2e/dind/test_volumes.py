"""Mode dind: tasks mount what the worker has."""

from __future__ import annotations

from scripts.chart.dind_pod import pod_of
from scripts.live import Target
from tests.e2e.dind.pods import IMAGE, NAMESPACE, group, objects, running

CONFIG = {
    "apiVersion": "v1",
    "kind": "ConfigMap",
    "metadata": {"name": "mounted", "namespace": NAMESPACE},
    "data": {"dag.py": "given"},
}


def test_tasks_mount_the_workers_directories(target: Target) -> None:
    """One that the daemon is given, one that it is not, and one that is read-only for everybody."""
    values = group(volumes=["data", "conf"])
    (own,) = (each for each in values["workers"].values() if each)
    own["volumes"] = {"data": {"emptyDir": {}}, "conf": {"configMap": {"name": "mounted"}}}
    own["volumeMounts"] = {
        "data": {"mountPath": "/data"},
        "other": {"name": "data", "mountPath": "/other"},
        "conf": {"mountPath": "/opt/airflow/conf", "readOnly": True},
    }
    scripts, workload = objects(values)
    with running(target, pod_of(workload, "volumes"), scripts, CONFIG) as pod:
        pod.docker("pull", "--quiet", IMAGE)
        said = pod.sh(
            "echo in > /data/in; "
            f"docker run --rm -v /data:/d {IMAGE} sh -c 'cat /d/in; echo out > /d/out'; "
            "cat /data/out /other/out"
        )
        assert said.split() == ["in", "out", "out"]
        assert pod.docker("run", "--rm", "-v", "/other:/d", IMAGE, "ls", "/d") == ""
        mount = ("--mount", "type=bind,src=/opt/airflow/conf,dst=/c")
        assert pod.docker("run", "--rm", *mount, IMAGE, "cat", "/c/dag.py").strip() == "given"
        assert "Read-only file system" in pod.fails("run", "--rm", *mount, IMAGE, "touch", "/c/new")
        assert "bind source path does not exist" in pod.fails(
            "run", "--rm", "--mount", "type=bind,src=/nowhere,dst=/n", IMAGE, "true"
        )
