"""The chart as a real API server takes it: every object, each pod's Pod Security verdict, a clean removal."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from typing import Any, Literal

import pytest

from scripts.chart import Manifest, Manifests, PodSpec, render
from scripts.lint.model import DIND_VARIANT, mode_of
from scripts.lint.pod_security import verdict
from tests.api.conftest import make_namespace
from tests.api.control_plane import Client, ControlPlane, Refused
from tests.policies.mutations import Mutant, alone
from tests.policies.scenarios import ALL, BY_NAME
from tests.render.scenarios import Scenario
from tests.support.waiting import wait_until

Level = Literal["baseline", "restricted"]
LEVELS: tuple[Level, ...] = ("baseline", "restricted")
#: The strictest level that a pod of each mode claims to satisfy ("" is what every release has).
CLAIMS = {"": "restricted", "kubernetes": "restricted", "dind": "privileged", "socket": "privileged"}
#: Of a dind.variant, where it needs less than the mode.
VARIANTS = {"sysbox": "baseline"}


@pytest.fixture(scope="module")
def levels(control_plane: ControlPlane) -> None:
    """A namespace for each level, called as it."""
    for level in (*LEVELS, "privileged"):
        labels = {"pod-security.kubernetes.io/enforce": level}
        make_namespace(control_plane, f"level-{level}", labels)


def as_pod(pod: PodSpec, level: str) -> dict[str, Any]:
    """A pod template as a Pod that needs nothing but its namespace."""
    spec = json.loads(json.dumps(pod.raw))
    for name in ("serviceAccountName", "imagePullSecrets", "priorityClassName", "runtimeClassName"):
        spec.pop(name, None)
    spec.setdefault("volumes", []).extend(
        {"name": claim, "persistentVolumeClaim": {"claimName": claim}} for claim in pod.claims
    )
    metadata = {"name": "pod", "namespace": f"level-{level}", "annotations": dict(pod.annotations)}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def server_says(client: Client, pod: Mapping[str, Any]) -> str | None:
    """What Pod Security refuses, "" if it admits the pod; None if the pod is not valid at all."""
    try:
        client.create(pod, dry_run=True)
    except Refused as error:
        if error.status == 422:
            return None
        assert error.status == 403, str(error)
        found = re.search(r'violates PodSecurity "\w+:latest": (.*)$', str(error), re.S)
        assert found, str(error)
        return found[1]
    return ""


def we_say(pod: Mapping[str, Any], level: Level, version: tuple[int, int]) -> str:
    """The same in the same words."""
    metadata = pod["metadata"] if version >= (1, 34) else _with_app_armor(pod)
    found = verdict(metadata, pod["spec"], level, f"v{version[0]}.{version[1]}")
    return ", ".join(f"{violation.reason} ({violation.detail})" for violation in found)


def _with_app_armor(pod: Mapping[str, Any]) -> dict[str, Any]:
    """The metadata with the annotations that the API server before 1.34 writes for AppArmor's fields."""
    spec, found = pod["spec"], dict(pod["metadata"].get("annotations") or {})
    of_pod = (spec.get("securityContext") or {}).get("appArmorProfile")
    names = {"RuntimeDefault": "runtime/default", "Unconfined": "unconfined"}
    for container in (*spec["containers"], *spec.get("initContainers", ())):
        profile = (container.get("securityContext") or {}).get("appArmorProfile") or of_pod or {}
        value = names.get(profile.get("type"), f"localhost/{profile.get('localhostProfile')}")
        if profile:
            found.setdefault(f"container.apparmor.security.beta.kubernetes.io/{container['name']}", value)
    return {**pod["metadata"], "annotations": found}


def distinct_pods() -> Iterator[tuple[Manifest, PodSpec]]:
    """All pods of all scenarios; those that differ only in what a pod may not care about, once."""
    seen = set()
    for scenario in ALL:
        for manifest, pod in scenario.render().pods:
            key = json.dumps(as_pod(pod, "any"), sort_keys=True)
            if key not in seen:
                seen.add(key)
                yield manifest, pod


def test_every_pod_has_the_level_that_it_claims(control_plane: ControlPlane, levels: None) -> None:
    admin, version = control_plane.admin, control_plane.version
    count = 0
    for manifest, pod in distinct_pods():
        claim = VARIANTS.get(manifest.annotations.get(DIND_VARIANT, ""), CLAIMS[mode_of(manifest)])
        said: dict[str, str | None] = {}
        for level in LEVELS:
            candidate = as_pod(pod, level)
            said[level] = server_says(admin, candidate)
            assert said[level] == we_say(candidate, level, version), f"{manifest} at {level}"
        assert server_says(admin, as_pod(pod, claim)) == "", f"{manifest} claims {claim}"
        stricter = {"privileged": "baseline", "baseline": "restricted"}.get(claim)
        assert not stricter or said[stricter], f"{manifest} claims {claim}, and {stricter} would do"
        count += 1
    assert count > 30


