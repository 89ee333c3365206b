"""Where mutators are registered, and what they are made of."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

Dict = dict[str, Any]
#: (container, pod spec) -> whether it was weakened.
ContainerMutator = Callable[[Dict, Dict], bool]
PodMutator = Callable[[Dict], bool]
#: An object, or the pod template of one.
ObjectMutator = Callable[[Dict], bool]

#: The label of a namespace with its Pod Security level.
ENFORCE = "pod-security.kubernetes.io/enforce"

CONTAINERS: dict[str, ContainerMutator] = {}
PODS: dict[str, PodMutator] = {}
TEMPLATES: dict[str, ObjectMutator] = {}
#: With the kinds that it is for.
OBJECTS: dict[str, tuple[tuple[str, ...], ObjectMutator]] = {}
#: Names of mutators whose harm only shows beside the other objects.
WIDE: set[str] = {"Role moved to the release", "another workload's service account"}
#: Names of mutators of NetworkPolicies, for which the flows of a release are compared as well.
NETWORK: set[str] = {"NetworkPolicy dropped", "pods that no NetworkPolicy selects"}


def security(container: Dict) -> Dict:
    return container.setdefault("securityContext", {})  # type: ignore[no-any-return]


def is_privileged(container: Dict) -> bool:
    return bool(container.get("securityContext", {}).get("privileged"))


def put(owner: Dict, key: str, value: Any) -> bool:
    if owner.get(key) == value:
        return False
    owner[key] = value
    return True


def drop(owner: Mapping[str, Any], *path: str) -> bool:
    for key in path[:-1]:
        owner = owner.get(key) or {}
    return isinstance(owner, dict) and owner.pop(path[-1], None) is not None


def for_containers(name: str) -> Callable[[ContainerMutator], ContainerMutator]:
    def register(mutator: ContainerMutator) -> ContainerMutator:
        CONTAINERS[name] = mutator
        return mutator

    return register


def for_pods(name: str, *, wide: bool = False) -> Callable[[PodMutator], PodMutator]:
    def register(mutator: PodMutator) -> PodMutator:
        PODS[name] = mutator
        if wide:
            WIDE.add(name)
        return mutator

    return register


def for_objects(name: str, *kinds: str) -> Callable[[ObjectMutator], ObjectMutator]:
    """Objects of these kinds: most of them only matter together with others."""

    def register(mutator: ObjectMutator) -> ObjectMutator:
        OBJECTS[name] = (kinds, mutator)
        WIDE.add(name)
        return mutator

    return register


def add_container(name: str, mutator: ContainerMutator) -> None:
    CONTAINERS[name] = mutator


def add_pod(name: str, mutator: PodMutator) -> None:
    PODS[name] = mutator


def for_templates(name: str) -> Callable[[ObjectMutator], ObjectMutator]:
    def register(mutator: ObjectMutator) -> ObjectMutator:
        TEMPLATES[name] = mutator
        WIDE.add(name)
        return mutator

    return register


def add_env(container: Dict, **entry: Any) -> bool:
    container["env"] = [
        variable for variable in container.get("env", []) if variable["name"] != entry["name"]
    ] + [entry]
    return True
