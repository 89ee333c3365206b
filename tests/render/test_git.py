"""dags.git: bundles, connections without secrets, and who has the keys."""

from __future__ import annotations

import json
import subprocess
from pathlib import Path
from typing import Any

import pytest

from scripts.chart import Manifests, render
from scripts.chart.manifests import PodSpec
from tests.render.values import DIND, overlaid

HOSTS = "git.example.com ssh-ed25519 AAAA\n"
SSH = {"repository": "git@git.example.com:a/dags.git", "sshKeySecret": "deploy-key", "knownHosts": HOSTS}
HTTPS = {"repository": "https://git.example.com/b/dags.git", "tokenSecret": "token"}
SECRETS = {"deploy-key", "token"}
VALUES: dict[str, Any] = {"dags": {"git": {"team-a": SSH, "b": HTTPS}}}
STORAGE = "AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH"


def rendered(**values: Any) -> Manifests:
    return render(overlaid(VALUES, values))


def bundles(manifests: Manifests) -> list[dict[str, Any]]:
    text = manifests.one("ConfigMap", component="config").get("data", "airflow.cfg")
    (line,) = [each for each in text.splitlines() if each.startswith("dag_bundle_config_list")]
    found: list[dict[str, Any]] = json.loads(line.partition(" = ")[2].replace("%%", "%"))
    return found


def connection(pod: PodSpec, name: str) -> dict[str, Any]:
    (container,) = [each for each in pod.containers if each.name == "dag-processor"]
    text = str(container.env[f"AIRFLOW_CONN_AIRDOCK_GIT_{name}"].value)
    found: dict[str, Any] = json.loads(text.replace("$$", "$"))
    return found


def dag_processor(manifests: Manifests) -> PodSpec:
    pod = manifests.one("Deployment", component="dag-processor").pod
    assert pod
    return pod


def test_each_is_a_bundle_beside_those_of_the_values() -> None:
    own = {"name": "own", "classpath": "a.B", "kwargs": {"path": "/x"}}
    git = {"b": {"ref": "v1", "subdir": "x/dags", "refreshSeconds": 60}}
    found = bundles(rendered(dags={"bundles": [own], "git": git}))
    assert found[0] == own
    by_name = {each["name"]: each for each in found[1:]}
    assert by_name["team-a"]["kwargs"] == {
        "repo_url": SSH["repository"],
        "git_conn_id": "airdock_git_team_a",
        "tracking_ref": "main",
    }
    assert by_name["b"]["kwargs"] == {
        "repo_url": HTTPS["repository"],
        "git_conn_id": "airdock_git_b",
        "tracking_ref": "v1",
        "subdir": "x/dags",
        "refresh_interval": 60,
    }
    assert {each["classpath"] for each in found[1:]} == {"airdock_git.GitDagBundle"}


def test_ssh_checks_host_keys_unless_a_value_says_otherwise() -> None:
    strict = connection(dag_processor(rendered()), "TEAM_A")["extra"]
    assert strict["strict_host_key_checking"] == "yes"
    assert strict["known_hosts_file"] == "/run/airdock-git/team-a/known_hosts"
    assert strict["key_file"] == "/run/airdock-git/team-a/ssh-key"
    manifests = rendered(dags={"git": {"team-a": {"knownHosts": "", "acceptAnyHostKey": True}}})
    loose = connection(dag_processor(manifests), "TEAM_A")["extra"]
    assert loose["strict_host_key_checking"] == "no"
    assert "known_hosts_file" not in loose
    assert "known_hosts.team-a" not in manifests.one("ConfigMap", component="git").get("data")


def test_null_is_the_safe_value() -> None:
    manifests = rendered(dags={"git": {"team-a": {"acceptAnyHostKey": None, "ref": None, "keys": None}}})
    assert connection(dag_processor(manifests), "TEAM_A")["extra"]["strict_host_key_checking"] == "yes"
    assert [each["name"] for each in bundles(rendered(dags={"git": {"team-a": None}}))] == ["b"]


@pytest.mark.parametrize("executor", ["CeleryExecutor", "KubernetesExecutor"])
def test_only_what_clones_has_the_keys(executor: str) -> None:
    manifests = rendered(
        executor=executor,
        workers={"docker": {"mode": "dind", "queues": ["docker"]}},
        database={"cleanup": {"enabled": True}},
    )
    having = set()
    for manifest in manifests:
        if not manifest.pod:
            continue
        named = {each.name for each in manifest.pod.references if each.kind == "Secret"} & SECRETS
        assert named in (set(), SECRETS), manifest
        if named:
            having.add(manifest.component)
            mounting = {c.name for c in manifest.pod.containers for m in c.mounts if m.volume == "git"}
            assert mounting <= {"dag-processor", "worker", "base"}, mounting
            (container,) = [c for c in manifest.pod.containers if c.name in mounting]
            mount = container.mount_over("/run/airdock-git/b/token")
            assert mount
            assert mount.read_only
            # With fsGroup, it is the group's, and ssh takes a key that its user does not own.
            assert manifest.pod.volumes["git"]["projected"]["defaultMode"] == 0o440
    worker = "worker" if executor == "CeleryExecutor" else "kubernetes-executor"
    assert having == {"dag-processor", worker}


