"""Every flag of `docker create`: taken, or refused by a field's name; none is a field that nobody decided."""

from __future__ import annotations

import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.gateway.stand_ins.gateway import BACKENDS, Gateway, running
from tests.support.paths import ROOT
from tests.support.waiting import wait_until

PROGRAM = ROOT / ".tools/bin/docker"
#: A value of each flag; none for those that have none. {} is a directory of the test's own.
FLAGS: dict[str, str | None] = {
    "add-host": "h:1.2.3.4", "annotation": "a=b", "attach": "stdout", "blkio-weight": "10",
    "blkio-weight-device": "/dev/a:10", "cap-add": "NET_ADMIN", "cap-drop": "ALL", "cgroup-parent": "/a",
    "cgroupns": "host", "cidfile": "{}/cid", "cpu-count": "1", "cpu-percent": "1", "cpu-period": "10000",
    "cpu-quota": "10000", "cpu-rt-period": "1", "cpu-rt-runtime": "1", "cpu-shares": "100", "cpus": "1",
    "cpuset-cpus": "0", "cpuset-mems": "0", "device": "/dev/null:/dev/a", "device-cgroup-rule": "c 1:3 rwm",
    "device-read-bps": "/dev/a:1", "device-read-iops": "/dev/a:1", "device-write-bps": "/dev/a:1",
    "device-write-iops": "/dev/a:1", "dns": "8.8.8.8", "dns-option": "ndots:1", "dns-search": "a.b",
    "domainname": "d", "entrypoint": "sh", "env": "A=b", "env-file": "{}/env", "expose": "80", "gpus": "all",
    "group-add": "1", "health-cmd": "true", "health-interval": "20s", "health-retries": "2",
    "health-start-interval": "20s", "health-start-period": "1s", "health-timeout": "1s", "hostname": "h",
    "init": None, "interactive": None, "io-maxbandwidth": "1", "io-maxiops": "1", "ip": "1.2.3.4",
    "ip6": "::1", "ipc": "private", "isolation": "hyperv", "label": "a=b", "label-file": "{}/env",
    "link": "a:b", "link-local-ip": "169.254.1.1", "log-driver": "syslog", "log-opt": "tag=x",
    "mac-address": "92:d0:c6:0a:29:33", "memory": "64m", "memory-reservation": "32m", "memory-swap": "128m",
    "memory-swappiness": "1", "mount": "type=tmpfs,destination=/t,tmpfs-size=1000000", "name": "n",
    "network": "host", "network-alias": "x --network=n", "no-healthcheck": None, "oom-kill-disable": None,
    "oom-score-adj": "1", "pid": "host", "pids-limit": "-1", "platform": "linux", "privileged": None,
    "publish": "8080:80", "publish-all": None, "pull": "never", "quiet": None, "read-only": None,
    "restart": "always", "rm": None, "runtime": "runc", "security-opt": "systempaths=unconfined",
    "shm-size": "1m", "stop-signal": "INT", "stop-timeout": "3", "storage-opt": "size=1g",
    "sysctl": "net.ipv4.ip_forward=1",
    "tmpfs": "/t:size=1m", "tty": None, "ulimit": "nofile=1:2", "user": "1000", "userns": "host",
    "uts": "host", "volume": "/etc:/e", "volume-driver": "a", "volumes-from": "a", "workdir": "/w",
    "use-api-socket": None,
}  # fmt: skip
#: Flags that say something to the program alone, or print and end.
NOT_SENT = {"help", "disable-content-trust"}
#: The program itself refuses them for a daemon that is not on Windows.
WINDOWS = {"cpu-count", "cpu-percent", "io-maxbandwidth", "io-maxiops"}
#: Taken in both backends: what people use, and what says nothing to the server.
TAKEN = {
    "add-host", "attach", "cap-drop", "cidfile", "cpu-shares", "cpus", "dns", "dns-search", "entrypoint",
    "env", "env-file", "expose", "group-add", "hostname", "label", "memory", "mount", "name",
    "no-healthcheck",
    "platform", "pull", "quiet", "read-only", "rm", "shm-size", "stop-timeout", "tmpfs", "tty", "user",
    "workdir", "health-cmd", "health-start-interval",
}  # fmt: skip

#: Refused in both: each reaches the node, other containers or what the administrator sets.
REFUSED = {
    "annotation", "cap-add", "cgroup-parent", "cgroupns", "device", "device-cgroup-rule", "ip", "ip6", "link",
    "link-local-ip", "log-driver", "mac-address", "network", "network-alias", "oom-kill-disable", "pid",
    "privileged", "publish", "publish-all", "restart", "runtime", "security-opt", "sysctl", "userns", "uts",
    "volume", "volume-driver", "volumes-from",
}  # fmt: skip


def known() -> set[str]:
    """Give the flags that the program says it has."""
    text = subprocess.run([PROGRAM, "create", "--help"], capture_output=True, text=True, timeout=60).stdout
    return set(re.findall(r"^ {2,6}(?:-\w, )? *--([a-z0-9-]+)", text, re.MULTILINE))


@pytest.fixture(params=BACKENDS, scope="module")
def gateway(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gateway]:
    directory = tmp_path_factory.mktemp("g")
    with running(request.param, directory) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        yield gateway


def test_no_flag_is_forgotten() -> None:
    assert known() - NOT_SENT == FLAGS.keys()


@pytest.mark.parametrize("flag", FLAGS)
def test_a_flag_is_taken_or_refused_by_its_field(gateway: Gateway, tmp_path: Path, flag: str) -> None:
    (tmp_path / "env").write_text("A=b\n")
    value = FLAGS[flag]
    words = [f"--{flag}"] + ([] if value is None else re.split(" (?=--)", value.format(tmp_path)))
    found = subprocess.run(
        [PROGRAM, "create", *words, "busybox:1.37", "sleep"],
        env={"DOCKER_HOST": f"unix://{gateway.path}", "HOME": str(tmp_path)},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    said = found.stderr
    if found.returncode == 0:
        assert flag not in REFUSED
        assert re.search(r"^[0-9a-f]{64}$", found.stdout, re.MULTILINE), found.stdout
    elif flag in WINDOWS:
        assert "only supported on a Docker daemon running on windows" in said
    else:
        assert flag not in TAKEN, said
        assert re.search(r"Error response from daemon: [a-z_]+: ", said), said
    assert "is not a field" not in said
