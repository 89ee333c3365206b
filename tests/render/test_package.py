"""What `helm package` puts into the chart's archive."""

from __future__ import annotations

import shutil
import subprocess
import tarfile
from pathlib import Path

import pytest

from scripts import tools
from scripts.chart import CHART, HELM3, HELM4, ROOT, load_yaml

#: What editors, Python and systems leave in a tree.
LEFT_BEHIND = ("files/__pycache__/x.pyc", "values.yaml.bak", "templates/a.yaml~", ".DS_Store", ".idea/x.xml")


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_package_holds_the_chart_and_nothing_else(helm: str, tmp_path: Path) -> None:
    chart = tmp_path / "airdock"
    shutil.copytree(CHART, chart, ignore=shutil.ignore_patterns("__pycache__", "*.pyc"))
    wanted = {str(path.relative_to(tmp_path)) for path in chart.rglob("*") if path.is_file()}
    for name in LEFT_BEHIND:
        (chart / name).parent.mkdir(exist_ok=True)
        (chart / name).write_text("")
    command = [str(tools.path(helm)), "package", str(chart), "--destination", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    (archive,) = tmp_path.glob("*.tgz")
    with tarfile.open(archive) as packed:
        assert set(packed.getnames()) == wanted


def test_package_has_the_license() -> None:
    assert (CHART / "LICENSE").read_text() == (ROOT / "LICENSE").read_text()
    chart = load_yaml((CHART / "Chart.yaml").read_text())[0]
    assert chart["annotations"]["artifacthub.io/license"] == "Apache-2.0"
    assert "Apache License\n                           Version 2.0" in (CHART / "LICENSE").read_text()
