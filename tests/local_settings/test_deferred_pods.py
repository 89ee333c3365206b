"""airdock_deferred_pods.py: tests/e2e/test_deferred_pods.py has the real operator."""

from __future__ import annotations

import inspect
import sys
from types import ModuleType
from typing import Any

import pytest

EVENT = {"status": "success", "namespace": "tasks", "name": "a-pod"}


class Lost(Exception):
    """In place of Airflow's exception."""


class Operator:
    """As the provider's is, where it matters."""

    def __init__(self, **attributes: Any) -> None:
        self.deferrable = self.do_xcom_push = True
        self.pod: Any = None
        self.result: Any = {"a": 1}
        self.seen: Any = None
        vars(self).update(attributes)

    def invoke_defer_method(self, last_log_time: Any = None, context: Any = None) -> str:
        if context is not None:
            self.seen = context["ti"]
        return "at once" if context else "deferred"

    def trigger_reentry(self, context: Any, event: Any) -> Any:
        return self.result


def kept(**attributes: Any) -> Operator:
    from airdock_deferred_pods import keep_result

    operator = Operator(**attributes)
    keep_result(operator)
    return operator


def test_it_defers_also_if_the_container_has_ended() -> None:
    assert Operator().invoke_defer_method(context={"ti": 7}) == "at once"
    operator = kept()
    # The operator looks for the parameter.
    assert "context" in inspect.signature(operator.invoke_defer_method).parameters
    assert operator.invoke_defer_method(context={"ti": 7}) == "deferred"
    assert operator.seen == 7
    assert operator.invoke_defer_method() == "deferred"


def test_a_result_is_returned() -> None:
    assert kept(pod="it").trigger_reentry({}, EVENT) == {"a": 1}
    # Removed meanwhile.
    assert kept().trigger_reentry({}, EVENT) == {"a": 1}
    assert kept(pod="it", result=None).trigger_reentry({}, EVENT) is None


def test_a_pod_that_is_gone_fails_the_task(monkeypatch: pytest.MonkeyPatch) -> None:
    module = ModuleType("airflow.exceptions")
    module.AirflowException = Lost  # type: ignore[attr-defined]
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.exceptions", module)
    with pytest.raises(Lost, match="tasks/a-pod was deleted before its result was read"):
        kept(result=None).trigger_reentry({}, EVENT)


@pytest.mark.parametrize("name", ["deferrable", "do_xcom_push"])
def test_others_are_left_alone(name: str) -> None:
    assert kept(result=None, **{name: False}).trigger_reentry({}, EVENT) is None
    assert kept(**{name: False}).invoke_defer_method(context={"ti": 7}) == "at once"
