"""CA certificates of `trust`: every container has the file and the variables that name it."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Any

import pytest
from docker_gateway import settings
from docker_gateway.backend import ApiError
from docker_gateway.model import parse_create
from docker_gateway.settings import Trust

from .cluster_pods import TASKS, main, spec
from .recording_daemon import recording
from .test_daemon_body import RULES, write

DIRECTORY = "/opt/airdock-trust"
FILE = f"{DIRECTORY}/ca-certificates.crt"
ENV = {"SSL_CERT_FILE": FILE, "CURL_CA_BUNDLE": FILE}
ON_NODE = "/var/lib/kubelet/pods/uid/volumes/kubernetes.io~empty-dir/trust"
PODS = dataclasses.replace(TASKS, env=ENV, trust=Trust("bundle", "all.pem"))
NODE = dataclasses.replace(RULES, env=ENV, trust_directory=ON_NODE)
#: What an author mounts there.
THEIRS = {
    "Mounts": [{"Type": "tmpfs", "Target": f"{DIRECTORY}/"}],
    "Tmpfs": {DIRECTORY: ""},
}


def variables(container: dict[str, Any]) -> dict[str, str]:
    return {entry["name"]: entry["value"] for entry in container["env"]}


def test_a_pod_mounts_the_config_map() -> None:
    built = spec(tasks=PODS)
    (container,) = built["containers"]
    (mount,) = (each for each in container["volumeMounts"] if each["mountPath"] == DIRECTORY)
    (volume,) = (each for each in built["volumes"] if each["name"] == mount["name"])
    assert mount["readOnly"]
    items = [{"key": "all.pem", "path": "ca-certificates.crt"}]
    assert volume["configMap"] == {"name": "bundle", "items": items}
    assert variables(container).items() >= ENV.items()
    assert not any("configMap" in each for each in spec().get("volumes", ())), "off by default"


@pytest.mark.parametrize("field", THEIRS)
def test_what_the_author_mounts_there_stays(field: str) -> None:
    host = {field: THEIRS[field]}
    built = spec(host=host, tasks=PODS)
    assert not any("configMap" in each for each in built["volumes"])
    assert ON_NODE not in str(write(host=host, rules=NODE))


def test_the_authors_variables_win() -> None:
    env = ["SSL_CERT_FILE=/mine", "CURL_CA_BUNDLE"]
    found = variables(main(tasks=PODS, Env=env))
    assert found["SSL_CERT_FILE"] == "/mine"
    assert "CURL_CA_BUNDLE" not in found
    assert write(rules=NODE, Env=env)["Env"][:2] == env


def test_a_container_of_the_node_mounts_the_pods_directory() -> None:
    written = write(rules=NODE, Env=["A=1"])
    assert written["HostConfig"]["Mounts"] == [
        {"Type": "bind", "Source": ON_NODE, "Target": DIRECTORY, "ReadOnly": True}
    ]
    assert written["Env"][:3] == [*(f"{name}={value}" for name, value in ENV.items()), "A=1"]
    assert not write()["HostConfig"].get("Mounts")


def test_authors_do_not_mount_it_themselves() -> None:
    """The path of the node is no directory that they may name."""
    mount = {"Type": "bind", "Source": ON_NODE, "Target": "/x"}
    with pytest.raises(ApiError, match="is not allowed"):
        write(host={"Mounts": [mount]}, rules=NODE)


def test_a_wrong_directory_of_the_kubelet_is_named(tmp_path: Path) -> None:
    with recording(tmp_path / "d.sock", trust_directory=ON_NODE) as (daemon, backend):
        daemon.image("busybox:1.37")
        said = f'invalid mount config for type "bind": bind source path does not exist: {ON_NODE}'
        request = parse_create(b'{"Image": "busybox:1.37"}')
        for message, named in ((said, True), ("no space left on device", False)):
            daemon.answers["POST", "/containers/create"] = 400, {"message": message}
            with pytest.raises(ApiError) as error:
                backend.create(request)
            assert error.value.status == 400
            assert message in error.value.message
            assert ("socket.kubeletRootDir" in error.value.message) == named


def test_the_directory_comes_from_the_environment() -> None:
    given = {"AIRDOCK_GATEWAY_OWNER": "uid"}
    assert settings.load(given).daemon.trust_directory == ""
    given["AIRDOCK_TRUST_DIRECTORY"] = ON_NODE
    assert settings.load(given).daemon.trust_directory == ON_NODE
