"""What the chart and Airflow's users rely on in each image, as data: true of the official images, too.

The sources are the official Dockerfiles: apache/airflow (Dockerfile), docker-library/docker (29/dind),
docker-library/postgres (17/trixie), docker-library/python (3.13/slim-trixie), docker-library/busybox,
valkey-io/valkey-container (8.1/debian), apache/airflow (chart/dockerfiles/pgbouncer).
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field

from scripts.chart import versions


@dataclass(frozen=True)
class Directory:
    """A directory of the image. None: it does not matter."""

    path: str
    uid: int | None = None
    gid: int | None = None
    #: Permission bits that must be set, such as 0o1777.
    mode: int = 0


@dataclass(frozen=True)
class Contract:
    """What one image promises.

    Attributes:
        user: values that the configuration's User may have.
        env: variables and their values; None: any value that is not empty.
        commands: shell command -> regular expression that its output must match, run as a user without
            privileges on a read-only root file system.
    """

    entrypoint: list[str] = field(default_factory=list)
    cmd: list[str] = field(default_factory=list)
    user: tuple[str, ...] = ("", "root", "0")
    directory: str = "/"
    stop_signal: str = "SIGTERM"
    ports: frozenset[str] = frozenset()
    volumes: frozenset[str] = frozenset()
    env: dict[str, str | None] = field(default_factory=dict)
    directories: tuple[Directory, ...] = (Directory("/tmp", mode=0o1777),)
    commands: dict[str, str] = field(default_factory=dict)


_PROVIDERS = (
    "celery cncf-kubernetes common-compat common-io common-sql docker fab git http postgres redis smtp"
)
_PACKAGES = [f"apache-airflow-providers-{name}" for name in f"{_PROVIDERS} ssh standard".split()]
_VERSIONS = f"from importlib.metadata import version; list(map(version, {json.dumps(_PACKAGES)}))"
_MODULES = "asyncpg, authlib, docker, gunicorn, kubernetes, psycopg2, redis, statsd, uvicorn"

_PYTHON = """
import bz2, ctypes, lzma, readline, sqlite3, ssl, venv, zoneinfo
zoneinfo.ZoneInfo("Europe/Berlin")
print(len(ssl.create_default_context().get_ca_certs()) > 100)
"""

CONTRACTS: dict[str, Contract] = {
    "airflow": Contract(
        entrypoint=["/usr/bin/dumb-init", "--", "/entrypoint"],
        user=("50000", "airflow"),
        directory="/opt/airflow",
        ports=frozenset({"8080/tcp"}),
        env={
            "AIRFLOW_HOME": "/opt/airflow",
            "AIRFLOW_UID": "50000",
            "AIRFLOW_USER_HOME_DIR": "/home/airflow",
            "AIRFLOW_VERSION": versions.AIRFLOW,
            "AIRFLOW__CORE__LOAD_EXAMPLES": "false",
            "DUMB_INIT_SETSID": "1",
            "GUNICORN_CMD_ARGS": "--worker-tmp-dir /dev/shm",
            "LANG": "C.UTF-8",
            "PATH": None,
        },
        directories=(
            Directory("/tmp", mode=0o1777),
            Directory("/home/airflow", uid=50000, gid=0, mode=0o770),
            Directory("/opt/airflow", uid=50000, gid=0, mode=0o775),
            Directory("/opt/airflow/dags", uid=50000, gid=0, mode=0o775),
            Directory("/opt/airflow/logs", uid=50000, gid=0, mode=0o775),
        ),
        commands={
            "command -v airflow": r"^/home/airflow/\.local/bin/airflow$",
            "command -v python": r"^/home/airflow/\.local/bin/python$",
            "command -v pip": r"^/home/airflow/\.local/bin/pip$",
            "getent passwd 50000": r"^airflow:.:50000:0:.*:/home/airflow:/bin/bash$",
            "stat -c %A:%g /etc/passwd": r"^-rw.rw....:0$",
            "ls -l /entrypoint /clean-logs | cut -c1-10": r"^(-r.xr.xr.x\n?){2}$",
            "bash -c 'echo $BASH_VERSION'": r"^5\.",
            "python --version": r"^Python 3\.1[0-9]\.",
            "git --version": r"^git version",
            "ssh -V 2>&1": r"^OpenSSH",
            f"python -c 'import {_MODULES}'": "^$",
            f"python -c '{_VERSIONS}'": "^$",
        },
    ),
    "docker": Contract(
        entrypoint=["dockerd-entrypoint.sh"],
        ports=frozenset({"2375/tcp", "2376/tcp"}),
        volumes=frozenset({"/var/lib/docker"}),
        env={"DOCKER_TLS_CERTDIR": "/certs", "PATH": None},
        directories=(Directory("/tmp", mode=0o1777), Directory("/certs/client", mode=0o1777)),
        commands={
            "docker --version": r"^Docker version v?2[9]\.",
            "dockerd --version": r"^Docker version v?29\.",
            "containerd --version": r"^containerd ",
            "containerd-shim-runc-v2 -v": r"containerd-shim-runc-v2",
            "runc --version": r"libseccomp: \d",
            "docker-init --version": r"^tini version 0\.19",
            "command -v docker-proxy": r"^/usr/local/bin/docker-proxy$",
            "docker buildx version": r"buildx",
            "docker compose version": r"Docker Compose version",
            "getent group docker || grep ^docker: /etc/group": r"^docker:.:2375:",
            "iptables --version": r"nf_tables",
            "/usr/local/sbin/.iptables-legacy/iptables --version": r"legacy",
            "ip -V": r"ip",
            "mkfs.ext4 -V 2>&1": r"^mke2fs",
            "mkfs.xfs -V": r"^mkfs\.xfs version",
            "git --version": r"^git version",
            "pigz --version 2>&1": r"^pigz",
            "xz --version": r"^xz",
            "openssl version": r"^OpenSSL 3",
            "grep ^dockremap /etc/subuid": r"^dockremap:165536:65536",
            # Any command may follow the entrypoint; it is given the daemon of a neighbour.
            "dockerd-entrypoint.sh sh -c 'echo $DOCKER_HOST'": r"^tcp://docker:2375$",
            "dockerd-entrypoint.sh docker --version": r"^Docker version",
        },
    ),
    "docker-rootless": Contract(
        entrypoint=["dockerd-entrypoint.sh"],
        user=("rootless", "1000"),
        ports=frozenset({"2375/tcp", "2376/tcp"}),
        volumes=frozenset({"/home/rootless/.local/share/docker"}),
        env={"DOCKER_TLS_CERTDIR": "/certs", "PATH": None},
        directories=(
            Directory("/tmp", mode=0o1777),
            Directory("/run/user", mode=0o1777),
            Directory("/home/rootless/.local/share/docker", uid=1000, gid=1000),
        ),
        commands={
            "docker --version": r"^Docker version v?2[9]\.",
            "dockerd --version": r"^Docker version v?29\.",
            "rootlesskit --version": r"^rootlesskit version",
            "command -v newuidmap && command -v newgidmap": "newgidmap$",
            "getent passwd rootless || grep ^rootless: /etc/passwd": r"^rootless:.:1000:1000:",
            "grep ^rootless: /etc/subuid": r"^rootless:100000:65536",
            "grep ^rootless: /etc/subgid": r"^rootless:100000:65536",
            "dockerd-entrypoint.sh docker --version": r"^Docker version",
        },
    ),
    "postgres": Contract(
        entrypoint=["docker-entrypoint.sh"],
        cmd=["postgres"],
        stop_signal="SIGINT",
        ports=frozenset({"5432/tcp"}),
        volumes=frozenset({"/var/lib/postgresql/data"}),
        env={"LANG": "en_US.utf8", "PGDATA": "/var/lib/postgresql/data", "PG_MAJOR": "17", "PATH": None},
        directories=(
            Directory("/tmp", mode=0o1777),
            Directory("/var/lib/postgresql/data", uid=999, gid=999, mode=0o1777),
            Directory("/var/run/postgresql/", uid=999, gid=999, mode=0o3777),
            Directory("/docker-entrypoint-initdb.d"),
        ),
        commands={
            "postgres --version": r"^postgres \(PostgreSQL\) 17\.",
            "psql --version": r"^psql \(PostgreSQL\) 17\.",
            "pg_isready --version": r"^pg_isready \(PostgreSQL\) 17\.",
            "pg_dump --version": r" 17\.",
            "getent passwd postgres": r"^postgres:.:999:999:",
            "command -v docker-entrypoint.sh": r"^/usr/local/bin/docker-entrypoint\.sh$",
            "gosu --version": r"^1\.",
            "locale -a": r"en_US\.utf8",
        },
    ),
    "valkey": Contract(
        entrypoint=["docker-entrypoint.sh"],
        cmd=["valkey-server"],
        directory="/data",
        ports=frozenset({"6379/tcp"}),
        env={"VALKEY_VERSION": None, "PATH": None},
        directories=(Directory("/tmp", mode=0o1777), Directory("/data", uid=999, gid=999, mode=0o1777)),
        commands={
            "valkey-server --version": r"v=8\.1\.",
            'valkey-server --version | grep -F "v=$VALKEY_VERSION "': "v=",
            "valkey-cli --version": r"^valkey-cli 8\.1\.",
            "redis-server --version": r"v=8\.1\.",
            "redis-cli --version": r" 8\.1\.",
            "getent passwd valkey": r"^valkey:.:999:999:",
        },
    ),
    "pgbouncer": Contract(
        entrypoint=["/usr/bin/pgbouncer", "-u", "nobody", "/etc/pgbouncer/pgbouncer.ini"],
        ports=frozenset({"6432/tcp"}),
        env={"PATH": None},
        commands={
            # asyncpg needs what 1.21 brought: prepared statements in mode transaction.
            "pgbouncer --version": r"^PgBouncer 1\.(2[1-9]|[3-9]\d)\.",
            "/usr/bin/pgbouncer --version": "^PgBouncer ",
            "cat /etc/pgbouncer/pgbouncer.ini /etc/pgbouncer/userlist.txt": "listen_addr = 0.0.0.0",
            "sh -c 'kill -0 1' && echo there": "^there$",
        },
    ),
    "statsd-exporter": Contract(
        entrypoint=["/bin/statsd_exporter"],
        ports=frozenset({"9102/tcp", "9125/tcp", "9125/udp"}),
        user=("65534",),
        commands={"/bin/statsd_exporter --help": "--statsd.mapping-config"},
    ),
    "python": Contract(
        cmd=["python3"],
        env={"PYTHON_VERSION": None, "PATH": None},
        commands={
            "command -v python": r"^/usr/local/bin/python$",
            "command -v python3": r"^/usr/local/bin/python3$",
            "command -v pip": r"^/usr/local/bin/pip$",
            "python --version": r"^Python 3\.13\.",
            'test "Python $PYTHON_VERSION" = "$(python --version)"': "^$",
            "python -m site | grep ENABLE_USER_SITE": "True",
            "pip --version": r"from /usr/local/lib/python3\.13/site-packages/pip \(python 3\.13\)",
            "python -c 'import sys; print(sys.prefix)'": r"^/usr/local$",
            # What small Pythons tend to lack: extension modules, time zones, certificates.
            f"python -c '{_PYTHON}'": "^True$",
            "bash -c 'echo $BASH_VERSION'": r"^5\.",
        },
    ),
    "busybox": Contract(
        cmd=["sh"],
        env={"PATH": None},
        commands={
            "busybox | head -n 1": r"^BusyBox v1\.37\.",
            "cd /bin && ls cat env gzip nc sh sleep tar wget | wc -w": "^8$",
            "/usr/bin/env echo hello": "^hello$",
            # As KubernetesPodOperator's XCom sidecar; the signal comes amid a sleep, not with the end of one.
            "timeout -s INT 1 sh -c 'trap \"exit 0\" INT; while true; do sleep 2; done'; echo $?": "^0$",
            # As the provider of Airflow 3.1 ends that sidecar.
            "n=7; sleep $n$n & test $! = $(pgrep -u $(id -u) -f 'sleep 7{2}'); echo $?; kill $!": "^0$",
            "pgrep -u 1 -f . || pgrep -f 'no [s]uch process' || pgrep nothing; echo $?": "^1$",
            "grep ^nobody: /etc/passwd": r"^nobody:.:65534:65534:",
        },
    ),
}
