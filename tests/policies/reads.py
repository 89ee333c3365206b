"""What a check reads of manifests, so that it need not be asked again about a change elsewhere.

A check is a function of what it reads. If a change concerns none of that, the check takes the same steps and
finds the same. `Watched` maps write down what is read of them, and `changes` names what differs in the same
terms: (map, key) for a value, (map, None) for which keys a map has, ("kind", K) for which objects there are.
A list is read with the key that it is under: its length, and its items but for maps, which are watched
themselves. Values that are equal count as the same, so that `True` and `1` do.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import count
from typing import Any

from scripts.chart import POD_TEMPLATES, Manifest, Manifests, PodSpec
from scripts.chart.frozen import FrozenDict, FrozenList

Read = tuple[object, object]
#: Stands for every kind.
ANY_KIND = ("kind", "*")

_numbers = count()


class Log:
    """What was read since `reads` was last replaced."""

    def __init__(self) -> None:
        self.reads: set[Read] = set()


class Watched(FrozenDict):
    """A read-only map that writes down what is read of it, also by the C code of dict and json."""

    log: Log
    number: int
    #: The same map, unwatched.
    plain: dict[str, Any]

    def _keys(self) -> None:
        self.log.reads.add((self.number, None))

    def _values(self) -> None:
        self._keys()
        self.log.reads.update((self.number, key) for key in dict.__iter__(self))

    def _all(self) -> None:
        self._values()
        for value in dict.values(self):
            for item in value if isinstance(value, list) else (value,):
                if isinstance(item, Watched):
                    item._all()

    def __getitem__(self, key: str) -> Any:
        self.log.reads.add((self.number, key))
        return dict.__getitem__(self, key)

    def get(self, key: str, default: Any = None) -> Any:
        """As dict's."""
        self.log.reads.add((self.number, key))
        return dict.get(self, key, default)

    def __contains__(self, key: object) -> bool:
        self.log.reads.add((self.number, key))
        return dict.__contains__(self, key)


def _noting(name: str, note: Callable[[Watched], None]) -> None:
    """Let a method of dict write down what it reads."""
    method = getattr(dict, name)

    def noted(self: Watched, *arguments: Any) -> Any:
        note(self)
        return method(self, *arguments)

    setattr(Watched, name, noted)


for _name in ("__iter__", "__len__", "__reversed__", "keys"):
    _noting(_name, Watched._keys)
for _name in ("items", "values", "copy", "__or__", "__ror__"):
    _noting(_name, Watched._values)
for _name in ("__eq__", "__ne__", "__repr__"):
    _noting(_name, Watched._all)


def watched(value: Any, log: Log) -> Any:
    """The same JSON value, watched."""
    if isinstance(value, dict):
        result = Watched((key, watched(item, log)) for key, item in value.items())
        result.log, result.number, result.plain = log, next(_numbers), value
        return result
    return FrozenList(watched(item, log) for item in value) if isinstance(value, list) else value


def changes(old: Watched, new: dict[str, Any]) -> Iterator[Read]:
    """What differs between a watched map and another that stands in its place."""
    for key, after in new.items():
        if key not in old.plain:
            yield old.number, None
            yield old.number, key
        elif (before := old.plain[key]) is not after and before != after:
            yield from _inside(old.number, key, dict.__getitem__(old, key), after)
    for key in old.plain.keys() - new.keys():
        yield old.number, None
        yield old.number, key


def _inside(number: int, key: str, before: Any, after: Any) -> Iterator[Read]:
    """Where two values under a key differ: in maps below it, or in itself."""
    if isinstance(before, Watched) and isinstance(after, dict):
        yield from changes(before, after)
        return
    if isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [
            (one, other)
            for one, other in zip(before, after, strict=True)
            if not (isinstance(one, Watched) and isinstance(other, dict) and one.plain == other)
        ]
        if all(isinstance(one, Watched) and isinstance(other, dict) for one, other in pairs):
            for one, other in pairs:
                yield from changes(one, other)
            return
    yield number, key


@dataclass(frozen=True)
class WatchedManifests(Manifests):
    """Manifests that write down which kinds are asked for. Only for one check: attributes are kept."""

    log: Log = field(default_factory=Log, compare=False)

    def __iter__(self) -> Iterator[Manifest]:
        self.log.reads.add(ANY_KIND)
        return iter(self.documents)

    def __len__(self) -> int:
        self.log.reads.add(ANY_KIND)
        return len(self.documents)

    def all(self, kind: str | None = None, **wanted: str) -> tuple[Manifest, ...]:
        """As Manifests'."""
        self.log.reads.add(ANY_KIND if kind is None else ("kind", kind))
        return Manifests.all(self, kind, **wanted)

    @cached_property
    def _by_kind(self) -> dict[str, list[Manifest]]:
        found: dict[str, list[Manifest]] = {}
        for manifest in self.documents:
            found.setdefault(manifest.kind, []).append(manifest)
        return found

    @cached_property
    def pods(self) -> tuple[tuple[Manifest, PodSpec], ...]:
        """As Manifests'."""
        self.log.reads.update(("kind", kind) for kind in POD_TEMPLATES)
        return tuple((manifest, manifest.pod) for manifest in self.documents if manifest.pod is not None)
