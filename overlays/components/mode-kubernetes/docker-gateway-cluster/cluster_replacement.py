"""Another pod for a container whose node cannot run it with its user, before anything has run.

The pods of a container have one name, so the API server never holds two of them. The next one is created once
the one before is deleted, and only if that never ran: what its node said last tells.
"""

from __future__ import annotations

import threading
import time

from .backend import ApiError
from .cluster_admission import Admission
from .cluster_api import ApiStatus, Object
from .cluster_container import Container
from .cluster_creation import Creation
from .cluster_judgement import Ended
from .cluster_pods import Pods
from .cluster_users import Rejection, Users, Way, denies_namespace, image_user, ran, rejection
from .health import Metrics, log

#: Seconds that a node has to delete a pod that never ran, and between two questions whether it has.
_LIMIT, _ASK = 120.0, 5.0


class Replacement:
    """Replaces pods, each in a thread."""

    def __init__(
        self, pods: Pods, admission: Admission, creation: Creation, users: Users, metrics: Metrics
    ) -> None:
        self._pods, self._admission, self._creation = pods, admission, creation
        self._users, self._metrics = users, metrics
        self._threads: dict[str, threading.Thread] = {}

    def observe(self, container: Container, pod: Object, deleted: bool) -> bool:
        """Look at a pod's state; True if the pod is one that is replaced. Called with `changed` held."""
        meta = pod["metadata"]
        if meta["uid"] in container.replaced:
            if ran(pod):
                container.end(Ended(None, "its node ran the container while another pod was to replace it"),
                              self._metrics)  # fmt: skip
            if deleted and container.uid == meta["uid"]:
                container.vacated = True
                if _over(container):
                    container.gone = True
                    container.never_ran(f"the pod was deleted: {container.fate or 'removed'}")
            container.changed.notify_all()
            return True
        if _over(container) or deleted or meta.get("deletionTimestamp"):
            return False
        found = rejection(pod, container.way) if self._users.tries(container.way) else None
        if found:
            self._begin(container, found)
        return found is not None

    def hear(self, container: Container) -> bool:
        """Look at what events say about a pod that has not begun; True if it is replaced."""
        with container.changed:
            said = container.trouble
            if container.way is not Way.NAMESPACE or not self._users.tries(container.way):
                return False
            if not container.uid or container.has_output or _over(container) or not denies_namespace(said):
                return False
            self._begin(container, Rejection(said, False))
        return True

    def look_at(self, container: Container) -> None:
        """Go on with a replacement whose thread has ended, and end one that takes too long."""
        with container.changed:
            if not container.replacing:
                return
            next_pod = container.vacated and container.uid
            if time.monotonic() - container.replaced_at > _LIMIT and not (_over(container) or next_pod):
                container.end(
                    Ended(None, f"{container.rejected}; its pod could not be replaced"), self._metrics
                )
            self._run(container)

    def finish(self, seconds: float) -> None:
        """Wait for what is under way."""
        deadline = time.monotonic() + seconds
        for thread in tuple(self._threads.values()):
            thread.join(max(deadline - time.monotonic(), 0.0))

    def _begin(self, container: Container, found: Rejection) -> None:
        if container.way is Way.IMAGE:
            self._users.learn_image(container.request.image, image_user(found.said))
        else:
            self._users.learn_namespace(container.request, found.said)
        log("replacing", said=found.said[:300], **container.names())
        container.replacing, container.vacated = True, False
        container.replaced.append(container.uid)
        container.replaced_at, container.never_runs = time.monotonic(), found.final
        container.tried.add(container.way)
        # What that pod waited for is no more.
        container.pod, container.waits_for, container.trouble = None, "", ""
        container.rejected = found.said[:300]
        self._run(container)

    def _run(self, container: Container) -> None:
        """Start the container's thread, if there is none. Called with `changed` held."""
        if (thread := self._threads.get(container.id)) and thread.is_alive():
            return
        thread = threading.Thread(target=self._work, args=(container,), name="replace", daemon=True)
        self._threads[container.id] = thread
        try:
            thread.start()
        except RuntimeError as error:  # the next look tries again
            self._threads.pop(container.id, None)
            log("replacement-failed", error=str(error), **container.names())

    def _work(self, container: Container) -> None:
        try:
            # The node may reject the next pod, too, before the answer to its creation is here.
            while not self._replace(container):
                pass
        except Exception as error:
            log("replacement-failed", error=repr(error), **container.names())

    def _replace(self, container: Container) -> bool:
        """Take each step that is left; False if that pod is replaced in turn.

        An exception leaves it to the next look.
        """
        with container.changed:
            pod = container.replaced[-1]
        if not container.vacated:
            self._pods.delete_replaced(container)
        begun = self._wait(container) and self._build(container)
        if begun:
            try:
                self._creation.begin(container)
            except ApiError as error:
                begun = False
                with container.changed:
                    container.end(Ended(None, error.message), self._metrics)
        with container.changed:
            if container.replaced[-1] != pod:
                return False
            container.replacing = False
            self._threads.pop(container.id, None)
            over = None if begun else container.ended
        if over and not container.fate:
            self._pods.delete(container, over.message, 1)
        return True

    def _wait(self, container: Container) -> bool:
        """Wait until the pod is deleted; False if the container is over."""
        while True:
            with container.changed:
                container.changed.wait_for(lambda: container.vacated or _over(container), timeout=_ASK)
                if _over(container):
                    return False
                if container.vacated:
                    # From here on, what the watch shows of another pod is of this container.
                    container.uid = ""
                    return True
            try:
                pod = self._pods.get(container.pod_name)
            except ApiStatus as status:
                if status.code != 404:
                    raise
                self._missed(container)
            else:
                with container.changed:
                    # One of its name that is not replaced: the next one, if only the answer was lost.
                    container.vacated = pod["metadata"]["uid"] not in container.replaced
                    if not container.vacated:
                        self.observe(container, pod, False)

    def _missed(self, container: Container) -> None:
        """Take note of a deletion that no watch has shown, nor what the pod's last state was."""
        with container.changed:
            if container.never_runs:
                container.vacated = True
            elif not container.vacated:
                container.end(
                    Ended(None, "the pod was deleted, and nothing says whether it had run"), self._metrics
                )

    def _build(self, container: Container) -> bool:
        """Build the next pod; False if there is none."""
        try:
            way, built = self._admission.prepare(
                container.request, container.id, container.fresh, container.tried
            )
        except ApiError as error:
            if error.status >= 500 and time.monotonic() - container.replaced_at < _LIMIT:
                raise
            with container.changed:
                container.end(Ended(None, error.message), self._metrics)
            return False
        with container.changed:
            if _over(container):
                return False
            container.way, container.manifest, container.retrieve = way, built.manifest, built.retrieve
            # In place: who reads the output has the list.
            container.notes[:] = built.notes
        return True


def _over(container: Container) -> bool:
    """Tell whether there is nothing to run any more."""
    return bool(container.ended or container.fate or container.removed)
