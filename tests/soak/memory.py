"""The memory of each container for as long as it lives: it must not grow."""

from __future__ import annotations

import contextlib
import json
import time
from collections.abc import Iterator
from dataclasses import dataclass

from scripts.live import CommandError
from tests.e2e.own_release import OwnRelease

#: Seconds of a life: the first ones, in which a process loads what it needs, and those at either end of the
#: rest whose lowest samples are compared. The tasks that run at the moment are not in the lowest sample.
WARM_UP, END = 90, 150
#: A container grows if it has this many times, and this many bytes, more at its end.
FACTOR, BYTES = 1.3, 64 << 20
#: Of the rows.
HEAD = "container", "lives", "longest (min)", "highest (MiB)", "lowest, begin -> end (MiB)", ""


@dataclass
class Life:
    """One container from its start to its end, with the bytes that it had at some moments."""

    part: str
    samples: list[tuple[float, int]]

    @property
    def seconds(self) -> float:
        """Seconds for which it was seen."""
        return self.samples[-1][0] - self.samples[0][0]

    @property
    def ends(self) -> tuple[int, int] | None:
        """Give the lowest samples at either end; None for a life that is too short for both."""
        begun, ended = self.samples[0][0] + WARM_UP, self.samples[-1][0]
        if ended - begun < 2 * END:
            return None
        first = [used for when, used in self.samples if begun <= when < begun + END]
        last = [used for when, used in self.samples if when > ended - END]
        return (min(first), min(last)) if first and last else None

    @property
    def grows(self) -> bool:
        """Tell whether it has more at its end."""
        if not self.ends:
            return False
        first, last = self.ends
        return last > first * FACTOR and last - first > BYTES


class Memory:
    """Samples of all containers of a release."""

    def __init__(self, release: OwnRelease):
        self.release = release
        self.lives: dict[tuple[str, str, int], Life] = {}

    def sample(self) -> None:
        """Ask the kubelet, if it and the API server answer."""
        with contextlib.suppress(CommandError, LookupError, ValueError):
            self._sample()

    def _sample(self) -> None:
        pods = {pod["metadata"]["name"]: pod for pod in self.release.pods()}
        for node in self.release.target.items("nodes"):
            path = f"/api/v1/nodes/{node['metadata']['name']}/proxy/stats/summary"
            summary = json.loads(self.release.target.kubectl("get", "--raw", path, timeout=20))
            for found in summary["pods"]:
                name, namespace = found["podRef"]["name"], found["podRef"]["namespace"]
                if namespace == self.release.namespace and name in pods:
                    self._add(pods[name], found.get("containers", ()))

    def _add(self, pod: dict[str, object], containers: list[dict[str, object]]) -> None:
        metadata, status = pod["metadata"], pod["status"]
        assert isinstance(metadata, dict) and isinstance(status, dict)
        labels = metadata["labels"]
        group = labels.get("airdock.dev/worker-group", "")
        component = " ".join(filter(None, (labels["app.kubernetes.io/component"], group)))
        restarts = {
            each["name"]: each["restartCount"]
            for kind in ("initContainerStatuses", "containerStatuses")
            for each in status.get(kind, ())
            if "running" in each["state"]
        }
        for container in containers:
            name, memory = str(container["name"]), container.get("memory")
            if name in restarts and isinstance(memory, dict):
                key = (metadata["uid"], name, restarts[name])
                life = self.lives.setdefault(key, Life(f"{component}/{name}", []))
                life.samples.append((time.monotonic(), memory.get("rssBytes", 0)))

    def rows(self) -> Iterator[tuple[str, int, str, str, str, str]]:
        """Give a row for each part, with those ends of a life that differ most."""
        parts: dict[str, list[Life]] = {}
        for life in self.lives.values():
            parts.setdefault(life.part, []).append(life)
        for part, lives in sorted(parts.items()):
            highest = max(used for life in lives for _, used in life.samples)
            ends = [life.ends for life in lives if life.ends]
            first, last = max(ends, key=lambda pair: pair[1] - pair[0], default=(0, 0))
            yield (
                part,
                len(lives),
                f"{max(life.seconds for life in lives) / 60:.0f}",
                mebibytes(highest),
                f"{mebibytes(first)} -> {mebibytes(last)}" if ends else "too short",
                "GROWS" if any(life.grows for life in lives) else "",
            )


def mebibytes(count: int) -> str:
    """Give bytes as MiB."""
    return f"{count / 2**20:.0f}"
