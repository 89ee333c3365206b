"""A values file of the official chart: its values, its comments, and what nothing has read yet."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import yaml

Path = tuple[str, ...]
#: Values that set nothing.
EMPTY: tuple[Any, ...] = (None, "", False, [], {})
#: Keys that are maps in the official chart, if they are set, and those that are lists.
MAPS = frozenset(
    [
        "apiServer",
        "config",
        "createUserJob",
        "createUserJob.defaultUser",
        "dagProcessor",
        "dags",
        "dags.gitSync",
        "dags.persistence",
        "data",
        "data.metadataConnection",
        "extraConfigMaps",
        "extraSecrets",
        "images",
        "images.airflow",
        "images.pgbouncer",
        "images.redis",
        "ingress",
        "ingress.apiServer",
        "ingress.web",
        "labels",
        "logs",
        "logs.emptyDirConfig",
        "logs.persistence",
        "networkPolicies",
        "nodeSelector",
        "pgbouncer",
        "postgresql",
        "redis",
        "redis.persistence",
        "registry",
        "scheduler",
        "triggerer",
        "webserver",
        "webserver.defaultUser",
        "workers",
        "workers.celery",
        "workers.kubernetes",
        "workers.persistence",
        "workers.keda",
        "workers.hpa",
    ]
)
LISTS = frozenset(["priorityClasses", "secret"])


class SourceError(Exception):
    """The file is no values file; the message is one sentence."""


class Source:
    """Values by path, with the comments above and behind each key."""

    def __init__(self, text: str) -> None:
        try:
            self.values: dict[str, Any] = yaml.safe_load(text) or {}
            node = yaml.compose(text, Loader=yaml.SafeLoader)
        except yaml.YAMLError as error:
            raise SourceError(f"It is not valid YAML: {' '.join(str(error).split())}.") from error
        if not isinstance(self.values, dict):
            raise SourceError("It is not a values file: its top level is not a map.")
        self._check(self.values)
        self.comments: dict[Path, list[str]] = {}
        self._lines = text.splitlines()
        self.used: set[Path] = set()
        if isinstance(node, yaml.MappingNode):
            self._read_comments(node, ())

    def _check(self, values: dict[str, Any], above: str = "") -> None:
        """Shapes that the conversion relies on. The official chart's own schema refuses others, too."""
        for name, value in values.items():
            key = f"{above}{name}"
            inside = above in ("extraConfigMaps.", "extraSecrets.") or name in ("resources", "serviceAccount")
            inside = inside or above.endswith("resources.")
            if (key in MAPS or inside) and not isinstance(value, (dict, type(None))):
                raise SourceError(f"It is not a values file of the official chart: {key} is not a map.")
            items = value if isinstance(value, list) else [] if value is None else [value]
            if key in LISTS and (items != (value or []) or not all(isinstance(each, dict) for each in items)):
                raise SourceError(
                    f"It is not a values file of the official chart: {key} is not a list of maps."
                )
            if isinstance(value, dict):
                self._check(value, f"{key}.")

    def take(self, *path: str) -> Any:
        """A value, which counts as read; None if it is not there."""
        self.used.add(path)
        return self.look(*path)

    def look(self, *path: str) -> Any:
        """A value that does not count as read."""
        value: Any = self.values
        for step in path:
            value = value.get(step) if isinstance(value, dict) else None
        return value

    def block(self, *path: str) -> dict[str, Any]:
        """A map that does not count as read; empty if it is not there."""
        value = self.look(*path)
        return value if isinstance(value, dict) else {}

    def unread(self) -> Iterator[Path]:
        """Keys that set something and that nothing has read, each as near to the root as it can be."""
        for key, value in self.values.items():
            yield from self._unread((str(key),), value)

    def _unread(self, path: Path, value: Any) -> Iterator[Path]:
        if path in self.used or not sets(value):
            return
        if isinstance(value, dict):
            if value.get("enabled") is False:
                return
            if any(used[: len(path)] == path for used in self.used):
                for key, inner in value.items():
                    yield from self._unread((*path, str(key)), inner)
                return
        yield path

    def _read_comments(self, node: yaml.MappingNode, path: Path) -> None:
        for key, value in node.value:
            here = (*path, str(key.value))
            found = list(self._above(key.start_mark.line))
            last = self._lines[value.end_mark.line] if value.end_mark.line < len(self._lines) else ""
            if isinstance(value, yaml.ScalarNode) and value.style not in ("|", ">"):
                behind = re.match(r"\s+#\s?(.*)", last[value.end_mark.column :])
                found += [behind[1]] if behind else []
            if found:
                self.comments[here] = found
            if isinstance(value, yaml.MappingNode):
                self._read_comments(value, here)

    def _above(self, line: int) -> list[str]:
        found = []
        while line and self._lines[line - 1].lstrip().startswith("#"):
            line -= 1
            found.append(self._lines[line].strip().removeprefix("#").removeprefix(" "))
        return found[::-1]


def sets(value: Any) -> bool:
    """Whether a value sets anything: nulls, empty texts and lists, false and maps of these do not."""
    if isinstance(value, dict):
        return value.get("enabled") is not False and any(map(sets, value.values()))
    return not any(value is each or (value == each and type(value) is type(each)) for each in EMPTY)


def templated(value: Any) -> bool:
    """Whether Helm's templates are in a value: they refer to the official chart."""
    if isinstance(value, dict):
        return any(templated(each) for pair in value.items() for each in pair)
    if isinstance(value, list):
        return any(map(templated, value))
    return isinstance(value, str) and "{{" in value


def listed(value: Any) -> list[dict[str, Any]] | None:
    """Maps of a list, which may be a text in YAML; None if it cannot be read, or has templates."""
    if templated(value):
        return None
    if isinstance(value, str):
        try:
            value = yaml.safe_load(value)
        except yaml.YAMLError:
            return None
    value = value or []
    return value if isinstance(value, list) and all(isinstance(each, dict) for each in value) else None
