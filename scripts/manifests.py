"""Typed, read-only access to Kubernetes manifests: nothing is addressed by its position in a list.

    manifests = Manifests.parse(text)
    worker = manifests.one("Deployment", component="worker", group="docker")
    worker.pod.container("worker").mount_at("/run/airdock/docker.sock").volume

YAML is read as Kubernetes reads it (sigs.k8s.io/yaml), not as PyYAML does by default: a key that occurs
twice is an error, `1e3` is a number, and a date is a string.
"""

from __future__ import annotations

import copy
import json
import math
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property, lru_cache
from pathlib import PurePosixPath
from typing import Any, Literal, NoReturn

import yaml

COMPONENT = "app.kubernetes.io/component"
INSTANCE = "app.kubernetes.io/instance"
GROUP = "airdock.dev/worker-group"

#: Kind -> where its pod template is. A Pod is its own template.
POD_TEMPLATES: Mapping[str, tuple[str, ...]] = {
    "Deployment": ("spec", "template"),
    "StatefulSet": ("spec", "template"),
    "DaemonSet": ("spec", "template"),
    "ReplicaSet": ("spec", "template"),
    "ReplicationController": ("spec", "template"),
    "Job": ("spec", "template"),
    "CronJob": ("spec", "jobTemplate", "spec", "template"),
    "PodTemplate": ("template",),
    "Pod": (),
}

#: Kinds without a namespace, of those that charts use (kubectl api-resources --namespaced=false).
CLUSTER_SCOPED = frozenset(
    {
        "APIService",
        "CSIDriver",
        "CertificateSigningRequest",
        "ClusterRole",
        "ClusterRoleBinding",
        "CustomResourceDefinition",
        "FlowSchema",
        "IngressClass",
        "MutatingAdmissionPolicy",
        "MutatingAdmissionPolicyBinding",
        "MutatingWebhookConfiguration",
        "Namespace",
        "PersistentVolume",
        "PriorityClass",
        "PriorityLevelConfiguration",
        "RuntimeClass",
        "StorageClass",
        "ValidatingAdmissionPolicy",
        "ValidatingAdmissionPolicyBinding",
        "ValidatingWebhookConfiguration",
        "VolumeAttributesClass",
    }
)


class ManifestError(Exception):
    """YAML that cannot be read, or an object that is not there; the message is one sentence."""


class _Frozen:
    """Refuses every change; `copy.deepcopy` gives an ordinary dict or list."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("manifests are shared between tests and read-only: change a copy.deepcopy()")

    __setitem__ = __delitem__ = __ior__ = __iadd__ = __imul__ = _refuse
    clear = pop = popitem = setdefault = update = append = extend = insert = remove = sort = reverse = _refuse


class FrozenDict(_Frozen, dict[str, Any]):
    """A dict that cannot be changed."""

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        """An ordinary, changeable dict."""
        return {key: copy.deepcopy(value, memo) for key, value in self.items()}


class FrozenList(_Frozen, list[Any]):
    """A list that cannot be changed."""

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        """An ordinary, changeable list."""
        return [copy.deepcopy(value, memo) for value in self]


def freeze(value: Any) -> Any:
    """The same JSON value, read-only all the way down."""
    if isinstance(value, _Frozen):
        return value
    if isinstance(value, dict):
        return FrozenDict((key, freeze(item)) for key, item in value.items())
    if isinstance(value, list):
        return FrozenList(freeze(item) for item in value)
    return value


class Loader(getattr(yaml, "CSafeLoader", yaml.SafeLoader)):  # type: ignore[misc]
    """A YAML loader that refuses duplicate keys and resolves scalars as Kubernetes' does."""

    def construct_mapping(self, node: yaml.MappingNode, deep: bool = False) -> dict[Any, Any]:
        """As PyYAML's, but a key that occurs twice is an error."""
        seen: set[Any] = set()
        for key_node, _ in node.value:
            key = key_node.value
            if key in seen and key_node.tag != "tag:yaml.org,2002:merge":
                raise yaml.constructor.ConstructorError(
                    None, None, f"the key {key!r} occurs twice in one mapping", key_node.start_mark
                )
            seen.add(key)
        found: dict[Any, Any] = super().construct_mapping(node, deep=deep)
        return {_key(key): value for key, value in found.items()}


def _key(key: object) -> str:
    """JSON's keys are strings: go-yaml turns the others into them."""
    return key if isinstance(key, str) else json.dumps(key)


