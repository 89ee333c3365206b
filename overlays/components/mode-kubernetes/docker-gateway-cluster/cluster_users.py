"""Which user a container runs as: the author's, the image's own, root in a user namespace, or a fixed uid.

No registry is asked which user an image names. The kubelet says it, before anything has run, and what it says
is remembered.
"""

from __future__ import annotations

import enum
import re
import threading
import time
from collections.abc import Collection
from dataclasses import dataclass

from . import fields, references
from .backend import Refusal
from .cluster_api import Object
from .cluster_judgement import MAIN, NEVER_RAN
from .model import Create
from .settings import Tasks

#: Seconds for which it is believed which user an image names, and that user namespaces are unavailable.
_IMAGE_AGE, _NAMESPACE_AGE = 3600.0, 600.0
#: Images that are remembered, and characters of another program's message.
_IMAGES, _WORDS = 1000, 300
# The kubelet's words (pkg/kubelet/kuberuntime/security_context_others.go).
_ROOT = "container has runAsNonRoot and image will run as root"
_NAMED = re.compile(
    r"container has runAsNonRoot and image has non-numeric user \((.*?)\), cannot verify user is non-root",
    re.DOTALL,
)
_INVALID = "container has runAsNonRoot and image has an invalid user id"
# Those of the kubelet, containerd and runc where user namespaces fail. With a space or an underscore: neither
# is in the name of a pod, which is partly the author's.
_NO_NAMESPACE = re.compile(
    r"user namespace|idmap mount|spec\.hostUsers|MOUNT_ATTR_IDMAP|mount_setattr|\b[ug]id_map\b|CLONE_NEWUSER",
    re.IGNORECASE,
)
#: The mount that failed may be one of the pod's volumes: other pods need not have it.
_MOUNT = re.compile(r"MOUNT_ATTR_IDMAP|mount_setattr", re.IGNORECASE)
_CREATING = {"CreateContainerConfigError", "CreateContainerError", "RunContainerError"}


class Way(enum.Enum):
    """What decides the user: the author's number, the image, the image in a user namespace, or tasks.user."""

    AUTHOR = "author"
    IMAGE = "image"
    NAMESPACE = "namespace"
    NUMBER = "number"


@dataclass(frozen=True)
class Rejection:
    """What a node says against a pod's user; `final`: it will not run the container all the same."""

    said: str
    final: bool


def rejection(pod: Object, way: Way) -> Rejection | None:
    """Read from a pod's state that its node cannot run it in the way IMAGE or NAMESPACE, and nothing ran."""
    status = pod.get("status") or {}
    statuses = [*(status.get("initContainerStatuses") or []), *(status.get("containerStatuses") or [])]
    for each in statuses:
        state = each.get("state") or {}
        waiting, ended = state.get("waiting") or {}, state.get("terminated") or {}
        said = waiting.get("message") or ended.get("message") or ""
        if way is Way.IMAGE:
            if each.get("name") == MAIN and waiting.get("reason") in _CREATING and image_user(said):
                return Rejection(said, True)
        elif denies_namespace(said) and (
            waiting.get("reason") in _CREATING or ended.get("reason") in NEVER_RAN
        ):
            return Rejection(said, bool(ended))
    # A pod that the kubelet does not admit has no container.
    said = status.get("message") or ""
    if way is Way.NAMESPACE and status.get("phase") == "Failed" and not statuses and denies_namespace(said):
        return Rejection(said, True)
    return None


def image_user(said: str) -> str:
    """Say which user an image names, from the kubelet's words; empty if they are about something else."""
    if _ROOT in said:
        return "root"
    if match := _NAMED.search(said):
        name = "".join(c for c in match[1][:64] if c.isprintable())
        return f"{name!r}, which the kubelet cannot check"
    return "an invalid number" if _INVALID in said else ""


def denies_namespace(said: str) -> bool:
    """Tell whether words are about a user namespace that cannot be had."""
    return bool(_NO_NAMESPACE.search(said))


def ran(pod: Object) -> bool:
    """Tell whether a pod's main container has begun."""
    for each in (pod.get("status") or {}).get("containerStatuses") or []:
        if each.get("name") == MAIN:
            state = each.get("state") or {}
            ended = state.get("terminated")
            return bool(state.get("running")) or bool(ended and ended.get("reason") not in NEVER_RAN)
    return False


