"""The images as data: what each is made of, and the contract that it shares with the official one.

A stand-in is for a machine that reaches package registries but no image registry. It has the official
image's name, user, entrypoint, command, environment, paths, ports and volumes; its programs come
from Debian 13, PyPI and Go modules. tests/images states the contract and checks it.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from scripts import tools
from scripts.chart import versions

RECIPES = Path(__file__).parent / "recipes"
#: Of Debian, whose packages the stand-ins are made of.
SUITE = "trixie"
_PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True)
class Layer:
    """One file system layer: Debian packages, then ``recipes/<name>/setup.sh`` in a chroot."""

    name: str
    #: The layer below; None for the Debian root file system itself.
    parent: Layer | None = None
    packages: tuple[str, ...] = ()
    #: Pinned Go binaries (scripts.tools) that setup.sh finds in /mnt/tools.
    tools: tuple[str, ...] = ()
    #: Whether setup.sh finds the wheels of ``recipes/<name>/requirements.txt`` in /mnt/wheels.
    wheels: bool = False
    #: The layer is what setup.sh puts into /srv, on top of nothing; ``parent`` is where it is built.
    alone: bool = False
    #: The layer whose recipe this one uses, if not its own.
    like: str = ""

    @property
    def recipe(self) -> Path:
        """The directory whose files setup.sh finds in /mnt/recipe."""
        return RECIPES / (self.like or self.name)

    def stack(self) -> Iterator[Layer]:
        """The layers of an image that ends with this one, lowest first."""
        if self.parent and not self.alone:
            yield from self.parent.stack()
        yield self


@dataclass(frozen=True, eq=False)
class Image:
    """An image under its docker.io name (``repository:tag``) and its configuration, in OCI's terms."""

    reference: str
    layer: Layer
    config: dict[str, Any] = field(default_factory=dict)

    @property
    def name(self) -> str:
        """A short name for files, such as ``airflow``."""
        return self.layer.name

    @property
    def repository(self) -> str:
        """The repository as the registry knows it, such as ``library/python``."""
        return self.reference.rpartition(":")[0]

    @property
    def tag(self) -> str:
        """The tag, such as ``3.13-slim``."""
        return self.reference.rpartition(":")[2]


BASE = Layer("base", packages=("ca-certificates", "netbase", "tzdata"))
PYTHON = Layer("python", BASE, packages=("python3", "python3-venv"))


def _airflow(line: str = "") -> Layer:
    """Airflow's layer; of a line such as 3.1, or of the newest one.

    Apart from its scripts: they change more often than 600 MB of packages.
    """
    suffix = f"-{line}" if line else ""
    packages = Layer(
        f"airflow-packages{suffix}",
        PYTHON,
        packages=(
            "curl",
            "dumb-init",
            "git",
            "libstdc++6",
            "netcat-openbsd",
            "openssh-client",
            "procps",
            "sqlite3",
        ),
        wheels=True,
    )
    return Layer(f"airflow{suffix}", packages, like="airflow")


AIRFLOW = _airflow()
DOCKER = Layer(
    "docker",
    BASE,
    packages=(
        "docker-buildx",
        "docker-compose",
        "e2fsprogs",
        "git",
        "iproute2",
        "iptables",
        "kmod",
        "openssh-client",
        "openssl",
        "pigz",
        "procps",
        "tini",
        "uidmap",
        "xfsprogs",
        "xz-utils",
    ),
    tools=("containerd", "containerd-shim-runc-v2", "ctr", "docker", "docker-proxy", "dockerd", "runc"),
)
DOCKER_ROOTLESS = Layer("docker-rootless", DOCKER, packages=("rootlesskit", "slirp4netns"))
POSTGRES = Layer("postgres", BASE, packages=("gosu", "less", "libnss-wrapper", "locales", "xz-utils", "zstd"))
VALKEY = Layer("valkey", BASE)
PGBOUNCER = Layer("pgbouncer", BASE, packages=("pgbouncer",))
STATSD_EXPORTER = Layer("statsd-exporter", BASE, tools=("statsd_exporter",))
BUSYBOX = Layer("busybox", BASE, packages=("busybox-static",), alone=True)


