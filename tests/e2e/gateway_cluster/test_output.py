"""What a task prints, how it ends, and what it finds in its container."""

from __future__ import annotations

from docker.types import Mount

from tests.e2e.gateway_cluster.support import (
    PYTHON,
    Gateway,
    begin,
    create,
    fails,
    needs_native,
    run,
)

pytestmark = needs_native


def test_output_and_exit_codes(gateway: Gateway) -> None:
    client = gateway.client()
    assert run(client, ["sh", "-c", "echo one; echo; printf last"]) == (0, b"one\n\nlast")
    # The order between the two streams is the runtime's.
    code, output = run(client, ["sh", "-c", "echo one; echo two >&2"])
    assert (code, sorted(output.split())) == (0, [b"one", b"two"])
    assert run(client, ["sh", "-c", "exit 3"]) == (3, b"")
    assert run(client, ["sh", "-c", "exit 137"]) == (137, b"")
    assert run(client, ["echo", "$(HOME) $X $$"], environment={"A": "b"}) == (0, b"$(HOME) $X $$\n")


def test_bytes_come_through(gateway: Gateway) -> None:
    script = (
        "import sys\n"
        r"sys.stdout.buffer.write(b'\x1b[31mred\x1b[0m \xff \xc3\xa4\n' + b'x' * 40000 + b'\na\rb\n')"
    )
    code, output = run(gateway.client(), ["python", "-c", script], PYTHON)
    assert (code, output) == (0, b"\x1b[31mred\x1b[0m \xff \xc3\xa4\n" + b"x" * 40000 + b"\na\rb\n")


def test_a_terminal(gateway: Gateway) -> None:
    code, output = run(gateway.client(), ["sh", "-c", "test -t 1 && echo terminal"], tty=True)
    assert (code, output.split()) == (0, [b"terminal"])


def test_a_quarter_million_lines(gateway: Gateway) -> None:
    code, output = run(gateway.client(), ["sh", "-c", "seq 250000"])
    assert code == 0
    assert output.split() == [b"%d" % number for number in range(1, 250001)]


def test_attached_after_its_end(gateway: Gateway) -> None:
    client = gateway.client()
    task = create(client, ["echo", "early"])
    task.start()
    assert task.wait() == 0
    assert client.attach(task.id, logs=True) == b"early\n"


def test_out_of_memory_is_137(gateway: Gateway) -> None:
    client = gateway.client()
    task = begin(client, ["python", "-c", "x = b'x' * (256 << 20)"], PYTHON, host={"mem_limit": "32m"})
    task.read()
    assert task.wait() == 137
    assert client.inspect_container(task.id)["State"]["OOMKilled"] is True


def test_a_command_that_is_not_there(gateway: Gateway) -> None:
    assert "nosuchthing" in fails(begin(gateway.client(), ["nosuchthing"]))


def test_the_environment_of_a_task(gateway: Gateway) -> None:
    script = (
        'id -u; pwd; hostname; echo "$A"; df -k /dev/shm | tail -1; grep -c "1.2.3.4" /etc/hosts;'
        ' cat /etc/resolv.conf; touch "$HOME/x" /tmp/airflow/y && echo writable; env | grep -c SERVICE_HOST;'
        " ls /var/run/secrets 2>&1; grep -E 'CapEff|NoNewPrivs' /proc/self/status"
    )
    mount = Mount("/tmp/airflow", "/run/airdock-tmp/airflowtmpxyz", "bind")
    host = {"mounts": [mount], "extra_hosts": {"other": "1.2.3.4"}, "dns": ["9.9.9.9"], "shm_size": 1 << 20}
    _, output = run(
        gateway.client(),
        ["sh", "-c", script],
        host=host,
        hostname="myhost",
        working_dir="/tmp",
        environment={"A": "$(HOME)"},
    )
    lines = output.decode().splitlines()
    assert lines[:4] == ["50000", "/tmp", "myhost", "$(HOME)"]
    text = output.decode()
    assert " 1024 " in lines[4]
    assert lines[5] == "1"
    assert "nameserver 9.9.9.9" in text
    assert "writable" in text
    assert "No such file" in text
    assert "CapEff:\t0000000000000000" in text
    assert "NoNewPrivs:\t1" in text
