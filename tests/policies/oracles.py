"""Other people's evaluators, asked the same questions as ours: Go modules pinned in a folder each.

pod_security_upstream   Kubernetes' own Pod Security evaluator, and with it its fixtures
cyclonus                a matcher of NetworkPolicies (github.com/mattfenwick/cyclonus)
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import shutil
import subprocess
from collections.abc import Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airdock" / "tools"


def _go(module: Path, *arguments: str) -> str:
    if shutil.which("go") is None:
        raise RuntimeError("These tests compare with Go programs: install Go (https://go.dev/dl).")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    command = ["go", *arguments]
    done = subprocess.run(command, cwd=module, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-1500:]}")
    return done.stdout.strip()


@cache
def fixtures() -> Path:
    """The folder ``test/testdata`` of the pinned Pod Security module, downloaded if Go's cache lacks it."""
    module = HERE / "pod_security_upstream"
    downloaded = json.loads(_go(module, "mod", "download", "-json", "k8s.io/pod-security-admission"))
    return Path(downloaded["Dir"]) / "test" / "testdata"


@cache
def _binary(name: str) -> Path:
    """The program, built once into the user's cache."""
    module = HERE / name
    sources = b"".join((module / file).read_bytes() for file in ("main.go", "go.mod", "go.sum"))
    target = CACHE / f"{name}-{hashlib.sha256(sources).hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            scratch = target.with_suffix(".new")
            _go(module, "build", "-trimpath", "-o", str(scratch), ".")
            scratch.rename(target)
    return target


class Oracle:
    """A running program: one JSON document in, one out."""

    def __init__(self, name: str):
        self._process = subprocess.Popen(
            [_binary(name)], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, question: Mapping[str, Any]) -> Any:
        """The answer, in the form that the program's main.go documents."""
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, process.stderr.read()
        return json.loads(line)

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=10)


class Upstream(Oracle):
    """Kubernetes' own Pod Security evaluator."""

    def __init__(self) -> None:
        super().__init__("pod_security_upstream")

    def refusals(
        self, pod: Mapping[str, Any], levels: Sequence[str], versions: Sequence[str]
    ) -> list[list[list[tuple[str, str]]]]:
        """For each level and version, (reason, detail) of what refuses ``pod`` ({"metadata", "spec"})."""
        question = {"metadata": pod.get("metadata", {}), "spec": pod["spec"]}
        answer = self.ask({**question, "levels": list(levels), "versions": list(versions)})
        return [[[(reason, detail) for reason, detail in cell] for cell in row] for row in answer]
