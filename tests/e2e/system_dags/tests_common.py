"""In the DAG folder: what the system DAGs import from Airflow's repository, which is in no package."""

# mypy: ignore-errors

import sys
from types import ModuleType

from airflow.sdk import TriggerRule, task


@task(trigger_rule=TriggerRule.ONE_FAILED, retries=0)
def watcher():
    """Fail if any task of the DAG has failed; be skipped otherwise."""
    raise RuntimeError("a task of this DAG has failed")


def get_test_run(dag, **_):
    """Give what pytest would call: nothing here does."""
    return dag.test


for _name, _content in (
    ("tests_common.test_utils", {}),
    ("tests_common.test_utils.system_tests", {"get_test_run": get_test_run}),
    ("tests_common.test_utils.watcher", {"watcher": watcher}),
):
    _module = ModuleType(_name)
    _module.__dict__.update(_content)
    sys.modules[_name] = _module
