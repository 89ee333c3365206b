"""Nothing of the machine that built a stand-in is in it."""

from __future__ import annotations

import os
import socket
import tarfile
from pathlib import Path

import pytest

from scripts.images import DEFAULTS, choose_official
from tests.images.conftest import Run, layout
from tests.support.paths import ROOT

pytestmark = pytest.mark.skipif(choose_official(), reason="official images are built elsewhere")
NAMES = [image.name for image in DEFAULTS]
DEBIAN = [name for name in NAMES if name != "busybox"]
#: Where the build mounts things, and what pip and apt leave.
_NOT_HERE = (
    "mnt/",
    "srv/",
    "proc/",
    "sys/",
    "dev/",
    "tmp/",
    "root/.cache",
    "var/cache/apt/archives/p",
    "home/airflow/.cache",
)
_NOT_NAMED = ("pip.conf", "apt.conf", "99mmdebstrap", "policy-rc.d", ".netrc", "direct_url.json")


def secrets() -> list[bytes]:
    """What would give the host away: its name, its directories, its proxies."""
    proxies = [
        value for name, value in os.environ.items() if name.lower().endswith("_proxy") and len(value) > 4
    ]
    repository = str(ROOT)
    return [text.encode() for text in (repository, ".cache/airdock", *proxies)]


@pytest.mark.parametrize("name", NAMES)
def test_names_and_texts(name: str) -> None:
    image = layout(name)
    bad = secrets()
    for digest in image.layers[1:] or image.layers:
        with tarfile.open(image.blob(digest)) as tar:
            for member in tar:
                assert not member.name.startswith(_NOT_HERE), member.name
                assert Path(member.name).name not in _NOT_NAMED, member.name
                if member.isreg() and member.size < 200_000:
                    content = tar.extractfile(member)
                    text = content.read() if content else b""
                    assert not [word for word in bad if word in text], member.name


@pytest.mark.parametrize("name", DEBIAN)
def test_settings(container: Run, name: str) -> None:
    image = container(name, user=(0, 0), writable=())
    # (The test mounts the host's resolv.conf, as a runtime does.)
    assert image.shell("cat /etc/hosts /etc/machine-id 2>/dev/null || true") == ""
    hosts = image.shell("sed -n 's/^URIs: //p' /etc/apt/sources.list.d/* | sort -u").split()
    assert hosts == ["http://deb.debian.org/debian", "http://deb.debian.org/debian-security"]
    left = image.shell("find /var/lib/apt/lists /var/log -type f ! -name lock")
    assert left == "", left


@pytest.mark.parametrize("name", ["python"])
def test_certificates_are_debians(container: Run, name: str) -> None:
    image = container(name, writable=())
    trusted = int(image.shell("grep -c BEGIN /etc/ssl/certs/ca-certificates.crt"))
    assert trusted == int(image.shell("find /usr/share/ca-certificates -name '*.crt' | wc -l"))
    assert image.shell("ls /usr/local/share/ca-certificates") == ""


def test_host_name_is_nowhere() -> None:
    config = layout("airflow").config
    assert socket.gethostname() not in " ".join(config["Env"]).split()
