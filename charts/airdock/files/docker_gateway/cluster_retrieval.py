"""retrieve_output: a file of a container that has ended.

A pod's ended container cannot be looked into. So a sidecar that shares the file's volume waits for the
SIGTERM that the kubelet sends once the container has ended, and prints the file to its own log: a line about
it, the file as base64, and a line with its hash. The gateway passes it on as it comes; what is not complete
breaks off.

The kubelet starts a new log file once one has 10 MiB (containerLogMaxSize), looks every 10 s, and then gives
the beginning only to who reads already. So the sidecar waits for a reader before it prints that much.
"""

from __future__ import annotations

import base64
import binascii
import dataclasses
import http.client
import posixpath
from collections.abc import Callable, Iterable, Iterator
from datetime import datetime, timezone
from typing import Any

from .backend import ApiError, Archive, Disconnect, Result
from .cluster_api import ApiStatus, KubernetesApi, Stream, pods_path
from .cluster_container import Container
from .cluster_volumes import Shared
from .quantities import quantity
from .settings import Tasks

SIDECAR = "retrieve-output"
#: Seconds for which the kubelet lets the sidecar print after the container's end.
GRACE = 90
#: Bytes of the file before the pause: base64 in lines of 76 characters, with the runtime's timestamps, makes
#: 8.6 MB of them in the log's file. A multiple of 57, the bytes of such a line.
_FIRST = 57 * 72 * 1024
#: Seconds of the pause.
_PAUSE = 10
_MARK = "airdock-file"
#: No character of base64.
_END = b"-"
_LONGEST_LINE = 1024

# The file's path comes as $1, the maximum as $2: nothing of the author's is program text.
_SCRIPT = f"""\
finish() {{
  size=$(stat -Lc %s "$1" 2>/dev/null)
  if [ -d "$1" ]; then echo "{_MARK} directory"
  elif [ ! -f "$1" ]; then echo "{_MARK} missing"
  elif [ ! -r "$1" ]; then echo "{_MARK} unreadable"
  elif [ "$size" -gt "$2" ]; then echo "{_MARK} large $size"
  else
    echo "{_MARK} file $size $(stat -Lc '%a %Y' "$1")"
    # Few lines, if this program can: each costs time all the way.
    base64 -w 7600 < /dev/null > /dev/null 2>&1 && wide="-w 7600"
    head -c {_FIRST} "$1" | base64 $wide
    if [ "$size" -gt {_FIRST} ]; then
      sleep {_PAUSE}
      tail -c +{_FIRST + 1} "$1" | base64 $wide
    fi
    echo "{_END.decode()}$(sha256sum < "$1" | cut -d ' ' -f 1)"
  fi
  exit 0
}}
trap 'finish "$1" "$2"' TERM
while :; do sleep 3600 & wait $!; done
"""


