"""Writes overlays/: a base and components made from the chart, and the overlays that put them together."""

from __future__ import annotations

import copy
import re
import shutil
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import yaml

from scripts.chart import ROOT, Manifest, Manifests, render, versions
from scripts.overlays.build import build
from scripts.overlays.definitions import BASE, COMPONENTS, NO_GROUP, OVERLAYS, merged, paired_values
from scripts.overlays.difference import ABSENT, difference

OVERLAYS_DIR = ROOT / "overlays"
NOTICE = "Made by `make overlays` from charts/airdock: change the chart or scripts/overlays, not this file."
#: Of Helm, or of no use where no Helm is.
HELM_LABELS = ("app.kubernetes.io/managed-by", "app.kubernetes.io/version", "helm.sh/chart")
HELM_ANNOTATIONS = re.compile(r"helm\.sh/resource-policy")
CHECKSUMS = re.compile(r"checksum/.*")
#: ConfigMaps whose change restarts nobody: pods see the new files by themselves.
UNHASHED = frozenset({"airdock-example-dags"})
RELEASE = NAMESPACE = "airdock"
#: Whose variables every Airflow container has.
ENV = ("ConfigMap", NAMESPACE, f"{RELEASE}-env")

Key = tuple[str, str, str]
Objects = dict[Key, dict[str, Any]]


class OverlayError(Exception):
    """The overlays cannot be made or judged; the message is one sentence."""


class _Dumper(yaml.SafeDumper):
    """YAML as people write it: indented lists, blocks of lines."""

    def increase_indent(self, flow: bool = False, indentless: bool = False) -> None:
        """Indent lists below their key."""
        super().increase_indent(flow, False)

    def ignore_aliases(self, data: Any) -> bool:
        """Write every value where it stands."""
        return True


def _text(dumper: _Dumper, value: str) -> yaml.ScalarNode:
    return dumper.represent_scalar("tag:yaml.org,2002:str", value, style="|" if "\n" in value else None)


_Dumper.add_representer(str, _text)


def dump(*documents: Any) -> str:
    """YAML of documents, in the order of their keys."""
    text = yaml.dump_all(documents, Dumper=_Dumper, sort_keys=False, width=100, allow_unicode=True)
    return str(text)


def plain(manifest: Manifest) -> dict[str, Any]:
    """An object of the chart without what is Helm's: labels, annotations and checksums."""
    raw: dict[str, Any] = copy.deepcopy(manifest.raw)  # type: ignore[arg-type]
    metadata = raw["metadata"]
    for label in HELM_LABELS:
        metadata.get("labels", {}).pop(label, None)
    _without(metadata, HELM_ANNOTATIONS)
    _without(raw.get("spec", {}).get("template", {}).get("metadata", {}), CHECKSUMS)
    return raw


def _without(metadata: dict[str, Any], unwanted: re.Pattern[str]) -> None:
    annotations = metadata.get("annotations")
    if annotations is not None:
        kept = {key: value for key, value in annotations.items() if not unwanted.fullmatch(key)}
        metadata["annotations"] = kept
        if not kept:
            del metadata["annotations"]


def key_of(raw: Mapping[str, Any]) -> Key:
    """(kind, namespace, name) of an object."""
    return raw["kind"], raw["metadata"].get("namespace", ""), raw["metadata"]["name"]


def rendered(values: Mapping[str, Any]) -> Objects:
    """The chart's objects for these values, without Helm's marks and without the group NO_GROUP."""
    found: Objects = {}
    for manifest in render(values, release=RELEASE, namespace=NAMESPACE):
        raw = plain(manifest)
        if manifest.name == f"{RELEASE}-worker-{NO_GROUP}":
            continue
        for container in raw.get("spec", {}).get("template", {}).get("spec", {}).get("containers", ()):
            if "env" in container:
                container["env"] = [
                    variable
                    for variable in container["env"]
                    if not variable["name"].endswith(f"_QUEUE_{NO_GROUP.upper()}")
                ]
        found[key_of(raw)] = raw
    return found


