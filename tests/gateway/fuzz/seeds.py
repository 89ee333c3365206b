"""Inputs to begin with, and those that a search found."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from ..docker_py import body
from ..escapes import ESCAPES, TMP_MOUNT
from ..malformed import MALFORMED

CORPUS = Path(__file__).with_name("corpus")


def bodies() -> list[bytes]:
    """What DockerOperator sends, each field that docker-py can send, known escapes."""
    usual = {"Image": "busybox:1.37", "Cmd": ["true"], "Env": ["A=$(B)"], "Labels": {"a": "b"}}
    hosts: list[dict[str, Any]] = [{}, {"Mounts": [TMP_MOUNT], "CpuShares": 1024}, *ESCAPES.values()]
    hosts += [{key: value} for key, value in body()["HostConfig"].items()]
    return [
        json.dumps(each).encode() for each in (body(), *({**usual, "HostConfig": host} for host in hosts))
    ]


def messages() -> list[bytes]:
    """Each request of DockerOperator, and malformed ones."""
    container = b"/v1.47/containers/" + b"f" * 64
    paths = [
        b"GET /version",
        b"HEAD /_ping",
        b"GET /v1.47/images/json?filters=%7B%22reference%22%3A%5B%22a%22%5D%7D",
    ]
    paths += [b"POST /v1.47/images/create?fromImage=a&tag=b", b"DELETE " + container + b"?force=1"]
    paths += [b"GET /v1.47/containers/json?all=1", b"GET /info", b"GET /events?since=1&until=2"]
    paths += [b"GET /v1.47/images/a/b:c/json", b"GET " + container + b"/logs?stdout=1&tail=5&since=1.5"]
    paths += [b"POST " + container + verb for verb in (b"/kill?signal=TERM", b"/resize?h=1&w=2")]
    paths += [b"GET " + container + b"/json", b"GET " + container + b"/archive?path=%2Ftmp%2Fa"]
    paths += [b"POST " + container + verb for verb in (b"/start", b"/wait?condition=removed", b"/stop?t=1")]
    paths += [b"POST " + container + b"/attach?stream=1&stdout=1&stderr=1&logs=0"]
    plain = [path + b" HTTP/1.1\r\nHost: a\r\n\r\n" for path in paths]
    create = b"POST /v1.47/containers/create?name=a HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n%s"
    chunked = b"POST /auth HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"
    malformed = [data for _, data in MALFORMED.values() if len(data) < 1000]
    return [*plain, *(create % (len(each), each) for each in bodies()[:3]), chunked, *malformed]


def of(target: str) -> list[bytes]:
    """Give all of a target's inputs, those of the corpus first."""
    found = [file.read_bytes() for file in sorted((CORPUS / target).iterdir()) if file.name[0] != "."]
    return found + {"wire": messages, "body": bodies}[target]()
