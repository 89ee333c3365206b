"""A Docker daemon of a test's own, on the native cluster's node: it can be killed and started again."""

from __future__ import annotations

import json
import time
from pathlib import Path

import docker

from scripts.cluster import node
from scripts.cluster.settings import NODE_ROOT, STATE


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
        settings |= {
            "hosts": [f"unix://{inside}/docker.sock"],
            "data-root": f"{inside}/data",
            "exec-root": f"{inside}/exec",
            "pidfile": f"{inside}/pid",
            "containerd-namespace": self.name,
            "containerd-plugins-namespace": f"{self.name}-plugins",
            "bridge": "none",
            "iptables": False,
            "ip6tables": False,
        }
        (self.directory / "daemon.json").write_text(json.dumps(settings))
        (self.directory / "pid").unlink(missing_ok=True)
        # In a network namespace of its own: a daemon without a bridge removes docker0, which is the node's.
        dockerd = f"unshare --net dockerd --config-file={inside}/daemon.json"
        command = f"setsid {dockerd} >>{inside}/log 2>&1 </dev/null &"
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
        self.on_node("rm", "-rf", f"/run/{self.name}")