def test_nothing_secret_is_in_an_environment() -> None:
    for manifest in rendered():
        for container in manifest.pod.containers if manifest.pod else ():
            assert not {each.secret[0] for each in container.env_list if each.secret} & SECRETS


@pytest.mark.parametrize("values", [{}, DIND, {"executor": "KubernetesExecutor"}])
def test_clones_are_on_a_volume_of_their_own(values: dict[str, Any]) -> None:
    claim = {"ephemeral": {"volumeClaimTemplate": {"spec": {"accessModes": ["ReadWriteOnce"]}}}}
    for storage, source in (({}, {"emptyDir": {"sizeLimit": "10Gi"}}), (claim, claim)):
        manifests = rendered(**overlaid(values, {"dags": {"storage": storage}}))
        found = 0
        for manifest in manifests:
            for container in manifest.pod.containers if manifest.pod else ():
                if container.name not in ("dag-processor", "worker", "base"):
                    assert STORAGE not in container.env
                    assert container.mount_over("/opt/airflow/bundles") is None
                    continue
                mount = container.mount_over(str(container.env[STORAGE].value))
                assert mount
                assert mount.volume == "bundles"
                assert manifest.pod
                assert manifest.pod.volumes["bundles"] == {"name": "bundles", **source}
                found += 1
        assert found >= 2


def test_the_volume_serves_other_bundles_too() -> None:
    """Without dags.storage they are where they were: in the worker, below its temporary directory."""
    own = {"bundles": [{"name": "own", "classpath": "a.B", "kwargs": {}}]}
    storage = {"emptyDir": {"sizeLimit": "7Gi"}}
    for extra, workers in (({}, False), ({"storage": storage}, True)):
        manifests = render({"dags": {**own, **extra}})
        assert dag_processor(manifests).volumes["bundles"]["emptyDir"]["sizeLimit"] == (
            "7Gi" if workers else "1Gi"
        )
        worker = manifests.one("Deployment", component="worker").pod
        assert worker
        assert ("bundles" in worker.volumes) == workers


def test_host_keys_are_in_every_namespace_of_workers() -> None:
    manifests = rendered(workers={"far": {"queues": ["far"], "namespace": "elsewhere"}})
    found = {each.namespace: each.get("data") for each in manifests.all("ConfigMap", component="git")}
    assert set(found) == {"airdock", "elsewhere"}
    for data in found.values():
        assert data["known_hosts.team-a"].strip() == HOSTS.strip()


def test_without_ssh_there_is_no_config_map() -> None:
    manifests = render({"dags": {"git": {"public": {"repository": "https://git.example.com/x"}}}})
    assert not manifests.all("ConfigMap", component="git")
    assert "git" not in dag_processor(manifests).volumes


@pytest.mark.parametrize(
    ("url", "known"),
    [
        ("ssh://git@git.example.com:2222/a.git", "[git.example.com]:2222"),
        ("ssh://git@git.example.com:22/a.git", "git.example.com"),
        ("deploy@git.example.com:a/b.git", "git.example.com"),
    ],
)
def test_the_host_of_a_url(url: str, known: str) -> None:
    git = {**SSH, "repository": url, "knownHosts": f"{known} ssh-ed25519 AAAA"}
    assert bundles(render({"dags": {"git": {"a": git}}}))[0]["kwargs"]["repo_url"] == url


@pytest.mark.parametrize("username", [None, "robot"])
def test_git_gets_the_token_of_its_repository_alone(tmp_path: Path, username: str | None) -> None:
    """The real git asks the command, which is in the environment, for the token, which is not."""
    container = dag_processor(rendered()).container("dag-processor")
    env = {
        each.name: str(each.value).replace("$$", "$").replace("/run/airdock-git", str(tmp_path))
        for each in container.env_list
        if each.name.startswith("GIT_CONFIG_")
    }
    (tmp_path / "b").mkdir()
    (tmp_path / "b" / "token").write_text("to$ken%s 'x'\n")
    if username:
        (tmp_path / "b" / "username").write_text(username)
    path = {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), "GIT_TERMINAL_PROMPT": "0"}
    ask = ["git", "credential", "fill"]
    for url, has in (
        (HTTPS["repository"], True),
        ("https://git.example.com/other.git", False),
        ("https://evil.example.com/b/dags.git", False),
        ("http://git.example.com/b/dags.git", False),
    ):
        done = subprocess.run(
            ask, input=f"url={url}\n\n", env={**env, **path}, capture_output=True, text=True
        )
        assert (done.returncode == 0) == has, (url, done.stderr)
        if has:
            lines = done.stdout.splitlines()
            assert f"username={username or 'git'}" in lines
            assert "password=to$ken%s 'x'" in lines
