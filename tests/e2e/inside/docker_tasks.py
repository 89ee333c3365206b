"""Runs in a worker of the release: real Docker operators, executed one by one, and how each of them ended.

    python docker_tasks.py [PATTERN]     # prints a JSON object: case -> outcome, on the last line

The name of a case is what a DAG's author writes. Every parameter of DockerOperator is among them, alone and
in the combinations that people use; left out are tls_*, for other people's daemons, and
docker_conn_id, which needs a registry.
"""

# mypy: ignore-errors

import fnmatch
import json
import logging
import multiprocessing
import os
import signal
import sys
import tempfile
from types import SimpleNamespace

import airflow.settings as settings
from airflow.providers.docker.operators.docker import DockerOperator
from airflow.sdk import DAG, task
from docker.types import DeviceRequest, Mount, Ulimit

BUSYBOX, PYTHON = "busybox:1.37", "python:3.13-slim"
#: Side by side: more would not fit on a small node.
AT_ONCE = 4
SECONDS = 120

#: The oldest with which docker-py takes `mounts`, what tutorials pin, the newest that every mode speaks.
VERSIONS = ("1.30", "1.41", "1.47", "auto")

PICKLE = "import pickle; pickle.dump({'a': [1, None, 'ä']}, open(%r, 'wb'))"
NAME = "import getpass, os; print(getpass.getuser()); print(os.access(os.path.expanduser('~'), os.W_OK))"
TMP = "ls -A $AIRFLOW_TMP_DIR; echo x > $AIRFLOW_TMP_DIR/y && cat $AIRFLOW_TMP_DIR/y; echo $AIRFLOW_TMP_DIR"


def docker(script="echo one; echo two", image=BUSYBOX, **parameters):
    """Make a case of a shell script, or of a command."""
    command = parameters.pop("command", ["sh", "-c", script])
    return lambda: DockerOperator(
        task_id="t", image=image, command=command, **{"auto_remove": "force"} | parameters
    )


def retrieve(path, **parameters):
    """Make a case of a Python script that leaves a result in a file."""
    wanted = {
        "retrieve_output": True,
        "retrieve_output_path": path,
        "command": ["python", "-c", PICKLE % path],
    }
    return docker(image=PYTHON, **wanted | parameters)


def decorated(function, *arguments, **parameters):
    """Make a case of a function under @task.docker."""
    options = {"image": PYTHON, "auto_remove": "force", "expect_airflow": False} | parameters
    return lambda: task.docker(**options)(function)(*arguments).operator


def returns_a_value():
    import sys

    print("said")
    return {"version": sys.version_info[0], "list": [1, 2]}


def returns_nothing():
    print("said")


def returns_much():
    return "x" * (6 << 20)


def takes_arguments(a, b):
    return [b, a]


def raises():
    raise ValueError("no")


def env_file():
    """Make a case whose environment is in a file, as text."""
    return docker('echo "$A|$B"', env_file="A=x y\nB=z")()


