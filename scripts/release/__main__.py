"""Write the packaged chart, its SBOM and the Python package to a directory; sign the chart.

With --to, push the chart to an OCI registry. The same commit gives the same files. SOURCE_DATE_EPOCH replaces
the time of the commit.
CI can set KEYRING_BASE64 in place of --keyring, and PASSPHRASE, in the environment.

Exit code: 0 done, 1 it cannot be done.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

from scripts.chart import ROOT, RenderError
from scripts.release.archive import Release, pack
from scripts.release.helm import ReleaseError
from scripts.release.publish import push
from scripts.release.signing import signer
from scripts.release.wheel import wheel
from scripts.tools import ToolError


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.release", description=__doc__)
    parser.add_argument(
        "--version", default="", metavar="vX.Y.Z", help="fail unless this is what is released"
    )
    parser.add_argument("--source", default="", metavar="URL", help="the repository's address, for links")
    parser.add_argument("--sign-key", default="", metavar="NAME", help="user ID of the key that signs")
    parser.add_argument("--keyring", type=Path, metavar="FILE", help="keyring with the secret key")
    parser.add_argument("--to", default="", metavar="oci://REGISTRY/PATH", help="push it there")
    parser.add_argument("--plain-http", action="store_true", help="push without TLS")
    parser.add_argument("--destination", type=Path, default=ROOT / "dist", metavar="DIR")
    options = parser.parse_args(arguments)
    try:
        released = Release(version=options.version, source=options.source.removesuffix("/"))
        with signer(options.sign_key, options.keyring) as who:
            archive = pack(released, options.destination, who)
        if who is None:
            print("The package is not signed: SIGN_KEY is not set.", file=sys.stderr)
        print(archive)
        print(wheel(released, options.destination / "python"))
        if options.to:
            print(push(archive, options.to, options.plain_http))
    except (ReleaseError, RenderError, ToolError) as error:
        print(f"release: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
