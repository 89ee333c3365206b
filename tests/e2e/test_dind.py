"""Mode dind: limits, storage, images, network, and the life and death of daemon and worker.

Most run on bare pods as the chart renders them (dind_pods.py); the last ones on the release.
"""

from __future__ import annotations

import json
import subprocess
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from scripts.cluster import REGISTRY
from scripts.dind_pod import pod_of
from scripts.target import NAMESPACE as RELEASE_NAMESPACE
from scripts.target import CommandError, Target
from tests.e2e import private_registry
from tests.e2e.conftest import Release
from tests.e2e.dind_pods import (
    IMAGE,
    NAMESPACE,
    RESOURCES,
    DindPod,
    container,
    group,
    objects,
    plain,
    running,
    set_env,
    until,
)

PYTHON = "python:3.13-slim"
#: Takes more memory than the daemon's container has.
ALLOCATE = "b = bytearray(1 << 30); print('not killed')"
CONNECT = "import socket; socket.create_connection(('kubernetes.default.svc.cluster.local', 443), 5)"
HOLD = "import time; b = bytearray(b'1') * (32 << 20); time.sleep(60)"
#: A web server of one page.
SERVER = "mkdir w; echo hello > w/index.html; httpd -f -h w"
CLIENT = "until wget -qO- http://server; do sleep 0.2; done"


@pytest.fixture(scope="module", autouse=True)
def namespace(target: Target) -> Iterator[None]:
    """A namespace for the module's pods."""
    if not target.native:
        pytest.skip("the pods pull from the native cluster's registry")
    # One of a run before this one may still be on its way out.
    delete = ("delete", "namespace", NAMESPACE, "--ignore-not-found")
    target.kubectl(*delete, "--timeout=170s", timeout=180)
    target.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}})
    yield
    target.kubectl(*delete, "--wait=false")


@pytest.fixture(scope="module")
def pod(target: Target) -> Iterator[DindPod]:
    """One pod with the defaults, for all that changes nothing in it."""
    scripts, workload = objects(group())
    with running(target, pod_of(workload, "default"), scripts) as found:
        found.docker("pull", "--quiet", PYTHON)
        yield found


def cgroups(pod: DindPod, process: str) -> dict[str, str]:
    """Give a process's cgroups, by controller; the process as the daemon's container sees it."""
    lines = pod.inside("docker", "cat", f"/proc/{process}/cgroup").splitlines()
    parts = [line.split(":", 2) for line in lines]
    return {controllers: path for _, controllers, path in parts if path != "/"}


# Limits


def test_containers_are_below_the_daemons_own_cgroup(pod: DindPod) -> None:
    task = pod.docker("run", "--detach", IMAGE, "sleep", "60").strip()
    try:
        process = pod.docker("inspect", "--format", "{{.State.Pid}}", task).strip()
        own, inner = cgroups(pod, "1"), cgroups(pod, process)
        assert own and own.keys() == inner.keys()
        for controller, path in own.items():
            below = f"{path.removesuffix('/init')}/containers/{task}"
            assert inner[controller] == below, controller
    finally:
        pod.docker("rm", "--force", task)


def test_a_tasks_own_limit_kills_the_task_alone(pod: DindPod) -> None:
    before = pod.docker("info", "--format", "{{.ID}}"), pod.restarts()
    pod.fails(
        "run", "--name", "limited", "--memory=64m", "--memory-swap=64m", PYTHON, "python", "-c", ALLOCATE
    )
    try:
        state = json.loads(pod.docker("inspect", "--format", "{{json .State}}", "limited"))
        assert (state["ExitCode"], state["OOMKilled"]) == (137, True)
    finally:
        pod.docker("rm", "limited")
    assert (pod.docker("info", "--format", "{{.ID}}"), pod.restarts()) == before


