"""Validates manifests against the full schemas of a Kubernetes version, offline.

The schemas are those of the PyPI package kubernetes-validate (generated from Kubernetes' OpenAPI, strict:
unknown fields are errors). Each of its files refers to one file of shared definitions by an absolute URL;
here every kind has a file of its own that holds all it refers to, so that one object needs one small file.
tests/render/test_schemas.py compares the verdicts with kubeconform's.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import tempfile
from collections.abc import Container, Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Any

import jsonschema

from scripts.chart.manifests import Manifest, Manifests

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airdock" / "schemas"
PACKAGE = "kubernetes-validate"
#: Goes into the directory's name: raise it when `_standalone` changes.
FORM = 2
#: The API groups of a version's kinds.
GROUPS = "groups.json"


class SchemaError(Exception):
    """There are no schemas of that version; the message is one sentence."""


def problems(manifests: Manifests, kube_version: str) -> list[str]:
    """What a strict validation finds, a sentence for each: the object, the field and why.

    Kinds that Kubernetes itself does not have (custom resources) are not judged.

    Raises:
        SchemaError: if there are no schemas of `kube_version` ("1.30" or "1.30.0").
    """
    version = ".".join([*kube_version.removeprefix("v").split("."), "0"][:2]) + ".0"
    schemas = directory(version) / f"v{version}"
    groups = json.loads((schemas / GROUPS).read_text())
    found = (
        f"{manifest.kind} {manifest.name}: {fault} (Kubernetes {version})"
        for manifest in manifests
        if not _custom(manifest.api_version, groups)
        for fault in _faults(manifest, schemas)
    )
    return list(dict.fromkeys(found))


def _faults(manifest: Manifest, schemas: Path) -> Iterator[str]:
    group, _, version = manifest.api_version.rpartition("/")
    validator = _validator(schemas / _file_name(manifest.kind, group, version))
    if validator is None:
        yield f"there is no {manifest.kind} in {manifest.api_version}"
        return
    for error in validator.iter_errors(manifest.raw):
        pointer = "".join(
            "/" + str(step).replace("~", "~0").replace("/", "~1") for step in error.absolute_path
        )
        yield f"{named(manifest.raw, pointer)}: {_words(error)}"


@lru_cache(maxsize=128)
def _validator(file: Path) -> jsonschema.Draft4Validator | None:
    return jsonschema.Draft4Validator(json.loads(file.read_text())) if file.is_file() else None


def _words(error: jsonschema.ValidationError) -> str:
    """Why a value is wrong. Never the value, which may be a secret, as jsonschema's own messages have it."""
    found: Any = error.instance
    rule: Any = error.validator_value
    schema: Any = error.schema
    kind = str(error.validator)
    if kind == "additionalProperties":
        extra = sorted(set(found) - set(schema.get("properties", ())))
        return f"additional properties {', '.join(map(repr, extra))} not allowed"
    if kind == "required":
        missing = [name for name in rule if name not in found]
        return f"missing propert{'y' if len(missing) == 1 else 'ies'} {', '.join(map(repr, missing))}"
    if kind in ("oneOf", "anyOf") and all("type" in each for each in rule):
        rule = [name for each in rule for name in _names(each["type"])]
    elif kind != "type":
        return f"{kind} must be {json.dumps(rule)}"
    wanted = [name for name in dict.fromkeys(_names(rule)) if name != "null"]
    return f"got {_type(found)}, want {' or '.join(wanted)}"


def _names(types: Any) -> list[str]:
    return [types] if isinstance(types, str) else list(types)


def _type(value: Any) -> str:
    """The name of a value's type in JSON."""
    if value is None or isinstance(value, bool):
        return "null" if value is None else "boolean"
    names = ((str, "string"), (Mapping, "object"), (list, "array"))
    return next((name for kind, name in names if isinstance(value, kind)), "number")


def named(raw: Any, pointer: str) -> str:
    """A JSON pointer for people: spec.containers[worker].env[DOCKER_HOST].value, where items have names."""
    path = ""
    for step in pointer.split("/")[1:]:
        step = step.replace("~1", "/").replace("~0", "~")
        if isinstance(raw, list) and step.isdigit() and int(step) < len(raw):
            raw = raw[int(step)]
            path += f"[{raw.get('name', step) if isinstance(raw, Mapping) else step}]"
        else:
            raw = raw.get(step) if isinstance(raw, Mapping) else None
            path += f".{step}" if path else step
    return path or "the object"


