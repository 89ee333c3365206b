"""docs/migrating.md: its command finds each form that the table for Airflow 2 lists, and not the new ones."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.paths import ROOT

PAGE = (ROOT / "docs" / "migrating.md").read_text()
SECTION = PAGE.partition("## DAGs for Airflow 2")[2].partition("\n## ")[0]
ROWS = re.findall(r"^\| `(.+?)` \| `(.+?)`", SECTION, re.MULTILINE)
IMPORTS = """
from airflow.sdk import DAG
from airflow.providers.cncf.kubernetes.operators.pod import KubernetesPodOperator
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.providers.standard.operators.python import PythonOperator
"""


def found(code: str, folder: Path) -> str:
    """What the page's command says about a DAG file."""
    _, command, *_ = re.search(r"```console\n(.*?)```", SECTION, re.DOTALL)[1].splitlines()  # type: ignore[index]
    dags = folder / "dags"
    dags.mkdir()
    name = code.rpartition(" import ")[2] if code.startswith("from ") else ""
    (dags / "dag.py").write_text(f"{IMPORTS}{code}\n{name and name + '()'}\n")
    # This Python's ruff.
    command = command.replace("ruff ", f"{sys.executable} -m ruff ", 1)
    done = subprocess.run(["bash", "-c", command], cwd=folder, capture_output=True, text=True)
    assert not done.stderr
    return done.stdout


def test_the_version_is_the_projects_own() -> None:
    assert re.search(r"pip install (ruff==\S+)", SECTION)[1] in (ROOT / "requirements.txt").read_text()  # type: ignore[index]


@pytest.mark.parametrize("old", [old for old, _ in ROWS])
def test_the_command_finds_each_old_form(old: str, tmp_path: Path) -> None:
    assert "dag.py" in found(old, tmp_path)


@pytest.mark.parametrize("new", sorted({new for _, new in ROWS}))
def test_and_no_new_one(new: str, tmp_path: Path) -> None:
    assert "dag.py" not in found(new, tmp_path)


def test_all_rows_are_read() -> None:
    assert len(ROWS) == len(re.findall(r"^\| `", SECTION, re.MULTILINE)) > 8