def _go_scalars() -> None:
    """Replace PyYAML's rules for numbers, dates, `y` and `n` by those of go-yaml."""
    replaced = {f"tag:yaml.org,2002:{name}" for name in ("int", "float", "timestamp")}
    Loader.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in rules if tag not in replaced]
        for first, rules in Loader.yaml_implicit_resolvers.items()
    }
    integer = re.compile(r"^[-+]?(0b[01_]+|0x[0-9a-fA-F_]+|0o?[0-7_]*|[1-9][0-9_]*)$")
    number = re.compile(
        r"^([-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?|[-+]?\.(inf|Inf|INF)|\.(nan|NaN|NAN))$"
    )
    Loader.add_implicit_resolver("tag:yaml.org,2002:int", integer, list("-+0123456789"))
    Loader.add_implicit_resolver("tag:yaml.org,2002:float", number, list("-+.0123456789"))
    # PyYAML's own constructor knows no 0o.
    Loader.add_constructor("tag:yaml.org,2002:int", lambda _, node: _integer(node.value))
    Loader.add_implicit_resolver("tag:yaml.org,2002:bool", re.compile("^[yYnN]$"), list("yYnN"))
    Loader.add_constructor("tag:yaml.org,2002:bool", lambda _, node: node.value.lower() in _TRUE)
    Loader.add_constructor("tag:yaml.org,2002:float", lambda _, node: _number(node.value))


_TRUE = ("y", "yes", "true", "on")


def _number(text: str) -> float | int:
    """A float, or an integer where it is whole, as in JSON."""
    value = float(text.lower().replace(".inf", "inf").replace(".nan", "nan"))
    if not math.isfinite(value):
        raise ValueError(f"{text} has no form in JSON")
    return int(value) if value.is_integer() else value


def _integer(text: str) -> int:
    plain = text.replace("_", "")
    sign = -1 if plain.startswith("-") else 1
    digits = plain.lstrip("+-")
    if re.fullmatch(r"0[0-7]+", digits):
        return sign * int(digits, 8)
    return sign * int(digits, 0)


_go_scalars()


def load_yaml(text: str, name: str = "the YAML") -> list[Any]:
    """All documents of a YAML (or JSON) text. `name` says in errors what was read.

    Raises:
        ManifestError: if it is not YAML, or has a key twice.
    """
    return [copy.deepcopy(document) for _, document in _documents(text, name)]


def _documents(text: str, name: str) -> Iterator[tuple[int, Any]]:
    """Each document, read-only, with the line on which it starts, from 0."""
    line = 0
    # A line that begins so ends a document wherever it is; one with directives is left whole.
    for part in [text] if re.search("^%", text, re.MULTILINE) else re.split(r"(?m)^(?=---(?:\s|$))", text):
        try:
            for start, document in _part(part):
                yield line + start, document
        except (yaml.YAMLError, UnicodeError, ValueError, TypeError) as error:
            mark = getattr(error, "problem_mark", None)
            place = f", line {line + mark.line + 1}" if mark else ""
            reason = getattr(error, "problem", None) or str(error)
            raise ManifestError(f"{name}{place}: {reason}") from error
        line += part.count("\n")


@lru_cache(maxsize=4096)
def _part(text: str) -> tuple[tuple[int, Any], ...]:
    """Documents with their lines. Kept: most objects of a render are those of the one before."""
    loader = Loader(text)
    found = []
    try:
        while loader.check_node():
            node = loader.get_node()
            found.append((node.start_mark.line, freeze(loader.construct_document(node))))
    finally:
        loader.dispose()
    return tuple(found)


@dataclass(frozen=True)
class Mount:
    """One of a container's volumeMounts."""

    raw: Mapping[str, Any]

    @property
    def volume(self) -> str:
        """The name of the volume."""
        return str(self.raw["name"])

    @property
    def path(self) -> str:
        """Where it is in the container."""
        return str(self.raw["mountPath"])

    @property
    def read_only(self) -> bool:
        """Whether the container cannot write there."""
        return bool(self.raw.get("readOnly", False))

    @property
    def sub_path(self) -> str:
        """The part of the volume that is mounted, or nothing."""
        return str(self.raw.get("subPath") or self.raw.get("subPathExpr") or "")


