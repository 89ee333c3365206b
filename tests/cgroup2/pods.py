"""Pods of the chart for a kubelet that knows no API server, and what the tests ask of them.

Such a kubelet refuses whatever only an API server can give: service accounts and ConfigMaps. The daemon's
container and the volumes that it shares with the worker are as the chart renders them, but that the
ConfigMap of its scripts is a directory on the node with the same files. The worker's container has the same
name, user, privileges, limits and Docker volumes, and sleeps in Docker's image.
"""

from __future__ import annotations

import copy
import json
import shlex
from dataclasses import dataclass
from typing import Any

from scripts.chart import Manifests, render
from scripts.tools.build import lookup
from tests.cgroup2.machine import Done, Machine
from tests.support.go_modules import module_directory

#: What the daemon's container gets.
MEMORY_MIB = 512
WORKER_MEMORY_MIB = 128
CPUS = 1
PIDS = 200
_GROUP = "docker"
#: An emulated processor is some 20 times slower than a real one: probes at their own pace would take it all.
_SLOWER = 10


def values(variant: str) -> dict[str, Any]:
    """Values of a release with one worker group in mode dind."""

    def resources(cpus: int, memory: str) -> dict[str, Any]:
        return {
            "requests": {"cpu": "100m", "memory": "64Mi"},
            "limits": {"cpu": str(cpus), "memory": memory},
        }

    dind = {"variant": variant, "pidsLimit": PIDS, "resources": resources(CPUS, f"{MEMORY_MIB}Mi")}
    group = {
        "mode": "dind",
        "queues": ["docker"],
        "dind": dind,
        "resources": resources(1, f"{WORKER_MEMORY_MIB}Mi"),
    }
    return {"workers": {"default": None, _GROUP: group}}


