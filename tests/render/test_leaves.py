"""Every value that the schema offers does something: a leaf that is set is seen in a render.

A render takes long, so one is of many leaves. Each has a value with a number that nothing else has, and
counts as seen where the number is in the manifests. What has no such value (a switch, a word of an enum) is
set by itself, unless a render of all that are left is the same as without them.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import pytest

from scripts.chart import Manifests, RenderError, render
from scripts.chart.values_schema import defaults
from tests.render.values import DIND, FAB_INGRESS, MODES, OIDC, SOCKET, TLS_STORES, overlaid
from tests.render.values_schema import ANY, LEAVES, Place, at, concrete, put, samples

#: Leaves that change nothing in the manifests, with the reason.
SILENT: dict[str, str] = {
    "workerDefaults.dind.network.clusterCIDRs": "the daemon's ranges are checked against it",
    "workers.*.dind.network.clusterCIDRs": "the daemon's ranges are checked against it",
    "enabled": "a parent chart's condition for this one",
    "podSecurity.exemptions": "it accepts other values, and is rejected without them",
}
#: Probes that a component's main container does not have: numbers of them are rejected.
NO_PROBE = {
    "readinessProbe": (
        "controlPlane.scheduler",
        "controlPlane.dagProcessor",
        "controlPlane.triggerer",
        "workerDefaults",
        "workers.*",
    ),
    "startupProbe": ("broker.embedded", "controlPlane.autoscaler", "metrics.airflow"),
}
NUMBERS = ("initialDelaySeconds", "periodSeconds", "timeoutSeconds", "failureThreshold")
SILENT |= {
    f"{block}.{probe}.{number}": "the container has no such probe"
    for probe, blocks in NO_PROBE.items()
    for block in blocks
    for number in NUMBERS
}

CLAIM_AND_CA = {
    "claim": {"size": "1Gi"},
    "registryCAs": {"sample": {"name": "a", "key": "b"}},
    "init": {"scripts": {"a": "true"}},
    "proxy": {"http": "http://proxy.example.com:3128"},
}
#: A group of each executor, beside the default one, which leaves it open.
EXECUTORS: dict[str, Any] = {
    "executor": "CeleryExecutor,KubernetesExecutor",
    "workers": {
        "celery": {"executor": "CeleryExecutor", "queues": ["celery"]},
        "pods": {"executor": "KubernetesExecutor", "queues": ["pods"]},
    },
}
#: Without a control plane, which is most of a render: enough for most settings of worker groups.
ALONE: dict[str, Any] = {
    "controlPlane": {"enabled": False, "executionApiUrl": "http://a.b:8080/execution/"},
    "broker": {"existingSecret": "broker"},
    "secrets": {"apiSecretKey": "api"},
}
#: Values in which a leaf may be at work; tried in this order, those first in which most are.
BASES: dict[str, dict[str, Any]] = {
    "default": {},
    "executors": EXECUTORS,
    "executors-reversed": {**EXECUTORS, "executor": "KubernetesExecutor,CeleryExecutor"},
    "dind": DIND,
    "rootless": overlaid(DIND, {"workers": {"docker": {"dind": {"variant": "rootless"}}}}),
    "tests": {"tests": {"enabled": True}},
    "readers": {"networkPolicy": {"metricsFrom": [{"podSelector": {}}]}},
    "elsewhere": {"workers": {"sample": {"queues": ["sample"], "namespace": "elsewhere"}}},
    "socket": SOCKET,
    "stores": TLS_STORES,
    "stores-with-urls": {
        "database": {
            "existingSecret": "database",
            "tls": {"mode": "verify-ca", "ca": {"configMap": "ca"}},
        },
        "broker": {
            "existingSecret": "broker",
            "tls": {"enabled": True, "ca": {"secret": "ca"}, "clientCertificate": {"secret": "client"}},
        },
    },
    "gateway": {
        "tasks": {
            "claims": {"sample": {"claimName": "claim"}},
            "binds": {"/sample": {"claimName": "claim"}},
            "networks": {"sample": {"labels": {}}},
            "registries": {"sample": {"pullSecret": "pull"}},
            "admission": {
                "priorityClasses": ["*"],
                "storageClasses": ["sample"],
                "runtimeClasses": ["*"],
                "schedulers": ["*"],
                "tolerations": [{"key": "sample", "operator": "Exists"}],
            },
        },
    },
    "proxy": {"proxy": {"http": "http://proxy.example.com:3128", "noProxy": ["10.244.0.0/16"]}},
    "proxy-with-a-password": {"proxy": {"existingSecret": "proxy", "noProxy": ["10.244.0.0/16"]}},
    "trust": overlaid(DIND, {"trust": {"configMap": "ca", "tasks": {"configMap": "all"}}}),
    "openshift": {
        "openshift": True,
        "workerDefaults": {"securityContextConstraints": "privileged"},
        "workers": {"sample": {"queues": ["sample"]}},
    },
    "clusters": {"tasks": {"clusters": {"sample": {"kubeconfigSecret": "sample"}}}},
    "git": {
        "dags": {
            "git": {
                "sample": {
                    "repository": "git@git.example.com:a",
                    "sshKeySecret": "a",
                    "knownHosts": "git.example.com a",
                }
            }
        }
    },
    "git-of-an-unknown-host": {
        "dags": {"git": {"sample": {"repository": "git@git.example.com:a", "sshKeySecret": "a"}}}
    },
    "git-by-https": {
        "dags": {"git": {"sample": {"repository": "https://git.example.com/a", "tokenSecret": "a"}}}
    },
    "oidc": OIDC,
    "oidc-by-http": overlaid(OIDC, {"auth": {"oidc": {"issuer": "http://dex.example.com"}}}),
    "local-users": {
        "auth": {"manager": "fab", "users": {"sample": {"roles": ["Viewer"], "secret": "sample"}}},
    },
    "pooler": {"database": {"pooler": {"enabled": True}}},
    "autoscaled": {
        "workerDefaults": {"autoscaling": {"enabled": True, "max": 900}},
        "controlPlane": {
            name: {"autoscaling": {"enabled": True, "max": 900}}
            for name in ("apiServer", "scheduler", "dagProcessor", "triggerer")
        },
    },
    "autoscaled-group": {"workers": {"sample": {"autoscaling": {"enabled": True, "max": 900}}}},
    "backup": {"database": {"embedded": {"backup": {"enabled": True, "claim": "a"}}}},
    "backup-without-switch": {"database": {"embedded": {"backup": {"claim": "a"}}}},
    "exporter": {"metrics": {"airflow": {"enabled": True}}},
    "pod-monitors": {
        "metrics": {"podMonitor": {"enabled": True}},
        "networkPolicy": {"metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]},
    },
    "dns-of-off-parts": {
        "podDefaults": {"dnsPolicy": "Default", "dnsConfig": {"nameservers": ["10.0.0.1"]}},
        "workers": {"default": {"autoscaling": {"enabled": True, "max": 900}}},
        "controlPlane": {"autoscaler": {}},
        "metrics": {"airflow": {"enabled": True}},
    },
    "pools": {"airflow": {"pools": {"sample": {"slots": 1}}}},
    "dns": {
        "podDefaults": {"dnsPolicy": "Default", "dnsConfig": {"nameservers": ["10.0.0.1"]}},
        "database": {"pooler": {"enabled": True}},
    },
    "no-xcom": {"tasks": {"rbac": {"xcom": False}}},
    "no-default-needed": {"tasks": {"quota": {"hard": {"limits.ephemeral-storage": None}}}},
    "attachable": {
        "controlPlane": {"executionApiUrl": "http://a.b:8080/execution/"},
        "broker": {"existingSecret": "broker"},
        "secrets": {"apiSecretKey": "api"},
    },
    "fab-ingress": {**FAB_INGRESS, "logs": {"claim": {"size": "1Gi"}, "remote": {"baseLogFolder": "s3://b"}}},
    "modes": MODES,
    "remote-logs": {"logs": {"remote": {"baseLogFolder": "s3://b"}}},
    "cilium": {"networkPolicy": {"cilium": "always"}},
    "mesh": {"networkPolicy": {"mesh": {"type": "linkerd", "namespace": "mesh"}}},
    "host-without-ingress": {"ingress": {"host": "a.example.com"}},
    "route": {
        "httpRoute": {"enabled": True, "parentRefs": [{"name": "a"}], "hostnames": ["a.example.com"]},
    },
    "route-without-switch": {"httpRoute": {"parentRefs": [{"name": "a"}], "hostnames": ["a.example.com"]}},
    "load-balancer": {"controlPlane": {"apiServer": {"service": {"type": "LoadBalancer"}}}},
    "attached": {
        **ALONE,
        "workers": {"node": {"mode": "socket", "queues": ["node"], "socket": {"gid": 999}}},
    },
    "dind-full": {"workerDefaults": {"dind": CLAIM_AND_CA}, "dags": {"examples": True}},
    "dind-full-group": {
        "workers": {"sample": {"mode": "dind", "queues": ["sample"], "dind": CLAIM_AND_CA}},
        "dags": {"examples": True},
    },
    "elsewhere-by-default": {"workerDefaults": {"namespace": "elsewhere"}},
    "strict": {"networkPolicy": {"egress": "strict", "apiServerCIDR": "10.0.0.1/32"}},
    "watched": {
        "metrics": {
            "airflow": {"enabled": True},
            "podMonitor": {"enabled": True},
            "rules": {"enabled": True},
            "dashboard": {"enabled": True},
        },
        "networkPolicy": {"metricsFrom": [{"podSelector": {"matchLabels": {"app": "prometheus"}}}]},
        "podDisruptionBudget": {"enabled": True},
    },
    "executors-by-default": {
        **EXECUTORS,
        "executor": "KubernetesExecutor,CeleryExecutor",
        "workerDefaults": {"executor": "CeleryExecutor"},
    },
}


@dataclass(frozen=True)
class Setting:
    """A value for a leaf."""

    path: tuple[str, ...]
    json: str
    #: In the value and nowhere else; 0 if it has none.
    number: int = 0

    @property
    def value(self) -> Any:
        return json.loads(self.json)

    def __str__(self) -> str:
        return f"{'.'.join(self.path)}: {self.json}"


def settings(place: Place) -> list[Setting]:
    """All values that must have an effect."""
    number = 7001 + LEAVES.index(place)
    values = samples(place, current(with_group({}, place.path), place.path), number)
    texts = [json.dumps(value) for value in values]
    assert texts, f"no valid value is known for {place}: add one to known_samples"
    return [Setting(place.path, text, number if str(number) in text else 0) for text in texts]


def without_effect(places: Iterable[Place]) -> list[Setting]:
    """Values that change nothing, whichever base they are set in."""
    left = [settings(place) for place in places]
    for number in range(3 + len(BASES)):
        # One render has one value for each leaf.
        groups: dict[tuple[str, int], list[Setting]] = {}
        for own in left:
            for which, setting in enumerate(own):
                for base in bases(setting.path)[number : number + 1]:
                    groups.setdefault((json.dumps(base), which), []).append(setting)
        done = {setting for (base, _), tried in groups.items() for setting in seen(json.loads(base), tried)}
        left = [[setting for setting in own if setting not in done] for own in left]
    return [setting for own in left for setting in own]


def seen(values: dict[str, Any], tried: list[Setting]) -> set[Setting]:
    """Those that change what these values render to."""
    changed = values
    for setting in tried:
        changed = put(changed, concrete(setting.path), setting.value)
    before, after = outcome(values), outcome(changed)
    if isinstance(after, Manifests):
        text = before.text if isinstance(before, Manifests) else ""
        if after.text == text:
            return set()
        if len(tried) == 1:
            return set(tried)
        new = numbers(after.text) - numbers(text)
        part = [setting for setting in tried if setting.number in new]
        if part:
            # One of those that are not seen may have been at work without these.
            return {*part, *seen(values, [setting for setting in tried if setting not in part])}
    else:
        part = [setting for setting in tried if ".".join(concrete(setting.path)) in str(after)]
    if len(tried) < 2:
        return set()
    if not part or len(part) == len(tried):
        part = tried[: len(tried) // 2]
    rest = [setting for setting in tried if setting not in part]
    return seen(values, part) | seen(values, rest)


def numbers(text: str) -> set[int]:
    """All that stand in a text, but not within a checksum."""
    return {int(word) for word in re.findall(r"(?<![0-9a-f])\d+(?![0-9a-f])", text)}


def outcome(values: dict[str, Any]) -> Manifests | RenderError:
    """What it renders to, or why it does not: a value may be what makes others valid."""
    try:
        return render(values)
    except RenderError as error:
        return error


def bases(path: tuple[str, ...]) -> list[dict[str, Any]]:
    """Values in which the leaf may be at work, those first that set its path or its key."""
    near = sorted(BASES.values(), key=lambda base: -common(base, path) - (path[-1] in keys(base)))
    if path[0] in ("workers", "workerDefaults"):
        near = [ALONE, *near]
    return [with_group(base, path) for base in near]


def common(base: Any, path: tuple[str, ...]) -> int:
    """How many keys of the path a base sets."""
    if not path or not isinstance(base, Mapping):
        return 0
    under = base.values() if path[0] == ANY else [base[path[0]]] if path[0] in base else []
    return max((1 + common(value, path[1:]) for value in under), default=0)


def keys(base: Any) -> set[str]:
    """All keys that a base sets, at any depth."""
    if not isinstance(base, Mapping):
        return set()
    return {*base, *(key for value in base.values() for key in keys(value))}


def current(values: dict[str, Any], path: tuple[str, ...]) -> Any:
    """What the leaf is with these values; a group has it from workerDefaults."""
    effective = overlaid(defaults(), values)
    groups = {name: overlaid(effective["workerDefaults"], own) for name, own in effective["workers"].items()}
    return at({**effective, "workers": groups}, concrete(path))


def with_group(base: dict[str, Any], path: tuple[str, ...]) -> dict[str, Any]:
    """The base with a worker group `sample` of the mode that the leaf belongs to."""
    if path[0] not in ("workers", "workerDefaults"):
        return base
    group: dict[str, Any] = {"queues": ["sample"], "mode": "kubernetes"}
    if "socket" in path:
        group |= {"mode": "socket", "socket": {"gid": 999, "filter": path[-1] != "kubeletRootDir"}}
    elif {"dind", "tmp"} & set(path):
        group |= {"mode": "dind"}
    if path == ("workerDefaults", "mode"):
        del group["mode"]
        group["socket"] = {"gid": 999}
    if path == ("workers", ANY, "mode"):
        group["socket"] = {"gid": 999}
    if path[0] == "workerDefaults":
        group.pop(path[1], None) if path[1] != "socket" else None
    if path == ("workerDefaults", "socket", "gid"):
        group["socket"] = {}
    found: dict[str, Any] = overlaid(base, {"workers": {"default": None, "sample": group}})
    return found


#: Top-level keys by their first letters: about as many renders each, so that they can be made side by side.
PARTS = ("workerD", "workers", "controlPlane", "tasks", "database", "a-d", "e-l", "m-z")


def part(leaf: Place) -> str:
    """The part that a leaf is in."""
    root = leaf.path[0]
    found = next((each for each in PARTS[:5] if root.startswith(each)), "")
    return found or next(each for each in PARTS[5:] if root[0] <= each[-1])


@pytest.mark.parametrize("wanted", PARTS)
def test_leaves_change_the_output(wanted: str) -> None:
    places = [leaf for leaf in LEAVES if part(leaf) == wanted]
    wrong = without_effect(leaf for leaf in places if str(leaf) not in SILENT)
    assert not wrong, (
        "these change no manifest: use them in a template, remove them from the schema, or give the reason "
        "in SILENT (or a base in which they work in BASES):\n" + "\n".join(map(explained, wrong))
    )


def test_silent_leaves_change_nothing() -> None:
    """So the test above does find a leaf without effect."""
    silent = [leaf for leaf in LEAVES if str(leaf) in SILENT]
    assert {str(leaf) for leaf in silent} == set(SILENT)
    for leaf in silent:
        for setting in settings(leaf):
            assert not seen(bases(leaf.path)[0], [setting]), (
                f"{leaf} changes a manifest: remove it from SILENT"
            )


def explained(setting: Setting) -> str:
    """With what comes of it in the bases."""
    said = dict.fromkeys(
        "no change" if isinstance(after, Manifests) else f"refused: {str(after)[:600]}"
        for base in bases(setting.path)
        for after in [outcome(put(base, concrete(setting.path), setting.value))]
    )
    return "\n    ".join([str(setting), *said])
