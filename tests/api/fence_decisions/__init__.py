"""What the admission fence decides about every field of a pod, a claim and a Job, by the field's path.

decision.py says what the decisions are. test_fence_decisions.py compares the tables with the API server's
schema, and each decision with the API server's answer.
"""

from __future__ import annotations

from collections.abc import Mapping

from tests.api.fence_decisions.claim import CLAIM
from tests.api.fence_decisions.container import CONTAINER
from tests.api.fence_decisions.decision import NESTED, Decision
from tests.api.fence_decisions.job import JOB
from tests.api.fence_decisions.pod import METADATA, POD
from tests.api.fence_decisions.volumes import VOLUMES

#: By the path from the pod on. initContainers are judged as containers.
DECISIONS: Mapping[str, Decision] = {
    "metadata": NESTED,
    "spec": NESTED,
    **{f"metadata.{path}": decision for path, decision in METADATA.items()},
    **{f"spec.{path}": decision for path, decision in {**POD, **VOLUMES}.items()},
    **{f"spec.containers[].{path}": decision for path, decision in CONTAINER.items()},
}

#: Of objects beside pods, by kind.
OBJECTS: Mapping[str, Mapping[str, Decision]] = {"PersistentVolumeClaim": CLAIM, "Job": JOB}
