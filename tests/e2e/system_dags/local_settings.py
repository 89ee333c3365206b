"""airflow.localSettings of the system DAGs' release: one DAG file serves several worker groups.

A file `<queue>__<name>.py` is a copy of `<name>.py` for the workers of a queue: its DAG gets another id, and
its tasks the queue. A file without a queue in its name stays as it is.
"""

# mypy: ignore-errors

from pathlib import Path


def _queue(dag):
    name = Path(dag.fileloc).stem
    return name.partition("__")[0] if "__" in name else None


def dag_policy(dag):
    """Tell the copies of a DAG apart."""
    if (queue := _queue(dag)) and not dag.dag_id.startswith(f"{queue}__"):
        dag.dag_id = f"{queue}__{dag.dag_id}"


def task_policy(task):
    """Send a copy's tasks to its queue, as default_args={"queue": ...} would."""
    if queue := _queue(task.dag):
        task.queue = queue
