"""What is wrong with an overlay that somebody wrote, where kubectl itself says nothing.

Three things go wrong silently: an entry that matches no object, names that stand where Kustomize does not
look, and `namespace:`, which moves the objects of the task namespace as well.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts.chart import Manifests, load_yaml, matches
from scripts.overlays.build import BuildError, build, text
from scripts.overlays.generate import dump

NAMES = ("kustomization.yaml", "kustomization.yml", "Kustomization")
#: What else than a typo can be wrong with an entry of configMapGenerator.
_OVERWRITTEN = (
    "a component in the same kustomization has the same keys, and wins. Merge them one level higher, in a"
    " kustomization whose resources contain this one (docs/kustomize.md, AIRFLOW__API__BASE_URL)."
)
#: A way out of an error of kubectl's.
_LATER = (
    "If a component in the same kustomization has this ConfigMap: kubectl applies components later. Merge or"
    " replace it one level higher, in a kustomization whose resources contain this one (docs/kustomize.md)."
)
#: Fields of a kustomization whose every entry must change something.
ENTRIES = (
    "patches",
    "images",
    "replicas",
    "replacements",
    "transformers",
    "components",
    "configMapGenerator",
)
TASKS, ACCOUNT = "airdock.dev/tasks", "airdock.dev/task-account"


def problems(folder: Path) -> list[str]:
    """A sentence for each thing that is stale, open or without effect in the overlay of this folder.

    Raises:
        BuildError: if it does not build, in kubectl's words, or there is no kustomization.
    """
    file = _file(folder)
    content = load_yaml(file.read_text(), str(file))[0] or {}
    if content.get("namespace"):
        return [
            f"{file}: `namespace:` also moves the objects of the task namespace, but not the RBAC subjects"
            " and the fence. Use the transformers in overlays/names instead, as examples/kustomize does."
        ]
    try:
        built = build(folder)
    except BuildError as error:
        if "cannot merge or replace" in str(error):
            raise BuildError(f"{error}\n{_LATER}") from error
        raise
    return [*stale(built), *_without_effect(folder, file, content)]


def _file(folder: Path) -> Path:
    for name in NAMES:
        if (folder / name).is_file():
            return folder / name
    raise BuildError(f"{folder} has no kustomization.yaml.")


def stale(manifests: Manifests) -> Iterator[str]:
    """A sentence for each name that refers to nothing, or to an object in another namespace."""
    there = {(m.kind, m.namespace, m.name) for m in manifests}
    for manifest in manifests:
        if manifest.cluster_scoped and manifest.namespace:
            yield f"{manifest}: has a namespace, but its kind has none. Check the transformers."
    for binding in manifests.all("RoleBinding"):
        for subject in binding.get("subjects") or ():
            key = (subject["kind"], subject.get("namespace", ""), subject["name"])
            if subject["kind"] == "ServiceAccount" and key not in there:
                yield (
                    f"{binding}: its subject {subject.get('namespace')}/{subject['name']} does not exist, so"
                    " no account has its rights. Use overlays/names/release."
                )
        if ("Role", binding.namespace, binding.get("roleRef", "name")) not in there:
            yield f"{binding}: its Role {binding.get('roleRef', 'name')} is not in the same namespace."
    yield from _stale_settings(manifests)
    yield from _stale_fence(manifests)


def _releases(manifests: Manifests) -> dict[str, dict[str, str]]:
    """The ConfigMap from which pods take their names, by its namespace: each release has one.

    Its own name may have any prefix and hash.
    """
    return {
        config.namespace: dict(config.get("data"))
        for config in manifests.all("ConfigMap")
        if "AIRDOCK_BASE_PATH" in (config.get("data") or {})
    }


def _stale_settings(manifests: Manifests) -> Iterator[str]:
    for release, env in _releases(manifests).items():
        yield from _stale_settings_of(manifests, release, env)


def _stale_settings_of(manifests: Manifests, release: str, env: Mapping[str, str]) -> Iterator[str]:
    services = {service.name for service in manifests.all("Service", namespace=release)}
    for component, variable in (("api-server", "API_SERVER"), ("postgres", "POSTGRES"), ("redis", "REDIS")):
        host = env.get(f"AIRDOCK_{variable}_HOST", "")
        if host not in services and manifests.all("Service", component=component, namespace=release):
            yield f"ConfigMap airdock-env: AIRDOCK_{variable}_HOST is {host}, and there is no such Service."
    namespace = env.get("AIRDOCK_TASK_NAMESPACE")
    if not namespace:
        return
    accounts = {account.name for account in manifests.all("ServiceAccount", namespace=namespace)}
    if not accounts:
        yield (
            f"ConfigMap airdock-env: AIRDOCK_TASK_NAMESPACE is {namespace}, but ServiceAccount and Roles are "
            "in another namespace. Use overlays/names/tasks."
        )
    elif (account := env.get("AIRDOCK_TASK_SERVICE_ACCOUNT")) not in accounts:
        yield (
            f"ConfigMap airdock-env: AIRDOCK_TASK_SERVICE_ACCOUNT is {account}, and "
            f"{namespace} has no such ServiceAccount. Use overlays/names/tasks, which follows a prefix."
        )
    for workload, _ in manifests.pods:
        if workload.namespace == namespace:
            yield (
                f"{workload}: is in the task namespace {namespace}, where every DAG author can create pods."
                " Use another namespace."
            )


def _stale_fence(manifests: Manifests) -> Iterator[str]:
    policies = {policy.name for policy in manifests.all("ValidatingAdmissionPolicy")}
    for namespace in manifests.all("Namespace"):
        if ACCOUNT in namespace.labels:
            accounts = {account.name for account in manifests.all("ServiceAccount", namespace=namespace.name)}
            if namespace.labels[ACCOUNT] not in accounts:
                yield f"{namespace}: {ACCOUNT} names {namespace.labels[ACCOUNT]}, which does not exist."
    for policy in manifests.all("ValidatingAdmissionPolicy"):
        defined = {each["name"] for each in policy.get("spec", "variables") or ()}
        if undefined := set(re.findall(r"\bvariables\.(\w+)", json.dumps(policy.get("spec")))) - defined:
            names = ", ".join(sorted(undefined)[:3])
            yield (
                f"{policy}: uses variables that it does not define ({names}): the API server rejects it, and"
                " nothing is fenced. A strategic merge patch replaces the whole list spec.variables: use a"
                " JSON patch (`op: replace`) of one entry."
            )
    fenced = [namespace for namespace in manifests.all("Namespace") if TASKS in namespace.labels]
    for binding in manifests.all("ValidatingAdmissionPolicyBinding"):
        if binding.get("spec", "policyName") not in policies:
            yield f"{binding}: its policy {binding.get('spec', 'policyName')} is not in the overlay."
        selector: Mapping[str, Any] = binding.get("spec", "matchResources", "namespaceSelector", default={})
        if fenced and not any(matches(selector, namespace.labels) for namespace in fenced):
            yield f"{binding}: applies to no namespace, so the fence is open. Use overlays/names/fence."
    used = {
        env["AIRDOCK_TASK_NAMESPACE"]
        for env in _releases(manifests).values()
        if "AIRDOCK_TASK_NAMESPACE" in env
    }
    for namespace in fenced:
        if used and namespace.name not in used:
            yield f"{namespace}: is not AIRDOCK_TASK_NAMESPACE, where tasks run. Use overlays/names/tasks."


def _without_effect(folder: Path, file: Path, content: Mapping[str, Any]) -> Iterator[str]:
    """Entries that change nothing: a name with a typo in it is no error to Kustomize."""
    whole = text(folder)
    with tempfile.TemporaryDirectory() as scratch:
        copy = Path(shutil.copytree(folder, Path(scratch) / "overlay"))
        for field in ENTRIES:
            entries = content.get(field) or []
            for number, entry in enumerate(entries):
                left = {**content, field: [*entries[:number], *entries[number + 1 :]]}
                (copy / file.name).write_text(dump(_relocated(left, folder, copy)))
                try:
                    changed = text(copy) != whole
                except BuildError:  # something else needs it
                    changed = True
                if not changed:
                    way_out = _OVERWRITTEN if field == "configMapGenerator" else "look for a typo."
                    yield f"{file}: {field} has an entry without effect, {_short(entry)}: {way_out}"


def _relocated(content: Mapping[str, Any], folder: Path, copy: Path) -> dict[str, Any]:
    """The same kustomization for a copy elsewhere: paths out of the folder are as long as they have to be."""

    def moved(entry: Any) -> Any:
        if isinstance(entry, str) and entry.startswith(".."):
            return os.path.relpath((folder / entry).resolve(), copy.resolve())
        return entry

    return {
        key: [moved(entry) for entry in value] if isinstance(value, list) else value
        for key, value in content.items()
    }


def _short(entry: Any) -> str:
    if isinstance(entry, Mapping):
        return str(entry.get("path") or entry.get("name") or entry.get("target") or dict(entry))
    return str(entry)
