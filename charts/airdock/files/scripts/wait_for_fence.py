"""Waits until the admission fence holds the namespaces of task pods.

Helm applies policies last, the API server heeds them a moment later, and a namespace that somebody else made
has the fence only once it has the label. Until then, whoever may start pods can use all that the namespace
holds. So a worker asks for what no value allows, once for each kind of request that it may make and a policy
judges, until the fence refuses it. Nothing is created: the requests are dry runs, or about no pod.
Standard library only; runs in an init container of the workers of mode kubernetes.

Arguments: further namespaces. Environment: AIRDOCK_TASK_NAMESPACE; AIRDOCK_TASK_SERVICE_ACCOUNT;
AIRDOCK_FENCE_REQUESTS, names in REQUESTS; without AIRDOCK_ADMISSION_FENCE, there is none to wait for.
"""

import json
import os
import sys
import time
import urllib.error
from pathlib import Path

import api_server

# The kubelet shows the last words of a container that has failed: `kubectl describe pod` has them.
LAST_WORDS = Path("/dev/termination-log")
TIMEOUT_SECONDS = 60
NAME = "airdock-is-the-fence-up"
# Of the messages of all policies of the fence.
REFUSAL = " of Airdock release "
MISSING = (
    "the API server would take {}, so the admission fence does not hold this namespace."
    " Check that the release's ValidatingAdmissionPolicies are there, that the namespace has the label"
    " airdock.dev/tasks, and that tasks.admission.exemptUsers and exemptGroups do not name this worker's"
    " account; or set tasks.admission.enabled: false (docs/task-namespace.md)"
)
SECURITY = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
# What Pod Security `restricted` admits, and the fence never.
POD = {
    "automountServiceAccountToken": False,
    "nodeName": "none",
    "securityContext": {
        "runAsNonRoot": True,
        "runAsUser": 50000,
        "seccompProfile": {"type": "RuntimeDefault"},
    },
    "containers": [{"name": "none", "image": "none", "securityContext": SECURITY}],
}
JOB = {"template": {"spec": {**POD, "restartPolicy": "Never"}}}
CLAIM = {
    "accessModes": ["ReadWriteOnce"],
    "resources": {"requests": {"storage": "1Gi"}},
    "volumeName": "none",
}
ONCE = {"name": NAME}
KEPT = {**ONCE, "finalizers": ["airdock.dev/none"]}
# By name: what it is, its path with {} for the namespace, and what is sent.
REQUESTS: dict[str, tuple[str, str, dict[str, object]]] = {
    "pods": (
        "a pod with a nodeName",
        "/api/v1/namespaces/{}/pods?dryRun=All",
        {"apiVersion": "v1", "kind": "Pod", "metadata": ONCE, "spec": POD},
    ),
    "exec": (
        "a command in any container",
        f"/api/v1/namespaces/{{}}/pods/{NAME}/exec?container={NAME}&command=true&stdout=1",
        {},
    ),
    "attach": (
        "input for any pod",
        f"/api/v1/namespaces/{{}}/pods/{NAME}/attach?container={NAME}&stdin=1",
        {},
    ),
    "leases": (
        "the Lease of any Docker gateway",
        "/apis/coordination.k8s.io/v1/namespaces/{}/leases?dryRun=All",
        {"apiVersion": "coordination.k8s.io/v1", "kind": "Lease", "metadata": ONCE},
    ),
    "jobs": (
        "a Job with a finalizer",
        "/apis/batch/v1/namespaces/{}/jobs?dryRun=All",
        {"apiVersion": "batch/v1", "kind": "Job", "metadata": KEPT, "spec": JOB},
    ),
    "claims": (
        "a claim of any volume",
        "/api/v1/namespaces/{}/persistentvolumeclaims?dryRun=All",
        {"apiVersion": "v1", "kind": "PersistentVolumeClaim", "metadata": KEPT, "spec": CLAIM},
    ),
}
# Rights of the Docker gateway, which has none in further namespaces.
GATEWAY = ("leases", "attach")


def missing(namespace: str) -> str:
    """Ask for each and say why it was not the fence that refused one, or nothing if it refused all."""
    names = os.environ["AIRDOCK_FENCE_REQUESTS"].split()
    if namespace != os.environ["AIRDOCK_TASK_NAMESPACE"]:
        names = [name for name in names if name not in GATEWAY]
    return next(filter(None, (admitted(name, namespace) for name in names)), "")


def admitted(name: str, namespace: str) -> str:
    """Ask for it and say why it was not the fence that refused it, or nothing if it was."""
    what, path, body = REQUESTS[name]
    if name == "pods":
        body = {**body, "spec": {**POD, "serviceAccountName": os.environ["AIRDOCK_TASK_SERVICE_ACCOUNT"]}}
    try:
        api_server.create(path.format(namespace), body)
    except urllib.error.HTTPError as error:
        answer = error.read().decode(errors="replace")
        if REFUSAL in answer:
            return ""
        # That there is no such pod is said last.
        if error.code == 404 and NAME in path:
            return MISSING.format(what)
        try:
            return str(json.loads(answer)["message"])
        except (ValueError, KeyError, TypeError):
            return f"HTTP {error.code}: {answer[:300]}"
    except OSError as error:
        return f"the API server could not be reached: {error}. {api_server.UNREACHABLE}"
    return MISSING.format(what)


def main() -> None:
    """Wait for every namespace; exit with the reason if one has no fence within TIMEOUT_SECONDS."""
    if not os.environ.get("AIRDOCK_ADMISSION_FENCE"):
        print("tasks.admission.enabled is false: there is no fence to wait for")
        return
    deadline = time.monotonic() + TIMEOUT_SECONDS
    for namespace in (os.environ["AIRDOCK_TASK_NAMESPACE"], *sys.argv[1:]):
        said = ""
        while reason := missing(namespace):
            if reason != said:
                print(f"Waiting for the admission fence of namespace {namespace}: {reason}", flush=True)
                said = reason
            if time.monotonic() > deadline:
                words = f"Namespace {namespace} has no admission fence after {TIMEOUT_SECONDS} s: {reason}."
                if LAST_WORDS.exists():
                    LAST_WORDS.write_text(words)
                sys.exit(words)
            time.sleep(1)
        print(f"Namespace {namespace} has its admission fence")


if __name__ == "__main__":
    main()
