"""What the API server tells without a pod: version, kinds, storage classes."""

from __future__ import annotations

from typing import Any

from scripts.chart import KUBE_VERSIONS
from scripts.check.cluster import Cluster, CommandError
from scripts.check.discovery import Served, minor_of
from scripts.check.report import Check, Result, shortened
from scripts.check.wanted import Wanted

POLICY = ("admissionregistration.k8s.io", "ValidatingAdmissionPolicy")
_DEFAULT = "storageclass.kubernetes.io/is-default-class"


def checks(cluster: Cluster, wanted: Wanted, served: Served) -> list[Check]:
    """All of them."""
    return [
        version(served, wanted),
        admission(served, wanted),
        *kinds(served, wanted),
        *storage(cluster, wanted),
    ]


def version(served: Served, wanted: Wanted) -> Check:
    """Whether Helm takes the cluster's version."""
    oldest, newest = served.oldest, minor_of(KUBE_VERSIONS[-1])
    if served.minor < oldest:
        seen = f"{served.version}, and the chart needs 1.{oldest} or later"
        return Check(
            "version", Result.MISSING, seen, "have the administrator upgrade the cluster", wanted.every_mode
        )
    newer = f", newer than any that the tests use (1.{newest})" if served.minor > newest else ""
    return Check("version", Result.OK, f"{served.version}{newer}", stops=wanted.every_mode)


def admission(served: Served, wanted: Wanted) -> Check:
    """Whether the API server has the policies of the fence."""
    name = "admission policies"
    group, kind = POLICY
    if f"{group}/v1" in served.api_versions and POLICY in served.kinds:
        return Check(name, Result.OK, f"{kind} {group}/v1 is served", stops=wanted.every_mode)
    if not wanted.manifests.all(kind):
        return Check(name, Result.OK, f"{kind} is not served, and these values create none")
    return Check(
        name,
        Result.MISSING,
        f"{kind} {group}/v1 is not served",
        "have the administrator enable the API, or set tasks.admission.enabled: false: then every DAG "
        "author can use every Secret and service account in the task namespace",
        wanted.every_mode,
    )


def kinds(served: Served, wanted: Wanted) -> list[Check]:
    """Other kinds that the chart creates with these values, such as those of an operator."""
    lacking = {
        f"{manifest.kind} {manifest.api_version}"
        for manifest in wanted.manifests
        if manifest.kind != "PodTemplate" and not manifest.kind.startswith(POLICY[1])
        for group in [manifest.api_version.rpartition("/")[0]]
        if (group, manifest.kind) not in served.kinds or manifest.api_version not in served.api_versions
    }
    if lacking and served.partial:
        seen = f"the API server did not list all kinds: {served.partial}"
        return [Check("kinds", Result.NOT_TRIED, seen, stops=wanted.every_mode)]
    if lacking:
        seen = f"not served: {shortened(sorted(lacking))}"
        way = "install what defines the kind, or remove the value that creates the object"
        return [Check("kinds", Result.MISSING, seen, way, wanted.every_mode, tuple(sorted(lacking)))]
    return [Check("kinds", Result.OK, "all kinds of the chart are served", stops=wanted.every_mode)]


def storage(cluster: Cluster, wanted: Wanted) -> list[Check]:
    """Storage classes of the claims that these values create."""
    claims = {str(each): each.get("spec") for each in wanted.manifests.all("PersistentVolumeClaim")}
    for manifest in wanted.manifests:
        for claim in manifest.get("spec", "volumeClaimTemplates") or ():
            claims[f"{manifest}, {claim['metadata']['name']}"] = claim["spec"]
    name = "storage class"
    if not claims:
        return [Check(name, Result.OK, "these values create no claim")]
    try:
        found = {each["metadata"]["name"]: each for each in cluster.items("storageclasses")}
    except CommandError as error:
        return [
            Check(name, Result.NOT_TRIED, f"you may not list them: {error.reason}", stops=wanted.every_mode)
        ]
    default = [each for each, body in found.items() if _is_default(body)]
    named = {str(spec["storageClassName"]) for spec in claims.values() if spec.get("storageClassName")}
    unnamed = sorted(claim for claim, spec in claims.items() if spec.get("storageClassName") is None)
    problems = [f"there is no class {each}" for each in sorted(named - found.keys())]
    if unnamed and not default:
        problems.append(f"no class is the default, for {shortened(unnamed)}")
    seen = f"default: {', '.join(default) or 'none'}; all: {', '.join(sorted(found)) or 'none'}"
    if not problems:
        return [Check(name, Result.OK, seen, stops=wanted.every_mode)]
    way = (
        "have the administrator mark a class as the default, or set "
        "database.embedded.storage.storageClassName, "
        "broker.embedded.storage.storageClassName, logs.claim.storageClassName or "
        "workers.<name>.dind.claim.storageClassName"
    )
    return [Check(name, Result.MISSING, f"{'; '.join(problems)}. {seen}", way, wanted.every_mode)]


def _is_default(body: dict[str, Any]) -> bool:
    return (body["metadata"].get("annotations") or {}).get(_DEFAULT) == "true"
