"""NOTES.txt: what `helm install` prints."""

from __future__ import annotations

import json
import os
import re
import subprocess
from functools import lru_cache
from typing import Any

import pytest

from scripts import tools
from scripts.chart import CHART, HELM4
from tests.render.scenarios import BY_NAME
from tests.render.values import DIND, RAW_SOCKET, SOCKET, overlaid


@lru_cache
def _notes(values: str) -> str:
    """A dry run asks no cluster. Line breaks inside a sentence do not matter."""
    command = [
        str(tools.path(HELM4)),
        "install",
        "airdock",
        str(CHART),
        "--dry-run=client",
        "--output",
        "json",
    ]
    done = subprocess.run(
        [*command, "--values", "-"],
        input=values,
        capture_output=True,
        text=True,
        env={**os.environ, "KUBECONFIG": os.devnull},
    )
    assert done.returncode == 0, done.stderr
    return re.sub(r"\s+", " ", json.loads(done.stdout)["info"]["notes"])


def notes(values: Any) -> str:
    return _notes(json.dumps(values))


def dind(variant: str) -> Any:
    return overlaid(DIND, {"workers": {"docker": {"dind": {"variant": variant}}}})


def test_says_that_there_are_no_dags() -> None:
    assert "No DAGs are configured" in notes({})
    assert "No DAGs are configured" not in notes({"dags": {"examples": True}})
    assert "No DAGs are configured" not in notes(BY_NAME["git-bundles"].values)


def test_says_that_network_policies_need_a_plugin() -> None:
    assert "network plugin" in notes({})
    assert "network plugin" not in notes({"networkPolicy": {"enabled": False}})


ROOT_ON_NODES = "every DAG author can become root on its nodes"


@pytest.mark.parametrize("variant", ["privileged", "userNamespace", "rootless", "sysbox"])
def test_names_what_a_variant_of_dind_gives_away(variant: str) -> None:
    """Only the privileged one gives root on the node."""
    text = notes(dind(variant))
    assert "workers.docker runs a" in text
    assert (ROOT_ON_NODES in text) == (variant == "privileged")
    assert ("unprivileged user" in text) == (variant != "privileged")


def test_names_what_the_socket_gives_away() -> None:
    assert ROOT_ON_NODES in notes(RAW_SOCKET)
    assert "set workers.node.socket.filter: true" in notes(RAW_SOCKET)
    assert ROOT_ON_NODES not in notes(SOCKET)
