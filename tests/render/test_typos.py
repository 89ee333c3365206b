"""A word that is almost right is an error which names its place: in every field with words of its own.

Nobody lists the typos: they are made from the schema, Kubernetes' own types included.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import jsonschema
import pytest

from scripts.chart import HELM3, HELM4, RenderError, kubernetes_types, render
from scripts.chart.values_schema import resolved, schema
from tests.render.values_schema import ANY, map_items

#: A key for any map, by its pattern: the first that fits.
KEYS = ("sample", "SAMPLE", "/sample", "registry.example.com:5000", "pods")


def everything(found: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every schema with its path from the root of the values, Kubernetes' own types included."""
    whole = resolved(found)
    yield path, whole
    if path[-1:] == ("tasks",) and len(path) > 1:
        return  # Its keys are those of the top-level one.
    for name, inner in whole.get("properties", {}).items():
        if inner is not False:
            yield from everything(inner, (*path, name))
    for item, step in ((map_items(whole), ANY), (whole.get("items"), "[]")):
        if isinstance(item, Mapping):
            yield from everything(item, (*path, step))


EVERYTHING = tuple(everything(schema()))
BY_PATH = dict(EVERYTHING)
WORDS = tuple(
    (path, found)
    for path, found in EVERYTHING
    if any(isinstance(w, str) and w for w in found.get("enum", ()))
)


def near(word: str) -> str:
    """The word with two letters exchanged, or in another case: what a hand or a memory gets wrong."""
    swapped = word[:-2] + word[-1] + word[-2]
    return swapped if swapped != word else word.swapcase()


def placed(path: tuple[str, ...], value: Any) -> Any:
    """Values with one value at a path; a list has one item, a map one key."""
    for index in reversed(range(len(path))):
        step = path[index]
        value = [value] if step == "[]" else {key_for(path[:index]) if step == ANY else step: value}
    return value


def key_for(path: tuple[str, ...]) -> str:
    if path == ("workers",):
        return "sample"
    patterns = " ".join(BY_PATH[path].get("patternProperties", {"": 0}))
    return next(
        key
        for key in KEYS
        if jsonschema.Draft202012Validator(
            {"patternProperties": {patterns: True}, "additionalProperties": False} if patterns else {}
        ).is_valid({key: 1})
    )


def pointer(path: tuple[str, ...]) -> str:
    """The path as Helm writes it."""
    steps = [
        "0" if step == "[]" else key_for(path[:n]) if step == ANY else step for n, step in enumerate(path)
    ]
    return "/" + "/".join(step.replace("~", "~0").replace("/", "~1") for step in steps)


def merged(into: Any, other: Any) -> Any:
    """Both, deeply; the items of two lists become one."""
    if isinstance(into, dict) and isinstance(other, dict):
        return {
            **into,
            **{key: merged(into[key], value) if key in into else value for key, value in other.items()},
        }
    if isinstance(into, list) and isinstance(other, list):
        return [merged(into[0], other[0])]
    return other


def said(values: Any, helm: str = HELM4) -> str:
    with pytest.raises(RenderError) as caught:
        render(values, helm=helm)
    return str(caught.value)


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_every_word_with_a_typo_is_named(helm: str) -> None:
    """One render for all: Helm lists every fault of the values."""
    assert len(WORDS) > 100
    values: Any = {}
    for path, found in WORDS:
        word = next(word for word in found["enum"] if word)
        values = merged(values, placed(path, near(word)))
    message = said(values, helm)
    silent = [pointer(path) for path, _ in WORDS if not names(message, pointer(path))]
    assert not silent, f"no error names {silent}"


def names(message: str, where: str) -> bool:
    """Whether a line is about exactly this place. Helm 3 may write /a/b as a.b."""
    dotted = where.strip("/").replace("/", ".")
    return any(f"at '{where}'" in line or f"- {dotted}:" in line for line in message.splitlines())


def test_no_near_miss_is_a_word() -> None:
    words = {tuple(word for word in found["enum"] if isinstance(word, str) and word) for _, found in WORDS}
    taken = [near(word) for enum in words for word in enum if near(word) in enum]
    assert not taken


def test_every_field_with_a_typo_is_named() -> None:
    """`secretkeyref`, `Operator`: each field of Kubernetes' own types in another case."""
    for name, definition in kubernetes_types.definitions().items():
        validator = jsonschema.Draft202012Validator({**definition, "$defs": schema()["$defs"]})
        for field in definition.get("properties", ()):
            typo = field[:-1] + field[-1].swapcase()
            faults = " ".join(error.message for error in validator.iter_errors({typo: None}))
            assert f"'{typo}' was unexpected" in faults, f"{name} takes {typo}"


#: Where the values refer to one of Kubernetes' own types.
REFERENCES = tuple(
    path
    for path, found in EVERYTHING
    if found.get("$comment") == "Kubernetes' own"
    and not any(BY_PATH[path[:n]].get("$comment") == "Kubernetes' own" for n in range(len(path)))
)


def test_helm_names_unknown_fields_of_kubernetes_types() -> None:
    assert len(REFERENCES) > 50
    values: Any = {}
    for path in REFERENCES:
        values = merged(values, placed(path, {"tyop": 1}))
    message = said(values)
    silent = [pointer(path) for path in REFERENCES if not names(message, pointer(path))]
    assert not silent, f"no error names {silent}"
    assert message.count("'tyop'") == len(REFERENCES)


#: What is malformed wherever it stands, by a value that is well-formed there.
MALFORMED: Mapping[str, tuple[Any, ...]] = {
    "10.0.0.0/8": ("999.1.1.1/99", "10.0.0.0/33", "10.0.0.0", "10.0.0/8", "256.0.0.0/8", "10.0.0.0/-1"),
    "1Gi": ("1GB", "1 Gi", "-1Gi", "1gi", "Gi", "one"),
    "30s": ("30", "30 s", "30sec", "s", "-1s"),
    "50%": ("101%", "0%", "%", "50 %"),
    "https://sample.example.com": ("sample.example.com", "ftp://sample.example.com", "://x"),
    "sha256:" + "7" * 64: ("7" * 64, "sha256:" + "7" * 63, "sha256:" + "G" * 64),
}


@pytest.mark.parametrize("fine", MALFORMED)
def test_malformed_values_are_refused(fine: str) -> None:
    """In every place with a form that takes the well-formed one, and is not free text."""
    places = [
        (path, found)
        for path, found in EVERYTHING
        if ("pattern" in found or found.get("title") == "quantity")
        and accepts(found, fine)
        and not any(accepts(found, text) for text in ("any text: at all", "sample", "sample.example.com/x"))
    ]
    assert places, f"no place of the values takes {fine}"
    taken = [
        f"{'.'.join(path)}: {value!r}"
        for path, found in places
        for value in MALFORMED[fine]
        if accepts(found, value)
    ]
    assert not taken


def test_every_number_has_a_maximum() -> None:
    """10**20 is a number that Helm writes as 1e+20, and no API server takes."""
    own = [
        (path, found)
        for path, found in EVERYTHING
        if "integer" in found.get("type", ()) and found.get("title") != "quantity"
        and not any(BY_PATH[path[:n]].get("$comment") == "Kubernetes' own" for n in range(len(path) + 1))
    ]  # fmt: skip
    assert len(own) > 40
    unlimited = [".".join(path) for path, found in own if accepts(found, 10**20)]
    assert not unlimited


def accepts(found: Mapping[str, Any], value: Any) -> bool:
    return bool(jsonschema.Draft202012Validator({**found, "$defs": schema()["$defs"]}).is_valid(value))
