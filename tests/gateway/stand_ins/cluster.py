"""An API server that records, with a kubelet whose containers do nothing but what the test says."""

from __future__ import annotations

import copy
import json
import os
import re
from collections import Counter, deque
from collections.abc import Callable
from typing import Any

from docker_gateway.cluster_retrieval import SIDECAR
from docker_gateway.quantities import quantity

from .world import BREAK, END, Pieces, Reply, Task, World

_PODS = re.compile(r"/api/v1/namespaces/[a-z0-9-]+/pods(?:/(?P<name>[a-z0-9.-]+))?(?P<log>/log)?\Z")
_LEASES = re.compile(
    r"/apis/coordination.k8s.io/v1/namespaces/[a-z0-9-]+/leases(?:/(?P<name>[a-z0-9.-]+))?\Z"
)


#: How it shows that there are no user namespaces: the API server, admission, the kubelet, the runtime.
NO_NAMESPACE = ("dropped", "refused", "sandbox", "mount", "start", "failed")
#: The words of the kubelet (pkg/kubelet/kuberuntime/security_context_others.go, pkg/kubelet/userns), of runc.
ROOT = "container has runAsNonRoot and image will run as root (pod: {pod}, container: container)"
NAMED = (
    "container has runAsNonRoot and image has non-numeric user ({user}), cannot verify user is non-root"
    " (pod: {pod}, container: container)"
)
NO_SANDBOX = (
    "Failed to create pod sandbox: can't set `spec.hostUsers: false`, runtime does not support user"
    " namespaces"
)
NO_MOUNT = (
    "failed to create containerd task: OCI runtime create failed: runc create failed: failed to set"
    " MOUNT_ATTR_IDMAP on /var/lib/kubelet/pods/x/volumes/y: invalid argument (maybe the filesystem used"
    " doesn't support idmap mounts on this kernel?)"
)


def _status(code: int, reason: str, message: str = "") -> Reply:
    return Reply(code, {"kind": "Status", "code": code, "reason": reason, "message": message or reason})


def _amounts(pod: dict[str, Any]) -> Counter[str]:
    """Give what a pod counts towards a quota."""
    amounts = Counter({"pods": 1})
    for container in pod["spec"]["containers"]:
        for name, amount in container.get("resources", {}).get("limits", {}).items():
            amounts[f"{'limits' if name == 'memory' else 'requests'}.{name}"] += int(quantity(amount))
    return amounts


def _selected(labels: dict[str, str] | None, selector: str) -> bool:
    key, _, value = selector.partition("=")
    return not selector or (labels or {}).get(key) == value


