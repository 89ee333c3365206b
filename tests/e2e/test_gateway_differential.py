"""The same containers on a plain Docker daemon and through both backends of the gateway: the same results.

What differs is listed here, and nowhere else: DIFFERENCES is the migration page's source.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.types import Mount, Ulimit
from test_gateway_cluster import KUBECONFIG, cluster, create  # noqa: F401
from test_gateway_cluster import starter as cluster_starter  # noqa: F401
from test_gateway_daemon import NETWORK, SOCKET, raw, usable  # noqa: F401
from test_gateway_daemon import starter as daemon_starter  # noqa: F401

pytestmark = pytest.mark.skipif(
    not (KUBECONFIG.exists() and usable()),
    reason=f"needs the native cluster, and a Docker daemon at {SOCKET}",
)

TMP = [Mount("/tmp/airflow", "/tmp/airflowtmpdiff", "bind")]
Case = tuple[Any, dict[str, Any], dict[str, Any]]


def shell(text: str, host: dict[str, Any] | None = None, **config: Any) -> Case:
    return ["sh", "-c", text], host or {}, config


CASES: dict[str, Case] = {
    "last line": shell("echo one; echo two"),
    "blank lines": shell("echo one; echo; echo; echo two"),
    "no output": shell("true"),
    "no last newline": shell("printf one"),
    "carriage return in a line": shell(r"printf 'a\rb\n'"),
    "carriage return before the newline": shell(r"printf 'a\r\n'"),
    "bytes that are no text": shell(r"printf '\377\033[1mx\n'"),
    "a long line": shell("head -c 100000 /dev/zero | tr '\\0' x; echo"),
    "exit code": shell("exit 3"),
    "exit code 99": shell("exit 99"),
    "exit code 255": shell("exit 255"),
    "a string for a command": ("echo a  b", {}, {}),
    "a command that is not there": (["nosuchthing"], {}, {}),
    "a terminal": shell("test -t 1 && echo yes", tty=True),
    "environment": shell('echo "$A|$B|$C"', environment={"A": "$(HOME) $HOME", "B": "", "C": "x=y z"}),
    "an entrypoint": (["x y"], {}, {"entrypoint": ["echo", "-n"]}),
    "an empty entrypoint": (["echo", "x"], {}, {"entrypoint": ""}),
    "working directory": shell("pwd", working_dir="/tmp"),
    "a working directory that is not there": shell("pwd", working_dir="/a/b"),
    "a numeric user": shell("id -u", user="1234"),
    "a user and a group": shell("id -u; id -g", user="1234:5678"),
    "no user": shell("id -u"),
    "root": shell("id -u", user="root"),
    "a user's name": shell("id -un", user="nobody"),
    "host name": shell("hostname", hostname="my-host"),
    "temporary directory": shell(
        "ls -A /tmp/airflow; echo x > /tmp/airflow/y && cat /tmp/airflow/y", {"mounts": TMP}
    ),
    "shared memory": shell("df -k /dev/shm | tail -1 | awk '{print $2}'", {"shm_size": 2 << 20}),
    "tmpfs": shell("echo x > /scratch/y && cat /scratch/y", {"tmpfs": {"/scratch": "size=1m"}}),
    "a read-only root": shell("touch /x 2>/dev/null || echo read-only", {"read_only": True}, user="1234"),
    "extra hosts": shell("grep -c 'other-host' /etc/hosts", {"extra_hosts": {"other-host": "1.2.3.4"}}),
    "cpus": shell("echo a", {"cpu_shares": 512}),
    "memory": shell("echo a", {"mem_limit": "64m"}),
    "more memory than allowed": (["tail", "/dev/zero"], {"mem_limit": "16m"}, {}),
    "ulimits": shell("ulimit -n", {"ulimits": [Ulimit(name="nofile", soft=100, hard=100)]}),
    "no network": shell("ls /sys/class/net | grep -v lo | wc -l", {"network_mode": "none"}),
    "privileged": shell("echo a", {"privileged": True}),
    "a capability": shell("echo a", {"cap_add": ["NET_ADMIN"]}),
    "host ipc": shell("echo a", {"ipc_mode": "host"}),
    "a directory of the host": shell("echo a", {"binds": ["/etc:/host-etc:ro"]}),
    "a volume": shell("echo a", {"binds": ["airdock-diff:/v"]}),
}
REFUSED = "refused"
#: Ends that the plain daemon cannot show here: it knows no directory of this host.
KNOWN = {"temporary directory": (0, b"x\n")}
#: Where a backend does not do what Docker does: what it does instead.
DIFFERENCES: dict[str, dict[str, Any]] = {
    "cluster": {
        "carriage return before the newline": (0, b"a\n"),  # containerd drops it
        "a command that is not there": "error at wait",  # Docker: at start
        "no user": (0, b"50000\n"),  # the group's uid; with user namespaces, root as in Docker
        "root": REFUSED,
        "a user's name": REFUSED,
        "ulimits": "ignored",
        "no network": "by NetworkPolicy",
        **dict.fromkeys(
            ("privileged", "a capability", "host ipc", "a directory of the host", "a volume"), REFUSED
        ),
    },
    "daemon": dict.fromkeys(
        ("privileged", "a capability", "host ipc", "a directory of the host", "a volume"), REFUSED
    ),
}


def outcome(client: docker.APIClient, case: Case) -> Any:
    """Do as DockerOperator does, and give (exit code, output) or where it failed."""
    command, host, config = case
    try:
        task = create(client, command, host={"network_mode": NETWORK, **host}, **config)
    except APIError:
        return REFUSED
    try:
        task.attach()
        try:
            task.start()
        except APIError:
            return "error at start"
        task.read()
        try:
            return task.wait(), task.output
        except APIError:
            return "error at wait"
    finally:
        client.remove_container(task.id, force=True)


@pytest.fixture(scope="module")
def clients(raw: Any, cluster_starter: Any, daemon_starter: Any) -> Iterator[dict[str, docker.APIClient]]:  # noqa: F811
    yield {"raw": raw, "cluster": cluster_starter().client(), "daemon": daemon_starter().client()}


@pytest.mark.parametrize("name", CASES)
@pytest.mark.parametrize("backend", ["cluster", "daemon"])
def test_the_same_as_docker(clients: dict[str, docker.APIClient], backend: str, name: str) -> None:
    expected = KNOWN.get(name) or outcome(clients["raw"], CASES[name])
    found = outcome(clients[backend], CASES[name])
    if CASES[name][2].get("tty"):  # a terminal's line ends are the runtime's
        expected, found = ((code, out.replace(b"\r\n", b"\n")) for code, out in (expected, found))
    listed = DIFFERENCES[backend].get(name)
    if listed is None:
        assert found == expected
    elif listed == REFUSED or isinstance(listed, tuple) or listed.startswith("error"):
        assert found == listed
        assert found != expected, "no difference any more: take it off the list"
    else:
        assert isinstance(found, tuple), f"{listed}: {found}"