def generate(top: Path = OVERLAYS_DIR) -> None:
    """Write base, components, the transformers of names, and the overlays, in place of what is there.

    Raises:
        OverlayError: if a component would take a key out of a ConfigMap, which Kustomize cannot.
        RenderError: if the chart refuses the values of a definition.
    """
    base = rendered(BASE)
    for old in ("base", "components", "names", *OVERLAYS):
        shutil.rmtree(top / old, ignore_errors=True)
    _write_base(top / "base", base)
    for name, component in COMPONENTS.items():
        wanted = rendered(merged(BASE, component.values))
        kept: Objects = {
            key: raw for key, raw in wanted.items() if key in base or component.only(Manifest(raw))
        }
        if component.only(Manifest({"kind": "Deployment"})):
            included = [f"../{other}" for other in component.includes]
            head: dict[str, Any] = {"components": included} if included else {}
            _write_difference(top / "components" / name, "Component", component.text, base, kept, head)
        else:
            kept = {key: raw for key, raw in kept.items() if key not in base}
            changed: Objects = {}
            if component.env:
                changed[ENV] = base[ENV]
                added = {key: wanted[ENV]["data"][key] for key in component.env}
                kept[ENV] = {**base[ENV], "data": {**base[ENV]["data"], **added}}
            _write_difference(top / "components" / name, "Component", component.text, changed, kept, {})
    _write_names(top / "names")
    for name, overlay in OVERLAYS.items():
        namespace = {
            "apiVersion": "v1",
            "kind": "Namespace",
            "metadata": {
                "name": NAMESPACE,
                "labels": {
                    "pod-security.kubernetes.io/enforce": overlay.pod_security,
                    # As for the task namespace: an upgrade of the cluster changes no rule.
                    "pod-security.kubernetes.io/enforce-version": versions.POD_SECURITY,
                },
            },
        }
        head = {
            "resources": ["../base", "namespace.yaml"],
            "components": [f"../components/{component}" for component in overlay.components],
        }
        folder = top / name
        _write(folder / "namespace.yaml", dump(namespace))
        if not overlay.values:
            _write(folder / "kustomization.yaml", _kustomization("Kustomization", overlay.text, head))
            continue
        # What is left between the components and the chart is the overlay's own.
        _write(folder / "kustomization.yaml", _kustomization("Kustomization", overlay.text, head))
        put_together = {key_of(m.raw): copy.deepcopy(dict(m.raw)) for m in build(folder, hashes=False)}
        del put_together["Namespace", "", NAMESPACE]
        wanted = rendered(paired_values(name))
        _write_difference(folder, "Kustomization", overlay.text, put_together, wanted, head)


def _kustomization(kind: str, text: str, content: Mapping[str, Any]) -> str:
    version = "v1alpha1" if kind == "Component" else "v1beta1"
    comment = "".join(f"# {line}\n" for line in text.splitlines())
    head = {"apiVersion": f"kustomize.config.k8s.io/{version}", "kind": kind}
    return comment + dump({**head, **content})


def _write(path: Path, text: str) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(f"# {NOTICE}\n{text}")


def _file_name(raw: Mapping[str, Any]) -> str:
    return f"{raw['kind'].lower()}-{raw['metadata']['name']}.yaml"


def _write_base(folder: Path, objects: Objects) -> None:
    content = _new_objects(folder, objects.values())
    content["configurations"] = ["follow-names.yaml"]
    _write(folder / "follow-names.yaml", dump(FOLLOW_NAMES))
    text = "What every overlay has: the control plane, an embedded database and broker, and no worker."
    _write(folder / "kustomization.yaml", _kustomization("Kustomization", text, content))


def _new_objects(folder: Path, objects: Iterable[dict[str, Any]]) -> dict[str, Any]:
    """Write objects into files of their own; give the kustomization's fields that name them."""
    content: dict[str, Any] = {}
    for raw in sorted(objects, key=lambda raw: (_file_name(raw), raw["metadata"].get("namespace", ""))):
        if raw["kind"] == "ConfigMap":
            content.setdefault("configMapGenerator", []).append(_generator(folder, raw, raw["data"]))
        else:
            _write(folder / _file_name(raw), dump(raw))
            content.setdefault("resources", []).append(_file_name(raw))
    return {key: content[key] for key in ("resources", "configMapGenerator") if key in content}


def _generator(folder: Path, raw: Mapping[str, Any], data: Mapping[str, str]) -> dict[str, Any]:
    """An entry of configMapGenerator: lines of text in files beside it, short values as literals."""
    name = raw["metadata"]["name"]
    entry: dict[str, Any] = {"name": name, "namespace": raw["metadata"]["namespace"]}
    for key, value in data.items():
        if "\n" in value or "." in key:
            path = folder / name.removeprefix(f"{RELEASE}-") / key
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(value)  # without a notice: it would be part of what pods read
            entry.setdefault("files", []).append(str(path.relative_to(folder)))
        else:
            entry.setdefault("literals", []).append(f"{key}={value}")
    options: dict[str, Any] = {"labels": raw["metadata"]["labels"]}
    if name in UNHASHED:
        options["disableNameSuffixHash"] = True
    entry["options"] = options
    return entry


