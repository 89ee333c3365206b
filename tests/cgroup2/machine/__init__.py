"""A Linux machine with cgroup v2 and a kubelet, emulated: for hosts whose own kernel has cgroup v1, or none.

    with machine.boot() as node:
        node.write("/etc/kubernetes/manifests/pod.yaml", manifest)
        print(node.shell("cat /sys/fs/cgroup/cgroup.controllers"))

Debian's kernel, systemd and containerd with runc's systemd driver, as `kubeadm` nodes have them; a standalone
kubelet, which runs static pods and knows no API server. No network leads out of it, and nothing that it
writes is kept.
"""

from tests.cgroup2.machine.disk import build
from tests.cgroup2.machine.errors import MachineError
from tests.cgroup2.machine.machine import Done, Machine, boot
from tests.cgroup2.machine.preflight import obstacle

__all__ = ["Done", "Machine", "MachineError", "boot", "build", "obstacle"]
