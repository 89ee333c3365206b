"""trust.tasks: task pods mount one ConfigMap, which no DAG author can change, and no other one."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from tests.api.attacks import Pod, base
from tests.api.conftest import Install, Installed
from tests.api.fence import refusal
from tests.api.pods import gateway_pod, kpo_pod
from tests.support.attacks import AUTHOR

FILE = "/opt/airdock-trust/ca-certificates.crt"


@pytest.fixture(scope="module")
def trusting(install: Install) -> Installed:
    values: dict[str, Any] = {"trust": {"tasks": {"configMap": "company-bundle", "key": "all.pem"}}}
    return install(values, release="trust", namespace="trust")


def bundle(pod: Pod) -> dict[str, Any]:
    (volume,) = (each for each in pod["spec"]["volumes"] if "configMap" in each)
    found: dict[str, Any] = volume["configMap"]
    return found


def test_pods_with_the_bundle_are_let_in(trusting: Installed, tmp_path: Path) -> None:
    """The operator's with all that it adds, and the gateway's: what is admitted has mount and variables."""
    gateway, uid = trusting.bound("trust-worker")
    admitted = (
        trusting.worker.create(kpo_pod(trusting.manifests, xcom=True, init=True), dry_run=True),
        gateway.create(gateway_pod(trusting.manifests, tmp_path, owner=uid), dry_run=True),
    )
    for pod in admitted:
        assert bundle(pod)["name"] == "company-bundle"
        assert bundle(pod)["items"] == [{"key": "all.pem", "path": "ca-certificates.crt"}]
        for container in (*pod["spec"]["containers"], *pod["spec"].get("initContainers", ())):
            assert {"name": "SSL_CERT_FILE", "value": FILE} in container["env"]
            assert "/opt/airdock-trust" in [each["mountPath"] for each in container["volumeMounts"]]


@pytest.mark.attack(actor=AUTHOR)
def test_no_other_config_map_is(trusting: Installed, install: Install) -> None:
    pod = kpo_pod(trusting.manifests)
    bundle(pod)["name"] = "stolen"
    said = refusal(lambda: trusting.worker.create(pod, dry_run=True))
    assert "ConfigMap stolen (tasks.admission.configMaps)" in said
    bare = install({}, release="bare", namespace="bare")
    pod = kpo_pod(bare.manifests)
    base(pod)["envFrom"] = [{"configMapRef": {"name": "company-bundle"}}]
    said = refusal(lambda: bare.worker.create(pod, dry_run=True))
    assert "ConfigMap company-bundle (tasks.admission.configMaps)" in said, "without the value"


@pytest.mark.attack(actor=AUTHOR)
def test_authors_cannot_change_it(trusting: Installed) -> None:
    """The way to any certificate for any server, in the tasks of others."""
    for who in ("worker", "triggerer"):
        for verb in ("create", "update", "patch", "delete", "deletecollection"):
            assert not trusting.account(who).may(verb, "configmaps", trusting.task_namespace), (who, verb)
