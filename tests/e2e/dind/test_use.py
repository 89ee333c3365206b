"""Mode dind: what people do with it."""

from __future__ import annotations

import json

from scripts.cluster import REGISTRY
from tests.e2e.dind.pods import (
    CLIENT,
    IMAGE,
    SERVER,
    DindPod,
)


def test_build_with_cache(pod: DindPod) -> None:
    dockerfile = f"FROM {IMAGE}\\nRUN cp /proc/sys/kernel/random/uuid /built\\n"
    script = (
        f"cd $(mktemp -d); export HOME=$PWD; printf '{dockerfile}' > Dockerfile; "
        "docker build -q -t built . >&2; docker run --rm built cat /built"
    )
    first, second = pod.sh(script), pod.sh(script)
    assert first == second != ""


def test_build_cache_in_a_registry_and_in_a_directory(pod: DindPod) -> None:
    """A daemon that has never built it takes the steps from where another left them."""

    def build(where: str, options: str) -> str:
        """What a daemon without a cache of its own puts into the image: random, or what was kept."""
        dockerfile = f"FROM {IMAGE}\\nRUN echo {where} && cp /proc/sys/kernel/random/uuid /built\\n"
        return pod.sh(
            "cd $(mktemp -d); export HOME=$PWD; docker builder prune --all --force >&2; "
            f"printf '{dockerfile}' > Dockerfile; docker buildx build -q -t {where} {options} . >&2; "
            f"docker run --rm {where} cat /built; docker rmi {where} >&2",
            timeout=300,
        )

    repository = f"type=registry,ref={REGISTRY}/airdock-e2e/cache:one"
    directory = "type=local,{}=/run/airdock-tmp/cache"
    for where, to, kept in (
        ("registry", f"{repository},mode=max", repository),
        ("directory", directory.format("dest"), directory.format("src")),
    ):
        first = build(where, f"--cache-to {to}")
        assert build(where, "") != first, "without the cache it is another"
        assert build(where, f"--cache-from {kept}") == first != ""


def test_compose(pod: DindPod) -> None:
    services = {
        "server": {"image": IMAGE, "command": f"sh -c '{SERVER}'"},
        "client": {
            "image": IMAGE,
            "depends_on": ["server"],
            "command": f"sh -c '{CLIENT}'",
        },
    }
    body = json.dumps({"services": services})
    said = pod.sh(
        f"cd $(mktemp -d); cat > compose.yaml <<'END'\n{body}\nEND\n"
        "docker compose -p one up --abort-on-container-exit --exit-code-from client 2>&1; "
        "docker compose -p one down 2>&1"
    )
    assert "hello" in said


def test_bind_mounts_of_the_workers_directories(pod: DindPod) -> None:
    said = pod.sh(
        "cd $(mktemp -d); echo in > in; "
        f"docker run --rm -v $PWD:/data {IMAGE} sh -c 'cat /data/in; echo out > /data/out'; cat out"
    )
    assert said.split() == ["in", "out"]


def test_task_containers_meet_by_name(pod: DindPod) -> None:
    said = pod.sh(
        "docker network create meet >/dev/null; "
        "docker run -d --rm --name server --network meet "
        f"{IMAGE} sh -c '{SERVER}' >/dev/null; "
        f"docker run --rm --network meet {IMAGE} timeout 20 sh -c '{CLIENT}'; "
        "docker rm -f server >/dev/null; docker network rm meet >/dev/null"
    )
    assert said.strip() == "hello"


def test_docker_from_a_task(pod: DindPod) -> None:
    """A task's container with the socket and a CLI execs into another."""
    cli = pod.body["spec"]["containers"][0]["image"]
    said = pod.sh(
        f"docker run -d --rm --name other {IMAGE} sleep 600 >/dev/null; "
        "docker run --rm -v /run/airdock/docker.sock:/var/run/docker.sock "
        f"{cli} docker exec other echo hello; "
        "docker rm -f other >/dev/null",
        timeout=300,
    )
    assert said.strip() == "hello"
