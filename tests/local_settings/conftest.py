"""The environment of a worker."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from types import ModuleType, SimpleNamespace

import pytest

from tests.local_settings.settings import HOST
from tests.support.paths import FILES


@pytest.fixture(autouse=True)
def environment(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.syspath_prepend(str(FILES))
    monkeypatch.setenv("DOCKER_HOST", HOST)
    monkeypatch.setenv("AIRDOCK_DOCKER_HOSTS", "localhost,127.0.0.1,docker,[::1]")
    for name in ("SERVICE_ACCOUNT", "RUN_AS_USER", "RESOURCES"):
        monkeypatch.delenv(f"AIRDOCK_TASK_{name}", raising=False)
    # The one option of Airflow that the policies read.
    configuration = ModuleType("airflow.configuration")
    configuration.conf = SimpleNamespace(  # type: ignore[attr-defined]
        get=lambda section, key: {"operators.default_queue": "default"}[f"{section}.{key}"]
    )
    monkeypatch.setitem(sys.modules, "airflow", ModuleType("airflow"))
    monkeypatch.setitem(sys.modules, "airflow.configuration", configuration)
    yield
    sys.modules.pop("airdock_user_settings", None)
