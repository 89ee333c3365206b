"""Runs in the scheduler: what Airflow's own construct_pod makes of hostile pod_overrides.

    python executor_overrides.py TEMPLATE    # prints {"on": {case: outcome}, "off": {case: outcome}}

A case is a field of V1Pod, V1ObjectMeta, V1PodSpec, of the container or of one of the group's init
containers, with a value that no template has; the fields come from the client's models. An outcome is "no
effect", "passes", or what the check says. "off" is without the check.
"""

# mypy: ignore-errors

import json
import os
import re
import sys

from airflow.providers.cncf.kubernetes.pod_generator import PodGenerator, PodMutationHookException
from kubernetes.client import ApiClient, Configuration, models

SIMPLE = {"str": "theirs", "int": 31337, "bool": True, "float": 1.5, "datetime": "2026-01-01T00:00:00Z"}
#: Lets a model be incomplete: what the API server would say of it is not the question.
LOOSE = Configuration()
LOOSE.client_side_validation = False


def anything(kind, depth=3):
    """Give a value of a field's type; a model has its first fields set."""
    if inner := re.fullmatch(r"list\[(.+)\]", kind):
        return [anything(inner[1], depth)]
    if kind.startswith("dict"):
        return {"example.com/theirs": "1"}
    model = getattr(models, kind, None)
    if model is None:
        return SIMPLE.get(kind, {"theirs": "1"})
    made = model(local_vars_configuration=LOOSE)
    if depth:
        for name, of in list(model.openapi_types.items())[:3]:
            setattr(made, name, anything(of, depth - 1))
    return made


def override(metadata=None, spec=None, base=None, init=(), **fields):
    """Give a V1Pod with these fields."""
    container = models.V1Container(name="base", **(base or {}))
    return models.V1Pod(
        metadata=models.V1ObjectMeta(**metadata) if metadata else None,
        spec=models.V1PodSpec(**{"containers": [container], "init_containers": list(init)} | (spec or {})),
        **fields,
    )


def cases(template):
    """Give each case's name and its override."""
    for name, kind in models.V1Pod.openapi_types.items():
        if name not in ("metadata", "spec"):
            yield f"pod.{name}", override(**{name: anything(kind)})
    for name, kind in models.V1ObjectMeta.openapi_types.items():
        yield f"metadata.{name}", override(metadata={name: anything(kind)})
    for name, kind in models.V1PodSpec.openapi_types.items():
        yield f"spec.{name}", override(spec={name: anything(kind)})
    for name, kind in models.V1Container.openapi_types.items():
        changed = override()
        setattr(changed.spec.containers[0], name, anything(kind))
        yield f"base.{name}", changed
        for container in template.spec.init_containers or []:
            theirs = models.V1Container(name=container.name)
            setattr(theirs, name, anything(kind))
            yield f"init {container.name}.{name}", override(init=[theirs])
    second = [models.V1Container(name="base"), models.V1Container(name="theirs", image="busybox")]
    yield "a second container", override(spec={"containers": second})
    # What any author could do until the check asked nothing of the pod.
    root = models.V1SecurityContext(privileged=True, run_as_user=0, run_as_non_root=False)
    mount = models.V1VolumeMount(name="node", mount_path="/node")
    node = models.V1Volume(name="node", host_path=models.V1HostPathVolumeSource(path="/"))
    for value in ("", "True", "False"):
        yield (
            f"root on a node, label {value!r}",
            override(
                metadata={"labels": {"kubernetes_executor": value}},
                spec={"host_pid": True, "node_name": "control-plane", "volumes": [node]},
                base={"security_context": root, "volume_mounts": [mount]},
            ),
        )
    yield (
        "words of the author's own",
        override(metadata={"labels": {"team": "a"}, "annotations": {"note": "b"}}),
    )


def build(path, pod_override, check):
    """Give the pod in the API's form, as the scheduler would send it."""
    base = PodGenerator.deserialize_model_file(path)
    pod = PodGenerator.construct_pod(
        dag_id="d",
        task_id="t",
        pod_id="d-t-abc",
        try_number=1,
        kube_image=None,
        date=None,
        args=["python", "-m", "airflow.sdk.execution_time.execute_workload"],
        pod_override_object=pod_override,
        base_worker_pod=base,
        namespace=base.metadata.namespace,
        scheduler_job_id="1",
        run_id="r",
        with_mutation_hook=check,
    )
    return ApiClient().sanitize_for_serialization(pod)


def outcomes(path, check):
    """Give the outcome of every case."""
    without = build(path, None, check)
    found = {}
    for name, pod_override in cases(PodGenerator.deserialize_model_file(path)):
        try:
            found[name] = "no effect" if build(path, pod_override, check) == without else "passes"
        except PodMutationHookException as error:
            found[name] = str(error.__cause__)
    return found


def secret(path):
    """An entry with the name of the executor's own, where the author may set no environment."""
    os.environ["AIRDOCK_POD_OVERRIDES"] = "image"
    source = models.V1EnvVarSource(secret_key_ref=models.V1SecretKeySelector(name="any", key="any"))
    entry = models.V1EnvVar(name="AIRFLOW_IS_K8S_EXECUTOR_POD", value_from=source)
    try:
        build(path, override(base={"env": [entry]}), True)
    except PodMutationHookException as error:
        return str(error.__cause__)
    return "passes"


template = sys.argv[1]
on = outcomes(template, check=True) | {"a Secret by the executor's variable": secret(template)}
print(json.dumps({"on": on, "off": outcomes(template, check=False)}))
