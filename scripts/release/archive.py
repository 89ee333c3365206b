"""Packs the chart: a copy with the generated fields of Chart.yaml, by Helm, with the time of the commit."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import yaml

from scripts.chart import CHART, ROOT, load_yaml, render
from scripts.mirror.needed import needed
from scripts.release import signing
from scripts.release.helm import ReleaseError, helm
from scripts.release.metadata import completed, linked, section_of
from scripts.release.sbom import sbom
from scripts.release.signing import Signer, public_key


@dataclass(frozen=True)
class Release:
    """What is released."""

    #: A tag such as v1.2.3, which Chart.yaml and CHANGELOG.md must agree with; empty: not a release yet.
    version: str = ""
    #: The repository's address.
    source: str = ""


def pack(
    release: Release,
    destination: Path,
    signer: Signer | None = None,
    *,
    chart: Path = CHART,
    changelog: Path = ROOT / "CHANGELOG.md",
) -> Path:
    """Write <name>-<version>.tgz, .cdx.json and, with a signer, .tgz.prov; returns the first.

    Raises:
        ReleaseError: if versions do not agree, a signature is missing or does not verify, or Helm fails.
        RenderError: if the default values cannot be rendered, for the list of images.
        ToolError: if Helm cannot be had.
    """
    metadata = load_yaml((chart / "Chart.yaml").read_text(), "Chart.yaml")[0]
    version = str(metadata["version"])
    section = section_of(changelog.read_text(), version)
    if release.version and release.version != f"v{version}":
        raise ReleaseError(f"charts/airdock/Chart.yaml has version {version}, not {release.version[1:]}.")
    if release.version and not section.released:
        raise ReleaseError(f"CHANGELOG.md has no date for {version}: write `## {version} - YYYY-MM-DD`.")
    if release.version and signer is None and signing.PUBLIC.exists():
        raise ReleaseError(
            f"Releases are signed with the key in {signing.PUBLIC.name}: set SIGN_KEY and KEYRING."
        )
    images = [image.name for image in needed(render(chart=chart))]
    metadata = completed(metadata, section, images, release.source, public_key())
    at = epoch()
    destination.mkdir(parents=True, exist_ok=True)
    archive = destination / f"{metadata['name']}-{version}.tgz"
    archive.with_name(f"{archive.name}.prov").unlink(missing_ok=True)
    with TemporaryDirectory() as scratch:
        copy = Path(scratch, chart.name)
        shutil.copytree(chart, copy)
        (copy / "Chart.yaml").write_text(yaml.safe_dump(metadata, sort_keys=False, allow_unicode=True))
        (copy / "README.md").write_text(linked((copy / "README.md").read_text(), version, release.source))
        # Helm keeps it in the Secret of each release.
        schema = copy / "values.schema.json"
        schema.write_text(json.dumps(json.loads(schema.read_text()), separators=(",", ":")))
        command = ["package", str(copy), "--destination", str(destination), *(signer.flags if signer else ())]
        helm(*command, stdin=signer.passphrase if signer else None, SOURCE_DATE_EPOCH=str(at))
    if signer:
        signer.verify(archive)
    # Helm writes this time into the registry's manifest: with it, the manifest has the same digest, too.
    os.utime(archive, (at, at))
    archive.with_suffix(".cdx.json").write_text(sbom(archive, metadata, images, at))
    return archive


def epoch() -> int:
    """The time of the release: SOURCE_DATE_EPOCH, or that of the commit.

    Raises:
        ReleaseError: if neither is known.
    """
    at = os.environ.get("SOURCE_DATE_EPOCH") or _git("log", "-1", "--format=%ct")
    if not at.isdecimal():
        raise ReleaseError(
            "The time of the commit is not known: set SOURCE_DATE_EPOCH, in seconds since 1970."
        )
    return int(at)


def _git(*arguments: str) -> str:
    if shutil.which("git") is None:
        return ""
    return subprocess.run(["git", *arguments], cwd=ROOT, capture_output=True, text=True).stdout.strip()
