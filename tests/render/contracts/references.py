"""Everything that an object names is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from unittest import mock
from urllib.parse import urlsplit

import create_secrets

from scripts.chart import Container, Manifest, Manifests, Reference
from tests.render.contracts.ports import serves
from tests.render.contracts.registry import contract
from tests.render.scenarios import Scenario

#: Objects that are in every namespace.
GIVEN_BY_KUBERNETES = {("ConfigMap", "kube-root-ca.crt"): frozenset({"ca.crt"})}


@contract
def references(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Every Secret, ConfigMap, claim, account, role and Service that is named is there, with its keys."""
    there = objects_there(manifests, scenario)
    for manifest, pod in manifests.pods:
        for reference in pod.references:
            if problem := unresolved(reference, manifest.namespace, there):
                yield f"{manifest}, {reference.where}: {problem}"
        service = manifest.get("spec", "serviceName")
        if service and ("Service", manifest.namespace, service) not in there:
            yield f"{manifest}: spec.serviceName names the Service {service}, which is not rendered"
    for binding in (*manifests.all("RoleBinding"), *manifests.all("ClusterRoleBinding")):
        role = binding.get("roleRef")
        if (role["kind"], binding.namespace if role["kind"] == "Role" else "", role["name"]) not in there:
            yield f"{binding}: roleRef names the {role['kind']} {role['name']}, which is not rendered"
        for subject in binding.get("subjects") or ():
            key = ("ServiceAccount", str(subject.get("namespace", "")), subject["name"])
            if subject["kind"] == "ServiceAccount" and key not in there:
                yield (
                    f"{binding}: its subject {subject['name']} in {subject.get('namespace')} is not rendered"
                )
    for ingress in manifests.all("Ingress"):
        for tls in ingress.get("spec", "tls") or ():
            reference = Reference("Secret", tls["secretName"], None, False, "spec.tls")
            if problem := unresolved(reference, ingress.namespace, there):
                yield f"{ingress}, spec.tls: {problem}"


@contract
def made_secrets(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Secrets made in the cluster have a known purpose, are read by someone, and name real Services."""
    read = {
        (manifest.namespace, reference.name)
        for manifest, pod in manifests.pods
        for reference in pod.references
        if reference.kind == "Secret"
    }
    for manifest, _, container in manifests.containers:
        for purpose, name in to_make(container).items():
            if purpose not in create_secrets.PURPOSES:
                yield (
                    f"{manifest}: create_secrets.py knows no purpose {purpose!r}; it knows "
                    f"{', '.join(create_secrets.PURPOSES)}"
                )
                continue
            for namespace in made_in(manifest, container):
                if (namespace, name) not in read:
                    yield f"{manifest}: the Secret {namespace}/{name} is made, and nobody reads it"
            hosts = {
                name: value
                for name, value in manifests.environment(manifest, container).items()
                if name.endswith("_HOST")
            }
            for key, value in made(purpose, hosts).items():
                url = urlsplit(value)
                yield from (
                    f"{manifest}: the key {key} of the Secret {name} names {url.hostname}:{url.port}, "
                    f"which no Service of the release serves for {namespace}"
                    for namespace in made_in(manifest, container)
                    if url.scheme
                    and url.hostname
                    and not serves(manifests, namespace, url.hostname, url.port)
                )


def to_make(container: Container) -> dict[str, str]:
    """Purpose -> name of the Secrets that a container is told to make."""
    found = {}
    for variable in container.env_list:
        if match := create_secrets.MAKE.fullmatch(variable.name):
            found[match[1]] = variable.value or ""
    return found


def made_in(manifest: Manifest, container: Container) -> tuple[str, ...]:
    """The namespaces in which a container makes its Secrets."""
    return container.words[2:] or (manifest.namespace,)


def made(purpose: str, environment: Mapping[str, str] | None = None) -> dict[str, str]:
    """The keys and values that create_secrets.py makes for a purpose."""
    hosts = {"AIRDOCK_POSTGRES_HOST": "postgres", "AIRDOCK_REDIS_HOST": "redis"}
    given = {"AIRDOCK_ADMIN_USERNAME": "admin", **(hosts if environment is None else environment)}
    with mock.patch.dict("os.environ", given):
        found: dict[str, str] = create_secrets.PURPOSES[purpose]()
    return found


#: (kind, namespace, name) -> its keys; None where any key will do.
There = dict[tuple[str, str, str], frozenset[str] | None]


def objects_there(manifests: Manifests, scenario: Scenario) -> There:
    """All that a release can rely on: rendered, made in the cluster, the user's, or Kubernetes' own."""
    there: There = {}
    for manifest in manifests:
        data = {**(manifest.get("data") or {}), **(manifest.get("binaryData") or {})}
        keys = frozenset(data) if manifest.kind in ("ConfigMap", "Secret") else None
        there[(manifest.kind, manifest.namespace, manifest.name)] = keys
    for manifest, _, container in manifests.containers:
        for purpose, name in to_make(container).items():
            keys = frozenset(made(purpose)) if purpose in create_secrets.PURPOSES else frozenset()
            for namespace in made_in(manifest, container):
                there[("Secret", namespace, name)] = keys
    for namespace in {manifest.namespace for manifest, _ in manifests.pods}:
        for given, keys in {**GIVEN_BY_KUBERNETES, **scenario.external}.items():
            there[(given[0], namespace, given[1])] = keys or None
    return there


def unresolved(reference: Reference, namespace: str, there: There) -> str | None:
    """What is wrong with a reference, or None."""
    if reference.optional:
        return None
    key = (reference.kind, namespace, reference.name)
    if key not in there:
        return (
            f"needs the {reference.kind} {reference.name}, which is neither rendered nor made by "
            "create_secrets.py "
            "nor external to the scenario"
        )
    keys = there[key]
    if reference.key is not None and keys is not None and reference.key not in keys:
        return (
            f"needs the key {reference.key!r} of the {reference.kind} {reference.name}, which has "
            f"{', '.join(sorted(keys)) or 'none'}"
        )
    return None