def _write_difference(
    folder: Path, kind: str, text: str, old: Objects, new: Objects, head: Mapping[str, Any]
) -> None:
    """Write what makes the objects `new` of `old`, as a component or as an overlay with this head."""
    added = _new_objects(folder, (raw for key, raw in new.items() if key not in old))
    patches, generators = [], list(added.pop("configMapGenerator", ()))
    for key, raw in old.items():
        target = {"kind": raw["kind"], "name": raw["metadata"]["name"]}
        if key not in new:
            patches.append(
                _patch(folder, f"without-{_file_name(raw)}", {"$patch": "delete", **_identity(raw)})
            )
        elif raw["kind"] == "ConfigMap":
            if gone := set(raw["data"]) - set(new[key]["data"]):
                raise OverlayError(f"{folder.name}: {raw['metadata']['name']} would lose {sorted(gone)}.")
            data = {k: v for k, v in new[key]["data"].items() if raw["data"].get(k) != v}
            if data and kind == "Kustomization":
                # Kustomize reads components after generators, and hashes a name after patches.
                patches.append(_patch(folder, f"patch-{_file_name(raw)}", {**_identity(raw), "data": data}))
            elif data:
                entry = _generator(folder, raw, data)
                del entry["options"]
                generators.append({**entry, "behavior": "merge"})
        else:
            merge, appended = difference(raw, new[key])
            if merge is not ABSENT:
                patches.append(_patch(folder, f"patch-{_file_name(raw)}", merged(_identity(raw), merge)))
            if appended:
                name = f"add-{_file_name(raw)}"
                patches.append({**_patch(folder, name, appended), "target": target})
    content: dict[str, Any] = {**head}
    for field, entries in (("resources", added.get("resources", [])), ("configMapGenerator", generators)):
        if entries:
            content[field] = [*content.get(field, ()), *entries]
    if patches:
        content["patches"] = patches
    _write(folder / "kustomization.yaml", _kustomization(kind, text, content))


def _identity(raw: Mapping[str, Any]) -> dict[str, Any]:
    """What a patch names its object by."""
    metadata = {key: raw["metadata"][key] for key in ("name", "namespace") if key in raw["metadata"]}
    return {"apiVersion": raw["apiVersion"], "kind": raw["kind"], "metadata": metadata}


def _patch(folder: Path, name: str, content: Any) -> dict[str, Any]:
    _write(folder / name, dump(content))
    return {"path": name}


#: Where a name stands that Kustomize does not know of: keys of the ConfigMap airdock-env, and the fence.
FOLLOW_NAMES: Mapping[str, Any] = {
    "nameReference": [
        {
            "kind": "Service",
            "version": "v1",
            "fieldSpecs": [
                {"kind": "ConfigMap", "path": f"data/AIRDOCK_{name}_HOST"}
                for name in ("API_SERVER", "POSTGRES", "REDIS")
            ],
        },
        {
            "kind": "ServiceAccount",
            "version": "v1",
            "fieldSpecs": [{"kind": "Namespace", "path": r"metadata/labels/airdock.dev\/task-account"}],
        },
        {
            "kind": "ValidatingAdmissionPolicy",
            "group": "admissionregistration.k8s.io",
            "fieldSpecs": [{"kind": "ValidatingAdmissionPolicyBinding", "path": "spec/policyName"}],
        },
    ],
    "images": [{"kind": "ConfigMap", "path": "data/AIRDOCK_XCOM_SIDECAR_IMAGE"}],
}


def _replace(key: str, *targets: dict[str, Any]) -> dict[str, Any]:
    source = {"kind": "ConfigMap", "name": "airdock-names", "fieldPath": f"data.{key}"}
    return {"source": source, "targets": list(targets)}


def _follow(kind: str, name: str, *targets: dict[str, Any]) -> dict[str, Any]:
    return {"source": {"kind": kind, "name": name, "fieldPath": "metadata.name"}, "targets": list(targets)}


def _target(select: dict[str, str], *paths: str, **options: Any) -> dict[str, Any]:
    found: dict[str, Any] = {"select": select, "fieldPaths": list(paths)}
    return {**found, "options": options} if options else found


def _bindings(*names: str) -> list[dict[str, Any]]:
    return [
        _target({"kind": "RoleBinding", "name": f"{RELEASE}-{name}"}, "subjects.*.namespace")
        for name in names
    ]


def _renamed(*policies: str) -> list[dict[str, Any]]:
    """The namespace at the beginning of the names of policies and of their bindings."""
    start = {"delimiter": "-", "index": 0}
    return [
        target
        for name in policies
        for target in (
            _target({"kind": BINDING, "name": name}, "spec.policyName", "metadata.name", **start),
            _target({"kind": POLICY, "name": name}, "metadata.name", **start),
        )
    ]


