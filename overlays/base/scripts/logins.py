"""Tells the exporter of Airflow's metrics when the certificates and logins of this container end.

The liveness probes call `send`: the kubelet starts them again and again, so no thread is needed in a process
that forks. What has no end that can be read, such as a password, is left out.
"""

from __future__ import annotations

import base64
import contextlib
import json
import os
import re
import socket
import sys
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

#: Where the chart mounts them: <cluster>/kubeconfig of tasks.clusters; ca.crt and tls.crt of <store>.tls.
CLUSTERS, STORES = Path("/run/airdock-clusters"), Path("/opt/airdock-tls")
PORT = 9125
#: A login should be renewed when this part of its lifetime is left, or these seconds if that is less.
PART, MOST = 0.25, 14 * 86400
#: Seconds that a login of Amazon ECR is valid, which does not tell when it was issued (API reference,
#: GetAuthorizationToken).
ECR = 12 * 3600


class Login(NamedTuple):
    """Seconds since 1970 at which it was issued, if that is known, and at which it ends."""

    issued: float | None
    end: float

    @property
    def renewal(self) -> float:
        """The time by which it should have been renewed."""
        left = MOST if self.issued is None else min(MOST, PART * (self.end - self.issued))
        return self.end - left


def send() -> None:
    """Send what there is, if the release has the exporter. A fault is printed: no probe fails for it."""
    host = os.environ.get("AIRDOCK_STATSD_HOST")
    if not host:
        return
    lines = []
    for kind, name, logins in found():
        try:
            first = min(logins, key=lambda login: login.renewal, default=None)
        except Exception as error:
            print(f"the end of {kind} {name} cannot be read: {error!r}", file=sys.stderr)
            continue
        if first is not None:
            safe = re.sub(r"[^\w.:/-]", "_", name)
            tags = f"kind:{kind},name:{safe},pod:{os.environ.get('HOSTNAME', '')}"
            lines += [
                f"airdock.login_expiration:{first.end:.0f}|g|#{tags}",
                f"airdock.login_renewal:{first.renewal:.0f}|g|#{tags}",
            ]
    with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        for line in lines:
            sender.sendto(line.encode(), (host, PORT))


def found() -> Iterator[tuple[str, str, Iterable[Login]]]:
    """Kind, name and logins of each file. They are read when they are asked for."""
    for file in sorted(CLUSTERS.glob("*/kubeconfig")):
        yield "kubeconfig", file.parent.name, in_kubeconfig(file)
    for file in sorted(STORES.glob("*/*.crt")):
        yield "certificate", f"{file.parent.name}/{file.name}", in_file(file)
    config = Path(os.environ.get("DOCKER_CONFIG") or "/nowhere") / "config.json"
    if config.is_file():
        yield from in_docker_config(config)


def in_kubeconfig(file: Path) -> Iterator[Login]:
    """The certificates and tokens that it contains; not those of files and programs that it names."""
    import yaml

    config = yaml.safe_load(file.read_text()) or {}
    for each in config.get("users") or []:
        user = each.get("user") or {}
        yield from in_token(user.get("token") or "")
        yield from in_pem(base64.b64decode(user.get("client-certificate-data") or ""))
    for each in config.get("clusters") or []:
        cluster = each.get("cluster") or {}
        yield from in_pem(base64.b64decode(cluster.get("certificate-authority-data") or ""))


def in_docker_config(file: Path) -> Iterator[tuple[str, str, Iterable[Login]]]:
    """Each registry's, as `docker login` writes them."""
    try:
        logins = (json.loads(file.read_text()).get("auths") or {}).items()
    except Exception as error:
        print(f"{file} cannot be read: {error!r}", file=sys.stderr)
        return
    for registry, login in logins:
        yield "registry", registry, in_docker_login(login)


def in_docker_login(login: dict[str, str]) -> Iterator[Login]:
    """The end of its password or token."""
    _, _, password = base64.b64decode(login.get("auth") or "").decode().partition(":")
    for token in (password, login.get("password"), login.get("identitytoken"), login.get("registrytoken")):
        yield from in_token(token or "")


def in_token(token: str) -> Iterator[Login]:
    """The end of a JSON Web Token (RFC 7519, 4.1.4 and 4.1.6), or of a password of Amazon ECR."""
    parts = token.split(".")
    claims = _json(parts[1]) if len(parts) == 3 else {}
    if "exp" in claims:
        issued = claims.get("iat", claims.get("nbf"))
        yield Login(None if issued is None else float(issued), float(claims["exp"]))
    elif "expiration" in (password := _json(token)):
        end = float(password["expiration"])
        yield Login(end - ECR, end)


def _json(text: str) -> dict[str, Any]:
    """What base64, of either alphabet, contains; {} if that is no JSON object."""
    try:
        value = json.loads(base64.urlsafe_b64decode(text.replace("+", "-").replace("/", "_") + "==="))
    except ValueError:
        return {}
    return value if isinstance(value, dict) else {}


def in_file(file: Path) -> Iterator[Login]:
    """The ends of the certificates of a file in PEM."""
    yield from in_pem(file.read_bytes())


def in_pem(text: bytes) -> Iterator[Login]:
    """The same of a text."""
    if not text:
        return
    from cryptography import x509

    for each in x509.load_pem_x509_certificates(text):
        yield Login(each.not_valid_before_utc.timestamp(), each.not_valid_after_utc.timestamp())
