"""Airflow's own system DAGs: tests/system in the source packages of its providers."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Mapping
from pathlib import Path

from tests.support.paths import ROOT

#: Provider -> the folder of its system DAGs.
FOLDERS: Mapping[str, str] = {
    "docker": "tests/system/docker",
    "cncf-kubernetes": "tests/system/cncf/kubernetes",
}
PINS = ROOT / "scripts/images/recipes/airflow-packages/requirements.txt"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airdock" / "system-dags"
#: What @task.virtualenv of the Docker provider's DAG installs in a worker: the node reaches no package index.
REQUIREMENTS = ("funcsigs==1.0.2", "dill")


def pinned(package: str) -> str:
    """Give `<package>==<version>` as the Airflow image has it."""
    found = re.search(rf"^{re.escape(package)}==\S+$", PINS.read_text(), re.MULTILINE)
    assert found, f"{PINS.name} does not pin {package}"
    return found[0]


def _download(requirement: str, form: str) -> Path:
    """Give the file that pip downloads for `<package>==<version>`; `form` is --only-binary or --no-binary."""
    folder = CACHE / requirement
    if not folder.exists():
        CACHE.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=CACHE) as directory:
            package = requirement.partition("==")[0]
            subprocess.run(
                [
                    *(sys.executable, "-m", "pip", "download", "--quiet", "--no-deps", form, package),
                    *("--dest", f"{directory}/new", requirement),
                ],
                check=True,
            )
            Path(directory, "new").rename(folder)
    (file,) = folder.iterdir()
    return file


def system_dags(provider: str) -> dict[str, str]:
    """Give a provider's DAG files and what they read: file name -> text, as it is in the package."""
    archive = _download(pinned(f"apache-airflow-providers-{provider}"), "--no-binary")
    found = {}
    with tarfile.open(archive) as tar:
        for member in tar:
            _, _, path = member.name.partition("/")
            if Path(path).parent == Path(FOLDERS[provider]) and not path.endswith("__init__.py"):
                content = tar.extractfile(member)
                assert content
                found[Path(path).name] = content.read().decode()
    assert found, f"{archive.name} has no {FOLDERS[provider]}"
    return found


def wheels() -> dict[str, bytes]:
    """Give REQUIREMENTS as wheels: file name -> content."""
    files = [_download(each if "==" in each else pinned(each), "--only-binary") for each in REQUIREMENTS]
    return {file.name: file.read_bytes() for file in files}