def static_pod(name: str, variant: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The pod of a worker group as a static pod, and the files (path on the node: content) that it mounts."""
    rendered = render(values(variant))
    spec = rendered.one("Deployment", component="worker", group=_GROUP).pod
    raw = copy.deepcopy(spec.raw)
    daemon = next(container for container in raw["initContainers"] if container["name"] == "docker")
    worker = next(container for container in raw["containers"] if container["name"] == "worker")
    files: dict[str, str] = {}
    used = {mount["name"] for mount in daemon["volumeMounts"]}
    volumes = [_volume(rendered, volume, name, files) for volume in raw["volumes"] if volume["name"] in used]
    _slow_down(daemon)
    for key in ("args", "envFrom", "ports", "startupProbe", "livenessProbe", "readinessProbe", "lifecycle"):
        worker.pop(key, None)
    worker |= {
        "image": "docker:29-dind",
        "command": ["sleep", "infinity"],
        "env": [entry for entry in worker["env"] if entry["name"] in ("DOCKER_HOST", "TMPDIR")],
        "volumeMounts": [mount for mount in worker["volumeMounts"] if mount["name"] in used],
    }
    kept = ("hostUsers", "securityContext", "terminationGracePeriodSeconds", "enableServiceLinks")
    pod = {
        "apiVersion": "v1",
        "kind": "Pod",
        "metadata": {
            "name": name,
            "namespace": "airdock",
            "uid": name,
            "annotations": dict(spec.annotations),
        },
        "spec": {
            **{key: raw[key] for key in kept if key in raw},
            "automountServiceAccountToken": False,
            "initContainers": [daemon],
            "containers": [worker],
            "volumes": volumes,
        },
    }
    return pod, files


def upstream_pod(name: str) -> tuple[dict[str, Any], dict[str, str]]:
    """The same pod with a sidecar as recipes have it: privileged, and dockerd started as it is.

    The model is the gha-runner-scale-set chart of actions/actions-runner-controller.
    """
    pod, files = static_pod(name, "privileged")
    (daemon,) = pod["spec"]["initContainers"]
    daemon["command"] = ["dockerd", "--host=unix:///run/airdock/docker.sock", "--group=2375"]
    files[f"/etc/airdock/{name}/docker-scripts/dind"] = _nesting_script()
    return pod, files


def _nesting_script() -> str:
    """hack/dind of the pinned Docker, which the entrypoint of docker:dind runs dockerd by."""
    moby = module_directory("github.com/moby/moby/v2", lookup("dockerd").directory)
    return (moby / "hack" / "dind").read_text()


def _volume(rendered: Manifests, volume: dict[str, Any], name: str, files: dict[str, str]) -> dict[str, Any]:
    if "configMap" not in volume:
        return volume
    place = f"/etc/airdock/{name}/{volume['name']}"
    data = rendered.one("ConfigMap", name=volume["configMap"]["name"]).raw["data"]
    files |= {f"{place}/{file}": content for file, content in data.items()}
    return {"name": volume["name"], "hostPath": {"path": place, "type": "Directory"}}


def _slow_down(container: dict[str, Any]) -> None:
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        if probe in container:
            for key in ("timeoutSeconds", "periodSeconds"):
                container[probe][key] = container[probe].get(key, 1) * _SLOWER


@dataclass(frozen=True)
class Pod:
    """A pod that runs on the machine; its name is its uid as well."""

    machine: Machine
    name: str

    @property
    def cgroup(self) -> str:
        """The pod's cgroup, as the kubelet names it with the systemd driver."""
        top = "kubepods.slice/kubepods-burstable.slice"
        return f"/{top}/kubepods-burstable-pod{self.name.replace('-', '_')}.slice"

    def docker(self, *arguments: str, timeout: float = 300) -> Done:
        """Run Docker's client against the pod's daemon, by the socket that the worker has."""
        return self.machine.run(f"{client(self.name)} {shlex.join(arguments)}", timeout=timeout)

    def said(self, *arguments: str, timeout: float = 300) -> str:
        """What the client prints; it must succeed."""
        done = self.docker(*arguments, timeout=timeout)
        assert done.code == 0, (
            f"docker {shlex.join(arguments)} in {self.name}: {done.code} {done.out}{done.err}"
        )
        return done.out.strip()

    def inside(self, container: str, *command: str, timeout: float = 300) -> Done:
        """Run a command in a container of the pod, as the kubelet's probes do."""
        labels = {"pod": f"{self.name}-machine", "container": container}
        wanted = ",".join(f'labels."io.kubernetes.{key}.name"=={value}' for key, value in labels.items())
        found = f"$(ctr -n k8s.io containers ls -q {shlex.quote(wanted)})"
        exec_ = f"ctr -n k8s.io tasks exec --exec-id test-$$ {found}"
        return self.machine.run(f"{exec_} {shlex.join(command)}", timeout=timeout)

    def daemon(self) -> str:
        """The process id and start time of the pod's dockerd on the node: another one has others."""
        script = f"""for pid in $(pgrep -x dockerd); do
            grep -q {self.cgroup}/ /proc/$pid/cgroup && cut -d ' ' -f 1,22 /proc/$pid/stat
        done; :"""
        found = self.machine.shell(script).splitlines()
        assert len(found) == 1, f"{len(found)} daemons in {self.name}"
        return found[0]

    def killed(self) -> int:
        """How many processes the kernel has killed in the pod for want of memory."""
        events = self.machine.shell(f"cat /sys/fs/cgroup{self.cgroup}/memory.events")
        return int(dict(line.split() for line in events.splitlines())["oom_kill"])

    def held(self) -> int:
        """How often the kernel has held processes of the pod back for their limit of CPU."""
        counts = self.machine.shell(f"grep -rh nr_throttled --include=cpu.stat /sys/fs/cgroup{self.cgroup}")
        return sum(int(line.split()[1]) for line in counts.splitlines())

    def most_memory(self) -> float:
        """The most memory that the pod has ever had, in MiB."""
        return int(self.machine.shell(f"cat /sys/fs/cgroup{self.cgroup}/memory.peak")) / 2**20


def cgroup_of(machine: Machine, command: str) -> str:
    """The cgroup of the node's one process with exactly this command line."""
    (pid,) = machine.shell(f"pgrep -f -x {shlex.quote(command)}").split()
    return machine.shell(f"sed -n 's/^0:://p' /proc/{pid}/cgroup")


def client(name: str) -> str:
    """The command that talks to the daemon of a pod."""
    return f"DOCKER_HOST=unix:///run/pods/{name}/docker.sock docker"


def manifest(pod: dict[str, Any]) -> str:
    """A manifest for the kubelet (JSON is YAML)."""
    return json.dumps(pod)
