"""The fields of Jobs."""

from __future__ import annotations

from typing import Any

from tests.api.fence_decisions.decision import NESTED, Decision, allowed, refused, server
from tests.api.fence_decisions.pod import METADATA

_POD: dict[str, Any] = {
    "metadata": {"labels": {"a": "b"}},
    "spec": {"restartPolicy": "Never", "containers": [{"name": "base", "image": "busybox:1.37"}]},
}
#: A spec that is admitted. The examples are what they change in it.
PROPER: dict[str, Any] = {"template": _POD}
_INDEXED = {"completionMode": "Indexed", "completions": 2}
_OF_OTHERS = {"manualSelector": True, "selector": {"matchLabels": {"a": "b"}}}

JOB_SPEC: dict[str, Decision] = {
    "activeDeadlineSeconds": allowed({"activeDeadlineSeconds": 60}),
    "backoffLimit": allowed({"backoffLimit": 2**31 - 1}, "the quota counts pods"),
    "backoffLimitPerIndex": allowed({**_INDEXED, "backoffLimitPerIndex": 1}),
    "completionMode": allowed(_INDEXED),
    "completions": allowed({"completions": 2**31 - 1}, "the quota counts pods"),
    "managedBy": refused({"managedBy": "example.com/elsewhere"}),
    "manualSelector": refused(_OF_OTHERS),
    "maxFailedIndexes": allowed({**_INDEXED, "backoffLimitPerIndex": 1, "maxFailedIndexes": 1}),
    "parallelism": allowed({"parallelism": 2**31 - 1}, "the quota counts pods"),
    "podFailurePolicy": allowed(
        {
            "podFailurePolicy": {
                "rules": [{"action": "FailJob", "onExitCodes": {"operator": "In", "values": [1]}}]
            }
        }
    ),
    "podReplacementPolicy": allowed({"podReplacementPolicy": "Failed"}),
    "selector": server("only with manualSelector, otherwise set by it"),
    "successPolicy": allowed({**_INDEXED, "successPolicy": {"rules": [{"succeededCount": 1}]}}),
    "suspend": allowed({"suspend": True}),
    "template": server("its pods are judged when the Job's controller creates them"),
    "ttlSecondsAfterFinished": allowed({"ttlSecondsAfterFinished": 60}),
}

JOB: dict[str, Decision] = {
    "metadata": NESTED,
    "spec": NESTED,
    **{f"metadata.{field}": one for field, one in METADATA.items()},
    **{f"spec.{field}": one for field, one in JOB_SPEC.items()},
}
