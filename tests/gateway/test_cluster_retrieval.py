"""Files of an ended container: the sidecar that prints them, and what is rebuilt from its log."""

from __future__ import annotations

import base64
import contextlib
import dataclasses
import hashlib
import io
import os
import random
import signal
import subprocess
import tarfile
import tempfile
import tracemalloc
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from docker_gateway import cluster_manifest, cluster_retrieval, labels
from docker_gateway.backend import ApiError, Archive, Disconnect
from docker_gateway.cluster_users import Way

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.gateway import Client, running
from tests.support.waiting import wait_until

from .cluster_pods import TASKS, build, refusal, spec
from .escapes import TMP_MOUNT


def retrieve(path: str, **arguments: Any) -> cluster_manifest.Built:
    return build(Labels={labels.RETRIEVE: path}, **arguments)


def test_retrieval() -> None:
    built = retrieve("/tmp/out.pickle", host={"Mounts": [TMP_MOUNT]})
    sidecar = built.manifest["spec"]["initContainers"][0]
    assert sidecar["restartPolicy"] == "Always"
    assert sidecar["imagePullPolicy"] == "IfNotPresent"
    assert sidecar["command"][-2:] == ["/tmp/out.pickle", str(64 << 20)]
    main_mount = next(
        m for m in built.manifest["spec"]["containers"][0]["volumeMounts"] if m["mountPath"] == "/tmp"
    )
    assert sidecar["volumeMounts"] == [{**main_mount, "readOnly": True}]
    inner = retrieve("/tmp/airflow/x/out", host={"Mounts": [TMP_MOUNT]}).manifest["spec"]
    assert inner["initContainers"][0]["volumeMounts"][0]["mountPath"] == "/tmp/airflow"
    for bad in ("out", "/tmp/../etc/x", "/tmp/", "/proc/self/x"):
        assert "retrieve_output_path" in refusal(Labels={labels.RETRIEVE: bad})
    assert "initContainers" not in spec()
    # An image's own uid is not known: the sidecar must not run as its own image's root.
    assert "runAsUser" not in sidecar["securityContext"]
    own = retrieve("/tmp/out", way=Way.IMAGE).manifest["spec"]["initContainers"][0]
    assert own["securityContext"]["runAsUser"] == 50000


def test_a_file_below_tmp_needs_only_the_directory() -> None:
    deep = retrieve("/tmp/out/result.pkl").manifest["spec"]
    (sidecar,) = deep["initContainers"]
    assert sidecar["command"][-2] == "/tmp/out/result.pkl"
    assert [m["mountPath"] for m in sidecar["volumeMounts"]] == ["/tmp"]


def test_a_file_elsewhere_hides_nothing_beside_it() -> None:
    """It alone is mounted, and exists before the container: a missing one would become a directory."""
    pod = retrieve("/app/$out/result.pkl").manifest["spec"]
    create, sidecar = pod["initContainers"]
    (mount,) = (m for m in pod["containers"][0]["volumeMounts"] if m["mountPath"].startswith("/app"))
    assert mount["mountPath"] == "/app/$out/result.pkl"
    assert "restartPolicy" not in create
    path = f"{sidecar['volumeMounts'][0]['mountPath']}/{mount['subPath']}"
    assert create["command"][-1] == sidecar["command"][-2] == path
    assert create["volumeMounts"] == [{"name": mount["name"], "mountPath": path.rpartition("/")[0]}]
    assert sidecar["volumeMounts"][0]["readOnly"]
    assert create["securityContext"] == sidecar["securityContext"]


def test_task_docker_needs_no_label() -> None:
    assert build(Env=["__PYTHON_SCRIPT=eA=="]).retrieve == "/tmp/script.out"


