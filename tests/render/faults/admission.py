"""Faults that the contracts of contracts/admission.py find."""

from __future__ import annotations

from typing import Any

from tests.render.faults.model import Fault

POLICY = "ValidatingAdmissionPolicy"


def _compare(expression: str) -> Any:
    return lambda raw: raw["spec"]["variables"].append({"name": "changes", "expression": expression})


FAULTS = (
    Fault(
        "told-apart",
        "an old label that is empty where it is absent",
        POLICY,
        "airdock-airdock-task-pods",
        _compare('oldObject.metadata.?labels[?k].orValue("") != object.metadata.labels[k]'),
        "value for an absent one",
    ),
    Fault(
        "told-apart",
        "a new label that is empty where it is absent",
        POLICY,
        "airdock-airdock-task-pods",
        _compare('variables.ours.labels[k] != object.metadata.?labels[?k].orValue("")'),
        "value for an absent one",
    ),
)