def _airflow_image(version: str, layer: Layer) -> Image:
    """The image of all Airflow components, of one version such as 3.1.0."""
    return Image(
        f"apache/airflow:{version}",
        layer,
        {
            "User": "50000",
            "Env": [
                f"PATH=/root/bin:/home/airflow/.local/bin:{_PATH}",
                "VIRTUAL_ENV=/home/airflow/.local",
                "LANG=C.UTF-8",
                "LC_ALL=C.UTF-8",
                "DEBIAN_FRONTEND=noninteractive",
                "PIP_CACHE_DIR=/tmp/.cache/pip",
                "GUNICORN_CMD_ARGS=--worker-tmp-dir /dev/shm",
                "AIRFLOW_UID=50000",
                "AIRFLOW_USER_HOME_DIR=/home/airflow",
                "AIRFLOW_HOME=/opt/airflow",
                f"AIRFLOW_VERSION={version}",
                "AIRFLOW__CORE__LOAD_EXAMPLES=false",
                "DUMB_INIT_SETSID=1",
                "PS1=(airflow)",
            ],
            "Entrypoint": ["/usr/bin/dumb-init", "--", "/entrypoint"],
            "Cmd": [],
            "WorkingDir": "/opt/airflow",
            "ExposedPorts": {"8080/tcp": {}},
        },
    )


def _version(line: str) -> str:
    """The version of a line, from the line's requirements.in."""
    requirements = (RECIPES / f"airflow-packages-{line}" / "requirements.in").read_text()
    found = re.search(r"^apache-airflow==(\S+)$", requirements, re.MULTILINE)
    assert found, line
    return found[1]


#: Older lines of Airflow, such as 3.1, and the version of each.
AIRFLOW_LINES = {
    (line := path.name.removeprefix("airflow-packages-")): _version(line)
    for path in sorted(RECIPES.glob("airflow-packages-*"))
}
#: The images that the chart's defaults name, and the variants of mode dind.
DEFAULTS: tuple[Image, ...] = (
    Image(
        "library/python:3.13-slim",
        PYTHON,
        {"Env": [f"PATH={_PATH}", "LANG=C.UTF-8", "PYTHON_VERSION=3.13.5"], "Cmd": ["python3"]},
    ),
    Image("library/busybox:1.37", BUSYBOX, {"Env": [f"PATH={_PATH}"], "Cmd": ["sh"]}),
    Image(
        "valkey/valkey:8.1",
        VALKEY,
        {
            "Env": [f"PATH={_PATH}", "VALKEY_VERSION=8.1.1"],
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["valkey-server"],
            "WorkingDir": "/data",
            "ExposedPorts": {"6379/tcp": {}},
        },
    ),
    Image(
        "library/postgres:17",
        POSTGRES,
        {
            "Env": [
                f"PATH={_PATH}:/usr/lib/postgresql/17/bin",
                "LANG=en_US.utf8",
                "PG_MAJOR=17",
                "PGDATA=/var/lib/postgresql/data",
            ],
            "Entrypoint": ["docker-entrypoint.sh"],
            "Cmd": ["postgres"],
            "ExposedPorts": {"5432/tcp": {}},
            "Volumes": {"/var/lib/postgresql/data": {}},
            "StopSignal": "SIGINT",
        },
    ),
    Image(
        "apache/airflow:airflow-pgbouncer-2025.03.05-1.23.1",
        PGBOUNCER,
        {
            "Env": [f"PATH={_PATH}"],
            "Entrypoint": ["/usr/bin/pgbouncer", "-u", "nobody", "/etc/pgbouncer/pgbouncer.ini"],
            "ExposedPorts": {"6432/tcp": {}},
        },
    ),
    Image(
        f"prom/statsd-exporter:{tools.version_of('statsd_exporter')}",
        STATSD_EXPORTER,
        {
            "User": "65534",
            "Env": [f"PATH={_PATH}"],
            "Entrypoint": ["/bin/statsd_exporter"],
            "ExposedPorts": {"9102/tcp": {}, "9125/tcp": {}, "9125/udp": {}},
        },
    ),
    _airflow_image(versions.AIRFLOW, AIRFLOW),
    Image(
        "library/docker:29-dind",
        DOCKER,
        {
            "Env": [f"PATH={_PATH}", "DOCKER_TLS_CERTDIR=/certs"],
            "Entrypoint": ["dockerd-entrypoint.sh"],
            "Cmd": [],
            "ExposedPorts": {"2375/tcp": {}, "2376/tcp": {}},
            "Volumes": {"/var/lib/docker": {}},
        },
    ),
    Image(
        "library/docker:29-dind-rootless",
        DOCKER_ROOTLESS,
        {
            "User": "rootless",
            "Env": [f"PATH={_PATH}", "DOCKER_TLS_CERTDIR=/certs"],
            "Entrypoint": ["dockerd-entrypoint.sh"],
            "Cmd": [],
            "ExposedPorts": {"2375/tcp": {}, "2376/tcp": {}},
            "Volumes": {"/home/rootless/.local/share/docker": {}},
        },
    ),
)
#: With those of the older lines of Airflow. Nothing builds them unless it names them.
IMAGES = (*DEFAULTS, *(_airflow_image(version, _airflow(line)) for line, version in AIRFLOW_LINES.items()))
