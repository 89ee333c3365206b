"""What a container takes of the node: a ceiling for each thing, by a value of `workers.<name>.socket.limits`.

Some ceilings are the daemon's work from the body on, some the gateway's: `containers` in daemon.py, `storage`
in daemon_storage.py, and what was never started in daemon_cleanup.py. docs/ceilings.md has the table.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from . import daemon_mounts
from .backend import Refusal
from .model import Create, Healthcheck, HostConfig, LogConfig, Mount, Ulimit
from .quantities import quantity
from .settings import Daemon

#: Those that take nothing from the node: memory is the cgroup's, and the rest only restricts.
_FREE_ULIMITS = {"as", "cpu", "data", "fsize", "locks", "rss", "rttime", "stack"}
_NANOSECONDS = 1_000_000_000
#: Docker's own interval and timeout of health checks.
_HEALTH_DEFAULT = 30 * _NANOSECONDS


@dataclass(frozen=True)
class ImageHealth:
    """The health check of an image, as the daemon tells it: times in nanoseconds, 0 for what is not set."""

    interval: int = 0
    timeout: int = 0
    retries: int = 0
    start_period: int = 0
    start_interval: int = 0


class Limits:
    """Applies the ceilings to create requests. `values` is where they are in the chart's values."""

    def __init__(self, rules: Daemon, values: str) -> None:
        self._rules, self._values = rules, values

    def resources(self, host: HostConfig, in_pod: bool) -> dict[str, Any]:
        """Give the limits that a container gets. `in_pod`: it lives in this pod's cgroup."""
        rules = self._rules
        memory, cpu = round(quantity(rules.memory)), quantity(rules.cpu)
        for name, shown, ceiling, key in (
            ("memory", "mem_limit", memory, "memory"),
            ("shm_size", "shm_size", memory, "memory"),
            ("memory_reservation", "mem_reservation", memory, "memory"),
            ("pids_limit", "pids_limit", rules.pids, "pids"),
            ("nano_cpus", "nano_cpus", round(cpu * 1e9), "cpu"),
            ("cpu_shares", "cpu_shares", 0, "cpu"),
        ):
            asked = getattr(host, name)
            if asked < 0:
                raise Refusal(shown, f"{asked} is negative; set a positive number, or remove it")
            if ceiling and asked > ceiling:
                raise Refusal(shown, f"{asked} is more than {ceiling}, {self.said(key)}")
        limits: dict[str, Any] = {}
        if cpu and host.cpu_shares:
            # DockerOperator's `cpus`, a weight: more than the container's cores would be at others' cost.
            limits["cpu_shares"] = min(host.cpu_shares, max(2, round(cpu * 1024)))
        if memory:
            # Docker would add as much swap again.
            limits["memory"] = limits["memory_swap"] = host.memory or memory
        if rules.pids:
            limits["pids_limit"] = host.pids_limit or rules.pids
        if cpu and not host.nano_cpus:
            period = host.cpu_period or 100_000
            if host.cpu_quota > cpu * period:
                raise Refusal("cpu_quota", f"it is more than {cpu:g} cores, {self.said('cpu')}")
            if in_pod and host.cpu_quota <= 0:
                # The pod's limit holds it, and cgroup v1 refuses a quota that is more than that.
                return limits
            # Not as nano_cpus: of those a daemon refuses more than its node has.
            limits |= {"cpu_period": period, "cpu_quota": max(host.cpu_quota, 0) or round(cpu * period)}
        return limits

    def ulimits(self, asked: Iterable[Ulimit]) -> tuple[Ulimit, ...]:
        """Give the ulimits of a container; -1 stands for the ceiling. Raises Refusal."""
        ceilings = self._rules.ulimits
        written: dict[str, Ulimit] = {}
        # Not a request, but what the daemon's own default leaves open: the node's handler stores core dumps.
        if (core := ceilings.get("core", 0)) >= 0:
            written["core"] = Ulimit("core", core, core)
        for each in asked:
            ceiling = -1 if each.name in _FREE_ULIMITS else ceilings.get(each.name, 0)
            soft, hard = (
                ceiling if value == -1 and ceiling > 0 else value for value in (each.soft, each.hard)
            )
            for value in (soft, hard):
                if ceiling >= 0 and not 0 <= value <= ceiling:
                    raise Refusal(
                        "ulimits",
                        f"{each.name[:40]}={value} is more than {ceiling},"
                        f" {self.said(f'ulimits.{each.name}' if each.name in ceilings else 'ulimits')}",
                    )
            written[each.name] = Ulimit(each.name, soft, hard)
        return tuple(written.values())

    def health(self, asked: Healthcheck, image: ImageHealth) -> dict[str, Any]:
        """Give the health check of a container: no interval is below the floor, the image's included."""
        floor = max(self._rules.healthcheck_seconds, 0) * _NANOSECONDS
        for name in ("interval", "timeout", "retries", "start_period", "start_interval"):
            if (value := getattr(asked, name)) < 0:
                raise Refusal(
                    "healthcheck", f"{name} {value} is negative; set a positive number, or remove it"
                )
        interval = max(asked.interval or image.interval or _HEALTH_DEFAULT, floor)
        written = {
            # Empty: the image's.
            "Test": list(asked.test),
            "Interval": interval,
            "Timeout": asked.timeout or image.timeout or _HEALTH_DEFAULT,
            "Retries": asked.retries or image.retries or 3,
            "StartPeriod": asked.start_period or image.start_period,
            "StartInterval": max(asked.start_interval or image.start_interval, floor),
        }
        return {key: value for key, value in written.items() if value}

    def log_config(self) -> LogConfig:
        """Give the log driver. Airflow reads the output as it comes; the file is for those who look later."""
        size = round(quantity(self._rules.logs))
        options = {"max-size": str(max(size // 2, 1)), "max-file": "2"} if size else {}
        return LogConfig("json-file", options)

    def stop_seconds(self, asked: int | None) -> int | None:
        """Give the grace of a stop: a daemon that ends waits for the longest of its containers."""
        if asked is None:
            return None
        longest = self._rules.stop_seconds
        return longest if asked < 0 else min(asked, longest)

    def check_volumes(self, request: Create, mounts: Iterable[Mount], image: Collection[str]) -> None:
        """Refuse a container with too many anonymous volumes."""
        count, most = daemon_mounts.anonymous_volumes(request, mounts, image), self._rules.anonymous_volumes
        if most and count > most:
            raise Refusal(
                "volumes", f"{count} anonymous volumes, with those of the image, are more than {most},"
                f" {self.said('anonymousVolumes')}",
            )  # fmt: skip

    def said(self, key: str) -> str:
        """Say where a ceiling comes from, and the way out."""
        return f"the limit of this worker group ({self._values}.limits.{key}); set a smaller value"


def image_health(found: Mapping[str, Any]) -> ImageHealth:
    """Read the health check of an image's configuration."""
    keys = ("Interval", "Timeout", "Retries", "StartPeriod", "StartInterval")
    return ImageHealth(*(max(int(found.get(key) or 0), 0) for key in keys))
