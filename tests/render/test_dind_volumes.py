"""workers.<name>.dind.volumes: the daemon gets what the worker has, and no Secret or path that it needs."""

from __future__ import annotations

import re
from typing import Any

import pytest

from scripts.chart import RenderError
from scripts.chart.values_schema import schema
from tests.render.test_dind import container, spec
from tests.render.values import DIND_VARIANTS, overlaid

#: Types of volumes that the daemon gets; every other one of Kubernetes is rejected.
GIVEN = {"persistentVolumeClaim", "ephemeral", "emptyDir", "configMap", "downwardAPI", "nfs", "image"}
#: The same of what a projected volume has.
PROJECTED = {"configMap", "downwardAPI"}
CLAIM = {"persistentVolumeClaim": {"claimName": "data"}}


def mounts(pod: Any, name: str) -> dict[str, Any]:
    """Path -> mount of a container."""
    return {mount["mountPath"]: mount for mount in container(pod, name)["volumeMounts"]}


def problems(volumes: dict[str, Any], paths: dict[str, Any], **values: Any) -> dict[str, str]:
    """What the chart says about each mount, by its key; the daemon is given all."""
    with pytest.raises(RenderError) as caught:
        spec({"volumes": [*paths, "no-such-mount"]}, volumes=volumes, volumeMounts=paths, values=values)
    found = re.findall(r"workers\.docker\.dind\.volumes: (\S+) (.*)", str(caught.value))
    return {name: said for name, said in found if name != "no-such-mount"}


@pytest.mark.parametrize("executor", ["CeleryExecutor", "KubernetesExecutor"])
def test_the_daemon_has_them_at_the_workers_path(executor: str) -> None:
    paths: dict[str, Any] = {
        "data": {"mountPath": "/data"},
        "part": {"name": "data", "mountPath": "/srv/part", "subPath": "p", "readOnly": True},
        "other": {"name": "data", "mountPath": "/other"},
    }
    settings: dict[str, Any] = {"dags": {"examples": True, "path": "/usr/local/airflow/dags"}}
    pod = spec(
        {"volumes": ["data", "part", "dags"]}, volumes={"data": CLAIM}, volumeMounts=paths, values=settings
    )
    worker, daemon = mounts(pod, "worker"), mounts(pod, "docker")
    for path in ("/data", "/srv/part", "/usr/local/airflow/dags"):
        assert daemon[path] == worker[path]
    assert daemon["/usr/local/airflow/dags"]["readOnly"] is True
    assert "/other" in worker
    assert "/other" not in daemon
    for other in ("docker-prune",):
        assert not {"/data", "/srv/part"} & set(mounts(pod, other))


def test_only_types_without_secrets_are_given() -> None:
    """Every type that Kubernetes has: a new one is rejected until somebody says what it gives."""
    defs = schema()["$defs"]
    types, projections = (
        set(defs[f"kubernetes.{name}"]["properties"]) for name in ("Volume", "VolumeProjection")
    )
    assert types > GIVEN
    assert projections > PROJECTED
    sources: dict[str, Any] = {
        kind: {name: ["x"] if name == "monitors" else {} if "Ref" in name else 1 if name == "lun" else "x"
               for name in required(kind)}
        for kind in types - {"projected"}
    }  # fmt: skip
    volumes: dict[str, Any] = {kind.lower(): {kind: source} for kind, source in sources.items()}
    for kind in projections:
        inner = {
            "serviceAccountToken": {"path": "t"},
            "podCertificate": {"signerName": "a/b", "keyType": "RSA3072"},
        }
        source = inner.get(kind, {"path": "x"} if kind == "clusterTrustBundle" else {})
        volumes[f"p-{kind.lower()}"] = {
            "projected": {"sources": [{"configMap": {"name": "c"}}, {kind: source}]}
        }
    said = problems(volumes, {name: {"mountPath": f"/m/{name}"} for name in volumes})
    given = {kind.lower() for kind in GIVEN} | {f"p-{kind.lower()}" for kind in PROJECTED}
    assert set(said) == set(volumes) - given
    assert all("which the daemon does not get" in text for text in said.values())


def required(kind: str) -> list[str]:
    """Fields that a volume of a type must have."""
    defs = schema()["$defs"]
    reference = defs["kubernetes.Volume"]["properties"][kind]["$ref"].rsplit("/", 1)[1]
    return list(defs[reference].get("required", ()))


def test_dags_are_judged_too() -> None:
    secret = {"dags": {"examples": False, "volume": {"secret": {"secretName": "s"}}}}
    assert "dags" in problems({}, {"dags": {"mountPath": "/dags", "readOnly": True}}, **secret)


def test_the_charts_own_volumes_stay_where_they_are() -> None:
    """A second mount of one, by the volume's name: the login, the configuration, the logs."""
    pod = spec({"pullSecret": "logins"})
    own = {volume["name"] for volume in pod["volumes"]}
    assert {"docker-registries", "config", "logs"} <= own
    paths = {f"m-{name}": {"name": name, "mountPath": f"/m/{name}"} for name in own}
    with pytest.raises(RenderError) as caught:
        spec({"pullSecret": "logins", "volumes": list(paths)}, volumeMounts=paths)
    assert str(caught.value).count("mounts a volume of the chart") == len(own)


def test_the_daemons_own_directories_are_not_hidden() -> None:
    """What its container mounts in any variant, above and below it, however it is spelled."""
    own = {"/usr/local/bin/dockerd", "/lib/x", "/var/run/docker.sock", "/proc/1", "/tmp", "/run/docker"}
    for group in DIND_VARIANTS["workers"].values():
        pod = spec({"registryCAs": {"r": {"name": "a", "key": "b"}}, **(group or {}).get("dind", {})})
        own |= set(mounts(pod, "docker"))
    wrong = own | {f"{path}/below/it" for path in own} | {f"/x/..{path}/" for path in own}
    wrong |= {"/", "/var", "/usr", "/opt", "/var/lib", "/etc/", "//etc"}
    paths = {f"m{number}": {"name": "data", "mountPath": path} for number, path in enumerate(sorted(wrong))}
    fine = {
        "fine": "/data",
        "home": "/home/airflow",
        "opt": "/opt/airflow/data",
        "near": "/runs",
        "v": "/var/data",
    }
    all_paths = overlaid(paths, {key: {"name": "data", "mountPath": path} for key, path in fine.items()})
    said = problems({"data": CLAIM}, all_paths)
    assert set(said) == set(paths)
    assert all("the daemon's container needs /" in text for text in said.values())


def test_what_the_daemon_could_not_mount_is_rejected() -> None:
    said = problems({"data": CLAIM}, {"data": {"mountPath": "/data", "subPathExpr": "$(POD)"}})
    assert "subPathExpr" in said["data"]
    with pytest.raises(RenderError, match=r"nope is no mount of the worker.*use one of: data"):
        spec({"volumes": ["nope"]}, volumes={"data": CLAIM}, volumeMounts={"data": {"mountPath": "/data"}})