def max_bytes(tasks: Tasks) -> int:
    """Give the most bytes that a file may have."""
    return int(quantity(tasks.result_max_size))


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
    script, arguments = _SCRIPT.replace("$", "$$"), (path.replace("$", "$$"), str(max_bytes(tasks)))
    return {
        "name": SIDECAR,
        "image": tasks.retrieve_image,
        "imagePullPolicy": tasks.retrieve_pull_policy,
        "restartPolicy": "Always",
        "command": ["sh", "-c", script, "retrieve", *arguments],
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


class Retrieval:
    """Opens the files of containers that have ended."""

    def __init__(self, api: KubernetesApi, tasks: Tasks) -> None:
        self._api, self._namespace, self._most = api, tasks.namespace, max_bytes(tasks)

    def open(self, container: Container) -> Result:
        """Read as far as what can go wrong with the file is known.

        Raises ApiError 404 if there is none, Disconnect if it cannot be had.
        """
        path = container.retrieve
        log_path = pods_path(self._namespace, container.pod_name, "log")
        query = {"container": SIDECAR, "follow": "true", "limitBytes": str(2 * self._most + (1 << 16))}
        try:
            stream = self._api.stream(log_path, query, timeout=60.0)
        except ApiStatus as error:
            raise Disconnect(f"the output file {path} could not be read: {error}") from None

        def more() -> bytes:
            try:
                return stream.read()
            except (OSError, http.client.HTTPException) as error:
                raise Disconnect(f"the output file {path} could not be read: {error}") from None

        try:
            archive = begin(more, path, self._most)
        except BaseException:
            stream.release()
            raise
        return Result(dataclasses.replace(archive, tar=_released(archive.tar, stream)), stream.close)


def _released(tar: Iterable[bytes], stream: Stream) -> Iterator[bytes]:
    try:
        yield from tar
    finally:
        stream.release()


def begin(read: Callable[[], bytes], path: str, most: int) -> Archive:
    """Give the file behind a sidecar's log; `read` gives more of the log, empty at its end.

    Raises ApiError 404 if there is none, Disconnect if it cannot be had.
    """
    text = b""
    while b"\n" not in text and len(text) < _LONGEST_LINE and (data := read()):
        text += data
    line, newline, rest = text.partition(b"\n")
    mark, *words = line.decode("ascii", "replace").split() or [""]
    if mark != _MARK or not newline or not words:
        raise Disconnect(f"the output file {path} did not come back whole: its node dropped the beginning")
    kind, *words = words
    if kind == "missing":
        raise ApiError(404, f"Could not find the file {path} in the container", "no-output")
    if kind == "large":
        raise Disconnect(
            f"the output file {path} has {' '.join(words) or 'too many'} bytes, and the maximum is {most}"
            " (tasks.resultMaxSize): put the data on a volume or into an object store, and return its path or"
            " address"
        )
    if kind == "directory":
        return _archive(path, 0, 0o40755, 0, iter(()), directory=True)
    if kind != "file" or len(words) != 3:
        raise Disconnect(f"the output file {path} could not be read: {kind}")
    size = int(words[0])
    return _archive(path, size, int(words[1], 8), int(words[2]), _content(rest, read, path, size))


def _content(rest: bytes, read: Callable[[], bytes], path: str, size: int) -> Iterator[bytes]:
    """Give the content as it comes; raises Disconnect at its end if it is another."""
    import hashlib  # here and below: not every gateway needs it, and all pay for its memory

    digest, total = hashlib.sha256(), 0
    while True:
        encoded, mark, end = rest.partition(_END)
        encoded = encoded.translate(None, b"\r\n")
        whole = len(encoded) if mark else len(encoded) // 4 * 4
        try:
            data = base64.b64decode(encoded[:whole], validate=True)
        except binascii.Error:
            break
        digest.update(data)
        total += len(data)
        if total > size:
            break
        if data:
            yield data
        if mark:
            while b"\n" not in end and len(end) < _LONGEST_LINE and (more := read()):
                end += more
            if total == size and end.partition(b"\n")[:2] == (digest.hexdigest().encode(), b"\n"):
                return
            break
        more = read()
        if not more:
            break
        rest = encoded[whole:] + more
    raise Disconnect(f"the output file {path} did not come back whole")


def _archive(
    path: str, size: int, mode: int, mtime: int, content: Iterator[bytes], directory: bool = False
) -> Archive:
    import tarfile

    name = posixpath.basename(path)
    info = tarfile.TarInfo(name)
    info.size, info.mode, info.mtime = size, mode & 0o7777, mtime
    if directory:
        info.type = tarfile.DIRTYPE

    def tar() -> Iterator[bytes]:
        head = info.tobuf(tarfile.PAX_FORMAT)
        yield head
        yield from content
        # Two empty blocks, and all of it in whole records.
        yield bytes(-size % tarfile.BLOCKSIZE + 2 * tarfile.BLOCKSIZE)

    stamp = datetime.fromtimestamp(mtime, timezone.utc).strftime("%Y-%m-%dT%H:%M:%SZ")
    # Go's file modes: the type is in the high bits, 1 << 31 for a directory.
    go_mode = (mode & 0o777) | (1 << 31 if directory else 0)
    return Archive(name, 4096 if directory else size, go_mode, stamp, tar())