def test_a_task_beyond_the_pods_limit_dies_alone(pod: DindPod) -> None:
    """Without a limit of its own it takes what the container has, but for what is kept for the daemon."""
    before = pod.inside("docker", "pidof", "dockerd", "containerd"), pod.restarts()
    pod.docker("run", "--detach", "--name", "neighbour", IMAGE, "sleep", "60")
    try:
        said = pod.fails("run", "--rm", PYTHON, "python", "-c", ALLOCATE)
        assert "137" in said, said
        assert pod.docker("inspect", "--format", "{{.State.Running}}", "neighbour").strip() == "true"
    finally:
        pod.docker("rm", "--force", "neighbour")
    assert (pod.inside("docker", "pidof", "dockerd", "containerd"), pod.restarts()) == before


def test_processes_are_bounded(target: Target) -> None:
    scripts, workload = objects(group(pidsLimit=64))
    with running(target, pod_of(workload, "pids"), scripts) as pod:
        bomb = "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo all"
        assert "fork" in pod.fails("run", "--rm", IMAGE, "sh", "-c", bomb)
        assert pod.docker("run", "--rm", IMAGE, "echo", "still here").strip() == "still here"


def test_cpu_is_bounded(pod: DindPod) -> None:
    """Two busy processes get the container's one CPU between them."""
    meter = ("cat", "/sys/fs/cgroup/cpuacct/cpuacct.usage")
    began, before = time.monotonic(), int(pod.inside("docker", *meter))
    busy = "for _ in 1 2; do timeout 5 sh -c 'while :; do :; done' & done; wait"
    pod.docker("run", "--rm", IMAGE, "sh", "-c", busy)
    used = (int(pod.inside("docker", *meter)) - before) / 1e9
    assert 2 < used < 1.1 * (time.monotonic() - began), used


def test_stats_tell_the_truth(pod: DindPod) -> None:
    """What docker stats says is what the kernel counts in the task's own cgroup."""
    given = ("--memory=64m", "--pids-limit=50")
    task = pod.docker("run", "--detach", "--rm", *given, PYTHON, "python", "-c", HOLD).strip()
    try:
        shown = until(lambda: _shown(pod, task), 20, "memory in docker stats")
        counted = _counted(pod, task)
    finally:
        pod.docker("rm", "--force", task)
    assert shown.limit == counted.limit == 64
    assert 32 <= shown.memory < 64
    assert abs(shown.memory - counted.memory) < 1, (shown, counted)
    assert shown.processes == counted.processes


@dataclass(frozen=True)
class Stats:
    """What a task has: memory and its limit in MiB, processes."""

    memory: float
    limit: float
    processes: int


def _shown(pod: DindPod, task: str) -> Stats | None:
    """What `docker stats` says; None before the task has 32 MiB."""
    said = json.loads(pod.docker("stats", "--no-stream", "--format", "{{json .}}", task))
    used, limit = (float(part.strip().removesuffix("MiB")) for part in said["MemUsage"].split("/"))
    return Stats(used, limit, int(said["PIDs"])) if used >= 32 else None


def _counted(pod: DindPod, task: str) -> Stats:
    """What the kernel says of its cgroup (v1), without what it can drop at once: Docker leaves that out."""
    memory, pids = (f"/sys/fs/cgroup/{each}/containers/{task}" for each in ("memory", "pids"))
    files = [f"{memory}/memory.{name}" for name in ("limit_in_bytes", "usage_in_bytes", "stat")]
    said = pod.inside("docker", "cat", f"{pids}/pids.current", *files)
    processes, limit, used, *stat = said.splitlines()
    (idle,) = (int(line.split()[1]) for line in stat if line.startswith("total_inactive_file "))
    return Stats((int(used) - idle) / 2**20, int(limit) / 2**20, int(processes))


# Requirements of the variants, which only the container itself can see


@pytest.mark.parametrize(
    ("variant", "says"),
    [
        ("sysbox", "dind.variant: sysbox, but this is not Sysbox"),
        ("rootless", "set images.dockerRootless to a -dind-rootless image"),
        ("userNamespace", "this variant needs cgroup v2"),
    ],
)
def test_a_variant_that_cannot_be_says_why(target: Target, variant: str, says: str) -> None:
    values = group(variant=variant)
    # An image without rootlesskit, as a user would have it who sets only the variant to a mirror of his own.
    values["images"] = {"dockerRootless": {"tag": "29-dind"}}
    scripts, workload = objects(values)
    body = pod_of(workload, variant.lower())
    body["spec"].pop("runtimeClassName", None)
    with running(target, body, scripts, ready=False) as pod:
        until(lambda: says in _log(pod), 60, says)


