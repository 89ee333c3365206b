"""What schemas accept and the API server refuses: quantities, ports, paths, hosts, schedules, addresses."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator, Mapping
from decimal import Decimal
from pathlib import PurePosixPath
from typing import Any

from scripts.chart import Manifests
from tests.render.contracts.names import SUBDOMAIN
from tests.render.contracts.registry import at, contract
from tests.render.scenarios import Scenario

UNITS = {"": Decimal(1), "m": Decimal("0.001")}
UNITS |= {unit: Decimal(1000**power) for power, unit in enumerate("kMGTPE", 1)}
UNITS |= {f"{unit}i": Decimal(1024**power) for power, unit in enumerate("KMGTPE", 1)}


def quantity(value: object) -> Decimal:
    """A Kubernetes quantity as a number; ValueError where it is none."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)([eE][-+]?[0-9]+)?([numkMGTPE]i?|Ki)?", str(value))
    if isinstance(value, bool) or not match or (match[3] or "") not in UNITS or (match[2] and match[3]):
        raise ValueError(f"{value!r} is no quantity")
    return Decimal(match[1] + (match[2] or "")) * UNITS[match[3] or ""]


@contract
def quantities(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """Quantities are positive, and no request is above its limit."""
    for manifest, _, container in manifests.containers:
        resources = container.raw.get("resources") or {}
        amounts: dict[tuple[str, str], Decimal] = {}
        for block in ("requests", "limits"):
            for name, value in (resources.get(block) or {}).items():
                where = f"{at(manifest, container)}, resources.{block}.{name}"
                try:
                    amounts[(block, name)] = quantity(value)
                except ValueError as error:
                    yield f"{where}: {error}"
        for (block, name), amount in amounts.items():
            limit = amounts.get(("limits", name))
            if block == "requests" and limit is not None and amount > limit:
                yield f"{at(manifest, container)}: requests more {name} ({amount}) than its limit ({limit})"
    for where, value in sizes(manifests):
        try:
            if quantity(value) <= 0:
                yield f"{where}: {value!r} is not positive"
        except ValueError as error:
            yield f"{where}: {error}"


def sizes(manifests: Manifests) -> Iterator[tuple[str, object]]:
    """Sizes of claims and emptyDirs."""
    for claim in manifests.all("PersistentVolumeClaim"):
        yield f"{claim}, storage", claim.get("spec", "resources", "requests", "storage")
    for manifest, pod in manifests.pods:
        for template in manifest.get("spec", "volumeClaimTemplates") or ():
            yield (
                f"{manifest}, claim {template['metadata']['name']}",
                template["spec"]["resources"]["requests"]["storage"],
            )
        for name, volume in pod.volumes.items():
            if limit := (volume.get("emptyDir") or {}).get("sizeLimit"):
                yield f"{manifest}, volume {name}, emptyDir.sizeLimit", limit


@contract
def field_values(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """What schemas accept and the API server refuses: ports, paths, policies, hosts, schedules, ranges."""
    for manifest, pod in manifests.pods:
        if (policy := pod.raw.get("restartPolicy", "Always")) not in ("Always", "OnFailure", "Never"):
            yield f"{manifest}: restartPolicy {policy!r}"
        grace = pod.raw.get("terminationGracePeriodSeconds", 30)
        if not isinstance(grace, int) or grace < 0:
            yield f"{manifest}: terminationGracePeriodSeconds {grace!r}"
        for name, volume in pod.volumes.items():
            kind = (volume.get("hostPath") or {}).get("type", "")
            kinds = (
                "",
                "DirectoryOrCreate",
                "Directory",
                "FileOrCreate",
                "File",
                "Socket",
                "CharDevice",
                "BlockDevice",
            )
            if kind not in kinds:
                yield f"{manifest}, volume {name}: hostPath.type {kind!r}"
            if "hostPath" in volume and ".." in PurePosixPath(volume["hostPath"]["path"]).parts:
                yield f"{manifest}, volume {name}: hostPath.path contains .."
    for manifest, _, container in manifests.containers:
        where = at(manifest, container)
        for port in container.ports:
            if not 1 <= port["containerPort"] <= 65535:
                yield f"{where}: containerPort {port['containerPort']}"
        for mount in container.mounts:
            if not mount.path.startswith("/") or ":" in mount.path:
                yield f"{where}: mountPath {mount.path!r} is no absolute path without a colon"
        for name, probe in container.probes.items():
            handlers = {"exec", "httpGet", "tcpSocket", "grpc"} & set(probe)
            if len(handlers) != 1:
                yield (
                    f"{where}: {name} needs exactly one handler and has "
                    f"{', '.join(sorted(handlers)) or 'none'}"
                )
            if name != "readinessProbe" and probe.get("successThreshold", 1) != 1:
                yield f"{where}: {name}.successThreshold must be 1"
    for service in manifests.all("Service"):
        for port in service.get("spec", "ports") or ():
            if not 1 <= port["port"] <= 65535:
                yield f"{service}: port {port['port']}"
    for ingress in manifests.all("Ingress"):
        for rule in ingress.get("spec", "rules") or ():
            if not host_name(rule.get("host", "a")):
                yield f"{ingress}: the host {rule['host']!r} is no DNS name"
            for path in (rule.get("http") or {}).get("paths") or ():
                if not path.get("path", "/").startswith("/"):
                    yield f"{ingress}: the path {path['path']!r} does not start with /"
    for route in manifests.all("HTTPRoute"):
        for host in route.get("spec", "hostnames") or ():
            if not host_name(host):
                yield f"{route}: the host {host!r} is no DNS name"
    for job in manifests.all("CronJob"):
        schedule = str(job.get("spec", "schedule", default=""))
        if not cron(schedule):
            yield f"{job}: the schedule {schedule!r} is no cron expression"
    for policy in manifests.all("NetworkPolicy"):
        for block in ip_blocks(policy.raw):
            yield from (f"{policy}: {problem}" for problem in bad_ranges(block))


def host_name(text: str) -> bool:
    """Whether an Ingress or HTTPRoute accepts the host: a DNS name, the first label of which may be *."""
    return len(text) <= 253 and bool(SUBDOMAIN.fullmatch(text.removeprefix("*.")))


def cron(text: str) -> bool:
    """Whether a CronJob accepts the schedule: five fields in their ranges, or one of the @names."""
    if re.fullmatch(r"@(yearly|annually|monthly|weekly|daily|midnight|hourly)|@every \d+(h|m|s)", text):
        return True
    ranges = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))
    fields = text.split()
    if len(fields) != 5:
        return False
    for word, (low, high) in zip(fields, ranges, strict=True):
        for part in word.split(","):
            match = re.fullmatch(r"(?:\*|(\d+)(?:-(\d+))?)(?:/([1-9]\d*))?", part)
            if not match or any(not low <= int(number) <= high for number in match.groups()[:2] if number):
                return False
            if match[1] and match[2] and int(match[1]) > int(match[2]):
                return False
    return True


def ip_blocks(value: Any) -> Iterator[Mapping[str, Any]]:
    """All ipBlocks anywhere in an object."""
    if isinstance(value, Mapping):
        if "ipBlock" in value:
            yield value["ipBlock"]
        for item in value.values():
            yield from ip_blocks(item)
    elif isinstance(value, list):
        for item in value:
            yield from ip_blocks(item)


def bad_ranges(block: Mapping[str, Any]) -> Iterator[str]:
    """What the API server refuses about an ipBlock."""
    try:
        outer = ipaddress.ip_network(block["cidr"])
        for text in block.get("except") or ():
            inner = ipaddress.ip_network(text)
            if inner.version != outer.version or not inner.subnet_of(outer):  # type: ignore[arg-type]
                yield f"ipBlock.except {text} does not lie inside {outer}"
    except ValueError as error:
        yield f"ipBlock: {error}"
