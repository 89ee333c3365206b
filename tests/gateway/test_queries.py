"""Queries as typed values."""

from __future__ import annotations

import contextlib
import dataclasses
from pathlib import Path

import pytest
from docker_gateway.backend import ApiError, AttachOptions
from docker_gateway.model import parse_create
from docker_gateway.queries import attach_options
from docker_gateway.wire import Request

from tests.gateway.recording_daemon import recording


def attach(**query: str) -> AttachOptions:
    return attach_options(Request("POST", "/containers/a/attach", query, {}, b""))


@pytest.mark.parametrize("keys", ["", "ctrl-p", "ctrl-p,ctrl-q", "a,b", "ctrl-[", "ctrl-@,~"])
def test_keys_that_detach(keys: str) -> None:
    assert attach(stream="1", stdin="1", detachKeys=keys).detach_keys == keys


@pytest.mark.parametrize(
    "keys", ["ctrl-", "ctrl-pq", "ab", "a,", "ctrl-p&stdin=1", "\n", "a\n", ",".join("a" * 40)]
)
def test_keys_that_nobody_has(keys: str) -> None:
    with pytest.raises(ApiError, match="detachKeys") as error:
        attach(stream="1", stdin="1", detachKeys=keys)
    assert error.value.status == 400


def test_all_that_a_client_asks_of_attach_reaches_the_daemon(tmp_path: Path) -> None:
    """Each option: one that is accepted and dropped lets a client wait for what never comes."""
    keys = {"detach_keys": "detachKeys"}
    names = [field.name for field in dataclasses.fields(AttachOptions)]
    with recording(tmp_path / "docker.sock") as (daemon, backend):
        daemon.image("busybox:1.37")
        container, _ = backend.create(parse_create(b'{"Image": "busybox:1.37"}', "", ""))
        for name in names:
            options = AttachOptions(False, False, False, False, False)
            asked = "ctrl-x" if name == "detach_keys" else True
            with contextlib.suppress(ApiError):
                backend.attach(container, dataclasses.replace(options, **{name: asked}), lambda tty: None)  # type: ignore[arg-type,return-value]
            query = daemon.asked("POST", f"/containers/{container}/attach")[-1][0]
            on = {key: value for key, value in query.items() if value != "0"}
            assert on == {keys.get(name, name): "ctrl-x" if name == "detach_keys" else "1"}
