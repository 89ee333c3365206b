"""A running release: the cluster that it is on, Airflow's API, and the example DAGs."""

from scripts.check.cluster import CommandError, run
from scripts.live.airflow_api import FINISHED, Airflow, ApiError, PortForward, TaskInstance
from scripts.live.target import (
    NAMESPACE,
    NATIVE_DIND,
    RELEASE,
    TASKS,
    Group,
    Target,
    UpError,
    choose,
    native_cluster,
)

__all__ = [
    "FINISHED",
    "NAMESPACE",
    "NATIVE_DIND",
    "RELEASE",
    "TASKS",
    "Airflow",
    "ApiError",
    "CommandError",
    "Group",
    "PortForward",
    "Target",
    "TaskInstance",
    "UpError",
    "choose",
    "native_cluster",
    "run",
]
