"""Pulling images by the node's daemon: the request, the credentials, and what is told of the progress."""

from __future__ import annotations

import base64
import http.client
import json
from collections.abc import Iterator, Mapping
from typing import Any

from .backend import Disconnect
from .daemon_api import DaemonApi
from .model import BadBody, mapping, parse_json, string

#: Fields of credentials that are passed on.
AUTH = {"username", "password", "email", "serveraddress", "identitytoken", "registrytoken"}
_PROGRESS = ("status", "id", "progress", "progressDetail", "error", "errorDetail")


def pull(api: DaemonApi, image: str, registry_auth: str) -> Iterator[Mapping[str, Any]]:
    """Begin to pull an image; yields the daemon's messages, of known fields."""
    name, at, digest = image.partition("@")
    if at:
        query = {"fromImage": name, "tag": digest}
    else:
        head, colon, tag = image.rpartition(":")
        named = colon and "/" not in tag
        query = {"fromImage": head if named else image, "tag": tag if named else "latest"}
    headers = {"X-Registry-Auth": auth(registry_auth)} if registry_auth else {}
    return _progress(*api.open("POST", "/images/create", query, None, headers, timeout=None))


def _progress(
    connection: http.client.HTTPConnection, response: http.client.HTTPResponse
) -> Iterator[Mapping[str, Any]]:
    try:
        for line in iter(response.readline, b""):
            if line.strip():
                message = json.loads(line)
                yield {key: message[key] for key in _PROGRESS if key in message}
    except (OSError, ValueError, http.client.HTTPException) as error:
        raise Disconnect(f"the pull broke: {error}") from None
    finally:
        connection.close()


def auth(header: str) -> str:
    """Read registry credentials and write them again from known fields."""
    try:
        fields = mapping(
            parse_json(base64.urlsafe_b64decode(header + "=" * (-len(header) % 4))), "X-Registry-Auth"
        )
    except ValueError:
        raise BadBody("X-Registry-Auth is not base64 of a JSON object") from None
    known = {key: string(value, key) for key, value in fields.items() if key in AUTH and value is not None}
    return base64.urlsafe_b64encode(json.dumps(known).encode()).decode()
