"""retrieve_output: a file of a container that has ended.

A pod's ended container cannot be looked into. So a sidecar that shares the file's volume waits for the
SIGTERM that the kubelet sends once the container has ended, and prints the file as base64 to its own log,
closed by a line with length and hash: what is not complete is not given out.
"""

from __future__ import annotations

import base64
import io
import posixpath
from collections.abc import Iterable
from datetime import datetime, timezone
from typing import Any

from .backend import ApiError, Archive, Disconnect
from .cluster_volumes import Shared
from .settings import Tasks

SIDECAR = "retrieve-output"
#: The kubelet starts a new log file at 10 MiB by default, and would then hide the beginning.
MAX_BYTES = 5 * 1024 * 1024
_MARK = "airdock-end"

# The file's path comes as $1: nothing of the author's is program text.
_SCRIPT = f"""\
finish() {{
  if [ -d "$1" ]; then echo "{_MARK} directory"
  elif [ ! -f "$1" ]; then echo "{_MARK} missing"
  elif [ ! -r "$1" ]; then echo "{_MARK} unreadable"
  elif [ "$(stat -Lc %s "$1")" -gt {MAX_BYTES} ]; then echo "{_MARK} large $(stat -Lc %s "$1")"
  else base64 "$1" && echo "{_MARK} file $(stat -Lc '%s %a %Y' "$1") $(sha256sum < "$1" | cut -d ' ' -f 1)"
  fi
  exit 0
}}
trap 'finish "$1"' TERM
while :; do sleep 3600 & wait $!; done
"""


def init_containers(tasks: Tasks, shared: Shared, user: int | None) -> list[dict[str, Any]]:
    """Build the sidecar and what creates the file, with the container's uid or, if it is a number, `user`."""
    containers = [_container(tasks, shared.path, shared.mount, user)]
    if shared.create:
        # As a directory of a volume would be missing, the kubelet would create one in the file's place.
        command = ["sh", "-c", ': > "$$1" && chmod 666 "$$1"', "create", shared.path]
        sidecar = {k: v for k, v in containers[0].items() if k != "restartPolicy"}
        containers.insert(
            0, {**sidecar, "name": f"{SIDECAR}-file", "command": command, "volumeMounts": [shared.mount]}
        )
    return containers


def _container(tasks: Tasks, path: str, mount: dict[str, Any], user: int | None) -> dict[str, Any]:
    return {
        "name": SIDECAR,
        "image": tasks.retrieve_image,
        "imagePullPolicy": tasks.retrieve_pull_policy,
        "restartPolicy": "Always",
        "command": ["sh", "-c", _SCRIPT.replace("$", "$$"), "retrieve", path.replace("$", "$$")],
        "resources": {
            "requests": {"cpu": "1m", "memory": "10Mi"},
            "limits": {"cpu": "500m", "memory": "64Mi"},
        },
        "securityContext": {
            "allowPrivilegeEscalation": False,
            "capabilities": {"drop": ["ALL"]},
            "readOnlyRootFilesystem": True,
            **({} if user is None else {"runAsUser": user}),
        },
        "volumeMounts": [{**mount, "readOnly": True}],
    }


def read(chunks: Iterable[bytes], path: str) -> Archive:
    """Rebuild the file from the sidecar's log.

    Raises ApiError 404 if there is none, Disconnect if it is not whole.
    """
    text = b"".join(chunks)
    encoded, mark, end = text.rpartition(_MARK.encode())
    words = end.decode("ascii", "replace").split()
    if not mark or not words:
        raise Disconnect(f"the output file {path} did not come back whole")
    kind = words[0]
    if kind == "missing":
        raise ApiError(404, f"Could not find the file {path} in the container", "no-output")
    if kind == "large":
        raise Disconnect(
            f"the output file {path} has {' '.join(words[1:]) or 'too many'} bytes, and the maximum is"
            f" {MAX_BYTES}: put the data on a volume or into an object store, and return its path or address"
        )
    if kind == "directory":
        return _archive(path, b"", 0o40755, 0, directory=True)
    if kind != "file" or len(words) != 5:
        raise Disconnect(f"the output file {path} could not be read: {kind}")
    import hashlib  # here and below: not every gateway needs it, and all pay for its memory

    data = base64.b64decode(encoded)
    if len(data) != int(words[1]) or hashlib.sha256(data).hexdigest() != words[4]:
        raise Disconnect(f"the output file {path} did not come back whole")
    return _archive(path, data, int(words[2], 8), int(words[3]))


def _archive(path: str, data: bytes, mode: int, mtime: int, directory: bool = False) -> Archive:
    import tarfile

    name = posixpath.basename(path)
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = len(data), mode & 0o7777, mtime
    if directory:
        info.type = tarfile.DIRTYPE
    target = io.BytesIO()
    with tarfile.open(fileobj=target, mode="w", format=tarfile.PAX_FORMAT) as tar:
        tar.addfile(info, io.BytesIO(data))
    stamp = datetime.fromtimestamp(mtime, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    # Go's file modes: the type is in the high bits, 1 << 31 for a directory.
    go_mode = (mode & 0o777) | (1 << 31 if directory else 0)
    return Archive(name, 4096 if directory else len(data), go_mode, stamp, (target.getvalue(),))
