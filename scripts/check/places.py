"""Where pods can be tried: the release's namespaces, or copies of those that do not exist yet."""

from __future__ import annotations

import contextlib
import json
import secrets
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from types import TracebackType

from scripts.check.cluster import Cluster, CommandError, uninterrupted
from scripts.check.rights import Right, held
from scripts.check.wanted import Wanted

POD_SECURITY = "pod-security.kubernetes.io/"
LEVEL = f"{POD_SECURITY}enforce"
#: On namespaces of a check.
MARK = {"app.kubernetes.io/created-by": "airdock-check"}


@dataclass
class Places:
    """The namespaces of a release; leaving the context deletes what it has created.

    Attributes:
        labels: those that exist, with their labels; None where the caller may not read it.
        temporary: namespaces that were created, by the Pod Security labels that they have.
    """

    cluster: Cluster
    wanted: Wanted
    labels: Mapping[str, Mapping[str, str] | None]
    temporary: dict[tuple[tuple[str, str], ...], str] = field(default_factory=dict)

    @classmethod
    def of(cls, cluster: Cluster, wanted: Wanted) -> Places:
        """Look which of the namespaces exist."""
        found: dict[str, Mapping[str, str] | None] = {}
        for name in wanted.namespaces:
            try:
                answer = cluster.kubectl("get", "namespace", name, "--ignore-not-found", "-o", "json")
                if answer.strip():
                    found[name] = json.loads(answer)["metadata"].get("labels") or {}
            except CommandError:  # An administrator created it for somebody who may not read it.
                found[name] = None
        return cls(cluster, wanted, found)

    @property
    def new(self) -> list[str]:
        """Namespaces that do not exist and that no manifest creates: `helm install --create-namespace`."""
        return [each for each in self.wanted.namespaces if each not in {*self.labels, *self.wanted.labels}]

    def pod_security(self, namespace: str) -> dict[str, str]:
        """Labels of Pod Security that the namespace has, or that the chart gives it."""
        labels = (self.labels if namespace in self.labels else self.wanted.labels).get(namespace) or {}
        return {key: value for key, value in labels.items() if key.startswith(POD_SECURITY)}

    def place(self, namespace: str) -> str:
        """A namespace to try pods in that are for this one.

        Raises:
            CommandError: it does not exist, and a copy cannot be created.
        """
        if namespace in self.labels:
            return namespace
        if not self.may_copy:
            raise CommandError(["kubectl"], "you may not create and delete namespaces")
        labels = self.pod_security(namespace)
        key = tuple(sorted(labels.items()))
        if key not in self.temporary:
            name = f"airdock-check-{secrets.token_hex(3)}"
            metadata = {"name": name, "labels": {**MARK, **labels}}
            # Before it is there: an interrupt may come between.
            self.temporary[key] = name
            try:
                self.cluster.create({"apiVersion": "v1", "kind": "Namespace", "metadata": metadata})
            except CommandError:
                del self.temporary[key]
                raise
            self._wait_for_account(name)
        return self.temporary[key]

    @cached_property
    def may_copy(self) -> bool:
        """Whether the caller can create a namespace and delete it again."""
        rights = [Right("", "", "namespaces", verb) for verb in ("create", "delete")]
        return all(held(self.cluster, rights).values())

    def _wait_for_account(self, namespace: str) -> None:
        """Pods need the namespace's account `default`, which appears after a moment."""
        deadline = time.monotonic() + 30
        account = ("serviceaccount", "default", "-n", namespace, "--ignore-not-found", "-o", "name")
        while not self.cluster.kubectl("get", *account).strip() and time.monotonic() < deadline:
            time.sleep(0.3)

    def __enter__(self) -> Places:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if not self.temporary:
            return
        names = list(self.temporary.values())
        with uninterrupted(), contextlib.suppress(CommandError):
            self.cluster.kubectl("delete", "namespace", *names, "--ignore-not-found", "--wait=false")
            self.cluster.kubectl("wait", "namespace", *names, "--for=delete", "--timeout=90s", timeout=100)