def test_the_sidecar_has_time_to_print_as_far_as_admission_lets_it() -> None:
    def grace(**arguments: Any) -> int:
        return int(retrieve("/tmp/out", **arguments).manifest["spec"]["terminationGracePeriodSeconds"])

    assert spec()["terminationGracePeriodSeconds"] == 10
    assert grace() == 90
    assert grace(StopTimeout=120) == 120
    assert grace(tasks=dataclasses.replace(TASKS, max_grace_seconds=30)) == 30


MOST = 64 << 20


def printed(path: Path, most: int = MOST, prefix: str = "") -> bytes:
    """Run the sidecar's program, and give what it prints once its container has ended."""
    script = cluster_retrieval._SCRIPT.replace("sleep 10\n", "sleep 0.1\n")
    command = ["sh", "-c", prefix + script, "retrieve", str(path), str(most)]
    with (
        tempfile.TemporaryFile() as output,
        subprocess.Popen(command, stdout=output, start_new_session=True) as program,
    ):
        children = Path(f"/proc/{program.pid}/task/{program.pid}/children")
        wait_until(children.read_text, 20, "it waits", 0.01)
        program.send_signal(signal.SIGTERM)
        program.wait(60)
        # As the end of a container's first process does.
        os.killpg(program.pid, signal.SIGKILL)
        output.seek(0)
        return output.read()


def begin(log: bytes, step: int = 10_000, most: int = MOST) -> Archive:
    pieces = iter([log[start : start + step] for start in range(0, len(log), step)])
    return cluster_retrieval.begin(lambda: next(pieces, b""), "/tmp/out.bin", most)


def content(archive: Archive) -> bytes:
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive.tar))) as tar:
        member = tar.extractfile(archive.name)
        assert member is not None
        return member.read()


STAMP = "2026-01-02T03:04:05.123456789+01:00 stdout F "
FIRST = cluster_retrieval._FIRST
#: As of a program that has no -w.
NARROW = 'base64() { [ "$1" != -w ] && command base64 "$@"; }\n'


@pytest.mark.parametrize(
    ("size", "prefix"),
    [
        *((size, "") for size in (0, 1, 2, 3, 2560, FIRST - 1, FIRST, FIRST + 1, FIRST + 100_000)),
        *((size, NARROW) for size in (0, 2560, FIRST + 1)),
    ],
)
def test_a_file_comes_back_as_it_is(tmp_path: Path, size: int, prefix: str) -> None:
    file = tmp_path / "$out"
    file.write_bytes(random.Random(size).randbytes(size))
    file.chmod(0o640)
    log = printed(file, prefix=prefix)
    archive = begin(log)
    assert (archive.name, archive.size, archive.mode) == ("out.bin", size, 0o640)
    assert content(archive) == file.read_bytes()
    if size < 1000:
        assert content(begin(log, step=1)) == file.read_bytes()


def test_what_is_printed_before_the_pause_stays_in_one_log_file(tmp_path: Path) -> None:
    """By the kubelet's default. The runtime writes a line as its time, stream and kind, and the text."""
    (tmp_path / "out").write_bytes(bytes(FIRST))
    for prefix in ("", NARROW):
        lines = printed(tmp_path / "out", prefix=prefix).splitlines(keepends=True)
        assert sum(len(STAMP) + len(line) for line in lines) < 10 << 20

    assert FIRST % 57 == 0, "a line of base64 would be filled up in the middle"


@pytest.mark.parametrize(
    ("most", "words"), [(4, ""), (3, r"has 4 bytes, and the maximum is 3 \(tasks.resultMaxSize\)")]
)
def test_a_file_has_a_maximum(tmp_path: Path, most: int, words: str) -> None:
    (tmp_path / "out").write_bytes(b"abcd")
    log = printed(tmp_path / "out", most)
    if not words:
        assert content(begin(log, most=most)) == b"abcd"
        return
    with pytest.raises(Disconnect, match=words):
        begin(log, most=most)


