"""The key that signs packaged charts (OpenPGP), as `helm verify` and `helm install --verify` want it."""

from __future__ import annotations

import base64
import binascii
import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from scripts.chart import ROOT
from scripts.release.helm import ReleaseError, helm
from scripts.release.metadata import SigningKey
from scripts.tools import apt

#: The public key. The maintainer commits it, in the binary form, which Helm 3 reads, too.
PUBLIC = ROOT / "signing-key.gpg"


@dataclass(frozen=True)
class Signer:
    """Signs with a secret key."""

    #: A user ID of the key, or a part of it.
    name: str
    keyring: Path
    passphrase: str | None = None

    @property
    def flags(self) -> list[str]:
        """For `helm package`, with the passphrase as its standard input."""
        asked = ["--passphrase-file", "-"] if self.passphrase else []
        return ["--sign", "--key", self.name, "--keyring", str(self.keyring), *asked]

    def verify(self, archive: Path) -> None:
        """Verify a signature as users do.

        Raises:
            ReleaseError: if it does not verify; the signature is then removed.
        """
        try:
            helm(
                "verify",
                str(archive),
                "--keyring",
                str(PUBLIC if PUBLIC.exists() else self.keyring),
            )
        except ReleaseError:
            archive.with_name(f"{archive.name}.prov").unlink()
            raise


def public_key() -> SigningKey | None:
    """The key that users verify with, if the repository has one.

    Raises:
        ReleaseError: if the file is no public key.
        ToolError: if gpg cannot be had.
    """
    if not PUBLIC.exists():
        return None
    if shutil.which("gpg") is None:
        apt.install(["gpg"], "reading the signing key")
    with TemporaryDirectory() as home:
        command = ["gpg", "--homedir", home, "--show-keys", "--with-colons", str(PUBLIC)]
        shown = subprocess.run(command, capture_output=True, text=True).stdout
    found = re.search(r"(?m)^pub:.*\nfpr:+([0-9A-F]+):$", shown)
    if found is None:
        raise ReleaseError(
            f"{PUBLIC.name} is no public key: write it with `gpg --export KEY > {PUBLIC.name}`."
        )
    return SigningKey(found[1], PUBLIC.name)


@contextmanager
def signer(name: str, keyring: Path | None) -> Iterator[Signer | None]:
    """Who signs; None without a name.

    The secret key is in a file, or in KEYRING_BASE64 of the environment; PASSPHRASE is there, too.

    Raises:
        ReleaseError: if there is a name and no keyring.
    """
    text, passphrase = os.environ.get("KEYRING_BASE64", ""), os.environ.get("PASSPHRASE") or None
    if not name:
        yield None
    elif keyring is not None:
        if not keyring.is_file():
            raise ReleaseError(f"KEYRING: there is no file {keyring}.")
        yield Signer(name, keyring, passphrase)
    elif text:
        with TemporaryDirectory() as scratch:  # Nobody else may open it.
            ring = Path(scratch, "keyring")
            try:
                ring.write_bytes(base64.b64decode(text, validate=True))
            except binascii.Error as error:
                raise ReleaseError(
                    "KEYRING_BASE64 is not base64: write it with `base64 --wrap 0`."
                ) from error
            yield Signer(name, ring, passphrase)
    else:
        raise ReleaseError("SIGN_KEY needs KEYRING, a file that `gpg --export-secret-keys KEY` has written.")
