"""The alerts that read series of other programs fire by real faults.

The kubelet is the node's, and cert-manager's controllers are from its Go module. kube-state-metrics has a
stand-in: exporters.py.
"""

from __future__ import annotations

import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import render
from scripts.live import NATIVE_DIND, RELEASE, Target
from scripts.overlays.definitions import merged
from scripts.tools.build import built, lookup
from tests.e2e import exporters
from tests.e2e.conftest import wait_until
from tests.e2e.monitoring import Monitored, prometheus, with_operator
from tests.e2e.own_release import own_release

#: The controllers of cert-manager take minutes to build.
pytestmark = [pytest.mark.touches("release"), pytest.mark.timeout(1800)]

NAMESPACE = "airdock-e2e-others"
MONITORING = "airdock-e2e-others-monitoring"
WORKER = f"{RELEASE}-worker-default-0"
CLAIM = f"docker-data-{WORKER}"
#: Name of the daemon's volume, and of the class that it has in common with the claim.
VOLUME = "airdock-e2e-small"
#: A clean-up that fails: there is no such table. The first one is due when a test says so.
CLEAN_UP: dict[str, Any] = {"enabled": True, "schedule": "0 0 1 1 *", "tables": ["nothing"]}
EACH_MINUTE = "* * * * *"
VALUES: dict[str, Any] = {
    "dags": {"examples": False},
    "database": {"cleanup": CLEAN_UP},
    "metrics": {"airflow": {"enabled": True}},
    "networkPolicy": {
        "metricsFrom": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": MONITORING}}}]
    },
    "workers": {
        "default": {
            "mode": "dind",
            "dind": {**NATIVE_DIND, "claim": {"size": "100Mi", "storageClassName": VOLUME}},
        }
    },
}
RESTARTS, DISK, MIGRATION, CRON_JOB, CERTIFICATE = ALERTS = (
    "AirdockDaemonRestarts",
    "AirdockDaemonDiskFull",
    "AirdockMigrationHangs",
    "AirdockCronJobFails",
    "AirdockCertificateExpires",
)
LOCK = "lock table alembic_version; select pg_sleep(900)"


def small_volume(target: Target) -> dict[str, Any]:
    """Give a PersistentVolume of 100 MiB: the tmpfs of a pod.

    The kubelet has no metrics of hostPath volumes, which those of the native cluster's StorageClass are.
    """
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {"name": "disk", "namespace": MONITORING},
        "spec": {
            "terminationGracePeriodSeconds": 1,
            "containers": [
                {
                    "name": "disk",
                    "image": "busybox:1.37",
                    "command": ["sleep", "infinity"],
                    "volumeMounts": [{"name": "disk", "mountPath": "/disk"}],
                }
            ],
            "volumes": [{"name": "disk", "emptyDir": {"medium": "Memory", "sizeLimit": "100Mi"}}],
        },
    }
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": MONITORING}}, pod)
    target.kubectl("wait", "pod/disk", "-n", MONITORING, "--for=condition=Ready", "--timeout=100s")
    found = target.get("pod", "disk", "-n", MONITORING)
    here = {"key": "kubernetes.io/hostname", "operator": "In", "values": [found["spec"]["nodeName"]]}
    path = f"/var/lib/kubelet/pods/{found['metadata']['uid']}/volumes/kubernetes.io~empty-dir/disk"
    return {
        "apiVersion": "v1",
        "kind": "PersistentVolume",
        "metadata": {"name": VOLUME},
        "spec": {
            "capacity": {"storage": "100Mi"},
            "accessModes": ["ReadWriteOnce"],
            "storageClassName": VOLUME,
            "persistentVolumeReclaimPolicy": "Retain",
            "claimRef": {"namespace": NAMESPACE, "name": CLAIM},
            "local": {"path": path},
            "nodeAffinity": {"required": {"nodeSelectorTerms": [{"matchExpressions": [here]}]}},
        },
    }


