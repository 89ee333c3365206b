"""The create body: complete for docker-py, strict, and written again from known fields only."""

from __future__ import annotations

import copy
import inspect
import json
from typing import Any

import pytest
from docker.types import HostConfig
from docker.types.containers import ContainerConfig
from docker_gateway.model import BadBody, Create, parse_create, to_json
from hypothesis import given, settings
from hypothesis import strategies as st

from .docker_py import CONFIG, HOST, NEVER_SENT, VERSION, body


def test_the_examples_are_all_that_docker_py_has() -> None:
    assert inspect.signature(HostConfig.__init__).parameters.keys() - NEVER_SENT == HOST.keys()
    assert (
        inspect.signature(ContainerConfig.__init__).parameters.keys() - NEVER_SENT - {"host_config"}
        == CONFIG.keys()
    )


def clean(value: Any) -> Any:
    """Take away what says nothing: null, and false, zero or empty in an object with fixed keys."""
    if isinstance(value, dict):
        return {key: clean(item) for key, item in value.items() if item not in (None, False, 0, "", [], {})}
    return [clean(item) for item in value] if isinstance(value, list) else value


def test_every_field_of_docker_py_comes_through_unchanged() -> None:
    whole = body()
    written = to_json(parse_create(json.dumps(whole).encode()))
    # An endpoint's content is not read, only that there is one; sets keep their empty values.
    for key in ("ExposedPorts", "Volumes"):
        assert written.pop(key) == whole.pop(key)
    assert clean(written) == clean(whole)


def test_each_field_alone_comes_through() -> None:
    for name, value in HOST.items():
        config = json.loads(json.dumps(HostConfig(VERSION, **{name: value})))
        written = to_json(parse_create(json.dumps({"Image": "a", "HostConfig": config}).encode()))
        assert clean(written["HostConfig"]) == clean(config), name


def objects(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Give the paths of all objects in a JSON value."""
    found = [path] if isinstance(value, dict) else []
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        found += objects(item, (*path, key))
    return found


#: Objects whose keys are the client's own, by the last key of their path.
OWN_KEYS = {
    "Labels",
    "ExposedPorts",
    "Volumes",
    "Sysctls",
    "Tmpfs",
    "StorageOpt",
    "PortBindings",
    "Config",
    "Options",
    "EndpointsConfig",
}
FIXED = [
    p
    for p in objects(body())
    if not (p and p[-1] in OWN_KEYS)
    and "EndpointsConfig" not in p
    and "LxcConf" not in p
    and p[-2:-1] not in ([("ExposedPorts",)], [("Volumes",)])
    and not (len(p) > 1 and p[-2] in ("ExposedPorts", "Volumes"))
]


def insert(value: Any, path: tuple[Any, ...], key: str, item: Any) -> Any:
    whole = copy.deepcopy(value)
    place = whole
    for step in path:
        place = place[step]
    place[key] = item
    return whole


@pytest.mark.parametrize("path", FIXED, ids=lambda path: ".".join(map(str, path)) or "top")
def test_an_unknown_key_is_refused_wherever_it_stands(path: tuple[Any, ...]) -> None:
    with pytest.raises(BadBody, match="Surprise"):
        parse_create(json.dumps(insert(body(), path, "Surprise", True)).encode())


@pytest.mark.parametrize("key", sorted(body()["HostConfig"]))
def test_another_spelling_of_a_key_is_refused(key: str) -> None:
    for spelling in {
        key.lower(),
        key.upper(),
        key.swapcase(),
        key.replace("s", "\u017f"),
        key.replace("k", "\u212a"),
    } - {key}:
        text = {"Image": "a", "HostConfig": {spelling: body()["HostConfig"][key]}}
        with pytest.raises(BadBody):
            parse_create(json.dumps(text).encode())


def test_a_repeated_key_is_refused() -> None:
    for text in (
        '{"Image":"a","Image":"b"}',
        '{"Image":"a","HostConfig":{"Privileged":false,"Privileged":true}}',
        '{"Image":"a","Labels":{"x":"1","x":"2"}}',
        '{"Image":"a","Im\\u0061ge":"b"}',
    ):
        with pytest.raises(BadBody, match="twice"):
            parse_create(text.encode())
    assert parse_create(b'{"Image":"a","Labels":{"x":"1","X":"2"}}').labels == {"x": "1", "X": "2"}


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"null",
        b"[]",
        b"1",
        b'"a"',
        b"{",
        b"{}",
        b'{"Image":1}',
        b'{"Image":"a"} x',
        b'{"Image":"a"}{"Image":"b"}',
        b'{"Image":"\xff"}',
        b'{"Image":"a\\u0000"}',
        b'{"Image":"\\ud800"}',
        b'{"Image":"a","Tty":1}',
        b'{"Image":"a","Tty":"true"}',
        b'{"Image":"a","HostConfig":{"Memory":1.5}}',
        b'{"Image":"a","HostConfig":{"Memory":true}}',
        b'{"Image":"a","HostConfig":{"Memory":NaN}}',
        b'{"Image":"a","HostConfig":{"Memory":9223372036854775808}}',
        b'{"Image":"a","HostConfig":[]}',
        b'{"Image":"a","Env":{"A":"b"}}',
        b'{"Image":"a","Env":["A",1]}',
        b'{"Image":"a","Labels":{"a":1}}',
        b'{"Image":"a","Labels":{"\\ud800":"b"}}',
        b'{"Image":"a","HostConfig":' + b'{"Mounts":[' * 5000,
        b"[" * 100_000,
    ],
)
def test_what_is_no_create_request(text: bytes) -> None:
    with pytest.raises(BadBody):
        parse_create(text)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=10), inner, max_size=4),
    max_leaves=10,
)
_known = sorted(set(body()) | set(body()["HostConfig"]))


@settings(max_examples=300, deadline=None)
@given(
    st.dictionaries(st.sampled_from(_known) | st.text(max_size=8), json_values, max_size=5),
    st.dictionaries(st.sampled_from(_known) | st.text(max_size=8), json_values, max_size=5),
)
def test_any_json_is_read_or_refused_and_nothing_unknown_is_written(
    top: dict[str, Any], host: dict[str, Any]
) -> None:
    text = json.dumps({"Image": "a", **top, "HostConfig": host}).encode()
    try:
        create = parse_create(text)
    except BadBody:
        return
    written = to_json(create)
    assert isinstance(create, Create)
    assert written.keys() <= top.keys() | {"Image", "HostConfig"}
    assert written.get("HostConfig", {}).keys() <= host.keys()
    assert to_json(parse_create(json.dumps(written).encode())) == written


@settings(max_examples=300, deadline=None)
@given(st.binary(max_size=100))
def test_any_bytes_are_refused_or_read(text: bytes) -> None:
    for whole in (text, b'{"Image":"a","HostConfig":{' + text):
        try:
            assert parse_create(whole).image
        except BadBody:
            continue
