"""Clients of every version of the API: docker-py, the docker program, and daemons of other versions."""

from __future__ import annotations

import subprocess
from pathlib import Path

import docker
import pytest
from docker.errors import APIError, ContainerError
from docker.types import Mount
from docker_gateway import labels
from docker_gateway.api_versions import API, ApiVersion

from tests.gateway.stand_ins.cluster import ClusterWorld
from tests.gateway.stand_ins.daemon import DaemonWorld
from tests.gateway.stand_ins.gateway import Gateway, running
from tests.gateway.stand_ins.programs import Programs
from tests.gateway.test_clients import IMAGE, PROGRAM, _fast, environment, gateway
from tests.support.waiting import wait_until

__all__ = ["_fast", "gateway"]

EVERY = [str(ApiVersion(1, minor)) for minor in range(API.oldest.minor, API.newest.minor + 1)]
#: What tutorials pin, those with which docker-py begins to send or ask something else, and the ends.
SOME = ["1.24", "1.25", "1.30", "1.37", "1.40", "1.41", "1.44", "1.47", "1.56"]

#: Exit codes of a container that a client ends: the stand-ins' nodes send SIGTERM first.
KILLED = {137, 143}


def client_of(gateway: Gateway, version: str) -> docker.DockerClient:
    return docker.DockerClient(f"unix://{gateway.path}", version=version, timeout=30)


def test_the_samples_have_both_ends() -> None:
    assert (SOME[0], SOME[-1]) == (EVERY[0], EVERY[-1]) == (str(API.oldest), str(API.newest))
    assert str(API.advertised) in SOME
    assert set(SOME) <= set(EVERY)


def test_docker_py_runs_with_every_version(gateway: Gateway) -> None:
    for version in EVERY:
        client = client_of(gateway, version)
        assert client.containers.run(IMAGE, ["echo", "a"], remove=True) == b"a\n", version
        client.close()


@pytest.mark.parametrize("version", ["1.23", str(ApiVersion(1, API.newest.minor + 1)), "2.0"])
def test_other_versions_are_refused_in_the_daemons_words(gateway: Gateway, version: str) -> None:
    api = docker.APIClient(f"unix://{gateway.path}", version="1.24", timeout=30)
    api._version = version
    with pytest.raises(APIError, match=r"Minimum supported|Maximum supported") as error:
        api.version()
    assert error.value.status_code == 400
    api.close()


@pytest.mark.parametrize("version", SOME)
def test_what_docker_py_does_with_containers(gateway: Gateway, version: str) -> None:
    client = client_of(gateway, version)
    with pytest.raises(ContainerError) as error:
        client.containers.run(IMAGE, ["exit", "3"])
    assert error.value.exit_status == 3
    container = client.containers.run(
        IMAGE, ["sleep"], detach=True, name="a", labels={"team": "y"}, environment={"A": "b"},
        mem_limit="32m", shm_size="1m", working_dir="/", stop_signal="SIGTERM",
        **({"mounts": [Mount("/t", None, "tmpfs")]} if version >= "1.30" else {"tmpfs": {"/t": ""}}),
    )  # fmt: skip
    assert [each.name for each in client.containers.list(filters={"label": "team=y"})] == ["a"]
    assert "A=b" in container.attrs["Config"]["Env"]
    assert container.attrs["HostConfig"]["Memory"] == 32 << 20
    container.kill()
    assert container.wait()["StatusCode"] in KILLED
    container.remove()
    container = client.containers.run(IMAGE, ["echo", "1", "2"], detach=True)
    assert container.wait()["StatusCode"] == 0
    assert container.logs(tail=1) == b"2\n"
    assert client.images.pull("busybox", tag="1.37").tags == [IMAGE]
    assert client.version()["ApiVersion"] == str(API.advertised)
    client.close()


@pytest.mark.parametrize("version", [each for each in SOME if each >= "1.30"])
def test_what_docker_operator_does(gateway: Gateway, version: str) -> None:
    """Before 1.30, docker-py itself takes no `mounts`, which the operator always gives."""
    api = docker.APIClient(f"unix://{gateway.path}", version=version, timeout=30)
    if isinstance(gateway.world, ClusterWorld):
        gateway.world.results = [b"airdock-file missing\n"]
    host = api.create_host_config(
        auto_remove=False, mounts=[Mount("/tmp/airflow", "/tmp/airflowtmpx", "bind")], network_mode=None,
        cpu_shares=1024, mem_limit=None, log_config=None, privileged=False, dns=None, dns_search=None,
        cap_add=None, extra_hosts=None, device_requests=[] if version >= "1.40" else None,
    )  # fmt: skip
    asked = {labels.RETRIEVE: "/tmp/out"}
    container = api.create_container(IMAGE, ["echo", "a"], host_config=host, labels=asked)["Id"]
    lines = api.attach(container, stdout=True, stderr=True, stream=True)
    api.start(container)
    assert b"".join(lines) == b"a\n"
    assert api.wait(container)["StatusCode"] == 0
    api.remove_container(container, force=True)
    api.close()


@pytest.mark.parametrize("version", SOME)
def test_what_the_docker_program_does(gateway: Gateway, version: str) -> None:
    script = f"""set -e
    docker run --rm {IMAGE} echo a
    docker run {IMAGE} exit 4 || echo $?
    docker run -d --name a --label team=y {IMAGE} sleep >/dev/null
    docker ps --filter label=team=y --format '{{{{.Names}}}} {{{{.State}}}}'
    docker kill a; docker wait a; docker rm a
    docker create --name b {IMAGE} echo c >/dev/null
    docker start -a b
    docker logs b
    docker pull -q {IMAGE}
    docker version -f '{{{{.Client.APIVersion}}}}'"""
    done = subprocess.run(
        ["bash", "-c", f'docker() {{ "{PROGRAM}" "$@"; }}\n{script}'],
        env={**environment(gateway), "PATH": "/usr/bin:/bin", "DOCKER_API_VERSION": version},
        capture_output=True, text=True, timeout=60,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    said = [line for line in done.stdout.splitlines() if "pulled" not in line]
    assert int(said.pop(4)) in KILLED
    assert said[:7] == ["a", "4", "a running", "a", "a", "c", "c"]
    # The program takes the server's where that is older.
    assert said[-1] == min(version, str(API.advertised))


@pytest.mark.parametrize("daemon", ["1.24", "1.41", "1.44", "1.47", "1.54"])
def test_a_daemon_is_spoken_to_in_its_own_version(tmp_path: Path, daemon: str) -> None:
    """Whatever the client pins; a newer one in the version for which the filter was written."""
    spoken = min(ApiVersion(1, int(daemon.partition(".")[2])), API.advertised)
    world = DaemonWorld()
    world.api_version = daemon
    with running("daemon", tmp_path, world=world) as gateway:
        wait_until(lambda: not gateway.backend.ready(), 20, "ready", 0.01)
        programs = Programs(world)
        for version in ("auto", "1.24", "1.56"):
            client = client_of(gateway, version)
            assert client.containers.run(IMAGE, ["echo", "a"], remove=True) == b"a\n"
            assert client.version()["ApiVersion"] == str(spoken)
            client.close()
        programs.close()
    assert world.versions == {str(spoken)}
