"""Policies for service accounts and their tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from scripts.chart import Manifest, Manifests, PodSpec
from scripts.lint.model import Found, Policy, cis, nsa, pod_path


def _automount(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind == "ServiceAccount" and manifest.raw.get("automountServiceAccountToken") is not False:
        yield Found(
            "automountServiceAccountToken",
            "every pod of this account gets its token, even if the pod does not use it",
        )
    if manifest.pod and manifest.pod.raw.get("automountServiceAccountToken") is not False:
        field = f"{pod_path(manifest)}spec.automountServiceAccountToken"
        yield Found(field, "every container gets the service account's token")


def token_volumes(pod: PodSpec) -> set[str]:
    """Names of the volumes that hold a token of the pod's service account for the API server."""
    return {
        name
        for name, volume in pod.volumes.items()
        for source in (volume.get("projected") or {}).get("sources") or ()
        if source.get("serviceAccountToken") is not None and not source["serviceAccountToken"].get("audience")
    }


#: Variables of the containers that use the API.
_GATEWAY = "AIRDOCK_GATEWAY_CONFIG"
_OPERATORS = "AIRFLOW_CONN_KUBERNETES_DEFAULT"
_LOG_READER = "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE"
_USES = (_GATEWAY, _OPERATORS, _LOG_READER)


def _shared_token(manifest: Manifest) -> Iterator[Found]:
    if not manifest.pod:
        return
    tokens = token_volumes(manifest.pod)
    holders = [c for c in manifest.pod.containers if any(mount.volume in tokens for mount in c.mounts)]
    # The further holder is one that ends, or one that shows no use for the API.
    holders.sort(key=lambda c: (c.role == "init", not any(use in c.env for use in _USES)))
    for container in holders[1:]:
        # Which use they have tells what may be accepted.
        uses = {_OPERATORS: container.env, _LOG_READER: holders[0].env}
        use = "".join(f", for {variable}" for variable, there in uses.items() if variable in there)
        yield Found(f"volumeMounts{use}", f"mounts the same token as {holders[0].name}", container.name)


def _unused_tokens(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    bound = {
        (subject.get("namespace") or binding.namespace, subject.get("name"))
        for kind in ("RoleBinding", "ClusterRoleBinding")
        for binding in manifests.all(kind)
        for subject in binding.raw.get("subjects") or ()
    }
    for manifest, pod in manifests.pods:
        tokens = token_volumes(pod)
        if tokens and (manifest.namespace, pod.service_account) not in bound:
            for name in sorted(tokens):
                message = f"a token of {pod.service_account}, an account that has no rights"
                yield manifest, Found(f"{pod_path(manifest)}spec.volumes[{name}].projected", message)


def _default_accounts(manifest: Manifest) -> Iterator[Found]:
    if manifest.pod and manifest.pod.service_account == "default":
        field = f"{pod_path(manifest)}spec.serviceAccountName"
        yield Found(field, "the default service account of the namespace, which other pods may use too")


def _shared_accounts(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    users = Counter((manifest.namespace, pod.service_account) for manifest, pod in manifests.pods)
    for manifest, pod in manifests.pods:
        if users[manifest.namespace, pod.service_account] > 1 and pod.service_account != "default":
            message = f"another workload also uses the service account {pod.service_account}"
            yield manifest, Found(f"{pod_path(manifest)}spec.serviceAccountName", message)


def _privileged_with_credentials(manifest: Manifest) -> Iterator[Found]:
    if not manifest.pod:
        return
    tokens = token_volumes(manifest.pod)
    secrets = {name for name, volume in manifest.pod.volumes.items() if volume.get("secret")}
    for container in manifest.pod.containers:
        if not container.security.get("privileged"):
            continue
        for mount in container.mounts:
            if mount.volume in tokens | secrets:
                yield Found(f"volumeMounts[{mount.path}]", "a token or a Secret is mounted", container.name)
        for variable in container.env_list:
            if variable.secret:
                yield Found(f"env.{variable.name}", "comes from a Secret", container.name)
        if any(source.get("secretRef") for source in container.raw.get("envFrom") or ()):
            yield Found("envFrom", "comes from a Secret", container.name)


POLICIES: tuple[Policy, ...] = (
    Policy(
        "token-automount",
        "Service account tokens are mounted only where they are used",
        "medium",
        "An attacker who enters a container gets every token that is mounted in it.",
        "Set automountServiceAccountToken: false, and mount a projected token in the container that needs "
        "it.",
        (cis("5.1.6"), nsa("C-0034")),
        check_object=_automount,
    ),
    Policy(
        "token-shared",
        "Only one container of a pod has the token",
        "medium",
        "Each additional container that has the token is one more way to steal it.",
        "Mount the token volume only in the container that uses the Kubernetes API.",
        (cis("5.1.6"),),
        check_object=_shared_token,
    ),
    Policy(
        "token-unused",
        "No token of an account without rights",
        "low",
        "A token without rights still proves an identity to other services.",
        "Remove the token volume, or bind a Role to the service account.",
        (cis("5.1.6"),),
        check_release=_unused_tokens,
    ),
    Policy(
        "default-account",
        "No pod runs as the default service account",
        "medium",
        "Rights of the default account belong to every pod that names no account.",
        "Set serviceAccountName to an account that only this workload uses.",
        (cis("5.1.5"),),
        check_object=_default_accounts,
    ),
    Policy(
        "shared-account",
        "Every workload has a dedicated service account",
        "medium",
        "Rights that are meant for one workload also apply to the other.",
        "Give each workload a dedicated service account.",
        (cis("5.1.5"),),
        check_release=_shared_accounts,
    ),
    Policy(
        "privileged-credentials",
        "A privileged container has no credentials",
        "high",
        "An attacker who takes over this container would have both the node and these credentials.",
        "Mount tokens and Secrets only in the other containers.",
        check_object=_privileged_with_credentials,
    ),
)