class ClusterWorld(World):
    """Pods by name in `tasks`, their objects in `pods`."""

    def __init__(self) -> None:
        super().__init__()
        self.pods: dict[str, dict[str, Any]] = {}
        self.leases: dict[str, dict[str, Any]] = {}
        #: Events about pods: `reason`, `message` and the pod's `uid`.
        self.reports: list[dict[str, Any]] = []
        #: Image -> the user that it names: a uid or a name; uid 1000 for all others.
        self.users: dict[str, str] = {}
        #: Why there are no user namespaces: one of NO_NAMESPACE, or empty.
        self.no_namespaces = ""
        #: What `attach` is refused with: a status and a message with " / " between them; empty if it is not.
        self.attach_refusal = ""
        #: What ends the attach connections of a container that has ended.
        self.end_inputs: Callable[[Task], None] = lambda task: None
        self.watchers: list[tuple[str, Pieces]] = []
        #: The hard limits of a ResourceQuota: `pods`, and limits of memory and GPUs as whole numbers.
        self.hard: dict[str, int] = {}
        #: What the sidecars for results print, in pieces.
        self.results: list[bytes] = []
        self._version = self._oldest = 0
        #: The last ones: version, labels, line.
        self._events: deque[tuple[int, Any, bytes]] = deque(maxlen=200)

    # ---- requests

    def handle(self, method: str, path: str, query: dict[str, str], body: Any) -> Reply:
        with self.lock:
            if len(self.requests) < 10_000:
                self.requests.append(f"{method} {path}")
            if match := _PODS.match(path):
                return self._pods(method, match["name"] or "", bool(match["log"]), query, body)
            if path.endswith("/events"):
                uid = query["fieldSelector"].partition("=")[2]
                return Reply(body={"items": [each for each in self.reports if each["uid"] == uid]})
            if match := _LEASES.match(path):
                return self._leases(method, match["name"] or "", query, body)
            return _status(404, "NotFound")

    def _pods(self, method: str, name: str, log: bool, query: dict[str, str], body: Any) -> Reply:
        if method == "POST":
            in_namespace = body["spec"].get("hostUsers") is False
            if in_namespace and self.no_namespaces == "refused":
                message = (
                    'pods "x" is forbidden: violates PodSecurity "restricted:latest": runAsNonRoot != true'
                )
                return _status(403, "Forbidden", message)
            if in_namespace and self.no_namespaces == "dropped":
                body = {**body, "spec": {k: v for k, v in body["spec"].items() if k != "hostUsers"}}
            if full := self._full(body):
                return full
            if "dryRun" in query:
                return Reply(201, body)
            if body["metadata"]["name"] in self.pods:
                return _status(409, "AlreadyExists")
            return Reply(201, self.add(body))
        if not name:
            selector = query.get("labelSelector", "")
            if "watch" in query:
                since = int(query["resourceVersion"])
                if since < self._oldest:
                    error = {"type": "ERROR", "object": {"code": 410, "reason": "Expired"}}
                    return Reply(pieces=Pieces([json.dumps(error).encode() + b"\n", END]))
                old = [line for version, labels, line in self._events if version > since
                       and _selected(labels, selector)]  # fmt: skip
                self.watchers.append((selector, pieces := Pieces(old)))
                return Reply(pieces=pieces)
            phase = query.get("fieldSelector", "").removeprefix("status.phase=")
            found = [
                pod
                for pod in self.pods.values()
                if _selected(pod["metadata"].get("labels"), selector)
                and phase in ("", pod["status"]["phase"])
            ]
            meta = {"resourceVersion": str(self._version)}
            return Reply(body={"metadata": meta, "items": copy.deepcopy(found)})
        if name not in self.pods:
            return _status(404, "NotFound")
        if log and query.get("container") == SIDECAR:
            return Reply(pieces=Pieces([*self.results, END]))
        if log:
            return self._log(self.tasks[name], query)
        if method == "DELETE":
            uid = ((body or {}).get("preconditions") or {}).get("uid")
            if uid and uid != self.pods[name]["metadata"]["uid"]:
                return _status(409, "Conflict")
            self._delete(name, "gateway")
            return Reply(200, {})
        return Reply(200, copy.deepcopy(self.pods[name]))

    def _full(self, pod: dict[str, Any]) -> Reply | None:
        """Refuse a pod for which the quota has no room, in the API server's words."""
        if not self.hard:
            return None
        requested, used = _amounts(pod), Counter[str]()
        for task in self.tasks.values():
            if task.alive:
                used.update(_amounts(task.spec))
        after = used + requested
        over = [name for name, most in self.hard.items() if requested[name] and after[name] > most]
        if not over:
            return None
        amounts = (",".join(f"{name}={each[name]}" for name in over) for each in (requested, used, self.hard))
        words = ", ".join(map("{}: {}".format, ("requested", "used", "limited"), amounts))
        name = pod["metadata"]["name"]
        message = f'pods "{name}" is forbidden: exceeded quota: tasks, {words}'
        return Reply(403, {"code": 403, "reason": "Forbidden", "message": message})

    def _log(self, task: Task, query: dict[str, str]) -> Reply:
        lines = list(task.output)
        if since := query.get("sinceTime", "").encode():
            lines = [line for line in lines if line[:19] >= since[:19]]
        if tail := query.get("tailLines"):
            lines = lines[len(lines) - int(tail) :] if int(tail) else []
        pieces = Pieces(lines)
        if query.get("follow") and task.state == "running":
            task.followers.append(pieces)
        else:
            pieces.put(END)
        return Reply(pieces=pieces)

    def _leases(self, method: str, name: str, query: dict[str, str], body: Any) -> Reply:
        if method == "POST":
            return Reply(201, self.write_lease(body["metadata"]["name"], body))
        if not name:
            selector = query.get("labelSelector", "")
            return Reply(
                body={
                    "items": [
                        copy.deepcopy(each)
                        for each in self.leases.values()
                        if _selected(each["metadata"].get("labels"), selector)
                    ]
                }
            )
        if name not in self.leases:
            return _status(404, "NotFound")
        if method == "DELETE":
            return Reply(200, self.leases.pop(name))
        if method == "PATCH":
            spec = self.leases[name].get("spec")
            changed = {**(spec if isinstance(spec, dict) else {}), **body["spec"]}
            self.write_lease(name, {**self.leases[name], "spec": changed})
        return Reply(200, self.leases[name])

    def write_lease(self, name: str, lease: dict[str, Any]) -> dict[str, Any]:
        """Write a Lease, as anybody may who has the right to."""
        with self.lock:
            if (self.leases.get(name) or {}).get("spec") != lease.get("spec") or name not in self.leases:
                self._version += 1
                lease["metadata"]["resourceVersion"] = str(self._version)
                self.leases[name] = lease
            return self.leases[name]

    # ---- the life of pods

    def add(self, pod: dict[str, Any]) -> dict[str, Any]:
        """Create a pod, as anybody may who has the right to."""
        with self.lock:
            pod = copy.deepcopy(pod)
            name = pod["metadata"]["name"]
            pod["metadata"]["uid"] = os.urandom(16).hex()
            pod["status"] = {"phase": "Pending"}
            self.pods[name] = pod
            self.tasks[name] = Task(name, pod, "pending")
            self._event("ADDED", name)
            return copy.deepcopy(pod)

    def _event(self, kind: str, name: str) -> None:
        self._version += 1
        pod = self.pods[name]
        pod["metadata"]["resourceVersion"] = str(self._version)
        line = json.dumps({"type": kind, "object": pod}).encode() + b"\n"
        self._events.append((self._version, pod["metadata"].get("labels"), line))
        for selector, pieces in self.watchers:
            if _selected(pod["metadata"].get("labels"), selector):
                pieces.put(line)

    def _no_user(self, task: Task) -> bool:
        """Say as the kubelet does that a pod's user cannot be had; False if it can."""
        pod = self.pods[task.id]
        spec, meta = pod["spec"], pod["metadata"]
        security = spec.get("securityContext") or {}
        user = self.users.get(spec["containers"][0]["image"], "1000")
        ready = {"PodScheduled": "True", "PodReadyToStartContainers": "True"}
        if security.get("runAsNonRoot") and "runAsUser" not in security:
            words = ROOT if user in ("", "0") else "" if user.isdecimal() else NAMED
            if words:
                named = f"{meta['name']}_{meta.get('namespace')}({meta['uid']})"
                message = words.format(user=user, pod=json.dumps(named))
                self.report(task, {"reason": "CreateContainerConfigError", "message": message}, **ready)
            return bool(words)
        if spec.get("hostUsers", True):
            return False
        if self.no_namespaces == "sandbox":
            self.reports.append(
                {"uid": meta["uid"], "reason": "FailedCreatePodSandBox", "message": NO_SANDBOX}
            )
            self.report(
                task, {"reason": "ContainerCreating"}, **{**ready, "PodReadyToStartContainers": "False"}
            )
        elif self.no_namespaces == "mount":
            self.report(task, {"reason": "RunContainerError", "message": NO_MOUNT}, **ready)
        elif self.no_namespaces == "start":
            ended = {"exitCode": 128, "reason": "StartError", "message": NO_MOUNT, "startedAt": None}
            self._state(task, "Failed", {"terminated": ended})
        elif self.no_namespaces == "failed":
            pod["status"] = {"phase": "Failed", "reason": "UnexpectedAdmissionError", "message": NO_SANDBOX}
            self._event("MODIFIED", task.id)
        return bool(self.no_namespaces)

    def run(self, task: Task) -> None:
        with self.lock:
            if task.state == "pending" and not self._no_user(task):
                task.state = "running"
                self._state(task, "Running", {"running": {"startedAt": "2026-01-01T00:00:00Z"}})

    def report(self, task: Task, state: dict[str, Any], **conditions: str) -> None:
        """Let a pod wait: the state of its container, and its conditions."""
        with self.lock:
            self.pods[task.id]["status"] = {
                "phase": "Pending",
                "conditions": [{"type": name, "status": value} for name, value in conditions.items()],
                "containerStatuses": [{"name": "container", "state": {"waiting": state}}],
            }
            self._event("MODIFIED", task.id)

    def _state(self, task: Task, phase: str, state: dict[str, Any]) -> None:
        statuses = [{"name": "container", "state": state}]
        self.pods[task.id]["status"] = {
            "phase": phase, "containerStatuses": statuses, "podIP": "10.0.0.7",
        }  # fmt: skip
        self._event("MODIFIED", task.id)

    def print(self, task: Task, data: bytes) -> None:
        with self.lock:
            if task.state != "running":
                return
            number = len(task.output)
            stamp = f"2026-01-01T{number // 3600:02}:{number // 60 % 60:02}:{number % 60:02}.000000001Z "
            task.output.append(stamp.encode() + data)
            for each in task.followers:
                each.put(task.output[-1])

    def exit(self, task: Task, code: int, killed: str = "") -> None:
        with self.lock:
            if not task.alive:
                return
            ran = task.state == "running"
            task.state, task.code, task.killed = "exited", code, killed
            self.ended.append(task)
            if ran:
                phase = "Failed" if code else "Succeeded"
                self._state(task, phase, {"terminated": {"exitCode": code, "reason": killed or "Completed"}})
            for each in task.followers:
                each.put(END)
            task.followers.clear()
            self.end_inputs(task)

    def _delete(self, name: str, killed: str) -> None:
        pod, task = self.pods[name], self.tasks[name]
        pod["metadata"]["deletionTimestamp"] = "2026-01-01T00:00:00Z"
        self._event("MODIFIED", name)
        lingering = self.lingering and task.state != "pending"
        self.exit(task, self.term_code, killed)
        task.state = "exited"
        if not lingering:
            self._remove(name)

    def _remove(self, name: str) -> None:
        self._event("DELETED", name)
        del self.pods[name], self.tasks[name]

    def tidy(self) -> None:
        with self.lock:
            for name in [each for each, pod in self.pods.items() if "deletionTimestamp" in pod["metadata"]]:
                self._remove(name)

    def kill(self, task: Task) -> None:
        with self.lock:
            self._delete(task.id, "others")

    def cut_logs(self, task: Task, orderly: bool) -> None:
        with self.lock:
            for each in task.followers:
                each.put(END if orderly else BREAK)
            task.followers.clear()

    def cut(self, forget: bool = False) -> None:
        with self.lock:
            if forget:
                self._events.clear()
                self._oldest = self._version
            for _, pieces in self.watchers:
                pieces.put(BREAK)
            self.watchers.clear()
