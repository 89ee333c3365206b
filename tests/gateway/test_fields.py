"""DockerOperator's temporary directory, and when it runs a task without it."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

import pytest
from docker_gateway.fields import is_temporary, without_temporary
from docker_gateway.model import Create, Mount, parse_create

from .escapes import TMP, TMP_MOUNT


def request(*mounts: dict[str, Any]) -> Create:
    return parse_create(json.dumps({"Image": "a", "HostConfig": {"Mounts": mounts}}).encode())


def test_the_directory_that_the_operator_creates_is_recognised(tmp_path: Path) -> None:
    # As DockerOperator._run_image does; host_tmp_dir may be any directory.
    with tempfile.TemporaryDirectory(prefix="airflowtmp", dir=tmp_path) as path:
        assert is_temporary(Mount("/tmp/airflow", path, "bind"))


@pytest.mark.parametrize(
    "mount",
    [
        {"Source": "/run/airdock-/ptmairflowtmpabc123", "Type": "bind"},
        {"Source": f"{TMP}/sub", "Type": "bind"},
        {"Source": TMP, "Type": "volume"},
        {"Source": "", "Type": "bind"},
    ],
)
def test_other_directories_are_not(mount: dict[str, Any]) -> None:
    assert not is_temporary(request({"Target": "/a", **mount}).host.mounts[0])


def test_a_message_holds_no_path_of_a_temporary_directory() -> None:
    message = without_temporary(f"the directory '{TMP}/sub' is not allowed", request(TMP_MOUNT))
    assert TMP not in message
    assert "/sub' is not allowed" in message


def test_a_message_names_other_directories_whole() -> None:
    # Were one of them the operator's after all, it would have to run the task without it.
    other = {"Target": "/a", "Source": "/run/" + "x" * 300, "Type": "bind"}
    message = f"the directory {other['Source']!r} is not allowed"
    assert without_temporary(message, request(TMP_MOUNT, other)) == message
