"""Sizes that Kubernetes accepts."""

from __future__ import annotations

import json
from collections.abc import Iterator

from scripts.chart import Manifests
from tests.render.contracts.registry import EXTRA, contract
from tests.render.scenarios import Scenario

#: Bytes of all annotations of an object: TotalAnnotationSizeLimitB in apimachinery's
#: pkg/api/validation/objectmeta.go.
ANNOTATIONS = 256 * 1024
#: Labels and annotations that a user's Kustomization adds, and line ends that JSON writes longer.
ROOM = 32 * 1024


@contract
def object_sizes(manifests: Manifests, scenario: Scenario) -> Iterator[str]:
    """A client-side `kubectl apply` can keep each object, as JSON, in its last-applied annotation."""
    for manifest in manifests:
        size = len(json.dumps(manifest.raw, separators=(",", ":")).encode())
        if not manifest.source.endswith(EXTRA) and size > ANNOTATIONS - ROOM:
            yield (
                f"{manifest}: is {size} bytes of JSON, over the {ANNOTATIONS - ROOM} that fit into an"
                " annotation"
            )