def weakened() -> list[tuple[Mutant, PodSpec]]:
    """Weakenings of a pod of each kind: what has all modes' containers, and what is restricted."""
    manifests = BY_NAME["modes"].render()
    picked = [manifests.one("StatefulSet", component="redis"), manifests.one("Deployment", group="dind")]
    return [
        (mutant, mutant.new.pod)
        for manifest in picked
        for mutant in alone(manifest)
        if mutant.new and mutant.new.pod
    ]


def test_the_same_verdict_on_weakened_pods(control_plane: ControlPlane, levels: None) -> None:
    admin, version = control_plane.admin, control_plane.version
    judged = refused = 0
    for mutant, pod in weakened():
        for level in LEVELS:
            candidate = as_pod(pod, level)
            said = server_says(admin, candidate)
            if said is None:
                continue
            judged += 1
            refused += bool(said)
            assert said == we_say(candidate, level, version), f"{mutant.mutator} in {mutant.place} at {level}"
    assert refused > 100
    assert judged - refused > 50


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_every_object_is_accepted(scenario: Scenario, control_plane: ControlPlane) -> None:
    """Server-side apply with strict field validation, into namespaces of the scenario's own."""
    number = ALL.index(scenario)
    namespace = f"scenario-{number}" if scenario.namespace == "airdock" else scenario.namespace
    manifests = render(scenario.values, release=scenario.release, namespace=namespace)
    homes = {namespace} | {manifest.namespace for manifest in manifests} - {""}
    for home in homes:
        make_namespace(control_plane, home)
    refused = []
    for manifest in manifests:
        if manifest.api_version.startswith(
            ("monitoring.coreos.com/", "cilium.io/", "gateway.networking.", "keda.sh/")
        ):
            continue  # Their definitions are not here. tests/api/test_gateway_api.py has those of HTTPRoute.
        try:
            # A pod is rejected without its service account.
            control_plane.admin.apply(manifest, dry_run=manifest.kind != "ServiceAccount")
        except Refused as error:
            refused.append(f"{manifest}: {error}")
    assert not refused, "\n".join(refused)


def left_in(client: Client, namespace: str) -> set[str]:
    """Everything in a namespace but events, and what Kubernetes itself puts there."""
    found: set[str] = set()
    groups = client.request("GET", "/apis")["groups"]
    roots = ["/api/v1", *(f"/apis/{group['preferredVersion']['groupVersion']}" for group in groups)]
    for root in roots:
        for resource in client.request("GET", root)["resources"]:
            if not resource["namespaced"] or "list" not in resource["verbs"] or resource["name"] == "events":
                continue
            items = client.request("GET", f"{root}/namespaces/{namespace}/{resource['name']}")["items"]
            found |= {f"{resource['kind']} {item['metadata']['name']}" for item in items}
    return found - {"ServiceAccount default", "ConfigMap kube-root-ca.crt"}


def test_nothing_is_left(control_plane: ControlPlane) -> None:
    """As `helm uninstall` does it: each object is deleted, and the controllers' own follow."""
    admin = control_plane.admin
    manifests: Manifests = render(BY_NAME["modes"].values, release="gone", namespace="gone")
    tasks = manifests.one("Namespace").name
    make_namespace(control_plane, "gone")
    admin.apply_all(manifests)
    claim = "PersistentVolumeClaim data-gone-airdock-postgres-0"
    wait_until(lambda: claim in left_in(admin, "gone"), 60, "the controllers made pods and claims")
    pods = {entry for entry in left_in(admin, "gone") if entry.startswith("Pod ")}
    assert pods
    kept = []
    for manifest in manifests:
        if manifest.annotations.get("helm.sh/resource-policy") == "keep":
            kept.append(manifest)
            continue
        admin.request("DELETE", admin.path(manifest.raw), {"propagationPolicy": "Background"})
    claims = {claim, "PersistentVolumeClaim data-gone-airdock-redis-0"}
    wait_until(lambda: left_in(admin, "gone") == claims, 30, "only the data is left")
    assert left_in(admin, tasks) == {f"{each.kind} {each.name}" for each in kept if each.namespace == tasks}
    for name in ("gone", tasks):
        admin.request("DELETE", f"/api/v1/namespaces/{name}")

    def ended(name: str) -> bool:
        try:
            admin.request("GET", f"/api/v1/namespaces/{name}")
        except Refused as error:
            return error.status == 404
        return False

    wait_until(lambda: ended("gone") and ended(tasks), 40, "the namespaces end")
    cluster = {manifest.name for manifest in manifests if manifest.cluster_scoped} - {tasks}
    for kind in ("ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"):
        path = admin.path(
            {"apiVersion": "admissionregistration.k8s.io/v1", "kind": kind, "metadata": {}}, named=False
        )
        assert not cluster & {item["metadata"]["name"] for item in admin.request("GET", path)["items"]}