CASES = {
    # output and result
    "command: a list": docker(command=["echo", "a  b", "$HOME"]),
    "command: a string": docker(command='echo "a  b" c'),
    "command: a string that is a list": docker(command="['echo', 'a  b']"),
    "command: none": docker(command=None),
    "command that is not there": docker(command=["nosuchthing"]),
    "no output": docker("true"),
    "blank lines": docker("echo one; echo; echo; echo two; echo"),
    "no last newline": docker("printf 'one\ntwo'"),
    "standard error": docker("echo one >&2"),
    "colours": docker(r"printf '\033[31mred\033[0m\n'"),
    "carriage return in a line": docker(r"printf 'a\rb\n'"),
    "carriage return before the newline": docker(r"printf 'a\r\nb\r\n'"),
    "bytes that are no text": docker(r"printf 'a\377b\n'"),
    # Short lines: a daemon may cut a longer one within a character.
    "characters of several bytes": docker("for i in $(seq 100); do echo 'ä€😀'; done", xcom_all=True),
    "a line of 100,000 characters": docker("head -c 100000 /dev/zero | tr '\\0' x; echo"),
    "20,000 lines": docker("seq 20000", xcom_all=True),
    "xcom_all=True": docker("echo one; echo; echo two", xcom_all=True),
    "xcom_all=True, no output": docker("true", xcom_all=True),
    "do_xcom_push=False": docker(do_xcom_push=False),
    "tty=True": docker("test -t 1 && echo yes", tty=True),
    "tty=True, xcom_all=True": docker("echo one; echo two", tty=True, xcom_all=True),
    "a silent minute's beginning": docker("echo one; sleep 5; echo two"),
    # ends
    "exit code 1": docker("echo one; exit 1"),
    "exit code 255": docker("exit 255"),
    "skip_on_exit_code=99": docker("echo one; exit 99", skip_on_exit_code=99),
    "skip_on_exit_code=[1, 99]": docker("exit 99", skip_on_exit_code=[1, 99]),
    "skip_on_exit_code=99, exit code 1": docker("exit 1", skip_on_exit_code=99),
    "killed by a signal": docker("sh -c 'kill -9 $$'; exit $?"),
    "auto_remove='never'": docker(auto_remove="never"),
    "auto_remove='success'": docker(auto_remove="success"),
    "auto_remove='success', exit code 1": docker("exit 1", auto_remove="success"),
    "auto_remove='force'": docker(auto_remove="force"),
    "timeout=30": docker(timeout=30),
    **{
        f"api_version={each!r}, exit code 3": docker(
            'echo "$A"; pwd; exit 3', api_version=each, environment={"A": "b"}, mem_limit="64m",
            working_dir="/tmp",
        )
        for each in VERSIONS
    },
    **{
        f"api_version={each!r}, retrieve_output": retrieve("/tmp/result", api_version=each)
        for each in VERSIONS
    },
    "docker_url='unix://var/run/docker.sock'": docker(docker_url="unix://var/run/docker.sock"),
    # images
    "force_pull=True": docker(force_pull=True),
    "force_pull=True, auto_remove='force', mount_tmp_dir=False": docker(force_pull=True, mount_tmp_dir=False),
    "an image that is not there": docker(image="nowhere/nothing:1"),
    "an image's name that is none": docker(image="No Image"),
    # what the container sees
    "environment": docker('echo "$A|$B|$C"', environment={"A": "$(HOME) $HOME", "B": "", "C": "x=y z"}),
    "environment={'X': None}": docker(command=["/bin/sh", "-c", "echo ${X:-none}"],
                                         environment={"X": None}),
    "private_environment": docker('echo "$A"', private_environment={"A": "secret"}),
    "environment and private_environment": docker(
        'echo "$A$B"', environment={"A": "x", "B": "y"}, private_environment={"A": "z"}
    ),
    "env_file": env_file,
    "entrypoint: a list": docker(entrypoint=["echo", "-n"], command=["x y"]),
    "entrypoint: a string": docker(entrypoint="echo a", command="b"),
    "entrypoint=''": docker(entrypoint="", command=["echo", "x"]),
    "working_dir='/tmp'": docker("pwd", working_dir="/tmp"),
    "working_dir that is not there": docker("pwd", working_dir="/a/b"),
    "hostname='my-host'": docker("hostname", hostname="my-host"),
    "hostname='My_Host'": docker("hostname", hostname="My_Host"),
    "container_name='my_container'": docker(container_name=f"my_container_{os.getpid()}"),
    "labels: a dictionary": docker(labels={"team": "x", "with space": "a b"}),
    "labels: a list": docker(labels=["team"]),
    "dns=['9.9.9.9']": docker("grep -c 9.9.9.9 /etc/resolv.conf", dns=["9.9.9.9"]),
    "dns_search=['a.b']": docker("grep -c 'search.*a.b' /etc/resolv.conf", dns_search=["a.b"]),
    "extra_hosts": docker("grep other-host /etc/hosts", extra_hosts={"other-host": "1.2.3.4"}),
    "extra_hosts={'h': 'host-gateway'}": docker("grep -c host.docker /etc/hosts",
                                                extra_hosts={"host.docker.internal": "host-gateway"}),
    # files
    "mount_tmp_dir=True": docker(TMP),
    "mount_tmp_dir=False": docker("echo ${AIRFLOW_TMP_DIR:-none}", mount_tmp_dir=False),
    "tmp_dir='/scratch'": docker(TMP, tmp_dir="/scratch"),
    "host_tmp_dir": lambda: docker(TMP, host_tmp_dir=tempfile.gettempdir())(),
    "mounts: tmpfs": docker("echo x >/t/y && cat /t/y", mounts=[Mount("/t", None, "tmpfs", tmpfs_size="1m")]),
    "mounts: a dictionary": docker("echo x > /t/y && cat /t/y",
                                   mounts=[{"target": "/t", "source": None, "type": "tmpfs"}]),
    "mounts: a volume": docker(mounts=[Mount("/v", "some-volume", "volume")]),
    "mounts: a directory of the node": docker("ls /host-etc | grep -c passwd",
                                              mounts=[Mount("/host-etc", "/etc", "bind", read_only=True)]),
    "shm_size": docker("df -k /dev/shm | tail -1 | awk '{print $2}'", shm_size=2 << 20),
    "retrieve_output below /tmp": retrieve("/tmp/result"),
    "retrieve_output in the temporary directory": retrieve("/tmp/airflow/result"),
    "retrieve_output, mount_tmp_dir=False": retrieve("/tmp/result", mount_tmp_dir=False),
    "retrieve_output elsewhere": retrieve("/srv/result"),
    "retrieve_output of no file": retrieve("/tmp/result", command=["true"]),
    "retrieve_output of an empty file": retrieve("/tmp/result", command=["touch", "/tmp/result"]),
    "retrieve_output, exit code 1": retrieve("/tmp/result", command=["false"]),
    # who runs it, and with what
    "user: none": docker("id -u; echo x > $HOME/y && echo written", user=None),
    "user: none, its name": docker(image=PYTHON, command=["python", "-c", NAME]),
    "user: none, a file in the working directory": docker("echo x > y && cat y", image=PYTHON),
    "user='1234'": docker("id -u", user="1234"),
    "user=1234": docker("id -u", user=1234),
    "user='1234:5678'": docker("id -u; id -g", user="1234:5678", xcom_all=True),
    "user='root'": docker("id -u", user="root"),
    "user='nobody'": docker("id -un", user="nobody"),
    "cpus=0.5": docker(cpus=0.5),
    "mem_limit='64m'": docker(mem_limit="64m"),
    "mem_limit=67108864": docker(mem_limit=64 << 20),
    "more memory than mem_limit": docker(
        command=["dd", "if=/dev/zero", "of=/dev/null", "bs=100M", "count=1"], mem_limit="16m"
    ),
    "cpus, mem_limit, user, working_dir, environment": docker(
        'id -u; pwd; echo "$A"', cpus=0.5, mem_limit="64m", user="1234", working_dir="/tmp",
        environment={"A": "b"}, xcom_all=True,
    ),
    "ulimits": docker("ulimit -n", ulimits=[Ulimit(name="nofile", soft=100, hard=100)]),
    "log_opts_max_size='1m', log_opts_max_file='1'": docker(log_opts_max_size="1m", log_opts_max_file="1"),
    "network_mode='bridge'": docker(network_mode="bridge"),
    "network_mode='none'": docker(network_mode="none"),
    "network_mode='host'": docker(network_mode="host"),
    "network_mode='container:other'": docker(network_mode="container:other"),
    "network_mode='my-network'": docker(network_mode="my-network"),
    "privileged=True": docker(privileged=True),
    "cap_add=['NET_ADMIN']": docker(cap_add=["NET_ADMIN"]),
    "ipc_mode='private'": docker(ipc_mode="private"),
    "ipc_mode='host'": docker(ipc_mode="host"),
    "port_bindings": docker(port_bindings={80: 38080}),
    "device_requests": docker(device_requests=[DeviceRequest(device_ids=["0"], capabilities=[["gpu"]])]),
    # @task.docker
    "@task.docker": decorated(returns_a_value),
    "@task.docker that returns nothing": decorated(returns_nothing),
    "@task.docker that returns 6 MiB": decorated(returns_much),
    "@task.docker with arguments": decorated(takes_arguments, 1, {"x": "ä"}),
    "@task.docker that raises": decorated(raises),
    "@task.docker, mount_tmp_dir=False": decorated(returns_a_value, mount_tmp_dir=False),
    "@task.docker, user, mem_limit, environment": decorated(
        returns_a_value, user="1234", mem_limit="128m", environment={"A": "b"}
    ),
    "@task.docker, retries of a skip": decorated(raises, skip_on_exit_code=1),
    "@task.docker, privileged=True": decorated(returns_a_value, privileged=True),
}  # fmt: skip


