"""What an API server serves: its version, kinds and API versions."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass

from scripts.chart import KUBE_VERSIONS
from scripts.check.cluster import Cluster, CommandError


def minor_of(version: str) -> int:
    """The minor version in one such as v1.30.1."""
    match = re.match(r"v?1\.(\d+)", version)
    return int(match[1]) if match else 0


@dataclass(frozen=True)
class Kind:
    """How a kind is called in rights and paths."""

    resource: str
    namespaced: bool


@dataclass(frozen=True)
class Served:
    """What was found.

    Attributes:
        version: of the API server, such as v1.30.1.
        kinds: by API group and kind.
        api_versions: such as apps/v1, and with the kind behind it.
        partial: why the list is not whole; "" if it is.
    """

    version: str
    kinds: Mapping[tuple[str, str], Kind]
    api_versions: tuple[str, ...]
    partial: str = ""

    @property
    def minor(self) -> int:
        """Of version v1.30.1: 30."""
        return minor_of(self.version)

    @property
    def oldest(self) -> int:
        """The oldest minor version that the chart supports."""
        return minor_of(KUBE_VERSIONS[0])

    @classmethod
    def by(cls, cluster: Cluster) -> Served:
        """Ask the API server.

        Raises:
            CommandError: it does not answer.
        """
        answer = json.loads(cluster.kubectl("version", "-o", "json", "--request-timeout=20s", timeout=40))
        version = str(answer["serverVersion"]["gitVersion"])
        groups = cluster.kubectl("api-versions").split()
        partial = ""
        try:
            lines = cluster.kubectl("api-resources", "--no-headers")
        except CommandError as error:  # An aggregated API is down; the others are listed.
            lines, partial = error.stdout, error.reason
        kinds, versions = {}, []
        for line in lines.splitlines():
            words = line.split()  # short names are missing in some
            resource, api_version, namespaced, kind = words[0], *words[-3:]
            group = api_version.rpartition("/")[0]
            kinds[group, kind] = Kind(resource, namespaced == "true")
            versions.append(f"{api_version}/{kind}")
        return cls(version, kinds, (*groups, *versions), partial)
