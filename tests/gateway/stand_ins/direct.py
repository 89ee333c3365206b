"""A stand-in without HTTP: the gateway's clients, with the world in the place of the network."""

from __future__ import annotations

import http.client
import json
import socket
from collections.abc import Mapping
from typing import Any

from docker_gateway import cluster_api, daemon_api
from docker_gateway.backend import ApiError
from docker_gateway.settings import Kubernetes

from .cluster import ClusterWorld
from .daemon import DaemonWorld
from .world import BREAK, Pieces, Reply


class Response:
    """What http.client gives, as far as the gateway looks at it."""

    def __init__(self, reply: Reply) -> None:
        self.status, self._pieces = reply.status, reply.pieces
        self._data = b"" if reply.body is None else json.dumps(reply.body).encode()

    def read(self, size: int = -1) -> bytes:
        if self._pieces is not None:
            return b"".join(self._pieces)
        return self._data

    def readline(self) -> bytes:
        return self._pieces.get() if self._pieces else b""

    def getheader(self, name: str) -> None:
        return None

    def close(self) -> None:
        if self._pieces:
            self._pieces.put(BREAK)


class DaemonDirect(daemon_api.DaemonApi):
    """Requests to a daemon's stand-in."""

    def __init__(self, world: DaemonWorld) -> None:
        super().__init__("/nowhere")
        self._world = world

    def open(
        self, method: str, path: str, query: Mapping[str, str] | None = None, body: Any = None,
        headers: Any = None, timeout: float | None = None, versioned: bool = True,
    ) -> Any:  # fmt: skip
        try:
            reply = self._world.slowly(method, path, dict(query or {}), body)
        except ConnectionError as error:
            raise daemon_api._silent(error) from None
        if reply.status >= 300 and reply.status != 304:
            raise ApiError(reply.status, reply.body["message"], "daemon")
        response = Response(reply)
        return response, response

    def hijack(self, target: str) -> socket.socket:
        try:
            self._world.travel()
        except ConnectionError as error:
            raise daemon_api._silent(error) from None
        ours, theirs = socket.socketpair()
        if not self._world.attach(target.split("/")[2], theirs):
            ours.close()
            theirs.close()
            raise ApiError(404, "No such container", "daemon")
        return ours


class Stream(cluster_api.Stream):
    """A streamed answer of the API server's stand-in."""

    def __init__(self, pieces: Pieces) -> None:
        self._pieces = pieces

    def read(self) -> bytes:
        return self._pieces.get()

    def close(self) -> None:
        self._pieces.put(BREAK)

    release = close


class ClusterDirect(cluster_api.KubernetesApi):
    """Requests to an API server's stand-in."""

    def __init__(self, world: ClusterWorld) -> None:
        super().__init__(Kubernetes(server="http://nowhere"))
        self._world = world

    def _once(self, method: str, path: str, query: Mapping[str, str] | None, body: Any) -> Any:
        reply = self._reply(method, path, query, body)
        return cluster_api._object(reply.status, json.dumps(reply.body).encode())

    def _reply(self, method: str, path: str, query: Mapping[str, str] | None, body: Any) -> Reply:
        try:
            return self._world.slowly(method, path, dict(query or {}), body)
        except ConnectionError as error:
            raise cluster_api.ApiStatus(0, "Unreachable", str(error)) from None

    def stream(self, path: str, query: Mapping[str, str], timeout: float | None) -> Any:
        reply = self._reply("GET", path, query, None)
        if reply.pieces is None:
            cluster_api._object(reply.status, json.dumps(reply.body).encode())
            raise http.client.HTTPException("no stream")
        return Stream(reply.pieces)
