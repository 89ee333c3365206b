"""Values that cannot work, by the kind of mistake."""

from __future__ import annotations

from tests.render.bad_values.autoscaling import AUTOSCALING
from tests.render.bad_values.clusters import CLUSTERS
from tests.render.bad_values.collisions import COLLISIONS
from tests.render.bad_values.contradictions import CONTRADICTIONS
from tests.render.bad_values.git import GIT
from tests.render.bad_values.metrics import METRICS
from tests.render.bad_values.model import Bad
from tests.render.bad_values.pods import PODS
from tests.render.bad_values.schema import INJECTION, RANGES, SHAPE

__all__ = ["ALL", "Bad"]

ALL: tuple[Bad, ...] = (
    *SHAPE,
    *RANGES,
    *COLLISIONS,
    *INJECTION,
    *CONTRADICTIONS,
    *PODS,
    *GIT,
    *CLUSTERS,
    *AUTOSCALING,
    *METRICS,
)
