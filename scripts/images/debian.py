"""Debian packages for the build: the host's mirror and apt settings, none of which stays in an image."""

from __future__ import annotations

import os
import platform
import re
import subprocess
from pathlib import Path

from scripts.images.catalog import BASE, SUITE
from scripts.images.errors import ImageError
from scripts.tools import ToolError, apt

_OFFICIAL = "http://deb.debian.org"
_SOURCES = """\
Types: deb
URIs: {mirror}
Suites: {suite} {suite}-updates
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg

Types: deb
URIs: {security}
Suites: {suite}-security
Components: main
Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg
"""
#: Where the host keeps the certificates that it trusts, if nothing in the environment says.
_CERTIFICATES = "/etc/ssl/certs/ca-certificates.crt"


def sources(*, of_host: bool) -> str:
    """Text of a deb822 sources file: with the host's mirrors, or with Debian's own for the image."""
    configured = "\n".join(_configured()) if of_host else ""
    uris = re.findall(r"https?://[^\s\]]+", configured)
    mirror = next((uri for uri in uris if re.search(r"/debian/?$", uri)), f"{_OFFICIAL}/debian")
    security = next(
        (uri for uri in uris if re.search(r"/debian-security/?$", uri)), f"{_OFFICIAL}/debian-security"
    )
    return _SOURCES.format(mirror=mirror, security=security, suite=SUITE)


def _configured() -> list[str]:
    """The lines of the host's apt sources that are no comments."""
    files = [Path("/etc/apt/sources.list"), *sorted(Path("/etc/apt/sources.list.d").glob("*"))]
    lines = [
        line for file in files if file.is_file() for line in file.read_text(errors="replace").splitlines()
    ]
    return [line for line in lines if not line.lstrip().startswith("#")]


def apt_settings() -> str:
    """Text of an apt.conf: how the host fetches (proxies, retries), and quietly."""
    dump = subprocess.run(["apt-config", "dump"], capture_output=True, text=True).stdout
    fetching = [
        line for line in dump.splitlines() if re.match(r"Acquire::(\w+::Proxy|Check|http|Retries)", line)
    ]
    quiet = ['Acquire::Languages "none";', 'APT::Install-Recommends "false";', 'Dpkg::Use-Pty "false";']
    return "\n".join([*fetching, *quiet, 'Acquire::https::CAInfo "/mnt/certificates.pem";', ""])


def certificates() -> Path:
    """The certificates that the host trusts, one PEM file."""
    return Path(os.environ.get("SSL_CERT_FILE") or _CERTIFICATES)


def proxies() -> dict[str, str]:
    """The host's proxy variables, for the environment of what fetches."""
    return {
        name: value for name, value in os.environ.items() if re.fullmatch(r"(?i)(https?|no|all)_proxy", name)
    }


def bootstrap(directory: Path) -> None:
    """Install Debian into ``directory``, and clear it of what came from this host.

    Raises:
        ImageError: if mmdebstrap cannot be had or fails.
    """
    try:
        if not Path("/usr/bin/mmdebstrap").exists():
            apt.install(["mmdebstrap", "debian-archive-keyring"], "building stand-in images")
    except ToolError as error:
        raise ImageError(str(error)) from error
    command = [
        "mmdebstrap",
        "--mode=root",
        "--variant=minbase",
        f"--include={','.join(BASE.packages)}",
        "--quiet",
    ]
    # Like Debian's own slim images: no documentation, no translations but what a program needs to run.
    command += [
        f"--dpkgopt=path-exclude=/usr/share/{where}/*"
        for where in ("doc", "man", "info", "locale", "lintian")
    ]
    command += [
        f"--dpkgopt=path-include=/usr/share/{kept}" for kept in ("doc/*/copyright", "locale/locale.alias")
    ]
    command += [f"--aptopt={line}" for line in apt_settings().splitlines() if "CAInfo" not in line]
    done = subprocess.run(
        [*command, SUITE, str(directory), "-"], input=sources(of_host=True), capture_output=True, text=True
    )
    if done.returncode != 0:
        tail = " ".join(done.stderr.strip().splitlines()[-4:])
        raise ImageError(
            f"mmdebstrap of Debian {SUITE} failed (is the mirror in /etc/apt reachable?): {tail}"
        )
    _clear(directory / "etc")


def _clear(etc: Path) -> None:
    """Put Debian's own settings where the bootstrap left this host's."""
    for name in ("apt/apt.conf.d/99mmdebstrap", "apt/sources.list", "hostname"):
        (etc / name).unlink(missing_ok=True)
    for file in (etc / "apt" / "sources.list.d").glob("*"):
        file.unlink()
    (etc / "apt" / "sources.list.d" / "debian.sources").write_text(sources(of_host=False))
    # Empty files: mount points, here for the build and in a container for the runtime's own.
    for name in ("resolv.conf", "hosts"):
        (etc / name).write_text("")
        (etc / name).chmod(0o644)
    (etc / "machine-id").unlink(missing_ok=True)


def wheel_platforms() -> list[str]:
    """pip's names of the platforms whose wheels run on Debian 13 (glibc 2.41)."""
    machine = platform.machine()
    return [f"manylinux_2_{minor}_{machine}" for minor in range(41, 16, -1)] + [f"manylinux2014_{machine}"]
