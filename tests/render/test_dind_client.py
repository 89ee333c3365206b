"""workers.<name>.dind.init and .proxy: what runs before the worker, and what its Docker clients know."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import docker
import pytest

from scripts.chart import CHART, RenderError
from tests.render.test_dind import container, spec

FILES = CHART / "files/dind"
PROXY = "http://proxy.example.com:3128"


def variables(pod: Any, name: str) -> dict[str, Any]:
    """A container's variables: the value, or where it is from."""
    return {each["name"]: each.get("value", each.get("valueFrom")) for each in container(pod, name)["env"]}


def names(pod: Any) -> list[str]:
    """The containers that begin before the worker, in order."""
    return [each["name"] for each in pod["initContainers"] if each["name"].startswith("docker")]


def init(timeout: int = 20, **scripts: str) -> subprocess.CompletedProcess[str]:
    """Run the program of the container docker-init with scripts as the chart gives them."""
    pod = spec({"init": {"scripts": scripts, "timeoutSeconds": timeout}})
    words = [word.replace("$$", "$") for word in container(pod, "docker-init")["command"]]
    words[1] = str(FILES / "init.sh")
    environment = {k: v for k, v in variables(pod, "docker-init").items() if k.startswith("AIRDOCK")}
    return subprocess.run(words, capture_output=True, text=True, env=os.environ | environment, timeout=60)


def test_scripts_run_between_the_daemon_and_the_worker() -> None:
    pod = spec({"init": {"scripts": {"a": "docker network create a"}}, "pullBeforeStart": ["busybox"]})
    assert names(pod) == ["docker", "docker-prune", "docker-config", "docker-init", "docker-pull"]
    assert container(pod, "docker-init").get("restartPolicy") is None, "the worker waits for its end"
    assert container(pod, "docker-init")["securityContext"]["capabilities"] == {"drop": ["ALL"]}
    assert not {"docker-config", "docker-init"} & set(names(spec({"init": {"scripts": {"a": None}}})))


def test_scripts_get_their_variables_and_a_login_stays() -> None:
    """`docker login` writes where the worker and the pulls read."""
    secret = {"secretKeyRef": {"name": "a", "key": "b"}}
    settings = {"scripts": {"a": "x"}, "env": {"PASSWORD": {"valueFrom": secret}, "PLAIN": "$(HOME)"}}
    pod = spec({"init": settings, "pullBeforeStart": ["busybox"], "pullSecret": "logins"})
    found = variables(pod, "docker-init")
    assert (found["PASSWORD"], found["PLAIN"]) == (secret, "$$(HOME)")
    for name, read_only in (("docker-init", False), ("docker-pull", True), ("worker", True)):
        directory = variables(pod, name)["DOCKER_CONFIG"]
        mount = next(m for m in container(pod, name)["volumeMounts"] if m["mountPath"] == directory)
        assert (mount["name"], mount.get("readOnly", False)) == ("docker-config", read_only)
    assert "PASSWORD" not in variables(pod, "worker")


def test_scripts_run_in_order_as_they_are_written(tmp_path: Path) -> None:
    file = tmp_path / "out"
    ran = init(b=f"echo second $((1 + 1)) >> {file}", a=f"echo first $(echo '$(HOME) $$x') >> {file}\n")
    assert ran.returncode == 0, ran.stderr
    assert file.read_text() == "first $(HOME) $$x\nsecond 2\n"


@pytest.mark.parametrize(
    ("timeout", "scripts", "says"),
    [
        (
            20,
            {"a": "false; echo not here", "b": "echo nor here"},
            "scripts.a: the script ended with exit code 1,",
        ),
        (20, {"a": "echo nothing", "b": "exit 7"}, "scripts.b: the script ended with exit code 7,"),
        (2, {"a": "sleep 30", "b": "echo nor here"}, "scripts.a: the scripts did not end within 2 s,"),
        (2, {"a": "sleep 1", "b": "sleep 30"}, "scripts.b: the scripts did not end within 2 s,"),
    ],
)
def test_a_failure_is_one_sentence(timeout: int, scripts: dict[str, str], says: str) -> None:
    ran = init(timeout, **scripts)
    assert ran.returncode == 1
    last = ran.stderr.splitlines()[-1]
    assert last.startswith(f"airdock: workers.docker.dind.init.{says}")
    assert "the worker takes no tasks" in last
    assert "here" not in ran.stdout


