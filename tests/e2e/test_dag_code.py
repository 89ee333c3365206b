"""DAG code in the dag-processor and in the triggerer: it finds no secret of the process that starts it."""

from __future__ import annotations

import json
import re
from typing import Any

import pytest

from tests.e2e.conftest import Release, wait_until
from tests.e2e.dags.secret_search import search
from tests.support.attacks import ACTOR_OF
from tests.support.paths import ROOT

FOUND = "/tmp/e2e-search.json"  # As in dags/airdock_search.py.
_SOURCE = (ROOT / "tests" / "e2e" / "dags" / "airdock_search.py").read_text()
PATTERN = re.search(r'PATTERN = r"(.*)"', _SOURCE)


def found(release: Release, component: str) -> Any:
    """What the author's code in a component wrote down, once it has."""
    (pod, *_) = release.staying(component)
    name = pod["metadata"]["name"]

    def read() -> str:
        return release.inside(name, component, "sh", "-c", f"cat {FOUND} 2>/dev/null || true")

    return json.loads(wait_until(read, 240, f"{component}: the author's code has searched"))


@pytest.fixture
def searched(dags: Release) -> Release:
    """The release with a variable and a connection that the author's code reads."""
    call = dags.airflow.call
    for path, body in (
        ("variables", {"key": "e2e_search", "value": "a variable"}),
        ("connections", {"connection_id": "e2e_search", "conn_type": "http", "password": "a password"}),
    ):
        existing = {each.get("key", each.get("connection_id")) for each in call("GET", f"/{path}")[path]}
        if "e2e_search" not in existing:
            call("POST", f"/{path}", json=body)
    # Else the file is parsed again after minutes only.
    call("PUT", f"/parseDagFile/{call('GET', '/dags/e2e_search')['file_token']}")
    return dags


def test_the_pattern_matches_the_secrets_alone() -> None:
    assert PATTERN
    wanted = re.compile(PATTERN[1])
    password = "x" * 43
    for text in (
        f"postgresql+psycopg2://airflow:{password}@db/airflow",
        f"AIRFLOW__CORE__FERNET_KEY={password}=",
    ):
        assert wanted.search(text)
    assert not wanted.search(PATTERN[1])
    assert search(b"sure to be nowhere: [0-9]{9}") == []


@pytest.mark.parametrize(
    "component",
    [
        pytest.param(name, marks=pytest.mark.attack(actor=actor, finding=(8,)))
        for name, actor in ACTOR_OF.items()
    ],
)
def test_secrets(searched: Release, component: str) -> None:
    """First as any other process of the container, such as a probe; then as the author's code."""
    assert PATTERN
    (pod, *_) = searched.staying(component)
    name = pod["metadata"]["name"]
    script = "/opt/airflow/dags/secret_search.py"
    searched.inside(name, component, "python", script, PATTERN[1], "/tmp/e2e-control.json")
    control = json.loads(searched.inside(name, component, "cat", "/tmp/e2e-control.json"))
    assert "os.environ" in control
    assert any(way.endswith(" 1 environment") for way in control), "of the container's init"
    if component == "triggerer":
        searched.airflow.unpause("e2e_search")
        searched.airflow.trigger("e2e_search")
        assert found(searched, component) == []
    else:
        assert found(searched, component)["ways"] == []
        child = searched.inside(name, component, "cat", "/tmp/e2e-search-child.json")
        assert json.loads(child) == [], "a program that it starts"
