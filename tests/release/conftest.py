"""A key pair for a moment."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from scripts.release import signing
from scripts.tools import apt


@dataclass(frozen=True)
class Keys:
    """A key pair, as `gpg` exports it."""

    name: str
    secret: Path
    public: Path
    passphrase: str


def generate(home: Path, name: str, passphrase: str) -> Keys:
    def gpg(*arguments: str) -> bytes:
        command = ["gpg", "--homedir", str(home), "--batch", "--pinentry-mode", "loopback"]
        command += ["--passphrase", passphrase, *arguments]
        return subprocess.run(command, check=True, capture_output=True).stdout

    user = f"{name} <{name}@example.com>"
    gpg("--quick-generate-key", user, "rsa2048", "sign", "never")
    keys = Keys(user, home / f"{name}.secret", home / f"{name}.public", passphrase)
    keys.secret.write_bytes(gpg("--export-secret-keys", user))
    keys.public.write_bytes(gpg("--export", user))
    return keys


@pytest.fixture(scope="session")
def home() -> Iterator[Path]:
    """A directory for gpg; not below pytest's, since the path of a socket in it is limited to 107 bytes."""
    if shutil.which("gpg") is None or shutil.which("gpg-agent") is None:
        apt.install(["gnupg"], "the tests of signed packages")
    with TemporaryDirectory() as directory:
        yield Path(directory)
        subprocess.run(["gpgconf", "--homedir", directory, "--kill", "gpg-agent"], check=True)


@pytest.fixture(scope="session")
def keys(home: Path) -> Keys:
    """The maintainer's."""
    return generate(home, "maintainer", "correct horse")


@pytest.fixture(scope="session")
def other_keys(home: Path) -> Keys:
    """Somebody else's."""
    return generate(home, "somebody", "")


@pytest.fixture(autouse=True, scope="session")
def environment() -> Iterator[None]:
    """The same time for each package, and nothing of the developer's or the repository's."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("SOURCE_DATE_EPOCH", "1790000000")
        patch.delenv("KEYRING_BASE64", raising=False)
        patch.delenv("PASSPHRASE", raising=False)
        patch.setattr(signing, "PUBLIC", Path("no-signing-key.gpg"))
        yield
