"""Up, down and status of the native cluster."""

from __future__ import annotations

import fcntl
import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from scripts.cluster import calico, cgroups, mounts, network, node, node_images, preflight, supervisor
from scripts.cluster.errors import ClusterError
from scripts.cluster.run import run
from scripts.cluster.settings import (
    API_SERVER,
    CONTEXT,
    DOCKER_SOCKET,
    KUBECONFIG,
    LOG,
    NODE,
    NODE_ADDRESS,
    NODE_ROOT,
    REGISTRY,
    REGISTRY_PORT,
    STATE,
)
from scripts.tools import pinned, provide

#: Written last by `up`: what is without it was interrupted and is started anew.
_COMPLETE = STATE / "complete"
_OURS = frozenset({"complete", "controllers", "kubeconfig", "log", "network.json", "node", "supervisor.json"})
_KUBEADM_CONFIG = "/etc/kubernetes/kubeadm.yaml"
#: What kubeadm would refuse and is meant: fewer CPUs than it likes, no init system, no module loader.
_IGNORED = "SystemVerification,NumCPU,Mem,Swap,Service-Kubelet,HTTPProxy,HTTPProxyCIDR,Hostname"
_SERVICES = ("node", "containerd", "registry", "dockerd", "kubelet", "kube-proxy")


def say(text: str) -> None:
    """Print a line of progress."""
    print(text, file=sys.stderr, flush=True)


@contextmanager
def _alone() -> Iterator[None]:
    """Wait until no other `up` or `down` runs. The lock is on /var/lib itself, so it leaves no file."""
    lock = os.open(STATE.parent, os.O_RDONLY | os.O_DIRECTORY)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            say("waiting for another `up` or `down` of the native cluster to end")
            fcntl.flock(lock, fcntl.LOCK_EX)
        yield
    finally:
        os.close(lock)


def up() -> None:
    """Start the cluster, or see that it is up; returns when it is Ready.

    Raises:
        ClusterError, ToolError: before anything is changed where that can be known; else with the end
            of the log that tells why, and with what was started stopped again.
    """
    preflight.system()
    started = time.monotonic()
    with _alone():
        if _COMPLETE.exists() and supervisor.running():
            reason = _wait(lambda: why_not_ready() is None, 60) or why_not_ready()
            if reason:
                raise ClusterError(
                    f"The native cluster runs and is not Ready ({reason}): take it down first."
                )
            say(f"native cluster is up already: {_where()}")
            return
        if STATE.exists() or cgroups.processes():
            say("cleaning up after an earlier run")
            _clean()
        preflight.host()
        provide(preflight.BINARIES, only_pinned=True)
        archive = node_images.archive()
        built = time.monotonic()
        try:
            _start(archive)
        except BaseException:
            _stop()
            raise
    spent = time.monotonic()
    say(f"native cluster is Ready in {spent - built:.0f} s ({spent - started:.0f} s in all): {_where()}")


def _where() -> str:
    return f"KUBECONFIG={KUBECONFIG} registry={REGISTRY} docker=unix://{DOCKER_SOCKET}"


def _start(archive: Path) -> None:
    STATE.mkdir(mode=0o755, exist_ok=True)
    say("starting the node: containerd, dockerd, registry")
    node.lay_out()
    process = supervisor.start()
    closed = network.open_outside()
    if closed:
        say(f"note: {closed}")
    _step("containerd", (NODE_ROOT / "run/containerd/containerd.sock").exists, 30)
    say("importing the control plane's images")
    _on_node(
        process, "containerd", "ctr", "-n", "k8s.io", "images", "import", node.inside(archive), timeout=180
    )
    say("kubeadm init")
    _on_node(
        process,
        "kubelet",
        *("kubeadm", "init", "--config", _KUBEADM_CONFIG, f"--ignore-preflight-errors={_IGNORED}"),
        "--skip-phases=addon",
        timeout=300,
    )
    _calico(process)
    _on_node(process, "kubelet", "kubeadm", "init", "phase", "addon", "coredns", "--config", _KUBEADM_CONFIG)
    _kube_proxy(process)
    _write_kubeconfig()
    _on_node(process, "kubelet", *_KUBECTL, "apply", "-f", "/etc/kubernetes/local-path.yaml")
    say("waiting for node, DNS and volume provisioner")
    _step("felix", calico.enforces, 60)
    _step("kubelet", lambda: why_not_ready() is None, 180)
    _step("dockerd", DOCKER_SOCKET.exists, 30)
    _step("registry", _registry_answers, 30)
    _COMPLETE.touch()


_KUBECTL = ("kubectl", "--kubeconfig=/etc/kubernetes/admin.conf")


def _on_node(process: int, service: str, *command: str | Path, timeout: float = 120) -> str:
    """Run a program on the node; if it fails, show the log of the service that it depends on as well."""
    try:
        return node.execute(process, *command, timeout=timeout)
    except ClusterError as error:
        raise ClusterError(f"{error}\n{_log(service)}") from None