@dataclass(frozen=True)
class EnvVar:
    """One environment variable: either a value, or a source in Kubernetes' form."""

    name: str
    value: str | None
    source: Mapping[str, Any]

    @property
    def secret(self) -> tuple[str, str] | None:
        """(name, key) of the Secret that it comes from, or None."""
        ref = self.source.get("secretKeyRef")
        return (ref["name"], ref["key"]) if ref else None


@dataclass(frozen=True)
class Reference:
    """What a pod needs to find in its namespace: a Secret, ConfigMap (or a key of it), claim or account."""

    kind: str
    name: str
    key: str | None
    optional: bool
    #: For people, such as `container worker, env POSTGRES_PASSWORD`.
    where: str


@dataclass(frozen=True)
class Container:
    """A container of any sort."""

    raw: Mapping[str, Any]
    #: A sidecar is an init container with restartPolicy Always.
    role: Literal["main", "init", "sidecar", "ephemeral"]

    @property
    def name(self) -> str:
        """The container's name, "" where it has none."""
        return str(self.raw.get("name", ""))

    @property
    def image(self) -> str:
        """The image, "" where it has none."""
        return str(self.raw.get("image", ""))

    @property
    def security(self) -> Mapping[str, Any]:
        """The container's own securityContext."""
        return _map(self.raw.get("securityContext"))

    @property
    def words(self) -> tuple[str, ...]:
        """Command and arguments."""
        return tuple(str(word) for key in ("command", "args") for word in self.raw.get(key) or ())

    @cached_property
    def env(self) -> Mapping[str, EnvVar]:
        """Environment variables by name; the last of a name, as the kubelet has it. Without envFrom."""
        return FrozenDict((variable.name, variable) for variable in self.env_list)

    @cached_property
    def env_list(self) -> tuple[EnvVar, ...]:
        """Environment variables as they are written, duplicates too."""
        return tuple(
            EnvVar(str(entry["name"]), entry.get("value"), _map(entry.get("valueFrom")))
            for entry in self.raw.get("env") or ()
        )

    @cached_property
    def mounts(self) -> tuple[Mount, ...]:
        """All volumeMounts."""
        return tuple(Mount(entry) for entry in self.raw.get("volumeMounts") or ())

    @property
    def ports(self) -> tuple[Mapping[str, Any], ...]:
        """The declared ports."""
        return tuple(self.raw.get("ports") or ())

    @property
    def probes(self) -> Mapping[str, Mapping[str, Any]]:
        """startupProbe, readinessProbe and livenessProbe, those that are there."""
        names = ("startupProbe", "readinessProbe", "livenessProbe")
        return {name: self.raw[name] for name in names if self.raw.get(name)}

    def mount_at(self, path: str) -> Mount:
        """The mount at exactly this path.

        Raises:
            ManifestError: if there is none.
        """
        for mount in self.mounts:
            if mount.path == path:
                return mount
        there = ", ".join(mount.path for mount in self.mounts) or "none"
        raise ManifestError(f"container {self.name} has no mount at {path}; it has {there}")

    def mount_over(self, path: str) -> Mount | None:
        """The mount on which a path lies: the deepest one that contains it."""
        wanted = PurePosixPath(path)
        found = [mount for mount in self.mounts if wanted.is_relative_to(mount.path)]
        return max(found, key=lambda mount: len(PurePosixPath(mount.path).parts), default=None)


@dataclass(frozen=True)
class PodSpec:
    """A pod, or a workload's pod template."""

    raw: Mapping[str, Any]
    labels: Mapping[str, str]
    annotations: Mapping[str, str]
    #: Claims of a StatefulSet's volumeClaimTemplates: volumes that the spec does not name.
    claims: tuple[str, ...] = ()

    @cached_property
    def containers(self) -> tuple[Container, ...]:
        """All containers: init, sidecars, main and ephemeral."""
        init = [
            Container(raw, "sidecar" if raw.get("restartPolicy") == "Always" else "init")
            for raw in self.raw.get("initContainers") or ()
        ]
        main = [Container(raw, "main") for raw in self.raw.get("containers") or ()]
        ephemeral = [Container(raw, "ephemeral") for raw in self.raw.get("ephemeralContainers") or ()]
        return (*init, *main, *ephemeral)

    def container(self, name: str) -> Container:
        """The container of that name, of any sort.

        Raises:
            ManifestError: if there is none.
        """
        for container in self.containers:
            if container.name == name:
                return container
        there = ", ".join(container.name for container in self.containers)
        raise ManifestError(f"the pod has no container {name}; it has {there}")

    @property
    def security(self) -> Mapping[str, Any]:
        """The pod's securityContext."""
        return _map(self.raw.get("securityContext"))

    @cached_property
    def volumes(self) -> Mapping[str, Mapping[str, Any]]:
        """Volumes by name; each in Kubernetes' form, with its source."""
        return FrozenDict((str(volume["name"]), volume) for volume in self.raw.get("volumes") or ())

    @property
    def service_account(self) -> str:
        """The service account's name; `default` where none is given."""
        return str(self.raw.get("serviceAccountName") or self.raw.get("serviceAccount") or "default")

    @cached_property
    def references(self) -> tuple[Reference, ...]:
        """All that the pod needs by name, but its images."""
        found = [Reference("ServiceAccount", self.service_account, None, False, "serviceAccountName")]
        for secret in self.raw.get("imagePullSecrets") or ():
            found.append(Reference("Secret", secret["name"], None, False, "imagePullSecrets"))
        for container in self.containers:
            found += _container_references(container)
        for name, volume in self.volumes.items():
            found += _volume_references(f"volume {name}", volume)
        return tuple(found)


