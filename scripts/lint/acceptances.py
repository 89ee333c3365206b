"""Reads the file of findings that a user accepts: each with its reason, and its last day if it has one."""

from __future__ import annotations

import datetime
from collections.abc import Iterable
from typing import Any

from scripts.chart import load_yaml
from scripts.lint.inputs import InputError, read
from scripts.lint.model import Acceptance, Finding
from scripts.lint.policies import BY_ID

NEEDED = frozenset({"policy", "object", "reason"})
ALLOWED = NEEDED | {"container", "field", "until"}


def load(path: str) -> tuple[Acceptance, ...]:
    """What the file accepts. An entry names one finding's policy, object and reason.

    Raises:
        InputError: if the file cannot be read, or an entry is wrong.
    """
    documents = load_yaml(read(path), path)
    entries = documents[0] if len(documents) == 1 else None
    if not isinstance(entries, list):
        raise InputError(f"{path}: one YAML list is expected.")
    return tuple(_entry(entry, f"{path}, entry {number}") for number, entry in enumerate(entries, 1))


def check_used(path: str, entries: Iterable[Acceptance], found: Iterable[Finding]) -> None:
    """Every entry must cover a finding, also after its last day: a fixed finding needs no entry.

    Raises:
        InputError: for the first entry that covers none.
    """
    used = {id(cover) for finding in found for cover in (finding.accepted, finding.expired)}
    for entry in entries:
        if id(entry) not in used:
            raise InputError(f"{path}: {entry.policy} of {entry.object} accepts nothing. Remove the entry.")


def _entry(entry: Any, where: str) -> Acceptance:
    if not isinstance(entry, dict) or not NEEDED <= entry.keys() <= ALLOWED:
        raise InputError(
            f"{where}: policy, object and reason are required, container, field and until are optional."
        )
    if not all(isinstance(text, str) and text.strip() for text in entry.values()):
        raise InputError(f"{where}: every value must be a text that is not empty.")
    if entry["policy"] not in BY_ID:
        raise InputError(f"{where}: there is no policy {entry['policy']}.")
    if "until" not in entry:
        return Acceptance(**entry)
    try:
        until = datetime.date.fromisoformat(entry["until"])
    except ValueError as error:
        raise InputError(
            f"{where}: until must be a date such as 2031-12-31, not {entry['until']}."
        ) from error
    return Acceptance(**{**entry, "until": until})
