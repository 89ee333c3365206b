"""The results of retrieve_output, and numbers of requests, memory and tasks at once."""

from __future__ import annotations

import io
import random
import tarfile
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import docker
import pytest
from docker.errors import APIError
from docker.types import Mount

from tests.e2e.gateway_cluster.support import (
    PYTHON,
    Gateway,
    Start,
    begin,
    needs_native,
    run,
)

pytestmark = needs_native


def retrieve(gateway: Gateway, script: str, path: str, **host: Any) -> bytes | None:
    """Do as DockerOperator does: an API error means that there is no result."""
    client = gateway.client()
    task = begin(
        client, ["python", "-c", script], PYTHON, labels={"airdock.dev/retrieve-output": path}, host=host
    )
    task.read()
    assert task.wait() == 0, task.output
    try:
        chunks, found = client.get_archive(task.id, path)
    except APIError as error:
        assert error.status_code == 404
        return None
    with tarfile.open(fileobj=io.BytesIO(b"".join(chunks))) as tar:
        file = tar.extractfile(found["name"])
        assert file is not None
        data = file.read()
    assert found["size"] == len(data)
    return data


def test_retrieval(gateway: Gateway) -> None:
    assert retrieve(gateway, "open('/tmp/o', 'wb').write(bytes(range(256)))", "/tmp/o") == bytes(range(256))
    assert retrieve(gateway, "pass", "/tmp/o") is None
    assert retrieve(gateway, "open('/tmp/o', 'w')", "/tmp/o") == b""
    mount = Mount("/tmp/airflow", "/x/airflowtmpabc", "bind")
    assert (
        retrieve(gateway, "open('/tmp/airflow/o', 'w').write('x')", "/tmp/airflow/o", mounts=[mount]) == b"x"
    )


@pytest.mark.parametrize("size", [4_202_497, 20 << 20, 64 << 20])
def test_a_large_result(starter: Start, size: int) -> None:
    """It passes through the gateway as it comes, over rotations of the sidecar's log."""
    gateway = starter()
    script = f"import random; open('/tmp/o', 'wb').write(random.Random(1).randbytes({size}))"
    assert retrieve(gateway, script, "/tmp/o") == random.Random(1).randbytes(size)
    peak = gateway.kibibytes("VmHWM")
    print(f"{size} bytes: at most {peak} KiB resident")
    assert peak < 48 * 1024


def test_retrieval_from_anywhere(gateway: Gateway) -> None:
    """What the image has beside the file stays; without a result the file is empty."""
    script = "import os; assert os.listdir('/usr/lib'); open('/usr/lib/o', 'w').write('x')"
    assert retrieve(gateway, script, "/usr/lib/o") == b"x"
    assert retrieve(gateway, "open('/srv/o', 'w').write('x')", "/srv/o") == b"x"
    assert retrieve(gateway, "pass", "/srv/o") == b""
    deep = "import os; os.mkdir('/tmp/d'); open('/tmp/d/o', 'w').write('x')"
    assert retrieve(gateway, deep, "/tmp/d/o") == b"x"


def test_a_result_that_cannot_come_back_says_why(gateway: Gateway) -> None:
    """In the answer to `wait`: DockerOperator takes an error of `archive` for "no result"."""
    for script, words in (
        (
            f"open('/tmp/o', 'wb').write(b'x' * {(64 << 20) + 1})",
            r"67108865 bytes, and the maximum is 67108864 \(tasks.resultMaxSize\)",
        ),
        ("import os; os.close(os.open('/tmp/o', os.O_CREAT, 0))", "unreadable"),
    ):
        with pytest.raises(APIError, match=words):
            retrieve(gateway, script, "/tmp/o")
    client = gateway.client()
    task = begin(client, ["true"])
    task.read()
    task.wait()
    with pytest.raises(Exception, match="Connection aborted"):
        client.get_archive(task.id, "/tmp/o")


# ---- numbers


def test_requests_per_task(gateway: Gateway) -> None:
    client = gateway.client()

    def requests() -> float:
        kinds = ("POST pods", "GET pods", "GET log")
        return sum(gateway.metric(f'kubernetes_requests_total{{request="{kind}"}}') for kind in kinds)

    before = requests()
    for _ in range(5):
        assert run(client, ["true"]) == (0, b"")
    # Dry run, create, log, the log's end; nothing printed: the end once more. One more for all of them: the
    # watch begins anew every few minutes.
    assert requests() - before <= 5 * 5 + 1
    before = requests()
    for _ in range(5):
        assert run(client, ["echo", "a"]) == (0, b"a\n")
    assert requests() - before <= 5 * 4 + 1


def test_idle_memory(starter: Start) -> None:
    resident = starter().kibibytes("VmRSS")
    assert resident < 30 * 1024, f"{resident} KiB"


def test_a_hundred_at_once(starter: Start) -> None:
    # They share one small node: no requests, so that all of them run side by side.
    gateway = starter(
        resources={"requests": {"cpu": "1m", "memory": "1Mi"}, "limits": {"cpu": "1", "memory": "64Mi"}}
    )

    def one(number: int) -> tuple[int, bytes]:
        client = docker.APIClient(f"unix://{gateway.socket}", timeout=60)
        try:
            return run(
                client,
                [
                    "sh",
                    "-c",
                    f"for i in $(seq 50); do echo {number}-$i; done; sleep 5; echo end; exit {number}",
                ],
            )
        finally:
            client.close()

    with ThreadPoolExecutor(100) as pool:
        results = list(pool.map(one, range(100)))
    for number, (code, output) in enumerate(results):
        assert code == number
        # What the gateway says while they wait for the node begins with its name.
        printed = [line for line in output.splitlines() if not line.startswith(b"[airdock]")]
        assert printed == [*(f"{number}-{i}".encode() for i in range(1, 51)), b"end"]