def _container_references(container: Container) -> Iterator[Reference]:
    for entry in container.raw.get("env") or ():
        where = f"container {container.name}, env {entry['name']}"
        for kind, ref in (("Secret", "secretKeyRef"), ("ConfigMap", "configMapKeyRef")):
            if source := _map(entry.get("valueFrom")).get(ref):
                yield Reference(kind, source["name"], source["key"], bool(source.get("optional")), where)
    for entry in container.raw.get("envFrom") or ():
        for kind, ref in (("Secret", "secretRef"), ("ConfigMap", "configMapRef")):
            if source := entry.get(ref):
                optional = bool(source.get("optional"))
                yield Reference(kind, source["name"], None, optional, f"container {container.name}, envFrom")


def _volume_references(where: str, volume: Mapping[str, Any]) -> Iterator[Reference]:
    if claim := volume.get("persistentVolumeClaim"):
        yield Reference("PersistentVolumeClaim", claim["claimName"], None, False, where)
    sources = [volume, *(_map(volume.get("projected")).get("sources") or ())]
    for source in sources:
        for kind, key, named in (("Secret", "secret", "secretName"), ("ConfigMap", "configMap", "name")):
            if not (ref := source.get(key)):
                continue
            name, optional = str(ref.get(named) or ref.get("name")), bool(ref.get("optional"))
            items = [item["key"] for item in ref.get("items") or ()]
            for item in items or [None]:
                yield Reference(kind, name, item, optional, where)


