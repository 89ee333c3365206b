"""Waits until the admission fence holds the namespaces of task pods.

Helm applies policies last, the API server heeds them a moment later, and a namespace that somebody else made
has the fence only once it has the label. Until then, whoever may start pods can use all that the namespace
holds. Each policy of the fence rejects one pod by its name. A worker asks for these pods until all are
rejected. They are dry runs: nothing is created. They are pods because every worker may create pods.
Standard library only; runs in an init container of the workers of mode kubernetes.

Arguments: further namespaces. Environment: AIRDOCK_TASK_NAMESPACE; AIRDOCK_TASK_SERVICE_ACCOUNT;
AIRDOCK_FORBIDDEN_PODS, their names; without AIRDOCK_ADMISSION_FENCE, there is none to wait for.
"""

import json
import os
import sys
import time
import urllib.error
from functools import partial

import api_server
import waiting

TIMEOUT_SECONDS = 60
# Of the message of the policy that rejects the pod: other policies can reject it too.
REFUSAL = "{}: Airdock release "
MISSING = (
    "the API server would take pod {}, so the admission fence does not hold this namespace."
    " Check that the release's ValidatingAdmissionPolicies are there, that the namespace has the label"
    " airdock.dev/tasks, and that tasks.admission.exemptUsers and exemptGroups do not name this worker's"
    " account; or set tasks.admission.enabled: false (docs/task-namespace.md)"
)
# What Pod Security `restricted` admits.
POD = {
    "automountServiceAccountToken": False,
    "securityContext": {"runAsNonRoot": True, "seccompProfile": {"type": "RuntimeDefault"}},
    "containers": [
        {
            "name": "none",
            "image": "none",
            "securityContext": {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}},
        }
    ],
}


def missing(namespace: str) -> str:
    """Ask for each pod and say why it was not the fence that rejected one, or nothing if it rejected all."""
    names = os.environ["AIRDOCK_FORBIDDEN_PODS"].split()
    return next(filter(None, (admitted(name, namespace) for name in names)), "")


def admitted(name: str, namespace: str) -> str:
    """Ask for it and say why it was not the fence that rejected it, or nothing if it was."""
    spec = {**POD, "serviceAccountName": os.environ["AIRDOCK_TASK_SERVICE_ACCOUNT"]}
    pod = {"apiVersion": "v1", "kind": "Pod", "metadata": {"name": name}, "spec": spec}
    try:
        api_server.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", pod)
    except urllib.error.HTTPError as error:
        answer = error.read().decode(errors="replace")
        if REFUSAL.format(name) in answer:
            return ""
        try:
            return str(json.loads(answer)["message"])
        except (ValueError, KeyError, TypeError):
            return f"HTTP {error.code}: {answer[:300]}"
    except OSError as error:
        return f"the API server could not be reached: {error}. {api_server.UNREACHABLE}"
    return MISSING.format(name)


def main() -> None:
    """Wait for every namespace; exit with the reason if one has no fence within TIMEOUT_SECONDS."""
    if not os.environ.get("AIRDOCK_ADMISSION_FENCE"):
        print("tasks.admission.enabled is false: there is no fence to wait for")
        return
    deadline = time.monotonic() + TIMEOUT_SECONDS
    for namespace in (os.environ["AIRDOCK_TASK_NAMESPACE"], *sys.argv[1:]):
        waiting.wait(
            partial(missing, namespace),
            deadline,
            f"Waiting for the admission fence of namespace {namespace}",
            f"Namespace {namespace} has no admission fence after {TIMEOUT_SECONDS} s",
        )
        print(f"Namespace {namespace} has its admission fence")


if __name__ == "__main__":
    main()
