"""Ports, and the Services, Ingresses, policies and URLs that name them."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from scripts.chart import Container, Manifest, Manifests, PodSpec
from tests.render.contracts.registry import at, contract, selected_by
from tests.render.contracts.volumes import airflow_config
from tests.render.scenarios import Scenario


@contract
def ports(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Ports that probes, Services, Ingresses, HTTPRoutes and NetworkPolicies name are the containers' own."""
    for manifest, _, container in manifests.containers:
        for name, probe in container.probes.items():
            for kind in ("httpGet", "tcpSocket", "grpc"):
                port = (probe.get(kind) or {}).get("port")
                if port is not None and port not in own_ports([container]):
                    yield f"{at(manifest, container)}: {name} asks port {port!r}, which it does not declare"
    for service in manifests.all("Service"):
        for entry in service.get("spec", "ports") or ():
            target = entry.get("targetPort", entry["port"])
            for workload, pod in selected_by(service, manifests):
                holders = [container for container in pod.containers if target in own_ports([container])]
                if not holders:
                    yield (
                        f"{service}: its port {entry['port']} goes to {target!r}, which no container of "
                        f"{workload} declares"
                    )
                for container in holders:
                    if "readinessProbe" not in container.probes:
                        yield (
                            f"{service}: sends to {workload}, whose container {container.name} has no "
                            "readinessProbe"
                        )
    for ingress in manifests.all("Ingress"):
        for backend in backends(ingress.raw):
            found = manifests.find("Service", name=backend["name"], namespace=ingress.namespace)
            entries = (found.get("spec", "ports") if found else None) or ()
            wanted = backend["port"]
            if not any(
                wanted.get("name") == entry.get("name") or wanted.get("number") == entry["port"]
                for entry in entries
            ):
                yield (
                    f"{ingress}: its backend {backend['name']} port {dict(wanted)} is no port of a rendered "
                    "Service"
                )
    for route in manifests.all("HTTPRoute"):
        for rule in route.get("spec", "rules") or ():
            for backend in rule["backendRefs"]:
                if not serves(manifests, route.namespace, backend["name"], backend["port"]):
                    yield (
                        f"{route}: its backend {backend['name']} port {backend['port']} is no port of a "
                        "rendered Service"
                    )
    for policy in manifests.all("NetworkPolicy"):
        for rule in policy.get("spec", "ingress") or ():
            for entry in rule.get("ports") or ():
                for workload, pod in selected_by(policy, manifests):
                    if entry.get("port") is not None and entry["port"] not in own_ports(pod.containers):
                        yield (
                            f"{policy}: lets in port {entry['port']}, which no container of {workload} "
                            "declares"
                        )


@contract
def in_cluster_urls(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Every host:port of the release that a variable or airflow.cfg names is a Service with that port."""
    stems = {service.name for service in manifests.all("Service")}
    for manifest, pod, container in manifests.containers:
        for where, text in urls_in(manifest, container, pod, manifests):
            for host, port in re.findall(
                r"//(?:[^/@\s]*@)?([a-z0-9][a-z0-9-]*(?:\.[a-z0-9-]+\.svc)?):(\d+)", text
            ):
                if host.partition(".")[0] not in stems and not host.startswith(scenario.release):
                    continue
                if not serves(manifests, manifest.namespace, host, int(port)):
                    yield (
                        f"{at(manifest, container)}, {where}: no Service of the release serves {host}:{port}"
                    )


def urls_in(
    manifest: Manifest, container: Container, pod: PodSpec, manifests: Manifests
) -> Iterator[tuple[str, str]]:
    """(where, text) of variables and of airflow.cfg."""
    environment = manifests.environment(manifest, container)
    for name, text in environment.items():
        yield f"env {name}", text
    if path := environment.get("AIRFLOW_CONFIG"):
        for section, key, value in airflow_config(container, pod, manifests, manifest.namespace, path):
            yield f"airflow.cfg [{section}] {key}", value


def serves(manifests: Manifests, namespace: str, host: str, port: int | None) -> bool:
    """Whether a rendered Service of that name has that port and selects pods; `namespace` is the asker's."""
    name, _, domain = host.partition(".")
    home = domain.removesuffix(".svc") or namespace
    service = manifests.find("Service", name=name, namespace=home)
    if service is None or not list(selected_by(service, manifests)):
        return False
    return any(entry["port"] == port for entry in service.get("spec", "ports") or ())


def own_ports(containers: Iterable[Container]) -> set[int | str]:
    """Names and numbers of the ports that containers declare."""
    return {
        port[key]
        for container in containers
        for port in container.ports
        for key in ("name", "containerPort")
        if key in port
    }


def backends(raw: Any) -> Iterator[Mapping[str, Any]]:
    """All Services that an Ingress names."""
    spec = raw["spec"]
    found = [spec.get("defaultBackend")]
    found += [
        path["backend"]
        for rule in spec.get("rules") or ()
        for path in (rule.get("http") or {}).get("paths") or ()
    ]
    return (backend["service"] for backend in found if backend)