POLICIES = tuple(f"airdock-airdock-task-{part}" for part in ("pods", "connections", "leases"))
POLICY, BINDING = "ValidatingAdmissionPolicy", "ValidatingAdmissionPolicyBinding"
AUTOSCALER = f"{RELEASE}-{RELEASE}-autoscaler"
WORKER = f"{RELEASE}-worker-default"
TASK_NAMESPACE = f"{RELEASE}-tasks"
PEER = r"namespaceSelector.matchLabels.airdock\.dev/release"
LABEL = r"metadata.labels.airdock\.dev/tasks"
SCOPE = r"spec.matchResources.namespaceSelector.matchLabels.airdock\.dev/tasks"

#: Transformers for an overlay of another namespace: folder -> (what it is for, replacements).
NAMES: Mapping[str, tuple[str, list[dict[str, Any]]]] = {
    "release": (
        "Puts all that is in the namespace airdock into the one that the ConfigMap airdock-names gives as\n"
        "`namespace`; the subjects of the roles follow.",
        [
            _replace(
                "namespace",
                _target({"namespace": NAMESPACE}, "metadata.namespace"),
                _target({"kind": "Namespace", "name": NAMESPACE}, "metadata.name"),
                *_bindings("create-secrets", "docker-gateway", "task-launcher", "task-watcher", "autoscaler"),
            ),
            _replace(
                "namespace",
                _target(
                    {"kind": "NetworkPolicy", "name": f"{RELEASE}-api-server"},
                    f"spec.ingress.*.from.*.{PEER}",
                    f"spec.egress.*.to.*.{PEER}",
                    delimiter=".",
                    index=0,
                ),
                _target(
                    {"kind": "NetworkPolicy", "name": f"{RELEASE}-redis"},
                    f"spec.ingress.*.from.*.{PEER}",
                    delimiter=".",
                    index=0,
                ),
            ),
        ],
    ),
    "tasks": (
        "For mode kubernetes: puts task pods into the namespace that airdock-names gives as `tasks`.",
        [
            _replace(
                "namespace",
                _target({"kind": "Namespace", "name": TASK_NAMESPACE}, LABEL, delimiter=".", index=0),
            ),
            _replace(
                "tasks",
                _target({"namespace": TASK_NAMESPACE}, "metadata.namespace"),
                _target({"kind": "Namespace", "name": TASK_NAMESPACE}, "metadata.name"),
                _target({"kind": "ConfigMap", "name": "airdock-env"}, "data.AIRDOCK_TASK_NAMESPACE"),
            ),
            _follow(
                "ServiceAccount",
                "airdock-task",
                _target({"kind": "ConfigMap", "name": "airdock-env"}, "data.AIRDOCK_TASK_SERVICE_ACCOUNT"),
            ),
        ],
    ),
    "fence": (
        "For the component admission-fence: names of its own, and the namespace that it holds.",
        [
            *(
                _follow(POLICY, name, _target({"kind": BINDING, "name": name}, "spec.policyName"))
                for name in POLICIES
            ),
            _replace(
                "namespace",
                *(
                    _target({"kind": BINDING, "name": name}, SCOPE, delimiter=".", index=0)
                    for name in POLICIES
                ),
                *_renamed(*POLICIES),
            ),
        ],
    ),
    "autoscaling": (
        "For the component autoscaling: its admission policy, and what its ScaledObject names. With a\n"
        "prefix, patch the host in the ScaledObject's URL.",
        [
            _follow(POLICY, AUTOSCALER, _target({"kind": BINDING, "name": AUTOSCALER}, "spec.policyName")),
            _follow(
                "ServiceAccount",
                f"{RELEASE}-autoscaler",
                _target({"kind": BINDING, "name": AUTOSCALER}, "spec.paramRef.name"),
            ),
            _follow("Deployment", WORKER, _target({"kind": "ScaledObject"}, "spec.scaleTargetRef.name")),
            _replace(
                "namespace",
                *_renamed(AUTOSCALER),
                _target({"kind": BINDING, "name": AUTOSCALER}, "spec.paramRef.namespace"),
                _target({"kind": "ScaledObject"}, "spec.triggers.*.metadata.url", delimiter=".", index=1),
            ),
        ],
    ),
}


def _write_names(folder: Path) -> None:
    for name, (text, replacements) in NAMES.items():
        transformer = {
            "apiVersion": "builtin",
            "kind": "ReplacementTransformer",
            "metadata": {"name": f"airdock-{name}"},
            "replacements": replacements,
        }
        _write(folder / name / "replacements.yaml", dump(transformer))
        content = {"resources": ["replacements.yaml"]}
        _write(folder / name / "kustomization.yaml", _kustomization("Kustomization", text, content))


def manifests_of(objects: Objects) -> Manifests:
    """Objects as Manifests."""
    return Manifests.of(("", raw) for raw in objects.values())
