"""Reads what a user gives: files or standard input, as text, values or manifests."""

from __future__ import annotations

import re
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from scripts.chart import Manifests, load_yaml

#: The name of standard input as a file.
STDIN = "-"


class InputError(Exception):
    """What was given cannot be used; the message is one sentence."""


def label(path: str) -> str:
    """The name of a file for people."""
    return "standard input" if path == STDIN else path


def read(path: str) -> str:
    """The text of a file.

    Raises:
        InputError: if it cannot be read.
    """
    try:
        return sys.stdin.read() if path == STDIN else Path(path).read_text()
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        raise InputError(f"{label(path)} cannot be read: {reason}.") from error


def merged_values(paths: Sequence[str]) -> dict[str, Any]:
    """The values of files, later ones over earlier ones.

    Raises:
        InputError: if one cannot be read.
    """
    values: dict[str, Any] = {}
    for path in paths:
        values = _merged(values, _values(path))
    return values


def manifests_of(paths: Sequence[str]) -> tuple[Manifests, dict[str, str]]:
    """The objects of all files together, and the file of each object by kind, namespace and name.

    Raises:
        InputError: if a file cannot be read or contains no object.
        ManifestError: if a file is no YAML, or contains something else than objects.
    """
    documents: list[tuple[str, Any]] = []
    files: dict[str, str] = {}
    for path in paths:
        found = Manifests.parse(read(path), label(path))
        if not len(found):
            raise InputError(f"{label(path)}: the input contains no Kubernetes object.")
        documents += [(manifest.source, manifest.raw) for manifest in found]
        files |= {str(manifest): path for manifest in found}
    return Manifests.of(documents), files


def sentence(message: str) -> str:
    """An error in one line, without what Helm says about itself."""
    plain = re.sub(r"^execution error at \([^)]*\): ", "", message.strip())
    return " ".join(plain.replace("Use --debug flag to render out invalid YAML", "").split())


def _merged(base: dict[str, Any], over: dict[str, Any]) -> dict[str, Any]:
    """Values in Helm's order: maps deep, all else replaced; a null stays, to reset the chart's own value."""
    result = dict(base)
    for key, value in over.items():
        both = isinstance(value, dict) and isinstance(result.get(key), dict)
        result[key] = _merged(result[key], value) if both else value
    return result


def _values(path: str) -> dict[str, Any]:
    documents = load_yaml(read(path), label(path)) or [{}]
    if len(documents) > 1 or not isinstance(documents[0] or {}, dict):
        raise InputError(f"{label(path)} contains no values: one YAML map is expected.")
    return documents[0] or {}
