"""A deferred pod's result reaches the task, or the task fails.

Two faults of apache-airflow-providers-cncf-kubernetes (10.17.1 to 10.25.0 at least) let a task with
`deferrable=True` and `do_xcom_push=True` succeed without its result: a retry that finds the pod of an earlier
try with a container that has ended (apache/airflow pull request 72821), and a pod that is gone when the task
goes on (issue 73117). The cluster policy (airflow_local_settings.py) calls `keep_result` before the operator.
"""

from __future__ import annotations

import functools
from typing import Any


class _Context(dict[str, Any]):
    """A task's context that counts as false.

    With a true one, `invoke_defer_method` calls `trigger_reentry` by itself if the container has ended, and
    drops what that returns. Without, the trigger does, at once, and Airflow takes the result.
    """

    def __bool__(self) -> bool:
        return False


def keep_result(task: Any) -> None:
    """Change the methods of one operator, which runs once, if it defers and has a result."""
    needed = ("deferrable", "do_xcom_push", "invoke_defer_method", "trigger_reentry")
    if not all(getattr(task, name, None) for name in needed):
        return
    defer, go_on = task.invoke_defer_method, task.trigger_reentry

    @functools.wraps(defer)
    def invoke_defer_method(*arguments: Any, **options: Any) -> Any:
        if options.get("context") is not None:
            options["context"] = _Context(options["context"])
        return defer(*arguments, **options)

    @functools.wraps(go_on)
    def trigger_reentry(context: Any, event: Any) -> Any:
        result = go_on(context=context, event=event)
        if result is None and task.pod is None:
            from airflow.exceptions import AirflowException

            raise AirflowException(
                f"The pod {event['namespace']}/{event['name']} was deleted before its result was read, so the"
                " result is lost. Airflow alone would let this task succeed without it."
            )
        return result

    task.invoke_defer_method, task.trigger_reentry = invoke_defer_method, trigger_reentry