def _log(pod: DindPod) -> str:
    try:
        return pod.logs("docker")
    except CommandError:  # The container has not begun.
        return ""


# Storage


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
        until(lambda: "cannot hold overlays: give dind.dataVolume" in _log(pod), 60, "the reason")


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
        until(lambda: "removed container fill" in pod.logs("docker-prune"), 30, "the container removed")
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

        until(pruned, 120, "the ended container and the image that none uses")
        assert images(pod) == {IMAGE}
        assert pod.docker("inspect", "--format", "{{.State.Running}}", "stays").strip() == "true"
        until(lambda: f"removed image {PYTHON}" in pod.logs("docker-prune"), 30, "the line that says so")


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
        until(
            lambda: target.items("pods", "-n", NAMESPACE, f"--field-selector=metadata.name={name}"), 30, name
        )
        pod.wait_ready()
        assert "is there" not in pod.logs("docker-pull")
        first = pod.body["metadata"]["uid"]
        target.kubectl("delete", "pod", name, "-n", NAMESPACE, "--grace-period=5")
        until(lambda: _uid(target, name) not in ("", first), 60, "the next pod")
        pod.wait_ready()
        assert f"{IMAGE} is there" in pod.logs("docker-pull")
    finally:
        target.kubectl("delete", "statefulset", workload["metadata"]["name"], "-n", NAMESPACE, "--wait=false")


def _uid(target: Target, name: str) -> str:
    found = target.items("pods", "-n", NAMESPACE, f"--field-selector=metadata.name={name}")
    return str(found[0]["metadata"]["uid"]) if found else ""


# Network


def test_nothing_listens_on_tcp(pod: DindPod) -> None:
    """Of all the pod's processes: they share its network."""
    for table in ("/proc/net/tcp", "/proc/net/tcp6"):
        states = [line.split()[3] for line in pod.inside("docker", "cat", table).splitlines()[1:]]
        assert "0A" not in states, table


def test_networks_have_the_pods_mtu(pod: DindPod) -> None:
    wanted = pod.inside("worker", "cat", "/sys/class/net/eth0/mtu").strip()
    pod.docker("network", "create", "own")
    try:
        for network in ("bridge", "own"):
            show = ("run", "--rm", f"--network={network}", IMAGE, "cat", "/sys/class/net/eth0/mtu")
            assert pod.docker(*show).strip() == wanted, network
    finally:
        pod.docker("network", "rm", "own")


def test_tasks_reach_dns_and_services(pod: DindPod) -> None:
    pod.docker("network", "create", "names")
    try:
        for network in ("bridge", "names"):
            run = ("run", "--rm", f"--network={network}", IMAGE)
            assert "Address" in pod.docker(*run, "nslookup", "kubernetes.default.svc.cluster.local")
            pod.docker("run", "--rm", f"--network={network}", PYTHON, "python", "-c", CONNECT)
    finally:
        pod.docker("network", "rm", "names")


def test_address_ranges_are_the_values(target: Target) -> None:
    network = {
        "bip": "10.213.0.1/24",
        "defaultAddressPools": [{"base": "10.214.0.0/16", "size": 24}],
        "clusterCIDRs": ["198.19.0.0/18"],
    }
    scripts, workload = objects(group(network=network))
    with running(target, pod_of(workload, "ranges"), scripts) as pod:
        pod.docker("network", "create", "own")
        subnets = [
            pod.docker("network", "inspect", "--format", "{{(index .IPAM.Config 0).Subnet}}", name).strip()
            for name in ("bridge", "own")
        ]
        assert subnets == ["10.213.0.0/24", "10.214.0.0/24"]


# Images


def test_images_are_pulled_before_the_worker_starts(target: Target) -> None:
    script = "docker images; echo listed; exec sleep 3600"
    scripts, workload = objects(group(pullBeforeStart=[IMAGE]), script=script)
    with running(target, pod_of(workload, "pull"), scripts) as pod:
        until(lambda: "listed" in pod.logs("worker"), 30, "the images that are there when the worker starts")
        assert IMAGE.split(":")[0] in pod.logs("worker")


