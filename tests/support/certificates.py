"""Certificate authorities of tests, and certificates for their servers."""

from __future__ import annotations

import subprocess
from pathlib import Path


def openssl(*words: str | Path) -> None:
    subprocess.run(["openssl", *map(str, words)], check=True, capture_output=True)


def authority(directory: Path, name: str) -> tuple[Path, Path]:
    """Make a CA and give its key and certificate."""
    key, certificate = directory / f"{name}.key", directory / f"{name}.crt"
    openssl(
        "req", "-x509", "-newkey", "rsa:2048", "-noenc", "-days", "2", "-subj", f"/CN={name}",
        "-keyout", key, "-out", certificate,
        # Python 3.13 asks for both (ssl.VERIFY_X509_STRICT).
        "-addext", "keyUsage=critical,keyCertSign,cRLSign", "-addext", "basicConstraints=critical,CA:true",
    )  # fmt: skip
    return key, certificate


def certificate(directory: Path, name: str, namespace: str, ca: tuple[Path, Path]) -> dict[str, str]:
    """Give the data of a Secret, with ca.crt, for the Service of this name."""
    key, request, signed = (directory / f"{name}.{end}" for end in ("key", "csr", "crt"))
    names = directory / f"{name}.names"
    names.write_text(
        f"subjectAltName=DNS:{name},DNS:{name}.{namespace}.svc\n"
        "subjectKeyIdentifier=hash\nauthorityKeyIdentifier=keyid\n"
    )
    openssl("req", "-newkey", "rsa:2048", "-noenc", "-subj", f"/CN={name}", "-keyout", key, "-out", request)
    openssl(
        "x509", "-req", "-days", "2", "-in", request, "-CA", ca[1], "-CAkey", ca[0], "-CAcreateserial",
        "-extfile", names, "-out", signed,
    )  # fmt: skip
    return {"tls.key": key.read_text(), "tls.crt": signed.read_text(), "ca.crt": ca[1].read_text()}