@pytest.fixture
def written(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """Write the clients' configuration as the container docker-config does; give a client that reads it."""

    def write(dind: Mapping[str, Any], logins: Mapping[str, Any] | None = None) -> docker.APIClient:
        pod = spec(dict(dind))
        environment = {k: v for k, v in variables(pod, "docker-config").items() if isinstance(v, str)}
        environment["DOCKER_CONFIG"] = str(tmp_path)
        if logins is not None:
            assert environment["AIRDOCK_LOGINS"] == "/run/airdock-registries/config.json"
            environment["AIRDOCK_LOGINS"] = str(tmp_path / "logins")
            (tmp_path / "logins").write_text(json.dumps(logins))
        for _ in range(2):  # The kubelet may run it again.
            subprocess.run([sys.executable, "-SE", FILES / "client_config.py"], env=environment, check=True)
        assert (tmp_path / "config.json").stat().st_mode & 0o777 == 0o600
        monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path))
        return docker.APIClient("unix:///nowhere", version="1.44")

    yield write


def test_containers_get_the_proxy_from_a_real_client(written: Any) -> None:
    """docker-py, which DockerOperator uses, reads the logins and puts the proxy into a create body."""
    proxy = {"http": PROXY, "noProxy": [".example.org"], "containers": True}
    logins = {"auths": {"registry.example.com": {"auth": "bWU6cHc="}}}
    client = written({"proxy": proxy, "pullSecret": "logins"}, logins)
    given = dict(each.split("=", 1) for each in client._proxy_configs.inject_proxy_environment(["MINE=1"]))
    assert given["HTTP_PROXY"] == given["http_proxy"] == PROXY
    assert "HTTPS_PROXY" not in given
    assert given["NO_PROXY"].split(",")[-1] == ".example.org"
    assert client._auth_configs.resolve_authconfig("registry.example.com")["username"] == "me"


def test_without_a_request_containers_get_no_proxy(written: Any) -> None:
    client = written({"proxy": {"http": PROXY}, "init": {"scripts": {"a": "true"}}})
    assert not any(client._proxy_configs.values())
    assert "docker-config" not in names(spec({"proxy": {"http": PROXY}}))
    assert "HTTP_PROXY" not in variables(spec({"proxy": {"http": PROXY}}), "worker")


def test_the_daemon_gets_the_proxy_and_what_goes_past_it() -> None:
    dind = {
        "proxy": {"https": PROXY, "noProxy": ["a.example.com"]},
        "network": {"clusterCIDRs": ["10.0.0.0/8"]},
    }
    found = variables(spec(dind), "docker")
    assert found["HTTPS_PROXY"] == PROXY
    assert "HTTP_PROXY" not in found
    assert found["NO_PROXY"].split(",") == [
        "localhost", "127.0.0.1", "::1", ".svc", ".cluster.local", "airdock-api-server", "10.0.0.0/8",
        "a.example.com",
    ]  # fmt: skip
    assert not {"NO_PROXY", "HTTPS_PROXY"} & set(variables(spec({}), "docker"))


def test_a_proxys_password_stays_in_its_secret() -> None:
    pod = spec({"proxy": {"existingSecret": "proxy", "containers": True}})
    for name, prefix in (("docker", ""), ("docker-config", "AIRDOCK_PROXY_")):
        found = variables(pod, name)
        http, https = ("HTTP_PROXY", "HTTPS_PROXY") if not prefix else (f"{prefix}HTTP", f"{prefix}HTTPS")
        assert found[http] == {"secretKeyRef": {"name": "proxy", "key": "http"}}
        assert found[https] == {"secretKeyRef": {"name": "proxy", "key": "https"}}


@pytest.mark.parametrize(
    ("proxy", "says"),
    [
        ({"http": "http://me:pw@a"}, "workers.docker.dind.proxy.http: contains a user name"),
        (
            {"https": PROXY, "existingSecret": "a"},
            "workers.docker.dind.proxy.https: workers.docker.dind.proxy.existing",
        ),
        ({"noProxy": ["a"]}, "workers.docker.dind.proxy: no proxy is set"),
        ({"containers": True}, "workers.docker.dind.proxy: no proxy is set"),
        ({"http": "proxy:3128"}, "/workers/docker/dind/proxy/http"),
    ],
)
def test_what_cannot_be_meant_is_rejected(proxy: dict[str, Any], says: str) -> None:
    with pytest.raises(RenderError) as caught:
        spec({"proxy": proxy})
    assert says in str(caught.value)
