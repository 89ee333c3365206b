"""Names that Kubernetes accepts, each of them once."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable, Iterator

from scripts.chart import Manifests
from tests.render.contracts.registry import at, contract
from tests.render.scenarios import Scenario

LABEL = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?")
SUBDOMAIN = re.compile(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*")
LABEL_VALUE = re.compile(r"([A-Za-z0-9]([-A-Za-z0-9_.]*[A-Za-z0-9])?)?")
PORT_NAME = re.compile(r"(?=.*[a-z])[a-z0-9]+(-[a-z0-9]+)*")
#: Kinds whose names become host names or labels, and how long they can be.
#: StatefulSet: its pods get the label controller-revision-hash, the name and a hash of up to 11 characters.
LONGEST = {"Namespace": 63, "Service": 63, "Pod": 63, "Deployment": 63, "DaemonSet": 63, "Job": 63}
LONGEST |= {"StatefulSet": 52, "CronJob": 52}


@contract
def object_names(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Names and label values are legal, a Service's name starts with a letter, no object is there twice."""
    for manifest in manifests:
        longest = LONGEST.get(manifest.kind, 253)
        form, what = (LABEL, "label") if longest < 253 else (SUBDOMAIN, "subdomain")
        if not form.fullmatch(manifest.name) or len(manifest.name) > longest:
            yield (
                f"{manifest}: the name ({len(manifest.name)} characters) is no DNS {what} of at most "
                f"{longest}"
            )
        # RFC 1035, until the RelaxedServiceNameValidation gate (alpha in Kubernetes 1.34) is on everywhere.
        if manifest.kind == "Service" and not manifest.name[:1].isalpha():
            yield f"{manifest}: a Service's name must start with a letter"
        if manifest.cluster_scoped == bool(manifest.namespace):
            yield (
                f"{manifest}: {'is cluster-scoped, so it has no' if manifest.namespace else 'lacks its'} "
                "namespace"
            )
        if manifest.namespace and (not LABEL.fullmatch(manifest.namespace) or len(manifest.namespace) > 63):
            yield f"{manifest}: the namespace is no DNS label"
        pod_labels = manifest.pod.labels if manifest.pod else {}
        for key, value in {**pod_labels, **manifest.labels}.items():
            if not isinstance(value, str) or len(value) > 63 or not LABEL_VALUE.fullmatch(value):
                yield f"{manifest}: the label {key} has the value {value!r}, which Kubernetes refuses"
    for identity, count in Counter((m.api_version, str(m)) for m in manifests).items():
        if count > 1:
            yield f"{identity[1]}: is rendered {count} times"


@contract
def part_names(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Containers, volumes and ports have legal names."""
    for manifest, pod in manifests.pods:
        for name in (*(container.name for container in pod.containers), *pod.volumes, *pod.claims):
            if not LABEL.fullmatch(name) or len(name) > 63:
                yield f"{manifest}: the container or volume name {name!r} is no DNS label"
    for manifest, _, container in manifests.containers:
        for port in container.ports:
            name = port.get("name", "")
            if name and (len(name) > 15 or not PORT_NAME.fullmatch(name)):
                yield (
                    f"{at(manifest, container)}: the port name {name!r} is illegal (at most 15 of a-z, 0-9, "
                    "-)"
                )
        for variable in container.env_list:
            if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]*", variable.name):
                yield f"{at(manifest, container)}: {variable.name!r} is no name of a variable"


@contract
def duplicates(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """No name or number occurs twice where it must be unique; volumes and variables have one source."""
    for manifest, pod in manifests.pods:
        yield from twice(manifest, "container", (container.name for container in pod.containers))
        volumes = [str(volume.get("name")) for volume in pod.raw.get("volumes") or ()]
        yield from twice(manifest, "volume", [*volumes, *pod.claims])
        pull = [secret["name"] for secret in pod.raw.get("imagePullSecrets") or ()]
        yield from twice(manifest, "imagePullSecret", pull)
        yield from twice(
            manifest, "port name", (p["name"] for c in pod.containers for p in c.ports if "name" in p)
        )
        numbers = [(p["containerPort"], p.get("protocol", "TCP")) for c in pod.containers for p in c.ports]
        yield from twice(manifest, "port", numbers)
        for name, volume in pod.volumes.items():
            if len(volume) != 2:
                sources = sorted(set(volume) - {"name"})
                yield (
                    f"{manifest}: the volume {name} needs exactly one source and has "
                    f"{', '.join(sources) or 'none'}"
                )
    for manifest, _, container in manifests.containers:
        where = at(manifest, container)
        yield from twice(where, "variable", (variable.name for variable in container.env_list))
        yield from twice(where, "mount path", (mount.path.rstrip("/") for mount in container.mounts))
        for entry in container.raw.get("env") or ():
            if "value" in entry and "valueFrom" in entry:
                yield f"{where}: the variable {entry['name']} has a value and a valueFrom"
    for service in manifests.all("Service"):
        yield from twice(
            service, "port name", (port.get("name") for port in service.get("spec", "ports") or ())
        )


def twice(where: object, what: str, found: Iterable[object]) -> Iterator[str]:
    """A sentence for each that occurs more than once."""
    for name, count in Counter(found).items():
        if count > 1:
            yield f"{where}: the {what} {name!r} occurs {count} times"


@contract
def variable_references(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """$(NAME) in a value reaches a variable before it; in a command, any variable of the container."""
    for manifest, _, container in manifests.containers:
        # Those of envFrom come first.
        own = {variable.name for variable in container.env_list}
        known = set(manifests.environment(manifest, container)) - own
        # In every container (makeEnvironmentVariables of the kubelet's kubelet_pods.go).
        known |= {"KUBERNETES_SERVICE_HOST", "KUBERNETES_SERVICE_PORT"}
        where = at(manifest, container)
        for variable in container.env_list:
            for name in expansions(variable.value or ""):
                if name not in known:
                    yield (
                        f"{where}: {variable.name} refers to $({name}), which is not set before it, so it "
                        "stays as it is"
                    )
            known.add(variable.name)
        for word in container.words:
            # $(...) with a space in it is a shell's.
            yield from (
                f"{where}: its command refers to $({name}), which is not set"
                for name in expansions(word)
                if name not in known
            )


def expansions(text: str) -> list[str]:
    """The names in $(NAME); $$(NAME) is an escape."""
    return re.findall(r"(?<!\$)\$\(([A-Za-z_][A-Za-z0-9_]*)\)", text)
