"""The SBOM of a packaged chart (CycloneDX): the archive, and the images that the default values need.

It does not list what is in the images: their publishers' SBOMs do. The same archive gives the same bytes.
"""

from __future__ import annotations

import hashlib
import uuid
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cyclonedx.model import ExternalReference, ExternalReferenceType, HashAlgorithm, HashType, Property, XsUri
from cyclonedx.model.bom import Bom, BomMetaData
from cyclonedx.model.component import Component, ComponentScope, ComponentType
from cyclonedx.model.license import DisjunctiveLicense
from cyclonedx.output.json import JsonV1Dot6
from packageurl import PackageURL

#: What the list is, for its readers.
COMPONENTS = "Images that the chart's default values need. What is in these images is not listed."


def sbom(archive: Path, chart: Mapping[str, Any], images: Iterable[str], epoch: int) -> str:
    """The SBOM as JSON.

    Args:
        archive: the packaged chart.
        chart: its Chart.yaml.
        images: images that the default values need.
        epoch: the time of the release, in seconds.
    """
    digest = hashlib.sha256(archive.read_bytes()).hexdigest()
    subject = Component(
        type=ComponentType.APPLICATION,
        name=chart["name"],
        version=chart["version"],
        bom_ref=f"{chart['name']}@{chart['version']}",
        description=chart["description"],
        licenses=[DisjunctiveLicense(id=chart["annotations"]["artifacthub.io/license"])],
        hashes=[HashType(alg=HashAlgorithm.SHA_256, content=digest)],
        external_references=[
            ExternalReference(type=ExternalReferenceType.VCS, url=XsUri(url))
            for url in chart.get("sources", ())
        ],
    )
    bom = Bom(
        serial_number=uuid.uuid5(uuid.NAMESPACE_OID, digest),
        metadata=BomMetaData(
            component=subject,
            timestamp=datetime.fromtimestamp(epoch, UTC),
            properties=[Property(name="airdock:components", value=COMPONENTS)],
        ),
        components=[_image(name) for name in images],
    )
    bom.register_dependency(subject, bom.components)
    return JsonV1Dot6(bom).output_as_string(indent=2) + "\n"


def _image(reference: str) -> Component:
    name, _, digest = reference.partition("@")
    repository, _, tag = name.rpartition(":") if ":" in name.rpartition("/")[2] else (name, "", "")
    first, _, rest = repository.partition("/")
    registry = first if rest and (first == "localhost" or "." in first or ":" in first) else ""
    path = rest if registry else repository
    namespace, _, short = path.rpartition("/")
    version = digest or tag
    return Component(
        type=ComponentType.CONTAINER,
        name=repository,
        version=version,
        bom_ref=reference,
        scope=ComponentScope.REQUIRED,
        purl=PackageURL(
            "docker", namespace, short, version, {"repository_url": registry} if registry else None
        ),
    )