@dataclass(frozen=True)
class Manifest:
    """One Kubernetes object."""

    raw: Mapping[str, Any]
    #: The template that it comes from, "" where that is not known.
    source: str = ""

    def __str__(self) -> str:
        where = f"{self.namespace}/" if self.namespace else ""
        return f"{self.kind} {where}{self.name}"

    @property
    def api_version(self) -> str:
        """Such as apps/v1."""
        return str(self.raw.get("apiVersion", ""))

    @cached_property
    def kind(self) -> str:
        """Such as Deployment."""
        return str(self.raw.get("kind", ""))

    @cached_property
    def metadata(self) -> Mapping[str, Any]:
        """The object's metadata."""
        return _map(self.raw.get("metadata"))

    @cached_property
    def name(self) -> str:
        """The object's name, "" where it has none."""
        return str(self.metadata.get("name", ""))

    @cached_property
    def namespace(self) -> str:
        """The namespace that it names, "" for none."""
        return str(self.metadata.get("namespace") or "")

    @cached_property
    def labels(self) -> Mapping[str, str]:
        """The object's labels."""
        return _map(self.metadata.get("labels"))

    @cached_property
    def annotations(self) -> Mapping[str, str]:
        """The object's annotations."""
        return _map(self.metadata.get("annotations"))

    @property
    def component(self) -> str:
        """The component label, "" where it has none."""
        return self.labels.get(COMPONENT, "")

    @property
    def group(self) -> str:
        """The worker-group label, "" where it has none."""
        return self.labels.get(GROUP, "")

    @property
    def cluster_scoped(self) -> bool:
        """Whether the kind has no namespace."""
        return self.kind in CLUSTER_SCOPED

    def get(self, *keys: str, default: Any = None) -> Any:
        """The value under these keys, one after another, or `default` where one of them is not there."""
        value: Any = self.raw
        for key in keys:
            if not isinstance(value, (dict, Mapping)) or key not in value:
                return default
            value = value[key]
        return value

    @property
    def selector(self) -> Mapping[str, str] | None:
        """The labels that a workload, Service, NetworkPolicy or PodDisruptionBudget selects pods by.

        None where it selects nothing; an empty map selects every pod. Expressions are not among them: see
        `selects`.
        """
        found = self._selector
        if found is None:
            return None
        return found if self.kind in ("Service", "ReplicationController") else _map(found.get("matchLabels"))

    def selects(self, labels: Mapping[str, str]) -> bool:
        """Whether a pod of these labels, in this object's namespace, is selected."""
        found = self._selector
        if found is None:
            return False
        if self.kind in ("Service", "ReplicationController"):
            return all(labels.get(key) == value for key, value in found.items())
        return matches(found, labels)

    @cached_property
    def _selector(self) -> Mapping[str, Any] | None:
        if self.kind == "NetworkPolicy":
            return _map(self.get("spec", "podSelector"))
        if self.kind in POD_TEMPLATES or self.kind in ("Service", "PodDisruptionBudget"):
            found = self.get("spec", "selector")
            return found if isinstance(found, Mapping) and (found or self.kind != "Service") else None
        return None

    @cached_property
    def pod(self) -> PodSpec | None:
        """The pod that a workload makes, or that a Pod is; None for all other kinds."""
        if self.kind not in POD_TEMPLATES:
            return None
        template = _map(self.get(*POD_TEMPLATES[self.kind]))
        metadata = _map(template.get("metadata"))
        claims = tuple(claim["metadata"]["name"] for claim in self.get("spec", "volumeClaimTemplates") or ())
        return PodSpec(
            _map(template.get("spec")),
            _map(metadata.get("labels")),
            _map(metadata.get("annotations")),
            claims,
        )


def matches(selector: Mapping[str, Any], labels: Mapping[str, str]) -> bool:
    """Whether a LabelSelector (matchLabels, matchExpressions) selects these labels; an empty one does."""
    if any(labels.get(key) != value for key, value in _map(selector.get("matchLabels")).items()):
        return False
    for expression in selector.get("matchExpressions") or ():
        value = labels.get(expression["key"])
        verdicts = {
            "In": value in (expression.get("values") or ()),
            "NotIn": value not in (expression.get("values") or ()),
            "Exists": value is not None,
            "DoesNotExist": value is None,
        }
        if not verdicts[expression["operator"]]:
            return False
    return True


def _map(value: Any) -> Mapping[str, Any]:
    """The value if it is a map, else an empty one: manifests may hold null anywhere."""
    # dict first: asking whether something is a Mapping takes ten times as long.
    return value if isinstance(value, (dict, Mapping)) else {}


