"""Coverage-guided fuzzing of wire and body: no crash, no hang, no forwarded unknown, memory bounded.

AIRDOCK_FUZZ_SECONDS is the time for each target (8 by default), and asks for the search of planted faults
too; AIRDOCK_FUZZ_CORPUS a directory that keeps
what was found, and begins the next run. fuzz.py holds the rules.
"""

from __future__ import annotations

import importlib.util
import json
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.paths import FILES

from .escapes import ESCAPES
from .test_model import body
from .test_pods import TMP_MOUNT
from .test_wire import MALFORMED

SECONDS = int(os.environ.get("AIRDOCK_FUZZ_SECONDS") or 8)
#: A planted fault is found in seconds; a slow machine has this long.
PATIENCE = 180
#: MiB; the fuzzer itself takes about 60.
MEMORY = 300

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("atheris") is None, reason="there is no atheris for this Python or machine"
)


def bodies(planted: bool) -> list[bytes]:
    """Bodies to begin with: what DockerOperator sends, each field that docker-py can send, known escapes."""
    usual = {"Image": "busybox:1.37", "Cmd": ["true"], "Env": ["A=$(B)"], "Labels": {"a": "b"}}
    hosts: list[dict[str, Any]] = [{}, {"Mounts": [TMP_MOUNT], "CpuShares": 1024}, *ESCAPES.values()]
    hosts += [{key: value} for key, value in body()["HostConfig"].items()]
    whole = [body(), *({**usual, "HostConfig": host} for host in (hosts[:2] if planted else hosts))]
    return [json.dumps(each).encode() for each in whole]


def messages(planted: bool) -> list[bytes]:
    """Connections to begin with: each request of DockerOperator, and malformed ones."""
    container = b"/v1.47/containers/" + b"f" * 64
    paths = [
        b"GET /version",
        b"HEAD /_ping",
        b"GET /v1.47/images/json?filters=%7B%22reference%22%3A%5B%22a%22%5D%7D",
    ]
    paths += [b"POST /v1.47/images/create?fromImage=a&tag=b", b"DELETE " + container + b"?force=1"]
    paths += [b"GET " + container + b"/json", b"GET " + container + b"/archive?path=%2Ftmp%2Fa"]
    paths += [b"POST " + container + verb for verb in (b"/start", b"/wait?condition=removed", b"/stop?t=1")]
    paths += [b"POST " + container + b"/attach?stream=1&stdout=1&stderr=1&logs=0"]
    plain = [path + b" HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths]
    create = b"POST /v1.47/containers/create?name=a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
    chunked = b"POST /auth HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    malformed = [] if planted else [data for _, data in MALFORMED.values() if len(data) < 1000]
    return [*plain, *(create % (len(each), each) for each in bodies(True)), chunked, *malformed]


def fuzz(
    target: str, package: Path, directory: Path, seconds: int, planted: bool = False
) -> subprocess.CompletedProcess[str]:
    """Run fuzz.py. A planted fault must be found without the seeds that are about it."""
    seeds = directory / "seeds"
    seeds.mkdir()
    for number, data in enumerate({"wire": messages, "body": bodies}[target](planted)):
        (seeds / str(number)).write_bytes(data)
    kept = Path(os.environ.get("AIRDOCK_FUZZ_CORPUS") or directory) / target
    kept.mkdir(parents=True, exist_ok=True)
    words = (
        r"\x0d\x0a",
        r"\x0d\x0a\x0d\x0a",
        "Content-Length: ",
        "Transfer-Encoding: chunked",
        "HTTP/1.1",
        "%2f",
    )
    (directory / "words").write_text("".join(f'"{word}"\n' for word in words))
    options = [f"-max_total_time={seconds}", "-timeout=5", f"-rss_limit_mb={MEMORY}", "-max_len=16384"]
    options += [f"-dict={directory / 'words'}", f"-artifact_prefix={directory}/"]
    script = Path(__file__).with_name("fuzz.py")
    command = [sys.executable, str(script), str(package), target, *options, str(kept), str(seeds)]
    # A grandchild: a child's peak memory begins with that of the process that started it, pytest's.
    return subprocess.run(
        ["sh", "-c", '"$@"; exit $?', "sh", *command],
        capture_output=True, text=True, timeout=seconds + 120,
    )  # fmt: skip


@pytest.mark.parametrize("target", ["wire", "body"])
def test_nothing_is_found(target: str, tmp_path: Path) -> None:
    done = fuzz(target, FILES, tmp_path, SECONDS)
    found = [f"{file.name}: {file.read_bytes()!r}" for file in tmp_path.glob("*-*") if file.is_file()]
    assert done.returncode == 0, "\n".join([*found, done.stdout[-3000:], done.stderr[-3000:]])
    runs = re.search(r"Done (\d+) runs", done.stderr)
    assert runs and int(runs[1]) > 1000, done.stderr[-3000:]


#: Faults to find: the target, the file, what stands there, and what is put in its place.
PLANTED = {
    "two lengths are taken": (
        "wire", "wire.py", "if length is not None and encoding is not None:", "if False:",
    ),
    "a chunk's size may have a sign": ("wire", "wire.py", 'rb"[0-9A-Fa-f]{1,8}', 'rb"[+]?[0-9A-Fa-f]{1,8}'),
    "a client's path is passed on": (
        "wire", "daemon.py", 'f"/containers/{container.id}/json"', 'f"/containers/{container_id}/json"',
    ),
    "a number is not looked at": (
        "wire", "server.py", "if grace and not re.fullmatch", "if False and not re.fullmatch",
    ),
    "reading never ends": (
        "wire", "wire.py", "if not size:",
        "while not size and len(body) == 2: pass\n            if not size:",
    ),
    "a key may come twice": ("body", "model.py", "if len(result) != len(pairs):", "if False:"),
    "a spelling is passed over": (
        "body", "model.py", "if key not in known:",
        "if key not in known and key.lower() == 'privileged': continue\n            if key not in known:",
    ),
    "the node's namespace": (
        "body", "policy.py", '_check_private("ipc_mode", host.ipc_mode, ("", "private", "none"))',
        '_check_private("ipc_mode", host.ipc_mode, ("", "private", "host"))',
    ),
    "the kubelet expands a variable": ("body", "pods.py", 'value.replace("$", "$$")}', "value}"),
}  # fmt: skip


@pytest.mark.skipif(
    not os.environ.get("AIRDOCK_FUZZ_SECONDS"),
    reason="how long a fuzzer takes is chance: set AIRDOCK_FUZZ_SECONDS to see it find what was planted",
)
@pytest.mark.parametrize("name", PLANTED)
def test_a_planted_fault_is_found(name: str, tmp_path: Path) -> None:
    target, file, old, new = PLANTED[name]
    package = tmp_path / "planted"
    shutil.copytree(FILES / "docker_gateway", package / "docker_gateway")
    source = (package / "docker_gateway" / file).read_text()
    assert old in source
    (package / "docker_gateway" / file).write_text(new.join(source.rsplit(old, 1)))
    done = fuzz(target, package, tmp_path, PATIENCE, planted=True)
    assert done.returncode, done.stderr[-2000:]
    assert [*tmp_path.glob("crash-*"), *tmp_path.glob("timeout-*")], done.stderr[-2000:]
