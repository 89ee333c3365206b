"""Converts what leads to the UI: the Ingress and the api-server's Service."""

from __future__ import annotations

from typing import Any

from scripts.from_official.result import Result
from scripts.from_official.source import Source, sets, templated

#: Keys of an Ingress that are alike here.
ALIKE = {"ingressClassName": "className", "annotations": "annotations", "path": "path"}
#: Keys of a Service that are alike here.
SERVICE = ("annotations", "loadBalancerSourceRanges")


def ingress(source: Source, result: Result) -> None:
    """The Ingress of the api-server, or of Airflow 2's webserver: the first host has the base URL."""
    for name in ("apiServer", "web"):
        block = source.block("ingress", name)
        if not block.get("enabled") and not source.look("ingress", "enabled"):
            continue
        path = ("ingress", name)
        hosts = [_host(host, block) for host in block.get("hosts") or [block.get("host") or ""]]
        known = [(host, secret) for host, secret in hosts if host and not templated(host)]
        if not known or known[0] != hosts[0]:
            result.decide(
                f"ingress.{name}.hosts: set `ingress.host` to the host name, and `ingress.enabled: true`."
            )
            source.take(*path)
            continue
        result.put("ingress.enabled", True, path)
        for theirs, ours in ALIKE.items():
            value = source.take(*path, theirs)
            if value and not templated(value):
                result.put(f"ingress.{ours}", value, (*path, theirs))
        _path_type(source, result, name)
        (first, shared), *others = known
        result.put("ingress.host", first, (*path, "hosts"))
        if shared:
            result.put("ingress.tlsSecretName", shared)
            result.secrets.append(f"{shared}: `ingress.tlsSecretName`")
        for host, secret in dict(others).items():
            if host != first:
                own = {} if secret == shared else {"tlsSecretName": secret}
                result.put(("ingress", "hosts", host), own)
                if secret and own:
                    result.secrets.append(f"{secret}: `ingress.hosts`, {host}")
        for host, _ in hosts:
            if templated(host):
                result.decide(f"ingress.{name}.hosts: {host} has Helm templates. Set `ingress.hosts`.")
        source.take(*path)
    source.take("ingress", "enabled")


def _host(host: Any, block: dict[str, Any]) -> tuple[str, str]:
    """(name, TLS Secret) of a host; an older form is the name alone, with one Secret for all."""
    tls = (host.get("tls") if isinstance(host, dict) else None) or block.get("tls") or {}
    name = host.get("name", "") if isinstance(host, dict) else host
    return str(name), str(tls.get("secretName") or "") if tls.get("enabled") else ""


def _path_type(source: Source, result: Result, name: str) -> None:
    """Prefix and ImplementationSpecific are alike here. An Exact path would serve nothing below it."""
    given = source.take("ingress", name, "pathType")
    if given == "ImplementationSpecific":
        result.put("ingress.pathType", given, ("ingress", name, "pathType"))
    elif given not in (None, "", "Prefix"):
        result.dropped.append(f"ingress.{name}.pathType: {given} would serve nothing below the path.")


def service(source: Source, result: Result) -> None:
    """The Service of the api-server, or of Airflow 2's webserver."""
    for name in ("apiServer", "webserver"):
        if name == "webserver" and source.look("apiServer"):
            break
        path, here = (name, "service"), "controlPlane.apiServer.service"
        kind = source.take(*path, "type") or "ClusterIP"
        if kind != "ClusterIP":
            result.put(f"{here}.type", kind, (*path, "type"))
        for key in SERVICE:
            value = source.look(*path, key)
            wanted = key == "annotations" or kind == "LoadBalancer"
            if sets(value) and wanted and not templated(value):
                result.put(f"{here}.{key}", source.take(*path, key), (*path, key))
        ports = source.take(*path, "ports") or []
        numbers = [port["nodePort"] for port in ports if isinstance(port, dict) and port.get("nodePort")]
        if numbers and kind != "ClusterIP" and not templated(numbers[0]):
            result.put(f"{here}.nodePort", int(numbers[0]), (*path, "ports"))
