"""Mode dind: storage and the pruner."""

from __future__ import annotations

from scripts.chart.dind_pod import pod_of
from scripts.live import Target
from tests.e2e.conftest import wait_until
from tests.e2e.dind.pods import (
    IMAGE,
    NAMESPACE,
    PYTHON,
    DindPod,
    container,
    group,
    log_of,
    objects,
    running,
    set_env,
)


def test_a_volume_without_overlays_is_refused(target: Target) -> None:
    scripts, workload = objects(group())
    body = pod_of(workload, "overlay")
    daemon = container(body, "docker")
    mount = (
        "mkdir /under && mount -t tmpfs tmpfs /under && mkdir /under/l /under/u /under/w && "
        "mount -t overlay -o lowerdir=/under/l,upperdir=/under/u,workdir=/under/w x /var/lib/docker"
    )
    daemon["command"] = ["sh", "-ec", f'{mount}; exec "$@"', "sh", *daemon["command"]]
    with running(target, body, scripts, ready=False) as pod:
        wait_until(
            lambda: "cannot hold overlays: set workers.<name>.dind.dataVolume" in log_of(pod),
            60,
            "the reason",
        )


def test_a_full_disk_is_said_and_mended(target: Target) -> None:
    """The task's error says what is wrong, and what is pruned makes room for the next."""
    volume = {"emptyDir": {"medium": "Memory", "sizeLimit": "220Mi"}}
    prune = {"highThresholdPercent": 60, "lowThresholdPercent": 30}
    limits = {"limits": {"cpu": "1", "memory": "1Gi"}}
    scripts, workload = objects(group(dataVolume=volume, prune=prune, resources=limits))
    body = pod_of(workload, "full")
    set_env(body, "docker-prune", AIRDOCK_PRUNE_SECONDS="4", AIRDOCK_STOPPED_MINUTES="0")
    with running(target, body, scripts) as pod:
        said = pod.fails("run", "--name", "fill", IMAGE, "dd", "if=/dev/zero", "of=/big", "bs=1M")
        assert "No space left on device" in said, said
        wait_until(lambda: "removed container fill" in pod.logs("docker-prune"), 30, "the container removed")
        assert pod.docker("run", "--rm", IMAGE, "echo", "room").strip() == "room"


def test_prune_keeps_what_is_used(target: Target) -> None:
    scripts, workload = objects(group())
    body = pod_of(workload, "prune")
    set_env(
        body,
        "docker-prune",
        AIRDOCK_PRUNE_SECONDS="2",
        AIRDOCK_STOPPED_MINUTES="0",
        AIRDOCK_UNUSED_MINUTES="0",
    )
    with running(target, body, scripts) as pod:
        pod.docker("run", "--detach", "--name", "stays", IMAGE, "sleep", "600")
        pod.sh(f"docker create --name ended {IMAGE} true >/dev/null; docker start ended >/dev/null")
        pod.docker("pull", "--quiet", PYTHON)

        def pruned() -> bool:
            return pod.docker("ps", "-aq", "--filter=name=ended") == "" and PYTHON not in images(pod)

        wait_until(pruned, 120, "the ended container and the image that none uses")
        assert images(pod) == {IMAGE}
        assert pod.docker("inspect", "--format", "{{.State.Running}}", "stays").strip() == "true"
        wait_until(lambda: f"removed image {PYTHON}" in pod.logs("docker-prune"), 30, "the line that says so")


def test_prune_leaves_tasks_their_containers(target: Target) -> None:
    """Tasks that remove what they made, as auto_remove does it, while the pruner looks all the time.

    With the least `stoppedMinutes`; the test above shows that with none the pruner would be first.
    """
    scripts, workload = objects(group(prune={"stoppedMinutes": 1}))
    body = pod_of(workload, "beside")
    set_env(body, "docker-prune", AIRDOCK_PRUNE_SECONDS="0.1")
    # `rm` without --force says so when there is nothing to remove, or when somebody else is at it.
    script = f"""
        docker pull --quiet {IMAGE} >&2
        task() {{
            for i in 1 2 3 4 5; do
                id=$(docker create --network none {IMAGE} echo done) || return 1
                [ $i = 1 ] || docker start --attach $id || return 1
                sleep 1
                docker rm $id >&2 || return 1
            done
        }}
        task & one=$!
        task & two=$!
        wait $one
        wait $two
    """
    with running(target, body, scripts) as pod:
        assert pod.sh(script, timeout=300).split() == ["done"] * 8
        log = pod.logs("docker-prune")
        assert "removed container" not in log
        assert "already in progress" not in log


def images(pod: DindPod) -> set[str]:
    """Give the names of the daemon's images."""
    return set(pod.docker("images", "--format", "{{.Repository}}:{{.Tag}}").split())


def test_a_claim_keeps_the_cache(target: Target) -> None:
    """The second pod has the images of the first, and pulls nothing."""
    values = group(claim={"size": "2Gi"}, pullBeforeStart=[IMAGE])
    scripts, workload = objects(values)
    name = f"{workload['metadata']['name']}-0"
    service = {
        "apiVersion": "v1",
        "kind": "Service",
        "metadata": {"name": workload["spec"]["serviceName"], "namespace": NAMESPACE},
        "spec": {"clusterIP": "None", "selector": workload["spec"]["selector"]["matchLabels"]},
    }
    target.apply(scripts, service, workload)
    pod = DindPod(target, name)
    try:
        wait_until(
            lambda: target.items("pods", "-n", NAMESPACE, f"--field-selector=metadata.name={name}"), 30, name
        )
        pod.wait_ready()
        assert "is there" not in pod.logs("docker-pull")
        first = pod.body["metadata"]["uid"]
        target.kubectl("delete", "pod", name, "-n", NAMESPACE, "--grace-period=5")
        wait_until(lambda: _uid(target, name) not in ("", first), 60, "the next pod")
        pod.wait_ready()
        assert f"{IMAGE} is there" in pod.logs("docker-pull")
    finally:
        target.kubectl("delete", "statefulset", workload["metadata"]["name"], "-n", NAMESPACE, "--wait=false")


def _uid(target: Target, name: str) -> str:
    found = target.items("pods", "-n", NAMESPACE, f"--field-selector=metadata.name={name}")
    return str(found[0]["metadata"]["uid"]) if found else ""
