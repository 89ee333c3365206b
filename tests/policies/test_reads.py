"""What is read of a watched map is written down, however it is read."""

from __future__ import annotations

import copy
import json
from collections.abc import Callable
from typing import Any

import pytest

from tests.policies.reads import Log, Watched, changes, watched

THING: dict[str, Any] = {"a": {"b": 1, "c": 2}, "items": [{"name": "x"}, {"name": "y"}], "words": ["z"]}


def reads_of(read: Callable[[Any], object]) -> tuple[Watched, set[Any]]:
    log = Log()
    thing: Watched = watched(THING, log)
    read(thing)
    return thing, log.reads


@pytest.mark.parametrize(
    "read",
    [
        lambda thing: thing["a"]["b"],
        lambda thing: thing.get("a").get("b"),
        lambda thing: [*thing["a"].values()],
        lambda thing: dict(thing["a"]),
        lambda thing: {**thing["a"]},
        lambda thing: thing["a"].copy(),
        lambda thing: thing["a"] | {},
        lambda thing: {} | thing["a"],
        lambda thing: thing["a"] == {},
        lambda thing: thing["a"] != {},
        lambda thing: thing == THING,
        lambda thing: repr(thing),
        lambda thing: json.dumps(thing),
        lambda thing: copy.deepcopy(thing),
    ],
)
def test_a_value_is_read(read: Callable[[Any], object]) -> None:
    thing, reads = reads_of(read)
    changed = {**THING, "a": {"b": 7, "c": 2}}
    assert {*changes(thing, changed)} <= reads


@pytest.mark.parametrize(
    "read",
    [
        lambda thing: len(thing["a"]),
        lambda thing: bool(thing["a"]),
        lambda thing: [*thing["a"]],
        lambda thing: [*reversed(thing["a"])],
        lambda thing: "d" in thing["a"],
        lambda thing: {"d"} & thing["a"].keys(),
        lambda thing: set(thing["a"]),
        lambda thing: sorted(thing["a"]),
    ],
)
def test_keys_are_read(read: Callable[[Any], object]) -> None:
    thing, reads = reads_of(read)
    added = {**THING, "a": {**THING["a"], "d": 1}}
    assert {*changes(thing, added)} & reads
    value = {**THING, "a": {"b": 7, "c": 2}}
    assert not {*changes(thing, value)} & reads


@pytest.mark.parametrize("items", [[{"name": "x"}], [{"name": "x"}, "y"], [], None])
def test_a_list_is_read_with_its_key(items: Any) -> None:
    thing, reads = reads_of(lambda thing: len(thing["items"]))
    assert {*changes(thing, {**THING, "items": items})} & reads
    inside = {**THING, "items": [{"name": "x"}, {"name": "other"}]}
    assert not {*changes(thing, inside)} & reads
    thing, reads = reads_of(lambda thing: thing["items"][1]["name"])
    assert {*changes(thing, inside)} & reads
    assert {*changes(thing, {**THING, "words": ["other"]})}.isdisjoint(reads)