REGISTRY_HOST = f"registry.{NAMESPACE}.svc"
PRIVATE = f"{REGISTRY_HOST}:{private_registry.PORT}"


def registry(directory: Path) -> list[dict[str, Any]]:
    """Give the objects of a registry with a password, and with a certificate that nobody knows."""
    key, certificate = directory / "tls.key", directory / "tls.crt"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "1", "-subj", "/CN=registry",
         "-addext", f"subjectAltName=DNS:{REGISTRY_HOST}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    logins = private_registry.docker_config(PRIVATE)
    files = {"tls.key": key.read_text(), "tls.crt": certificate.read_text()}
    labels = {"app": "registry"}
    container = {
        "name": "registry",
        "image": private_registry.IMAGE,
        "command": ["registry", "serve", "/etc/registry/config.yml"],
        "env": [
            {"name": "REGISTRY_HTTP_TLS_CERTIFICATE", "value": "/tls/tls.crt"},
            {"name": "REGISTRY_HTTP_TLS_KEY", "value": "/tls/tls.key"},
        ],
        "volumeMounts": [{"name": "tls", "mountPath": "/tls"}],
    }
    spec = {"containers": [container], "volumes": [{"name": "tls", "configMap": {"name": "registry"}}]}

    def made(kind: str, name: str, **rest: Any) -> dict[str, Any]:
        metadata = {"name": name, "namespace": NAMESPACE, "labels": labels}
        return {"apiVersion": "v1", "kind": kind, "metadata": metadata, **rest}

    config = {".dockerconfigjson": json.dumps(logins)}
    ports = [{"port": private_registry.PORT}]
    return [
        made("ConfigMap", "registry", data=files),
        made("Service", "registry", spec={"selector": labels, "ports": ports}),
        made("Secret", "logins", type="kubernetes.io/dockerconfigjson", stringData=config),
        made("Pod", "registry", spec=spec),
    ]


def test_a_private_registry_with_its_own_authority(target: Target, tmp_path: Path) -> None:
    """It takes the authority's certificate and the login; the privileged container holds no login."""
    private_registry.push_image()
    target.apply(*registry(tmp_path))
    image = f"{PRIVATE}/private/{IMAGE}"
    authority = {PRIVATE: {"name": "registry", "key": "tls.crt"}}
    target.kubectl("wait", "pod/registry", "-n", NAMESPACE, "--for=condition=Ready", "--timeout=60s")

    scripts, workload = objects(group(registryCAs=authority, pullSecret="logins"))
    with running(target, pod_of(workload, "both"), scripts) as pod:
        pod.sh(
            f"docker pull -q {IMAGE}; docker tag {IMAGE} {image}; docker push -q {image}; docker rmi {image}"
        )
        pod.docker("pull", "--quiet", image)
        assert all(
            "registries" not in mount["name"] for mount in container(pod.body, "docker")["volumeMounts"]
        )

    _scripts, workload = objects(group(pullSecret="logins"))
    with running(target, pod_of(workload, "no-authority")) as pod:
        assert "certificate signed by unknown authority" in pod.fails("pull", image)

    _scripts, workload = objects(group(registryCAs=authority))
    with running(target, pod_of(workload, "no-login")) as pod:
        assert "no basic auth credentials" in pod.fails("pull", image)


# Life and death


def test_the_daemon_ends_after_the_worker(target: Target) -> None:
    """What the worker does while it shuts down still finds a daemon."""
    script = f"trap 'sleep 2; docker run --rm {IMAGE} echo late; exit' TERM; echo up; sleep 600 & wait"
    scripts, workload = objects(group(pullBeforeStart=[IMAGE]), script=script)
    with running(target, pod_of(workload, "order"), scripts) as pod:
        until(lambda: "up" in pod.logs("worker"), 30, "the worker's script")
        target.kubectl("delete", "pod", pod.name, "-n", NAMESPACE, "--wait=false")
        until(lambda: "late" in pod.logs("worker"), 20, "a container during shutdown")


