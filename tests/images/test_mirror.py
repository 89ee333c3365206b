"""`make images TO=...` copies images from one real registry to another."""

from __future__ import annotations

from pathlib import Path

import pytest
import requests

from scripts.images.oci import Layout
from scripts.images.registry import Registry
from scripts.mirror.__main__ import main
from scripts.tools.build import built, lookup
from tests.images.conftest import layout
from tests.support.registry import serving


@pytest.mark.skipif(
    not (built(lookup("registry")) and built(lookup("crane"))),
    reason="registry or crane is not built; do that with: python -m scripts.tools registry crane",
)
def test_copy(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for name in ("one", "two"):
        (tmp_path / name).mkdir()
    with serving(tmp_path / "one") as source, serving(tmp_path / "two") as target:
        busybox: Layout = layout("busybox")
        images = []
        for name in ("airflow", "postgres", "redis", "xcomSidecar"):
            Registry(source).push(busybox, f"team/{name.lower()}", "1")
            images.append(f"  {name}: {{repository: '{source}/team/{name.lower()}', tag: '1'}}\n")
        values = tmp_path / "values.yaml"
        values.write_text("images:\n" + "".join(images))
        assert main(["--values", str(values), "--to", f"{target}/mirror"]) == 0
        out = capsys.readouterr().out
        for name in ("airflow", "postgres", "redis", "xcomsidecar"):
            assert f"{target}/mirror/team/{name}:1  {busybox.descriptor['digest']}" in out
            answer = requests.get(
                f"http://{target}/v2/mirror/team/{name}/manifests/1",
                headers={"Accept": busybox.descriptor["mediaType"]},
                timeout=10,
            )
            assert answer.headers["Docker-Content-Digest"] == busybox.descriptor["digest"]
        values.write_text("images:\n" + "".join(images).replace("team/redis", "team/none"))
        assert main(["--values", str(values), "--to", f"{target}/other"]) == 1
        assert "team/none:1" in capsys.readouterr().err
