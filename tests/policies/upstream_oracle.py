"""Upstream's own Pod Security evaluator and its fixtures, from the Go module that ./upstream pins."""

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

MODULE = Path(__file__).parent / "upstream"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airdock" / "tools"

#: For each level asked, for each version asked: [reason, detail] of what refuses the pod.
Answer = list[list[list[tuple[str, str]]]]


def _go(*arguments: str) -> str:
    if shutil.which("go") is None:
        raise RuntimeError("These tests compare with Kubernetes' own code: install Go (https://go.dev/dl).")
    environment = os.environ | {"CGO_ENABLED": "0", "GOFLAGS": "", "GOWORK": "off"}
    command = ["go", *arguments]
    done = subprocess.run(command, cwd=MODULE, env=environment, capture_output=True, text=True)
    if done.returncode != 0:
        raise RuntimeError(f"{' '.join(command)} failed:\n{done.stderr[-1500:]}")
    return done.stdout.strip()


@cache
def fixtures() -> Path:
    """The folder ``test/testdata`` of the pinned module, downloaded if it is not in Go's cache."""
    downloaded = json.loads(_go("mod", "download", "-json", "k8s.io/pod-security-admission"))
    return Path(downloaded["Dir"]) / "test" / "testdata"


@cache
def binary() -> Path:
    """The evaluator, built once into the user's cache."""
    digest = hashlib.sha256(
        b"".join((MODULE / name).read_bytes() for name in ("main.go", "go.mod", "go.sum"))
    )
    target = CACHE / f"pod-security-{digest.hexdigest()[:16]}"
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / ".pod-security.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            scratch = target.with_suffix(".new")
            _go("build", "-trimpath", "-o", str(scratch), ".")
            scratch.rename(target)
    return target


class Upstream:
    """A running evaluator: one question, one answer."""

    def __init__(self) -> None:
        self._process = subprocess.Popen(
            [binary()], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, pod: Mapping[str, Any], levels: Sequence[str], versions: Sequence[str]) -> Answer:
        """What refuses ``pod`` ({"metadata", "spec"}), by level and version."""
        process = self._process
        assert process.stdin and process.stdout and process.stderr
        question = {
            "metadata": pod.get("metadata", {}),
            "spec": pod["spec"],
            "levels": list(levels),
            "versions": list(versions),
        }
        process.stdin.write(json.dumps(question) + "\n")
        process.stdin.flush()
        line = process.stdout.readline()
        assert line, process.stderr.read()
        answer = json.loads(line)
        return [[[(reason, detail) for reason, detail in cell] for cell in row] for row in answer]

    def close(self) -> None:
        """End the process."""
        assert self._process.stdin
        self._process.stdin.close()
        self._process.wait(timeout=10)