def test_a_stopped_task_ends_at_once(pod: DindPod) -> None:
    """A shell that is PID 1 would not hear TERM, and be killed after 10 s."""
    pod.docker("run", "--detach", "--name", "deaf", IMAGE, "sleep", "600")
    began = time.monotonic()
    pod.docker("stop", "deaf")
    assert time.monotonic() - began < 5
    pod.docker("rm", "deaf")


@pytest.mark.parametrize("signal", ["KILL", "STOP"])
def test_a_daemon_that_dies_or_hangs_is_replaced(target: Target, signal: str) -> None:
    scripts, workload = objects(group(pullBeforeStart=[IMAGE]))
    body = pod_of(workload, f"daemon-{signal.lower()}")
    # A worker's own, for which nobody should have to wait until a daemon that hears nothing is killed.
    body["spec"]["terminationGracePeriodSeconds"] = 600
    with running(target, body, scripts) as pod:
        pod.docker("run", "--detach", IMAGE, "sleep", "600")
        pod.inside("docker", "sh", "-c", f"kill -{signal} $(pidof dockerd)")
        until(lambda: pod.restarts() == 1, 150, "the daemon's container restarted")
        until(lambda: pod.status("docker")["started"], 30, "the next daemon")
        assert pod.docker("ps", "-q") == "", "a container outlived its daemon"
        assert pod.docker("run", "--rm", IMAGE, "echo", "again").strip() == "again"
        assert pod.restarts("worker") == 0


# What people do with it


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
        f"docker run -d --rm --name other {IMAGE} sleep 60 >/dev/null; "
        "docker run --rm -v /run/airdock/docker.sock:/var/run/docker.sock "
        f"{cli} docker exec other echo hello; "
        "docker rm -f other >/dev/null",
        timeout=300,
    )
    assert said.strip() == "hello"


def test_a_daemon_with_a_gpu_goes_where_one_is(target: Target) -> None:
    """The node says that it has one, as a device plugin makes it; there is no device behind it here."""
    (node,) = (each["metadata"]["name"] for each in target.items("nodes"))
    limits = {"resources": {"limits": {**RESOURCES["limits"], "nvidia.com/gpu": 1}}}

    def advertise(count: str | None) -> None:
        patch = json.dumps({"status": {"capacity": {"nvidia.com/gpu": count}}})
        target.kubectl("patch", "node", node, "--subresource=status", "--type=merge", "-p", patch)

    scripts, workload = objects(group(**limits))
    with running(target, pod_of(workload, "gpu"), scripts, ready=False) as pod:
        conditions = "{.status.conditions[*].message}"
        said = ("get", "pod", "gpu", "-n", NAMESPACE, "-o", f"jsonpath={conditions}")
        until(lambda: "Insufficient nvidia.com/gpu" in target.kubectl(*said), 30, "no node for the pod")
        advertise("1")
        try:
            pod.wait_ready()
            # Docker's own image has no vendor's tools: a task is told so, and does not run without.
            assert "no known GPU vendor found" in pod.fails("run", "--rm", "--gpus=all", IMAGE, "true")
        finally:
            advertise(None)


def test_a_plain_sidecar_has_the_faults(target: Target) -> None:
    """What the start script cures is there without it, or the tests above would prove nothing."""
    scripts, workload = objects(group())
    with running(target, plain(pod_of(workload, "plain")), scripts) as pod:
        mtu = pod.inside("worker", "cat", "/sys/class/net/eth0/mtu")
        assert pod.docker("run", "--rm", IMAGE, "cat", "/sys/class/net/eth0/mtu") != mtu
        bomb = "i=0; while [ $i -lt 100 ]; do sleep 5 & i=$((i+1)); done; echo all"
        assert pod.docker("run", "--rm", IMAGE, "sh", "-c", bomb).strip() == "all"
        # The kernel takes the daemon for the task: its score is the pod's, and the task's is 0.
        pod.fails("run", "--rm", PYTHON, "python", "-c", ALLOCATE)
        until(lambda: pod.restarts() == 1, 30, "the daemon killed")


# On the release: a real worker beside the daemon


