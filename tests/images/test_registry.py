"""Pushing, against the registry that the cluster runs."""

from __future__ import annotations

from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest
import requests

from scripts.images import ImageError
from scripts.images.oci import Layout
from scripts.images.registry import Registry
from scripts.tools.build import built, lookup
from tests.images.conftest import layout
from tests.support.registry import serving


@pytest.fixture
def address(tmp_path: Path) -> Iterator[str]:
    """A real, empty registry."""
    if not built(lookup("registry")):
        pytest.skip("the registry is not built; do that with: python -m scripts.tools registry")
    with serving(tmp_path) as address:
        yield address


@pytest.fixture
def image() -> Layout:
    return layout("busybox")


def test_push(address: str, image: Layout) -> None:
    assert Registry(address).push(image, "library/busybox", "1.37") is True
    answer = requests.get(
        f"http://{address}/v2/library/busybox/manifests/1.37",
        headers={"Accept": image.descriptor["mediaType"]},
        timeout=10,
    )
    assert answer.headers["Docker-Content-Digest"] == image.descriptor["digest"]
    for blob in (image.manifest["config"], *image.manifest["layers"]):
        stored = requests.get(f"http://{address}/v2/library/busybox/blobs/{blob['digest']}", timeout=10)
        assert stored.content == image.blob(blob["digest"]).read_bytes()


def test_second_push_sends_nothing(address: str, image: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    Registry(address).push(image, "library/busybox", "1.37")
    registry = Registry(address)
    monkeypatch.setattr(registry, "_push_blob", None)
    assert registry.push(image, "library/busybox", "1.37") is False


def test_shared_layers_are_sent_once(address: str, image: Layout, monkeypatch: pytest.MonkeyPatch) -> None:
    registry = Registry(address)
    registry.push(image, "library/busybox", "1.37")
    sent: list[str] = []
    call = registry._call

    def spy(method: str, path: str, **how: object) -> requests.Response:
        sent.append(method)
        return call(method, path, **how)  # type: ignore[arg-type]

    monkeypatch.setattr(registry, "_call", spy)
    assert registry.push(image, "other/busybox", "1") is True
    assert sent == ["POST", "POST", "PUT"]  # Two mounts and the manifest.


def test_nobody_there() -> None:
    with pytest.raises(ImageError, match=r"No registry answers by plain HTTP at 127\.0\.0\.1:1"):
        Registry("127.0.0.1:1")


def test_something_else_there() -> None:
    class Refusing(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_error(404)

        def log_message(self, *arguments: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Refusing) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(ImageError, match=r"answered 404 Not Found to GET /v2/"):
            Registry(f"127.0.0.1:{server.server_port}")
        server.shutdown()
