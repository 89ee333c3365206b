"""A Docker daemon of a test's own, on the native cluster's node: it can be killed and started again.

It is the engine of the variable DOCKER of `make e2e`, such as 28, or the node's.
"""

from __future__ import annotations

import json
import os
import shlex
import time
from pathlib import Path

import docker

from scripts import tools
from scripts.cluster import node
from scripts.cluster.settings import NODE_ROOT, STATE
from tests.support.waiting import wait_until

ENGINE = os.environ.get("DOCKER", "")
#: What the node's daemon.json has that older engines do not know. Without iptables nothing depends on it.
_NEWER = ("firewall-backend", "ip-forward-no-drop")


class Dockerd:
    """One daemon. `socket` is its socket as this machine sees it, and is a new one after each start."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.node = int(json.loads((STATE / "supervisor.json").read_text())["process"])
        self.directory = NODE_ROOT / "run" / name
        self.directory.mkdir()
        self.socket = self.directory / "docker.sock"

    def start(self) -> None:
        """Start it and wait until it answers."""
        inside = Path("/run") / self.name
        settings = json.loads((NODE_ROOT / "etc/docker/daemon.json").read_text())
        for option in _NEWER if ENGINE else ():
            settings.pop(option, None)
        settings |= {
            "hosts": [f"unix://{inside}/docker.sock"],
            "data-root": f"{inside}/data",
            "exec-root": f"{inside}/exec",
            "pidfile": f"{inside}/pid",
            "containerd-namespace": self.name,
            "containerd-plugins-namespace": f"{self.name}-plugins",
            "ip-forward": False,
            "iptables": False,
            "ip6tables": False,
        }
        (self.directory / "daemon.json").write_text(json.dumps(settings))
        (self.directory / "pid").unlink(missing_ok=True)
        # In a network namespace of its own: else docker0 would be the node's.
        program = node.inside(tools.pinned(f"dockerd-{ENGINE}" if ENGINE else "dockerd"))
        dockerd = f"ip link set lo up && exec {program} --config-file={inside}/daemon.json"
        command = f"setsid unshare --net sh -c '{dockerd}' >>{inside}/log 2>&1 </dev/null &"
        self.on_node("sh", "-c", command)
        deadline = time.monotonic() + 60
        while not self._answers():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def _answers(self) -> bool:
        try:
            client = docker.APIClient(f"unix://{self.socket}", timeout=5)
            try:
                return bool(client.ping())
            finally:
                client.close()
        except Exception:
            return False

    def load(self, image: bytes) -> None:
        """Give it an image that another daemon has saved."""
        client = self.client()
        client.load_image(image)
        client.close()

    def client(self) -> docker.APIClient:
        """Give a client of the daemon itself."""
        return docker.APIClient(f"unix://{self.socket}", timeout=60)

    def kill(self, signal: str) -> None:
        """Send it a signal and wait for its end."""
        pid = (self.directory / "pid").read_text().strip()
        self.on_node("kill", f"-{signal}", pid)
        deadline = time.monotonic() + 60
        while not self.on_node("sh", "-c", f"kill -0 {pid} 2>/dev/null || echo gone").strip():
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.1)

    def listen(self, port: int, *command: str) -> str:
        """Start a program that listens where only the daemon reaches it; gives its process on the node."""
        daemon = (self.directory / "pid").read_text().strip()
        program = shlex.join(["nsenter", f"--target={daemon}", "--net", *command])
        log = f">>/run/{self.name}/log 2>&1 </dev/null"
        process = self.on_node("sh", "-c", f"setsid {program} {log} & echo $!").strip()
        tables = [f"/proc/{daemon}/net/{name}" for name in ("tcp", "tcp6")]
        wait_until(lambda: f":{port:04X} " in self.on_node("cat", *tables), 30, f"{command[0]} listens")
        return process

    def on_node(self, *command: str) -> str:
        """Run a program on the node."""
        return node.execute(self.node, *command, timeout=60)

    def log(self) -> str:
        """Give the end of its log."""
        return (self.directory / "log").read_text()[-3000:]

    def close(self) -> None:
        """End it and remove its containers."""
        if not self._answers():
            self.start()
        client = self.client()
        for each in client.containers(all=True):
            client.remove_container(each["Id"], force=True)
        client.close()
        self.kill("TERM")
        # A container in the host's network leaves a mount.
        remove = f"umount /run/{self.name}/exec/netns/* 2>/dev/null; rm -rf /run/{self.name}"
        self.on_node("sh", "-c", remove)
