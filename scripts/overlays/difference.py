"""The difference between two states of an object, as patches that Kustomize applies.

Lists whose items have a key (Kubernetes' patchMergeKey) are merged by it; what is added to the end of any
other list is appended by a JSON patch, so that two components may both add to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

#: Field -> the key of its items, for the lists that the chart uses.
MERGE_KEYS: Mapping[str, str] = {
    "containers": "name",
    "initContainers": "name",
    "env": "name",
    "volumes": "name",
    "volumeMounts": "mountPath",
    "imagePullSecrets": "name",
}
#: Kustomize moves what a patch names to the front: where order counts, a patch names every item.
ORDERED = frozenset({"containers", "initContainers"})
#: Of a volume or a variable, another source takes the place of the first: merged, it would have both.
REPLACED = frozenset({"volumes", "env"})
#: A patch has these lists as a whole: they are a command line.
WHOLE = frozenset({"command", "args"})
ABSENT = object()

JsonPatch = list[dict[str, Any]]


def difference(old: Any, new: Any) -> tuple[Any, JsonPatch]:
    """(strategic merge patch or ABSENT, JSON patch) that together make `new` of `old`."""
    appended: JsonPatch = []
    return _difference(old, new, "", "", appended), appended


def _difference(old: Any, new: Any, field: str, path: str, appended: JsonPatch) -> Any:
    if old == new:
        return ABSENT
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        patch: dict[str, Any] = {key: None for key in old if key not in new}
        for key, value in new.items():
            step = key.replace("~", "~0").replace("/", "~1")
            if key not in old:
                patch[key] = value
            elif (found := _difference(old[key], value, key, f"{path}/{step}", appended)) is not ABSENT:
                patch[key] = found
        return patch or ABSENT
    if isinstance(old, list) and isinstance(new, list):
        if field in MERGE_KEYS:
            return _items(old, new, field, path, appended)
        if field not in WHOLE and new[: len(old)] == old:
            appended += [{"op": "add", "path": f"{path}/-", "value": item} for item in new[len(old) :]]
            return ABSENT
    return new


def _items(old: list[Any], new: list[Any], field: str, path: str, appended: JsonPatch) -> Any:
    """A patch of a list with keyed items; its order is that of `new`."""
    key = MERGE_KEYS[field]
    before = {item[key]: item for item in old}
    after = {item[key]: item for item in new}
    patch: list[Any] = []
    for name, item in after.items():
        if name not in before:
            patch.append(item)
        elif before[name] != item and field in REPLACED:
            patch += [{"$patch": "replace", **item}]
        elif before[name] != item:
            found = _difference(before[name], item, "", f"{path}/{name}", appended)
            if any(change["path"].startswith(f"{path}/{name}/") for change in appended):
                raise ValueError(f"{path}/{name}: a list inside a list item cannot be appended to")
            if found is not ABSENT:
                patch.append({key: name, **found})
        elif field in ORDERED:
            patch.append({key: name})
    patch += [{"$patch": "delete", key: name} for name in before if name not in after]
    return patch or ABSENT