def clean(target: Target, wait: bool) -> None:
    """Remove what is not in the release's namespace."""
    target.kubectl("delete", "namespace", MONITORING, "--ignore-not-found", f"--wait={wait}", timeout=180)
    target.kubectl("delete", "persistentvolume", VOLUME, "--ignore-not-found", f"--wait={wait}")
    exporters.without_kubelet(target, MONITORING)


@pytest.fixture(scope="module")
def with_cert_manager(request: pytest.FixtureRequest) -> bool:
    """Whether cert-manager is built, or this file was named to have it built."""
    named = any(Path(__file__).name in argument for argument in request.config.args)
    return named or built(lookup(exporters.CERT_MANAGER))


@pytest.fixture(scope="module")
def monitored(target: Target, with_cert_manager: bool) -> Iterator[Monitored]:
    """A release, and a Prometheus that reads the other programs, too."""
    if not target.native:
        pytest.skip("the images are in the registry of the native cluster")
    clean(target, wait=True)
    try:
        with own_release(target, NAMESPACE, VALUES, {"none.py": ""}, small_volume(target)) as release:
            manifests = render(with_operator(release.values), release=RELEASE, namespace=NAMESPACE)
            others = [
                exporters.state_metrics(target, MONITORING, NAMESPACE),
                exporters.kubelet(target, MONITORING),
            ]
            if with_cert_manager:
                others.append(exporters.cert_manager_monitor(MONITORING))
            prometheus(target, MONITORING, manifests, *others)
            yield Monitored(release, manifests, MONITORING)
    finally:
        clean(target, wait=False)


@pytest.fixture(scope="module")
def certificate(monitored: Monitored, with_cert_manager: bool) -> Iterator[dict[str, Any]]:
    """cert-manager, and a certificate of 90 days that it has issued in the release's namespace."""
    if not with_cert_manager:
        pytest.skip("cert-manager takes minutes to build: TESTS=tests/e2e/test_metrics_of_others.py does it")
    target = monitored.release.target
    issuer = {"kind": "Issuer", "metadata": {"name": "self", "namespace": NAMESPACE}}
    certificate = {
        "apiVersion": "cert-manager.io/v1",
        "kind": "Certificate",
        "metadata": {"name": "tls", "namespace": NAMESPACE},
        "spec": {
            "secretName": "tls",
            "duration": "2160h",
            "dnsNames": ["airflow.example.org"],
            "issuerRef": {"name": "self", "kind": "Issuer"},
        },
    }
    try:
        exporters.cert_manager(target, MONITORING, NAMESPACE)
        target.apply({"apiVersion": "cert-manager.io/v1", **issuer, "spec": {"selfSigned": {}}}, certificate)
        monitored.release.kubectl("wait", "certificate/tls", "--for=condition=Ready", "--timeout=100s")
        yield certificate
    finally:
        exporters.without_cert_manager(target)


@contextmanager
def lock(monitored: Monitored) -> Iterator[None]:
    """A session of the database that holds the table of revisions."""
    words = ("psql", "--username=airflow", "--dbname=airflow", "-Atc")
    pod = ("-n", NAMESPACE, f"{RELEASE}-postgres-0", "-c", "postgres", "--")
    command = [*monitored.release.target.kubectl_command, "exec", *pod, *words, LOCK]
    session = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    sessions = "from pg_stat_activity where query like 'lock table%'"

    def sql(statement: str) -> str:
        return monitored.release.target.kubectl("exec", *pod, *words, statement).strip()

    try:
        wait_until(lambda: sql(f"select count(*) {sessions}") == "1", 30, "the session that holds the table")
        yield
    finally:
        sql(f"select pg_terminate_backend(pid) {sessions}")
        session.wait(30)


