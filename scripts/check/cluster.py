"""kubectl, for one cluster."""

from __future__ import annotations

import contextlib
import json
import re
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from scripts import tools


class KubeError(Exception):
    """What keeps a command from going on; the message is for the user and names the way out."""


class CommandError(KubeError):
    """A program ended with an error; `stderr` is what it said, `stdout` what it printed before."""

    def __init__(self, command: list[str], stderr: str, stdout: str = ""):
        self.stderr = stderr.strip()
        self.stdout = stdout
        super().__init__(f"`{Path(command[0]).name} {' '.join(command[1:])}` failed: {self.stderr}")

    @property
    def reason(self) -> str:
        """The API server's reason alone, in one line, without kubectl's words around it."""
        text = " ".join(self.stderr.split()).rpartition("forbidden: ")[2]
        return re.sub(r"Error from server \(\w+\): |error: |error when creating \"STDIN\": ", "", text)


def run(command: list[str], stdin: str | None = None, timeout: float = 1200) -> str:
    """Run a program and give its standard output.

    Raises:
        CommandError: it ended with an error, or not within `timeout` seconds.
    """
    try:
        done = subprocess.run(command, input=stdin, capture_output=True, text=True, timeout=timeout)
    except subprocess.TimeoutExpired as error:
        raise CommandError(command, f"no end after {timeout:.0f} s") from error
    if done.returncode:
        raise CommandError(command, done.stderr or done.stdout, done.stdout)
    return done.stdout


@contextlib.contextmanager
def uninterrupted() -> Iterator[None]:
    """Ignore Ctrl-C, as the programs do that start here: for what must be done, such as removing pods."""
    try:
        before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    except ValueError:  # Only the main thread is interrupted.
        yield
        return
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def stream(text: str) -> Iterator[Any]:
    """The JSON values that follow one another in a text, as `kubectl create -o json` prints them."""
    decoder, at = json.JSONDecoder(), 0
    while rest := text[at:].lstrip():
        value, length = decoder.raw_decode(rest)
        yield value
        at = len(text) - len(rest) + length


@dataclass(frozen=True)
class Cluster:
    """One cluster.

    Attributes:
        context: of the kubeconfig; "" for the current one.
        kubeconfig: its file, or None for kubectl's own choice ($KUBECONFIG, ~/.kube/config).
    """

    context: str
    kubeconfig: Path | None

    @cached_property
    def _options(self) -> list[str]:
        return [f"--kubeconfig={self.kubeconfig}"] if self.kubeconfig else []

    @cached_property
    def kubectl_command(self) -> list[str]:
        """`kubectl` with the options that choose this cluster."""
        context = [f"--context={self.context}"] if self.context else []
        return [str(tools.path("kubectl")), *self._options, *context]

    def kubectl(self, *arguments: str, stdin: str | None = None, timeout: float = 120) -> str:
        """Run kubectl and give its output.

        Raises:
            CommandError: it ended with an error.
        """
        return run([*self.kubectl_command, *arguments], stdin, timeout)

    def get(self, *arguments: str) -> Any:
        """Give the decoded answer of `kubectl get ... -o json`."""
        return json.loads(self.kubectl("get", *arguments, "-o", "json"))

    def items(self, *arguments: str) -> list[dict[str, Any]]:
        """Give the objects of `kubectl get`, for a kind and maybe a selector."""
        found: list[dict[str, Any]] = self.get(*arguments)["items"]
        return found

    def create(self, *objects: Any, dry_run: bool = False) -> list[Any]:
        """`kubectl create` the objects, and give them as the API server answers.

        Raises:
            CommandError: it refuses one; the others are created.
        """
        options = ["--dry-run=server"] if dry_run else []
        answer = self.kubectl("create", "-f", "-", "-o", "json", *options, stdin=_list(objects))
        return list(stream(answer))

    def apply(self, *objects: Any) -> None:
        """`kubectl apply` the objects."""
        self.kubectl("apply", "-f", "-", stdin=_list(objects))


def _list(objects: tuple[Any, ...]) -> str:
    return json.dumps({"apiVersion": "v1", "kind": "List", "items": objects})