class Lines(logging.Handler):
    """Keeps what the container printed, and not what a pull says."""

    def __init__(self):
        super().__init__()
        self.lines, self.notes, self.pulling = [], [], False

    def emit(self, record):
        text = record.getMessage()
        if text.startswith("::"):
            self.pulling = text.startswith("::group")
        elif "Falling back" in text:
            self.notes.append(text)
        elif record.msg == "%s" and not self.pulling and not text.startswith("[airdock] Waiting: "):
            self.lines.append(text)


def outcome(name):
    """Execute a case as a worker does, and tell how it ended."""
    handler = Lines()
    logger = logging.getLogger(f"case-{os.getpid()}-{name}")
    logger.propagate = False
    logger.setLevel(logging.INFO)
    logger.addHandler(handler)
    found = {"state": "success", "value": None, "error": "", "message": ""}
    signal.alarm(SECONDS)
    try:
        with DAG("differential", schedule=None) as dag:
            operator = CASES[name]()
        settings.task_policy(operator)
        DockerOperator.log = logger
        instance = SimpleNamespace(
            dag_id="differential",
            task_id="t",
            run_id="r",
            map_index=-1,
            try_number=1,
            xcom_push=lambda **_: None,
        )
        instance.task = operator
        context = {"ti": instance, "task_instance": instance, "run_id": "r", "dag": dag, "task": operator}
        for callback in operator.on_execute_callback or []:
            callback(context)
        value = operator.execute(context)
        # As Airflow's task runner does.
        if operator._post_execute_hook:
            operator._post_execute_hook(context, value)
        found["value"] = value if operator.do_xcom_push else None
    except BaseException as error:
        names = [each.__name__ for each in type(error).__mro__]
        found |= {"state": "skipped" if "AirflowSkipException" in names else "failed"}
        found |= {"error": names[0], "message": str(error)}
    finally:
        signal.alarm(0)
    return name, found | {"lines": handler.lines, "notes": handler.notes}


def timed_out(*_):
    raise TimeoutError(f"not within {SECONDS} s")


if __name__ == "__main__":
    signal.signal(signal.SIGALRM, timed_out)
    pattern = sys.argv[1] if len(sys.argv) > 1 else "*"
    names = [name for name in CASES if fnmatch.fnmatchcase(name, pattern)]
    with multiprocessing.get_context("fork").Pool(AT_ONCE, maxtasksperchild=8) as pool:
        print(json.dumps(dict(pool.imap_unordered(outcome, names)), default=repr))
