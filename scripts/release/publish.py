"""Pushes a packaged chart, with its signature, to an OCI registry."""

from __future__ import annotations

import re
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.release.helm import ReleaseError, helm


def push(archive: Path, to: str, plain_http: bool = False) -> str:
    """Push the archive to oci://REGISTRY/PATH; returns what Helm says: reference and digest.

    A version that is there stays: others may have pinned its digest. Logins are those of
    `helm registry login` or `docker login`. A registry on this machine is reached without TLS, and any other
    with `plain_http`.

    Raises:
        ReleaseError: if that is no registry, the version is there with other content, or Helm fails.
    """
    host = re.fullmatch(r"oci://([^/]+)/.+", to)
    if host is None:
        raise ReleaseError(
            f"TO={to} is no OCI registry with a path, such as oci://registry.example.com/charts."
        )
    local = re.fullmatch(r"(localhost|127\.0\.0\.1)(:\d+)?", host[1])
    plain = ["--plain-http"] if plain_http or local else []
    name, _, version = archive.name.removesuffix(".tgz").partition("-")
    with TemporaryDirectory() as scratch:
        pull = ["pull", f"{to}/{name}", "--version", version, "--destination", scratch, *plain]
        try:
            helm(*pull)
        except ReleaseError as error:
            if "not found" not in str(error).lower():
                raise
        else:
            if Path(scratch, archive.name).read_bytes() != archive.read_bytes():
                raise ReleaseError(
                    f"{to}/{name}:{version} exists with other content. "
                    "Raise `version` in charts/airdock/Chart.yaml."
                )
            return f"{to}/{name}:{version} has this content already."
    return helm("push", str(archive), to, *plain, TZ="UTC").strip()
