"""Policies for service accounts and their tokens."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator

from scripts.chart import Manifest, Manifests, PodSpec
from scripts.lint.model import Found, Policy, cis, nsa, pod_path


def _automount(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind == "ServiceAccount" and manifest.raw.get("automountServiceAccountToken") is not False:
        yield Found("automountServiceAccountToken", "pods of this account get its token unasked")
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


def _shared_token(manifest: Manifest) -> Iterator[Found]:
    if not manifest.pod:
        return
    tokens = token_volumes(manifest.pod)
    holders = [c for c in manifest.pod.containers if any(mount.volume in tokens for mount in c.mounts)]
    # Those that stay come first: one that ends is the further holder.
    holders.sort(key=lambda container: container.role == "init")
    for container in holders[1:]:
        # Which use they have tells what may be accepted: Airflow's Kubernetes operators have the connection,
        # the reader of KubernetesExecutor's logs the namespace.
        uses = {
            "AIRFLOW_CONN_KUBERNETES_DEFAULT": container.env,
            "AIRFLOW__KUBERNETES_EXECUTOR__NAMESPACE": holders[0].env,
        }
        use = "".join(f", for {variable}" for variable, there in uses.items() if variable in there)
        yield Found(f"volumeMounts{use}", f"mounts the token that {holders[0].name} has", container.name)


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
                message = f"a token of {pod.service_account}, which has no rights: no use but to an attacker"
                yield manifest, Found(f"{pod_path(manifest)}spec.volumes[{name}].projected", message)


def _default_accounts(manifest: Manifest) -> Iterator[Found]:
    if manifest.pod and manifest.pod.service_account == "default":
        field = f"{pod_path(manifest)}spec.serviceAccountName"
        yield Found(field, "the namespace's default account, which others use too")


def _shared_accounts(manifests: Manifests) -> Iterator[tuple[Manifest, Found]]:
    users = Counter((manifest.namespace, pod.service_account) for manifest, pod in manifests.pods)
    for manifest, pod in manifests.pods:
        if users[manifest.namespace, pod.service_account] > 1 and pod.service_account != "default":
            message = f"{pod.service_account} is also another workload's account"
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
        "No token unasked",
        "medium",
        "A token in a container that does not use it is a gift to whoever gets in.",
        "Set automountServiceAccountToken: false; mount a projected token in the container that needs it.",
        (cis("5.1.6"), nsa("C-0034")),
        check_object=_automount,
    ),
    Policy(
        "token-shared",
        "One container of a pod holds the token",
        "medium",
        "Each further container that has it is one more way to it.",
        "Mount the token volume in the one container that talks to the API server.",
        (cis("5.1.6"),),
        check_object=_shared_token,
    ),
    Policy(
        "token-unused",
        "No token without rights to use it for",
        "low",
        "A token with no rights still proves an identity.",
        "Remove the token volume, or bind a Role to the service account.",
        (cis("5.1.6"),),
        check_release=_unused_tokens,
    ),
    Policy(
        "default-account",
        "No pod runs as the default service account",
        "medium",
        "What is granted to the default account is granted to every pod that names none.",
        "Set serviceAccountName to an account of the workload's own.",
        (cis("5.1.5"),),
        check_object=_default_accounts,
    ),
    Policy(
        "shared-account",
        "Every workload has a service account of its own",
        "medium",
        "Rights meant for one workload are the other's as well.",
        "Give each workload an account of its own.",
        (cis("5.1.5"),),
        check_release=_shared_accounts,
    ),
    Policy(
        "privileged-credentials",
        "A privileged container holds no credentials",
        "high",
        "Who breaks into it would have the node and the release's secrets.",
        "Mount tokens and Secrets in the other containers alone.",
        check_object=_privileged_with_credentials,
    ),
)