@pytest.fixture
def worker(dags: Release) -> str:
    """The pod of the release's worker of mode dind."""
    (group,) = [group for group in dags.groups if group.mode == "dind"]
    wanted = {"airdock.dev/worker-group": group.name}
    (name,) = [
        pod["metadata"]["name"]
        for pod in dags.staying("worker")
        if wanted.items() <= pod["metadata"]["labels"].items()
    ]
    return str(name)


def dind_dag(release: Release) -> str:
    """The DAG whose container runs on the daemon of mode dind."""
    (group,) = [group for group in release.groups if group.mode == "dind"]
    return f"e2e_docker_{group.queue}"


#: It ends by itself long after the worker was told to.
LONG = "echo begun; for i in $(seq 40); do sleep 1; done"


def test_a_drained_node_loses_no_task(dags: Release, worker: str) -> None:
    """kubectl drain, of this pod alone: the only node has the cluster's own on it."""
    target = dags.target
    (node,) = (each["metadata"]["name"] for each in target.items("nodes"))
    (group,) = [group for group in dags.groups if group.mode == "dind"]
    run = dags.start(dind_dag(dags), LONG)
    run.wait_for_log("begun")
    pods = f"--pod-selector=airdock.dev/worker-group={group.name}"
    command = [*target.kubectl_command, "drain", node, pods, "--delete-emptydir-data", "--timeout=300s"]
    drain = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    try:
        until(lambda: worker not in names(dags.staying("worker")), 60, "the pod evicted")
        late = dags.start(dind_dag(dags), "echo late")
        assert drain.poll() is None, f"it waits for the task: {drain.communicate()[0]}"
        assert (run.wait(), run.task.try_number) == ("success", 1)
        assert drain.wait(120) == 0
        # Its successor finds no node, and the other task waits.
        assert late.task.state == "queued"
    finally:
        drain.kill()
        target.kubectl("uncordon", node)
    assert late.wait() == "success"


def names(pods: list[dict[str, Any]]) -> set[str]:
    return {pod["metadata"]["name"] for pod in pods}


def test_no_task_is_taken_while_the_daemon_is_away(dags: Release, worker: str) -> None:
    """It waits in its queue for a daemon, or another worker; it would fail at once if it were taken."""
    dags.inside(worker, "docker", "sh", "-c", "kill -STOP $(pidof dockerd)")
    try:
        log = ("logs", worker, "-n", RELEASE_NAMESPACE, "-c", "worker", "--tail=50")
        until(lambda: "no new tasks until it does" in dags.target.kubectl(*log), 30, "the worker's pause")
        run = dags.start(dind_dag(dags), "echo done")
        run.wait_for_state("queued", 30)
        time.sleep(5)
        assert run.task.state == "queued"
    finally:
        dags.inside(worker, "docker", "sh", "-c", "kill -CONT $(pidof dockerd)")
    assert run.wait() == "success"


def test_a_task_whose_daemon_dies_fails_with_a_reason(dags: Release, worker: str) -> None:
    run = dags.start(dind_dag(dags), "echo begun; sleep 600")
    run.wait_for_log("begun")
    dags.inside(worker, "docker", "sh", "-c", "kill -KILL $(pidof dockerd)")
    run.wait_for_state("failed", 60)
    assert "docker.errors" in run.log or "Connection" in run.log, run.log[-2000:]
    run = dags.start(dind_dag(dags), "echo done")
    assert run.wait() == "success"


def test_a_killed_worker_leaves_no_container(dags: Release, worker: str) -> None:
    run = dags.start(dind_dag(dags), "echo begun; sleep 600")
    run.wait_for_log("begun")
    assert dags.inside(worker, "docker", "docker", "ps", "-q")
    # The oldest but for PID 1, which nobody in the container can kill.
    dags.inside(
        worker, "worker", "sh", "-c", "kill -KILL $(pgrep -f 'celery worker' | grep -vx 1 | head -n 1)"
    )
    until(lambda: dags.inside(worker, "docker", "docker", "ps", "-q") == "", 120, "the container removed")
    log = dags.target.kubectl("logs", worker, "-n", RELEASE_NAMESPACE, "-c", "worker")
    assert "which a killed worker left running" in log
