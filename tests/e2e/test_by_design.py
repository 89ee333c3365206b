"""What docs/security.md says that nothing stops: shown here, so that the page stays true."""

from __future__ import annotations

import pytest

from tests.e2e.conftest import Release
from tests.support.attacks import PARSING

#: The environment that a process of the same uid has, or reads of its parent.
READ = "import sys; sys.stdout.write(open('/proc/self/environ').read().replace(chr(0), chr(10)))"


@pytest.mark.attack(actor=PARSING, finding=(8,), by_design="docs/security.md, Who can do what")
@pytest.mark.parametrize("component", ["dag-processor", "triggerer"])
def test_authors_code_has_the_secrets_of_the_process_that_runs_it(release: Release, component: str) -> None:
    (pod, *_) = release.staying(component)
    found = release.inside(pod["metadata"]["name"], component, "python", "-c", READ)
    names = {line.split("=", 1)[0] for line in found.splitlines()}
    assert {"AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", "AIRFLOW__CORE__FERNET_KEY"} <= names


@pytest.mark.attack(actor=PARSING, finding=(8,))
def test_a_workers_code_has_neither(release: Release) -> None:
    (pod, *_) = release.staying("worker")
    found = release.inside(pod["metadata"]["name"], "worker", "python", "-c", READ)
    assert "SQL_ALCHEMY_CONN" not in found
    assert "FERNET_KEY" not in found
