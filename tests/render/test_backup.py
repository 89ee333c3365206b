"""database.embedded.backup: what the CronJob may do, and who has which password."""

from __future__ import annotations

from scripts.chart import render
from scripts.lint import reach
from tests.render.values import BACKUP, POOLER, overlaid


def test_off_is_as_without_it() -> None:
    assert "database-backup" not in render().text


def test_runs_do_not_overlap_and_end() -> None:
    job = render(BACKUP).one("CronJob", component="database-backup")
    assert job.get("spec", "concurrencyPolicy") == "Forbid"
    assert job.get("spec", "jobTemplate", "spec", "activeDeadlineSeconds") == 3600
    assert job.pod
    assert job.pod.raw["restartPolicy"] == "Never"


def test_reaches_the_database_and_nothing_else() -> None:
    for values in (BACKUP, overlaid(BACKUP, POOLER)):
        manifests = render(values)
        ends = {manifest.component: reach.endpoint(manifest, pod) for manifest, pod in manifests.pods}
        found = {
            (component, port)
            for component, end in ends.items()
            for port in (5432, 6379, 6432, 8080, 8793)
            if component != "database-backup"
            and reach.connects(manifests, ends["database-backup"], end, port)
        }
        assert found == {("postgres", 5432)}
        outside = reach.Endpoint("elsewhere", {}, "10.1.2.3")
        assert not reach.allowed(manifests, ends["database-backup"], outside, 443, "Egress")


def test_the_claim_is_the_users() -> None:
    """One of the chart's would be bound by the first run only, and `helm install --wait` waits for it."""
    manifests = render(BACKUP)
    assert not manifests.all("PersistentVolumeClaim")
    job = manifests.one("CronJob", component="database-backup")
    assert job.pod
    claims = [each["persistentVolumeClaim"] for each in job.pod.raw["volumes"] if "emptyDir" not in each]
    assert [claim["claimName"] for claim in claims] == ["backups"]