def test_a_missing_file_and_a_directory(tmp_path: Path) -> None:
    with pytest.raises(ApiError) as error:
        begin(printed(tmp_path / "out"))
    assert error.value.status == 404
    archive = begin(printed(tmp_path))
    with tarfile.open(fileobj=io.BytesIO(b"".join(archive.tar))) as tar:
        (member,) = tar.getmembers()
    assert (member.name, member.isdir(), archive.mode >> 31) == ("out.bin", True, 1)


def test_the_file_comes_back_only_whole(tmp_path: Path) -> None:
    (tmp_path / "out").write_bytes(bytes(range(256)) * 10)
    log = printed(tmp_path / "out")
    head, _, rest = log.partition(b"\n")
    middle = len(head) + 100
    other = b"B" if log[middle : middle + 1] == b"A" else b"A"
    for broken in (
        b"",
        rest,
        head,
        log[:-1],
        log[:-70],
        log[:middle],
        log[:middle] + other + log[middle + 1 :],
        log[:middle] + b"!" + log[middle + 1 :],
        log[:middle] + log[middle + 4 :],
        log.replace(b"airdock-file file 2560", b"airdock-file file 2561"),
        log.replace(b"airdock-file file 2560", b"airdock-file file 2557"),
        b"airdock-file unreadable\n",
        b"airdock-file\n",
        b"something else\n",
    ):
        for step in (1, 10_000):
            with pytest.raises(Disconnect, match=r"/tmp/out.bin"):
                content(begin(broken, step))


def test_a_large_file_is_not_held_in_memory() -> None:
    """Half a MiB; all of it at once was four times its size."""
    piece, pieces = bytes(57) * 1000, 300
    size, digest = len(piece) * pieces, hashlib.sha256()
    for _ in range(pieces):
        digest.update(piece)

    def log() -> Iterator[bytes]:
        yield b"airdock-file file %d 644 0\n" % size
        for _ in range(pieces):
            yield base64.b64encode(piece) + b"\n"
        yield b"-%s\n" % digest.hexdigest().encode()

    source = log()
    tracemalloc.start()
    archive = cluster_retrieval.begin(lambda: next(source, b""), "/tmp/out", size)
    total = sum(map(len, archive.tar))
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert total >= size == 17_100_000
    assert peak < 1 << 20


@pytest.fixture
def ended(tmp_path: Path) -> Iterator[tuple[Client, ClusterWorld, str]]:
    """Give a container that has ended with a result, and a client that knows its exit code."""
    with running("cluster", tmp_path) as gateway:
        assert isinstance(gateway.world, ClusterWorld)
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        (tmp_path / "out").write_bytes(b"the result")
        log = printed(tmp_path / "out")
        gateway.world.results = [log[:30], log[30:]]
        client = gateway.client()
        container = client.create(Labels={labels.RETRIEVE: "/tmp/out"})
        assert client.ask("POST", f"/containers/{container}/start")[0] == 204
        (task,) = gateway.world.alive()
        gateway.world.run(task)
        gateway.world.exit(task, 0)
        assert client.ask("POST", f"/containers/{container}/wait") == (200, {"StatusCode": 0})
        yield client, gateway.world, container


def archive_of(client: Client, container: str) -> bytes:
    client.send("GET", f"/containers/{container}/archive?path=/tmp/out")
    text = b""
    with contextlib.suppress(ConnectionError):
        while not text.endswith(b"0\r\n\r\n"):
            text += client._some()
    return text


def test_the_answer_to_wait_and_the_archive_share_one_log(ended: tuple[Client, ClusterWorld, str]) -> None:
    client, world, container = ended
    logs = sum("/log" in each for each in world.requests)
    for number in range(2):
        assert b"the result" in archive_of(client, container)
        assert sum("/log" in each for each in world.requests) == logs + number, "once more for who asks again"


def test_an_archive_that_breaks_has_no_end(ended: tuple[Client, ClusterWorld, str]) -> None:
    client, world, container = ended
    archive_of(client, container)
    world.results = [world.results[0] + b"A"]
    assert not archive_of(client, container).endswith(b"0\r\n\r\n")