def daemon(monitored: Monitored, script: str) -> None:
    """Run a script in the container of the Docker daemon."""
    monitored.release.kubectl("exec", WORKER, "-c", "docker", "--", "sh", "-ec", script)


def test_none_fires_without_a_fault(monitored: Monitored) -> None:
    """The series of each are there, with values that are in order."""
    for expression in (
        f'kube_pod_init_container_status_restarts_total{{pod="{WORKER}", container="docker"}} == 0',
        'kube_pod_init_container_status_running{container="migrate"} == 0',
        f'kubelet_volume_stats_capacity_bytes{{persistentvolumeclaim="{CLAIM}"}} == 100 * 1024 * 1024',
        f'kubelet_volume_stats_available_bytes{{persistentvolumeclaim="{CLAIM}"}} > 50 * 1024 * 1024',
    ):
        wait_until(partial(monitored.query, expression), 150, expression)
    # Twice the time between two evaluations, and the alerts' `for`.
    time.sleep(8)
    assert not monitored.firing() & set(ALERTS)


def test_a_daemon_that_was_killed(monitored: Monitored) -> None:
    daemon(monitored, "kill -KILL $(pidof dockerd)")
    monitored.wait_for(RESTARTS)
    found = monitored.query(f'ALERTS{{alertname="{RESTARTS}", alertstate="firing"}}')
    assert {each["metric"]["pod"] for each in found} == {WORKER}
    monitored.release.kubectl("wait", f"pod/{WORKER}", "--for=condition=Ready", "--timeout=120s")
    wait_until(lambda: RESTARTS not in monitored.firing(), 90, "it does not fire any more")


def test_a_claim_that_is_full(monitored: Monitored) -> None:
    """The kubelet looks at volumes once a minute."""
    assert DISK not in monitored.firing()
    daemon(monitored, "head -c 95M /dev/zero > /var/lib/docker/filled")
    monitored.wait_for(DISK, seconds=150)
    daemon(monitored, "rm /var/lib/docker/filled")
    wait_until(lambda: DISK not in monitored.firing(), 150, "it does not fire any more")


def test_a_migration_that_waits_for_a_lock(monitored: Monitored) -> None:
    assert MIGRATION not in monitored.firing()
    with lock(monitored):
        monitored.release.kubectl("rollout", "restart", f"deployment/{RELEASE}-api-server")
        # The pod has to start first.
        monitored.wait_for(MIGRATION, seconds=180)
    monitored.release.rolled()
    wait_until(lambda: MIGRATION not in monitored.firing(), 90, "it does not fire any more")


def test_a_clean_up_that_fails(monitored: Monitored) -> None:
    release = monitored.release
    assert CRON_JOB not in monitored.firing()
    release.upgrade({"database": {"cleanup": {"schedule": EACH_MINUTE}}})
    failed = partial(release.kubectl, "get", "jobs", "-o", "jsonpath={.items[*].status.failed}")
    wait_until(failed, 180, "a Job that fails")
    monitored.wait_for(CRON_JOB)
    release.upgrade({"database": {"cleanup": {"tables": ["log"]}}})
    wait_until(lambda: CRON_JOB not in monitored.firing(), 240, "it does not fire any more")
    release.upgrade({"database": {"cleanup": {"enabled": False}}})


def test_a_certificate_that_expires(monitored: Monitored, certificate: dict[str, Any]) -> None:
    target = monitored.release.target
    series = 'certmanager_certificate_expiration_timestamp_seconds{name="tls"}'
    for_days = f"{series} - time() > 80 * 86400"
    wait_until(lambda: monitored.query(for_days), 150, lambda: f"{series}: {monitored.query('up')}")
    time.sleep(8)
    assert CERTIFICATE not in monitored.firing()
    target.apply(merged(certificate, {"spec": {"duration": "1h"}}))
    wait_until(lambda: monitored.query(f"{series} - time() < 3600"), 90, "a certificate of one hour")
    monitored.wait_for(CERTIFICATE)
