"""What is built when, from what, and what a failed build leaves."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts import tools
from scripts.images import IMAGES, ImageError, cache, official
from scripts.images.catalog import AIRFLOW, BASE, BUSYBOX, PYTHON, Layer
from tests.images.conftest import layout

builder = sys.modules["scripts.images.build"]
IMAGE = next(image for image in IMAGES if image.layer is BUSYBOX)


@pytest.fixture
def directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Path]:
    """An empty cache, and nothing decided yet."""
    for module in (cache, builder):
        monkeypatch.setattr(module, "CACHE", tmp_path)
    monkeypatch.delenv("AIRDOCK_IMAGES", raising=False)
    builder.choose_official.cache_clear()
    cache.layer_key.cache_clear()
    yield tmp_path
    builder.choose_official.cache_clear()
    cache.layer_key.cache_clear()


def test_key_follows_every_input(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    def key(layer: Layer = PYTHON) -> str:
        cache.layer_key.cache_clear()
        return cache.layer_key(layer)

    packages = AIRFLOW.parent
    assert packages
    before, above = key(), key(packages)
    assert before == key()
    monkeypatch.setattr("scripts.images.catalog.RECIPES", tmp_path)
    assert key() != before, "the recipe's files"
    monkeypatch.undo()
    changed = Layer("python", BASE, packages=(*PYTHON.packages, "git"))
    assert key(changed) != before, "the packages"
    assert key(Layer("airflow-packages", changed, packages.packages, wheels=True)) != above, "the layer below"
    assert key(Layer("airflow-packages", PYTHON, packages.packages, wheels=True)) == above
    assert key(Layer("python", BASE, PYTHON.packages, tools=("crane",))) != before, "the tools"
    monkeypatch.setattr(cache, "_BUILDERS", ())
    assert key() != before, "the builder"
    monkeypatch.undo()
    cache.layer_key.cache_clear()


def test_what_is_there_is_not_made_again(monkeypatch: pytest.MonkeyPatch) -> None:
    layout(IMAGE.name)
    monkeypatch.setattr(builder, "locked", None)
    assert builder.build((IMAGE,))[IMAGE].is_dir()


def test_choice(directory: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for reachable, chosen, expected in [
        (True, "", True),
        (False, "", False),
        (True, "stand-in", False),
        (False, "official", True),
    ]:
        monkeypatch.setattr(official, "reachable", lambda reachable=reachable: reachable)
        monkeypatch.setenv("AIRDOCK_IMAGES", chosen)
        builder.choose_official.cache_clear()
        assert builder.choose_official() is expected
    monkeypatch.setenv("AIRDOCK_IMAGES", "offical")
    builder.choose_official.cache_clear()
    with pytest.raises(ImageError, match=r"'offical': make it official or stand-in"):
        builder.choose_official()


def test_official_images_are_pulled(directory: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    crane = tmp_path / "crane"
    crane.write_text('#!/bin/sh\necho "$@" > "$5/index.json"\n')
    crane.chmod(0o755)
    monkeypatch.setattr(tools, "path", lambda name: tmp_path / name)
    monkeypatch.setattr(official, "reachable", lambda: True)
    path = builder.build((IMAGE,))[IMAGE]
    said = (path / "index.json").read_text()
    assert said.startswith(
        f"pull --format=oci --platform=linux/{cache.architecture()} docker.io/library/busybox:1.37 "
    )
    crane.write_text("#!/bin/sh\necho TOOMANYREQUESTS >&2; exit 1\n")
    monkeypatch.setattr(cache, "image_path", lambda image, official: directory / "other")
    with pytest.raises(
        ImageError, match=r"docker.io/library/busybox:1.37 could not be pulled: TOOMANYREQUESTS"
    ):
        official.pull(IMAGE, directory / "another")


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        (lambda patch: patch.setattr(os, "geteuid", lambda: 1000), "run as root"),
        (lambda patch: patch.setattr(sys, "platform", "darwin"), "root on Linux"),
        (lambda patch: patch.setenv("PATH", "/nowhere"), "needs unshare, setpriv, mount"),
    ],
)
def test_hosts_that_cannot_build(
    directory: Path, monkeypatch: pytest.MonkeyPatch, change: object, expected: str
) -> None:
    monkeypatch.setenv("AIRDOCK_IMAGES", "stand-in")
    if "root" not in expected and os.geteuid() != 0:
        pytest.skip("only root gets so far")
    change(monkeypatch)  # type: ignore[operator]
    with pytest.raises(ImageError, match=expected):
        builder.build((IMAGE,))
    assert list(directory.iterdir()) == []


def test_a_failed_build_leaves_nothing(directory: Path) -> None:
    def fail() -> None:
        with cache.locked(), cache.new_entry(directory / "layers" / "some") as scratch:
            (scratch / "half").write_text("")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        fail()
    assert [path.name for path in directory.iterdir()] == [".lock"]


def test_a_killed_build_is_cleared(directory: Path) -> None:
    (directory / ".tmp-python-x").mkdir()
    (directory / ".tmp-python-x" / "half").write_text("")
    with cache.locked():
        pass
    assert [path.name for path in directory.iterdir()] == [".lock"]


def test_old_entries_go(directory: Path) -> None:
    for age in range(4):
        entry = directory / f"python-{age:016x}"
        entry.mkdir()
        os.utime(entry, (1000 - age, 1000 - age))
    (directory / "python-other").mkdir()
    cache.prune(directory, "python")
    assert sorted(path.name[-5:] for path in directory.iterdir()) == ["00000", "00001", "other"]


def test_unpacked_layers_go_with_the_last_that_has_them(
    directory: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(cache, "UNPACKED", directory / "unpacked")
    monkeypatch.setattr(cache, "LAYERS", directory / "layers")
    for path in (
        "unpacked/a/root",
        "unpacked/b/root",
        "unpacked/c/root",
        "layers/python-0",
        "image/blobs/sha256",
    ):
        (directory / path).mkdir(parents=True)
    (directory / "layers" / "python-0" / "digest").write_text("sha256:a")
    (directory / "image" / "blobs" / "sha256" / "b").touch()
    cache.prune_unpacked()
    assert sorted(path.name for path in (directory / "unpacked").iterdir()) == ["a", "b"]


def run(*arguments: str, **env: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "scripts.images", *arguments],
        capture_output=True,
        text=True,
        env=os.environ | env,
    )


def test_list() -> None:
    done = run("list", AIRDOCK_IMAGES="stand-in")
    assert done.returncode == 0
    assert [line.split()[0] for line in done.stdout.splitlines()[1:]] == [image.reference for image in IMAGES]


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("build", "debian"), "There is no image 'debian'; there are python, busybox"),
        (("push", "127.0.0.1:1", "busybox"), "No registry answers by plain HTTP at 127.0.0.1:1"),
    ],
)
def test_errors_are_one_sentence(arguments: tuple[str, ...], expected: str) -> None:
    layout(IMAGE.name)
    done = run(*arguments)
    assert done.returncode == 1
    assert done.stderr.startswith("images: ")
    assert expected in done.stderr
    assert "Traceback" not in done.stderr


def test_layout_is_what_oci_says() -> None:
    image = layout(IMAGE.name)
    assert json.loads((image.directory / "oci-layout").read_text()) == {"imageLayoutVersion": "1.0.0"}
    for entry in (image.descriptor, image.manifest["config"], *image.manifest["layers"]):
        blob = image.blob(entry["digest"])
        assert blob.stat().st_size == entry["size"]
        assert builder.layer.digest(blob) == entry["digest"]