def _custom(api_version: str, groups: Container[str]) -> bool:
    """Whether a group is a custom resource's. gateway.networking.k8s.io is one."""
    group = api_version.rpartition("/")[0]
    return "." in group and group not in groups


def directory(version: str) -> Path:
    """A directory with VERSION/KIND-GROUP-VERSION.json for all kinds of a version such as 1.30.0; made once.

    Raises:
        SchemaError: if the package has no schemas of that version.
    """
    top = CACHE / f"{importlib.metadata.version(PACKAGE)}-{FORM}"
    target = top / f"v{version}"
    if target.is_dir():
        return top
    source = package() / f"v{version}-local-strict"
    if not source.is_dir():
        there = sorted(
            re.sub(r"v1\.(\d+).*", r"1.\1", path.name) for path in package().glob("v*-local-strict")
        )
        raise SchemaError(f"There are no schemas of Kubernetes {version}, only of {', '.join(there)}.")
    top.mkdir(parents=True, exist_ok=True)
    scratch = Path(tempfile.mkdtemp(prefix=".", dir=top))
    try:
        groups = set()
        for name, group, schema in _standalone(source):
            groups.add(group)
            (scratch / name).write_text(json.dumps(schema, separators=(",", ":")))
        (scratch / GROUPS).write_text(json.dumps(sorted(groups)))
        scratch.chmod(0o755)
        scratch.rename(target)
    except OSError:
        if not target.is_dir():  # Else another process was first.
            raise
    finally:
        shutil.rmtree(scratch, ignore_errors=True)
    return top


def package() -> Path:
    """The directory of the package with the schemas; SchemaError if it is missing."""
    spec = importlib.util.find_spec("kubernetes_validate")
    if spec is None or spec.origin is None:
        raise SchemaError(f"The Python package {PACKAGE} is missing: pip install -r requirements.txt.")
    return Path(spec.origin).parent / "kubernetes-json-schema"


def _standalone(source: Path) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """(file name, API group, schema with all its definitions) of every kind that has metadata."""
    definitions = {
        name: _lean(schema)
        for name, schema in json.loads((source / "_definitions.json").read_text())["$defs"].items()
    }
    for schema in definitions.values():
        properties = schema.get("properties", {})
        for gvk in schema.get("x-kubernetes-group-version-kind", ()):
            if not {"metadata", "apiVersion", "kind"} <= set(properties) or gvk["kind"].endswith("List"):
                continue
            whole = {key: value for key, value in schema.items() if key != "x-kubernetes-group-version-kind"}
            whole["definitions"] = _closure(schema, definitions)
            yield _file_name(gvk["kind"], gvk["group"], gvk["version"]), gvk["group"], whole


def _file_name(kind: str, group: str, version: str) -> str:
    """As kubeconform has it: with the group up to its first dot."""
    return "-".join(filter(None, (kind, group.split(".")[0], version))).lower() + ".json"


def _lean(schema: Any) -> Any:
    """A schema without its prose, referring to `definitions`, as Draft 4 has it."""
    if isinstance(schema, list):
        return [_lean(item) for item in schema]
    if not isinstance(schema, dict):
        return schema
    if "$ref" in schema:
        return {"$ref": schema["$ref"].replace("#/$defs/", "#/definitions/")}
    return {
        key: {name: _lean(item) for name, item in value.items()} if key == "properties" else _lean(value)
        for key, value in schema.items()
        if key == "properties" or key != "description"
    }


def _closure(schema: Any, definitions: dict[str, Any]) -> dict[str, Any]:
    """All definitions that a schema refers to, directly or not."""
    found: dict[str, Any] = {}
    left = [schema]
    while left:
        for name in re.findall(r'"#/definitions/([^"]+)"', json.dumps(left.pop())):
            if name not in found:
                found[name] = definitions[name]
                left.append(definitions[name])
    return found
