"""Validates manifests with kubeconform against the full schemas of a Kubernetes version, offline.

The schemas are those of the PyPI package kubernetes-validate (generated from Kubernetes' OpenAPI, strict:
unknown fields are errors). Each of its files refers to one file of shared definitions by an absolute URL,
which kubeconform cannot resolve; so every kind gets a file of its own that holds all it refers to.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Container, Iterator, Mapping
from pathlib import Path
from typing import Any

from scripts import tools
from scripts.chart.manifests import Manifests

CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airdock" / "schemas"
PACKAGE = "kubernetes-validate"
#: Goes into the directory's name: raise it when `_standalone` changes.
FORM = 2
#: The API groups of a version's kinds.
GROUPS = "groups.json"


class SchemaError(Exception):
    """There are no schemas of that version, or kubeconform cannot run; the message is one sentence."""


def problems(manifests: Manifests, kube_version: str) -> list[str]:
    """What a strict validation by kubeconform finds, a sentence for each: the object, the field and why.

    Kinds that Kubernetes itself does not have (custom resources) are not judged.

    Raises:
        SchemaError: if there are no schemas of `kube_version` ("1.30" or "1.30.0"), or kubeconform fails.
    """
    version = ".".join([*kube_version.removeprefix("v").split("."), "0"][:2]) + ".0"
    schemas = directory(version) / f"v{version}"
    groups = json.loads((schemas / GROUPS).read_text())
    own = [m for m in manifests if not _custom(m.api_version, groups)]
    location = f"{schemas}/{{{{ .ResourceKind }}}}{{{{ .KindSuffix }}}}.json"
    command = [str(tools.path("kubeconform")), "-strict", "-output", "json", "-kubernetes-version", version]
    command += ["-schema-location", location, "-"]
    # JSON is YAML: what was read is judged, however it was written.
    stream = "\n---\n".join(json.dumps(m.raw) for m in own)
    done = subprocess.run(command, input=stream, capture_output=True, text=True)
    try:
        found = json.loads(done.stdout)["resources"]
    except (ValueError, KeyError):
        raise SchemaError(f"kubeconform failed: {done.stderr.strip() or done.stdout.strip()}") from None
    by_name = {(m.kind, m.name): m.raw for m in own}
    return [
        f"{resource['kind']} {resource['name']}: {detail} (Kubernetes {version})"
        for resource in found or ()
        for detail in _details(resource, by_name.get((resource["kind"], resource["name"]), {}))
    ]


def _details(resource: dict[str, Any], raw: Mapping[str, Any]) -> list[str]:
    """kubeconform's own words, one for each fault, with the field named instead of counted."""
    faults = re.findall(r" - at '([^']*)': (.*?)(?=\s+- at '|$)", resource["msg"], re.DOTALL)
    leaves = [(path, why.strip()) for path, why in faults if "validation failed" not in why]
    return [f"{named(raw, path)}: {why}" for path, why in leaves] or [resource["msg"]]


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
            # kubeconform's name: the group up to its first dot.
            group = gvk["group"].split(".")[0]
            suffix = "-".join(part for part in (gvk["kind"], group, gvk["version"]) if part)
            whole = {key: value for key, value in schema.items() if key != "x-kubernetes-group-version-kind"}
            whole["definitions"] = _closure(schema, definitions)
            yield f"{suffix.lower()}.json", gvk["group"], whole


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
