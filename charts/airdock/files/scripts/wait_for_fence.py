"""Waits until the admission fence holds the namespaces of task pods.

Helm applies policies last, the API server heeds them a moment later, and a namespace that somebody else made
has the fence only once it has the label. Until then, whoever may start pods can use all that the namespace
holds. So a worker that may asks for a pod that no value allows, as a dry run, until the fence refuses it.
Standard library only; runs in an init container of the workers of mode kubernetes.

Arguments: further namespaces. Environment: AIRDOCK_TASK_NAMESPACE; AIRDOCK_TASK_SERVICE_ACCOUNT; without
AIRDOCK_ADMISSION_FENCE, there is none to wait for.
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
# The message of the admission policy's rule `nodeName`, which no value disables.
REFUSAL = "spec.nodeName bypasses the scheduler"
MISSING = (
    "the API server would take a pod with a nodeName, so the admission fence does not hold this namespace."
    " Check that the release's ValidatingAdmissionPolicies are there, that the namespace has the label"
    " airdock.dev/tasks, and that tasks.admission.exemptUsers and exemptGroups do not name this worker's"
    " account; or set tasks.admission.enabled: false (docs/task-namespace.md)"
)


def forbidden_pod() -> dict[str, object]:
    """Give a pod that Pod Security `restricted` admits, and the fence never."""
    security = {"allowPrivilegeEscalation": False, "capabilities": {"drop": ["ALL"]}}
    return {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "airdock-is-the-fence-up"},
        "spec": {
            "serviceAccountName": os.environ["AIRDOCK_TASK_SERVICE_ACCOUNT"],
            "automountServiceAccountToken": False,
            "nodeName": "none",
            "securityContext": {
                "runAsNonRoot": True,
                "runAsUser": 50000,
                "seccompProfile": {"type": "RuntimeDefault"},
            },
            "containers": [{"name": "none", "image": "none", "securityContext": security}],
        },
    }


def missing(namespace: str) -> str:
    """Ask for the pod and say why it was not the fence that refused it, or nothing if it was."""
    try:
        api_server.create(f"/api/v1/namespaces/{namespace}/pods?dryRun=All", forbidden_pod())
    except urllib.error.HTTPError as error:
        answer = error.read().decode(errors="replace")
        if REFUSAL in answer:
            return ""
        try:
            return str(json.loads(answer)["message"])
        except (ValueError, KeyError, TypeError):
            return f"HTTP {error.code}: {answer[:300]}"
    except OSError as error:
        return f"the API server could not be reached: {error}. {api_server.UNREACHABLE}"
    return MISSING


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