@dataclass(frozen=True)
class Manifests:
    """A set of Kubernetes objects, in the order in which they were written."""

    documents: tuple[Manifest, ...]
    #: What they were read from; "" if they were not read.
    text: str = field(default="", repr=False, compare=False)

    def __iter__(self) -> Iterator[Manifest]:
        return iter(self.documents)

    def __len__(self) -> int:
        return len(self.documents)

    @classmethod
    def parse(cls, text: str, name: str = "the YAML") -> Manifests:
        """Reads a YAML or JSON stream; objects of kind List are opened, empty documents skipped.

        A pod in a ConfigMap, KubernetesExecutor's template, stands beside it as a PodTemplate.

        Raises:
            ManifestError: if it is not YAML, has a key twice, or a document is no Kubernetes object.
        """
        marks = [
            (number, line.removeprefix("# Source: ").strip())
            for number, line in enumerate(text.splitlines())
            if line.startswith("# Source: ")
        ]
        found = []
        for line, document in _documents(text, name):
            source = next((path for number, path in reversed(marks) if number <= line), "")
            found += [(source, item) for item in _opened(document, f"{name}, line {line + 1}")]
        return cls.of(found, text)

    @classmethod
    def of(cls, documents: Iterable[tuple[str, Any]], text: str = "") -> Manifests:
        """From (source, object) pairs; the objects are copied into read-only ones."""
        return cls(tuple(Manifest(freeze(document), source) for source, document in documents), text)

    def changed(self) -> list[tuple[str, Any]]:
        """(source, object) pairs that may be changed, for `of`."""
        return [(manifest.source, copy.deepcopy(manifest.raw)) for manifest in self]

    def all(self, kind: str | None = None, **wanted: str) -> tuple[Manifest, ...]:
        """All objects of a kind (None: of all kinds) with these attributes.

        Attributes are those of Manifest: name, namespace, component, group, api_version, source.
        """
        of_kind = self.documents if kind is None else self._by_kind.get(kind, [])
        return tuple(
            manifest
            for manifest in of_kind
            if all(getattr(manifest, attribute) == value for attribute, value in wanted.items())
        )

    @cached_property
    def _by_kind(self) -> Mapping[str, Sequence[Manifest]]:
        found: dict[str, list[Manifest]] = {}
        for manifest in self:
            found.setdefault(manifest.kind, []).append(manifest)
        return found

    def one(self, kind: str, **wanted: str) -> Manifest:
        """The only object of that kind with these attributes.

        Raises:
            ManifestError: if there is none, or more than one; it lists those of the kind.
        """
        found = self.all(kind, **wanted)
        if len(found) != 1:
            asked = ", ".join(f"{key}={value}" for key, value in wanted.items())
            there = ", ".join(str(manifest) for manifest in self.all(kind)) or "none of that kind"
            raise ManifestError(f"{len(found)} objects match {kind}({asked}); there are: {there}")
        return found[0]

    def environment(self, manifest: Manifest, container: Container) -> dict[str, str]:
        """The variables that a container's process sees, without those from Secrets and fields.

        As the kubelet makes them: first the ConfigMaps of envFrom, then env in its order, in which $(NAME)
        stands for a variable that is already there.
        """
        found: dict[str, str] = {}
        for source in container.raw.get("envFrom") or ():
            if ref := source.get("configMapRef"):
                config = self.find("ConfigMap", name=ref["name"], namespace=manifest.namespace)
                data = (config.get("data") if config else None) or {}
                found |= {source.get("prefix", "") + key: value for key, value in data.items()}
        for variable in container.env_list:
            if variable.value is not None:
                found[variable.name] = re.sub(
                    r"(\$?)\$\(([-._a-zA-Z][-._a-zA-Z0-9]*)\)",
                    lambda match: match[0][1:] if match[1] else found.get(match[2], match[0]),
                    variable.value,
                )
        return found

    def find(self, kind: str, **wanted: str) -> Manifest | None:
        """As `one`, but None where there is none."""
        return self.one(kind, **wanted) if self.all(kind, **wanted) else None

    @cached_property
    def pods(self) -> tuple[tuple[Manifest, PodSpec], ...]:
        """Every object that makes pods, with its pod."""
        return tuple((manifest, manifest.pod) for manifest in self if manifest.pod is not None)

    @cached_property
    def containers(self) -> tuple[tuple[Manifest, PodSpec, Container], ...]:
        """Every container of every pod."""
        return tuple(
            (manifest, pod, container) for manifest, pod in self.pods for container in pod.containers
        )


def _opened(document: Any, where: str) -> Sequence[Any]:
    """The objects of one document: none, itself, or a List's items."""
    if document is None:
        return ()
    if not isinstance(document, dict) or not isinstance(document.get("kind"), str):
        raise ManifestError(f"{where}: not a Kubernetes object: it has no kind")
    if document["kind"] == "List" or (document["kind"].endswith("List") and "items" in document):
        return [item for each in document.get("items") or () for item in _opened(each, where)]
    if not isinstance(document.get("metadata"), dict):
        raise ManifestError(f"{where}: {document['kind']} has no metadata")
    return (document, *_pod_templates(document, where))


def _pod_templates(document: dict[str, Any], where: str) -> Iterator[Any]:
    """The pods in a ConfigMap: KubernetesExecutor makes them as they are, but for a name of their own."""
    data = _map(document.get("data")) if document["kind"] == "ConfigMap" else {}
    for key, value in data.items():
        if not key.endswith(".yaml") or "\nkind: Pod\n" not in str(value):
            continue
        for pod in load_yaml(value, f"{where}, {key}"):
            metadata = pod["metadata"]
            labels = {**_map(document["metadata"].get("labels")), **_map(metadata.get("labels"))}
            template = {
                "metadata": {k: metadata.get(k) for k in ("labels", "annotations")},
                "spec": pod["spec"],
            }
            yield {
                "apiVersion": "v1",
                "kind": "PodTemplate",
                "metadata": {**metadata, "labels": labels},
                "template": template,
            }
