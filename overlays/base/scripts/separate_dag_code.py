"""Runs `airflow dag-processor` or `airflow triggerer` so that the code of DAG authors gets no secrets.

Both parse DAG files or run triggers in processes that Airflow forks from the one that uses the database. Here
a fork server (fork_server.py) starts these processes instead. It never had the variables that
AIRDOCK_WITHHELD lists (names, separated by commas), and neither have its children.

Usage: separate_dag_code.py COMPONENT [ARGUMENT...], as for `airflow`.
"""

from __future__ import annotations

import importlib
import inspect
import os
import pickle
import socket
import sys
import tempfile
from pathlib import Path
from typing import Any

import fork_server

#: Component -> what its children need, imported once for all of them.
MODULES = {
    "dag-processor": "airflow.dag_processing.processor",
    "triggerer": "airflow.jobs.triggerer_job_runner",
}
PARAMETERS = ["requests", "child_stdout", "child_stderr", "log_fd", "target"]
_SERVE = "--fork-server"


def main(arguments: list[str]) -> None:
    """Start the fork server, then the component in this process."""
    if arguments[0] == _SERVE:
        fork_server.protect()
        importlib.import_module(MODULES[arguments[1]])
        bundles = _bundles() if arguments[1] == "dag-processor" else ""
        fork_server.serve(int(arguments[2]), _run, _import, bundles, bundles and f"{bundles}/_tracking")
        return
    component = arguments[0]
    fork_server.protect()
    server = fork_server.start(
        [sys.executable, __file__, _SERVE, component], without_secrets(os.environ.copy())
    )
    _replace_fork(server)
    if component == "triggerer":
        _decrypt_in_parent()
    else:
        _import_in_server(server)
    from airflow.__main__ import main as airflow

    sys.argv = ["airflow", *arguments]
    airflow()


def without_secrets(environment: dict[str, str]) -> dict[str, str]:
    """Leave out the withheld variables, and Airflow's variants of them (_CMD, _SECRET, ...)."""
    withheld = tuple(filter(None, environment.get("AIRDOCK_WITHHELD", "").split(",")))
    return {name: value for name, value in environment.items() if not name.startswith(withheld)}


def _bundles() -> str:
    """Give the directory of DAG bundles, if authors' code must not write there, otherwise "".

    The parent runs `git` there, which runs what the repository's configuration says. Only Airflow's marks of
    versions in use, in `_tracking`, come from the children.
    """
    given = os.environ.get("AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH")
    if not given:
        return ""
    directory = Path(given).resolve()
    if directory.is_relative_to(tempfile.gettempdir()):
        print(f"DAG code can write into the DAG bundles, because {directory} is temporary", file=sys.stderr)
        return ""
    (directory / "_tracking").mkdir(parents=True, exist_ok=True)
    return str(directory)


def _replace_fork(server: socket.socket) -> None:
    """Have Airflow's supervisor get its children from the fork server.

    WatchedSubprocess.start forks, and calls _fork_main in the child.
    """
    from airflow.sdk.execution_time import supervisor

    if list(inspect.signature(supervisor._fork_main).parameters) != PARAMETERS:
        sys.exit(
            "This version of Airflow starts its processes in another way than those that the chart knows."
            " Use a version that the chart supports, or set controlPlane.separateDagCode: false"
            " (docs/security.md)."
        )

    def fork_main(requests: Any, child_stdout: Any, child_stderr: Any, log_fd: int, target: Any) -> None:
        sockets = [requests.detach(), child_stdout.detach(), child_stderr.detach(), log_fd]
        fork_server.fork(server, pickle.dumps(target), sockets)

    supervisor._fork_main = fork_main


def _run(request: bytes, descriptors: list[int]) -> None:
    """Be the child, in the fork server's fork: what supervisor._fork_main does."""
    from airflow.sdk.execution_time import supervisor

    requests, stdout, stderr, log_fd = descriptors
    supervisor._fork_main(
        socket.socket(fileno=requests),
        socket.socket(fileno=stdout),
        socket.socket(fileno=stderr),
        log_fd,
        # From the parent, by a socket that no author's code has: names of functions.
        pickle.loads(request),  # noqa: S301
    )


def _import_in_server(server: socket.socket) -> None:
    """Import the modules of Airflow that DAG files name there, once, where Airflow would do it here."""
    from airflow.configuration import conf
    from airflow.dag_processing import processor

    sent: set[str] = set()

    def pre_import(file_path: str, *_: Any) -> None:
        if conf.getboolean("dag_processor", "parsing_pre_import_modules", fallback=True):
            for module in set(processor.iter_airflow_imports(file_path)) - sent:
                sent.add(module)
                fork_server.prepare(server, module.encode())

    processor._pre_import_airflow_modules = pre_import


def _import(module: bytes) -> None:
    try:
        importlib.import_module(module.decode())
    except Exception as error:
        print(f"A DAG file imports {module.decode()}, which fails: {error!r}", file=sys.stderr, flush=True)


def _decrypt_in_parent() -> None:
    """Hand triggers their arguments in plain text, which Airflow takes, too: they have no Fernet key."""
    from airflow.jobs.triggerer_job_runner import TriggerRunnerSupervisor, messages

    send = TriggerRunnerSupervisor.send_msg

    def send_msg(self: Any, msg: Any, *arguments: Any, **options: Any) -> None:
        if isinstance(msg, messages.TriggerStateSync):
            from airflow.models.crypto import get_fernet

            for workload in msg.to_create:
                if not workload.encrypted_kwargs.startswith("{"):
                    token = workload.encrypted_kwargs.encode()
                    workload.encrypted_kwargs = get_fernet().decrypt(token).decode()
        send(self, msg, *arguments, **options)

    TriggerRunnerSupervisor.send_msg = send_msg


if __name__ == "__main__":
    main(sys.argv[1:])
