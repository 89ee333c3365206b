"""Writes the CA certificates of the image and those of `trust` into one file: most programs read only one.

    python -SE trust.py OWN RESULT

Both are files in PEM. Ends with 1 and a message if OWN has no certificate.
"""

from __future__ import annotations

import ssl
import sys
from pathlib import Path

#: Where Linux distributions have theirs, after OpenSSL's own default: Debian and Alpine, Fedora and RHEL.
_SYSTEM = ("/etc/ssl/certs/ca-certificates.crt", "/etc/pki/tls/certs/ca-bundle.crt")


def main(own: str, result: str) -> str:
    """Give what is wrong, or nothing."""
    try:
        ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT).load_verify_locations(cafile=own)
    except ssl.SSLError as error:
        return (
            f"airdock: trust: the key trust.key of the ConfigMap or Secret has no whole certificate: {error}."
            " Put the CA certificates there in PEM, each between BEGIN CERTIFICATE and END CERTIFICATE."
        )
    places = (ssl.get_default_verify_paths().cafile, *_SYSTEM)
    system = next((Path(each) for each in places if each and Path(each).is_file()), None)
    if system is None:
        print("airdock: trust: the image has no CA certificates, so only those of trust count", flush=True)
    known = system.read_bytes() if system else b""
    Path(result).write_bytes(known + b"\n" + Path(own).read_bytes() + b"\n")
    return ""


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]) or None)