def _log(service: str) -> str:
    return f"--- {LOG}/{service}.log ends with:\n{supervisor.log_tail(service)}"


def _wait(met: Callable[[], bool], seconds: float) -> str | None:
    """Wait for a condition; returns None, or what to say when time is up."""
    end = time.monotonic() + seconds
    while not met():
        if time.monotonic() > end:
            return f"not within {seconds:.0f} s"
        time.sleep(0.2)
    return None


def _step(service: str, met: Callable[[], bool], seconds: float) -> None:
    if _wait(met, seconds):
        reason = why_not_ready() or "not all is there"
        raise ClusterError(
            f"{service} is not ready within {seconds:.0f} s ({reason}).\n{_log(service)}\n{_log('node')}"
        )


def _calico(process: int) -> None:
    """Define Calico's kinds, without which no pod gets a network, and let Felix start."""
    _apply(process, "kinds", calico.kinds())
    established = ("wait", "--for=condition=Established", "crd", "--all", "--timeout=30s")
    _on_node(process, "kubelet", *_KUBECTL, *established)
    _apply(process, "ready", calico.ready())


def _apply(process: int, name: str, objects: str) -> None:
    file = NODE_ROOT / "etc/calico" / f"{name}.json"
    file.write_text(objects)
    _on_node(process, "kubelet", *_KUBECTL, "apply", "-f", f"/etc/calico/{name}.json")


def _kube_proxy(process: int) -> None:
    """Give kube-proxy its credentials, which is what it waits for. RBAC knows this user by default."""
    command = (
        "kubeadm",
        "kubeconfig",
        "user",
        "--config",
        _KUBEADM_CONFIG,
        "--client-name",
        "system:kube-proxy",
    )
    file = NODE_ROOT / "etc/kubernetes/kube-proxy.conf"
    scratch = file.with_suffix(".new")
    scratch.touch(mode=0o600)
    scratch.write_text(_on_node(process, "kubelet", *command))
    scratch.rename(file)


def _write_kubeconfig() -> None:
    """The admin's kubeconfig, with the context's name made ours."""
    KUBECONFIG.touch(mode=0o600)
    content = (NODE_ROOT / "etc/kubernetes/admin.conf").read_text()
    KUBECONFIG.write_text(content.replace(f"kubernetes-admin@{NODE}", CONTEXT))


def _kubectl(*words: str) -> str:
    return run([pinned("kubectl"), f"--kubeconfig={KUBECONFIG}", "--request-timeout=5s", *words], timeout=20)


def _registry_answers() -> bool:
    try:
        with socket.create_connection((NODE_ADDRESS, REGISTRY_PORT), timeout=1):
            return True
    except OSError:
        return False


def why_not_ready() -> str | None:
    """None if the cluster is Ready, else the first reason why it is not."""
    if not supervisor.running():
        return "it is not running"
    if not KUBECONFIG.exists():
        return "it is still starting"
    try:
        found = json.loads(_kubectl("get", "nodes,deployments", "--all-namespaces", "--output=json"))["items"]
    except ClusterError as error:
        return f"{API_SERVER} does not answer: {str(error).splitlines()[-1]}"
    objects = {(item["kind"], item["metadata"]["name"]): item["status"] for item in found}
    conditions = objects.get(("Node", NODE), {}).get("conditions", [])
    ready = next((one for one in conditions if one["type"] == "Ready"), {"message": "it is not there yet"})
    if ready.get("status") != "True":
        return f"node {NODE}: {ready['message']}"
    for name in ("coredns", "local-path-provisioner"):
        # Not the condition Available: with one replica that may be unavailable, it is always true.
        if not objects.get(("Deployment", name), {}).get("availableReplicas"):
            return f"{name} has no pod that is ready"
    return None


def down() -> None:
    """Stop the cluster and leave the host as it was found; also when it is half there or not at all."""
    preflight.system()
    with _alone():
        there = STATE.exists() or bool(cgroups.processes())
        _clean()
    say("native cluster is down" if there else "there is no native cluster")


def _stop() -> None:
    """End everything but the logs."""
    cgroups.kill()
    network.detach()
    cgroups.remove()
    mounts.remove_tree(NODE_ROOT)
    KUBECONFIG.unlink(missing_ok=True)
    _COMPLETE.unlink(missing_ok=True)


def _clean() -> None:
    """End everything and delete the state directory, if nothing is in it that is not ours."""
    strange = sorted({entry.name for entry in STATE.iterdir()} - _OURS) if STATE.is_dir() else []
    if strange:
        raise ClusterError(
            f"{STATE} holds {strange[0]}, which the native cluster did not make: move it away."
        )
    _stop()
    mounts.remove_tree(STATE)
