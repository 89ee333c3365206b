"""The versions of the Docker API: the one place that every answer takes them from."""

from __future__ import annotations

from typing import NamedTuple


class ApiVersion(NamedTuple):
    """A version of the Docker API."""

    major: int
    minor: int

    def __str__(self) -> str:
        return f"{self.major}.{self.minor}"


class ApiVersions(NamedTuple):
    """What is spoken. `oldest` to `newest` may stand in a client's paths.

    What changed between them is not served here, or is read in every form: so all are answered alike.
    `advertised` is what `version` and every answer's head say; docker-py takes it as its own.
    """

    oldest: ApiVersion
    advertised: ApiVersion
    newest: ApiVersion


API = ApiVersions(ApiVersion(1, 24), ApiVersion(1, 47), ApiVersion(1, 56))


def spoken_with(daemon: str) -> ApiVersion:
    """Give the version that both this gateway and a daemon of version `daemon` speak."""
    major, minor = daemon.split(".")
    return min(ApiVersion(int(major), int(minor)), API.advertised)