class Users:
    """Remembers what is known of images and of user namespaces, and gives the ways that are left."""

    def __init__(self, tasks: Tasks) -> None:
        self._tasks, self._lock = tasks, threading.Lock()
        #: Image -> until when, which user it names.
        self._images: dict[str, tuple[float, str]] = {}
        #: Volumes -> until when, why no pod with all of them gets a user namespace.
        self._denied: dict[frozenset[str], tuple[float, str]] = {}

    def ways(self, request: Create, tried: Collection[Way] = ()) -> list[Way]:
        """Give the ways to run a container, best first. Raises Refusal if there is none."""
        tasks = self._tasks
        uid, _ = fields.parse_user(request.user)
        if tasks.user_namespaces == "on":
            ways = [Way.NAMESPACE]
        elif uid == 0:
            ways = [] if self._no_namespace(request) else [Way.NAMESPACE]
        elif uid is not None:
            ways = [Way.AUTHOR]
        elif tasks.user != "auto":
            ways = [Way.NUMBER]
        else:
            known = self._image(request.image)
            namespace = [] if self._no_namespace(request) else [Way.NAMESPACE]
            ways = [*([] if known else [Way.IMAGE]), *namespace, Way.NUMBER]
        left = [way for way in ways if way not in tried]
        if not left and tasks.uid is None:
            raise Refusal(
                "user", "task pods of this cluster may not run as root: OpenShift assigns the user; remove it"
            )
        if not left:
            raise Refusal(
                "user",
                f"task pods of this cluster may not run as root ({self._no_namespace(request)}); set another"
                " number, or ask the administrator for tasks.userNamespaces, which maps root in the container"
                " to an unprivileged user on the node",
            )
        return left

    def tries(self, way: Way) -> bool:
        """Tell whether another way may follow where a node cannot run a container in this one."""
        return way is Way.IMAGE or (way is Way.NAMESPACE and self._tasks.user_namespaces == "auto")

    def note(self, request: Create, way: Way, denied: str = "") -> str:
        """Say which user runs and why, if neither the author nor the administrator has chosen it.

        `denied` is why the API server admits no pod with the image's user, if so.
        """
        if self._tasks.user != "auto" or self._tasks.user_namespaces == "on" or request.user:
            return ""
        known = self._image(request.image)
        why = f"the image's user is {known}" if known else f"the cluster rejects the image's user: {denied}"
        if way is Way.NAMESPACE:
            return f"user: the image's user runs in a user namespace, because {why}"
        if way is Way.NUMBER:
            no = self._no_namespace(request)
            return (
                f"user: {self._tasks.uid} runs, because {why}{' and ' + no if known and no else ''}. Set a"
                " number as user in the task, or ask the administrator to set tasks.user"
            )
        return ""

    def learn_image(self, image: str, user: str) -> None:
        """Remember which user an image names."""
        with self._lock:
            self._images.pop(key := references.full(image), None)
            if len(self._images) >= _IMAGES:
                del self._images[next(iter(self._images))]
            self._images[key] = time.monotonic() + _IMAGE_AGE, user

    def learn_namespace(self, request: Create, said: str) -> None:
        """Remember why a pod gets no user namespace; for those with its volumes, if one may be why."""
        key = _volumes(request) if _MOUNT.search(said) else frozenset()
        with self._lock:
            if len(self._denied) < _IMAGES:
                self._denied[key] = time.monotonic() + _NAMESPACE_AGE, said[:_WORDS]

    def _image(self, image: str) -> str:
        with self._lock:
            until, user = self._images.get(references.full(image), (0.0, ""))
        return user if until > time.monotonic() else ""

    def _no_namespace(self, request: Create) -> str:
        """Say why a container cannot have a user namespace; empty if that may be tried."""
        if self._tasks.user_namespaces not in ("auto", "on"):
            return "tasks.userNamespaces is off"
        mounted, now = _volumes(request), time.monotonic()
        with self._lock:
            self._denied = {key: each for key, each in self._denied.items() if each[0] > now}
            why = next((said for key, (_, said) in self._denied.items() if key <= mounted), "")
        return why and f"user namespaces are not available: {why}"


def _volumes(request: Create) -> frozenset[str]:
    """Give the sources of what a container mounts, as its author names them."""
    binds = (entry.partition(":")[0] for entry in request.host.binds)
    return frozenset(filter(None, (*(mount.source for mount in request.host.mounts), *binds)))
