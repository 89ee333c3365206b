"""Signatures, and the way through an OCI registry: what the maintainer and a user type."""

from __future__ import annotations

import base64
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
import yaml

from scripts import tools
from scripts.chart import HELM3, HELM4, KUBE_VERSIONS
from scripts.release import signing
from scripts.release.__main__ import main
from scripts.release.archive import Release, pack
from scripts.release.helm import ReleaseError
from scripts.release.publish import push
from scripts.release.signing import Signer, public_key, signer
from tests.release.conftest import Keys
from tests.release.test_archive import SOURCE, VERSION, dated, metadata
from tests.support.registry import serving

HELMS = pytest.mark.parametrize("helm", [HELM4, HELM3])


def run(helm: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run([tools.pinned(helm), *arguments], capture_output=True, text=True)


@pytest.fixture(scope="module")
def signed(keys: Keys, tmp_path_factory: pytest.TempPathFactory) -> Path:
    who = Signer("maintainer@example.com", keys.secret, keys.passphrase)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(signing, "PUBLIC", keys.public)
        return pack(Release(source=SOURCE), tmp_path_factory.mktemp("dist"), who)


@pytest.fixture
def registry(tmp_path: Path) -> Iterator[str]:
    folder = tmp_path / "registry"
    folder.mkdir()
    with serving(folder) as address:
        yield f"oci://{address}/charts"


@HELMS
def test_users_verify_with_the_public_key(helm: str, signed: Path, keys: Keys, other_keys: Keys) -> None:
    done = run(helm, "verify", signed, "--keyring", keys.public)
    assert done.returncode == 0, done.stderr
    assert "Signed by: maintainer <maintainer@example.com>" in done.stdout
    refused = run(helm, "verify", signed, "--keyring", other_keys.public)
    assert refused.returncode != 0 and "signature made by unknown entity" in refused.stderr


@HELMS
def test_a_changed_archive_does_not_verify(helm: str, signed: Path, keys: Keys, tmp_path: Path) -> None:
    changed = tmp_path / signed.name
    changed.write_bytes(signed.read_bytes()[:-1] + b"x")
    shutil.copy(f"{signed}.prov", tmp_path)
    refused = run(helm, "verify", changed, "--keyring", keys.public)
    assert refused.returncode != 0 and "sha256 sum does not match" in refused.stderr


def test_the_chart_names_the_key(
    signed: Path, keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    key = yaml.safe_load(metadata(signed)["annotations"]["artifacthub.io/signKey"])
    assert key["url"] == f"{SOURCE}/raw/v{VERSION}/{keys.public.name}"
    shown = run(HELM4, "verify", signed, "--keyring", keys.public).stdout
    assert f"Using Key With Fingerprint: {key['fingerprint']}" in shown
    without = pack(Release(source=SOURCE), tmp_path, Signer(keys.name, keys.secret, keys.passphrase))
    assert "artifacthub.io/signKey" not in metadata(without)["annotations"]
    # Who checks a release has no secret key, and gets the same bytes.
    monkeypatch.setattr(signing, "PUBLIC", keys.public)
    assert pack(Release(source=SOURCE), tmp_path).read_bytes() == signed.read_bytes()


def test_a_signature_by_another_key_is_no_release(
    keys: Keys, other_keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(signing, "PUBLIC", keys.public)
    with pytest.raises(ReleaseError, match="signature made by unknown entity"):
        pack(Release(), tmp_path, Signer("somebody", other_keys.secret))
    assert not list(tmp_path.glob("*.prov"))


def test_a_release_is_signed_if_there_is_a_public_key(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    changelog = dated(tmp_path)
    assert pack(Release(version=f"v{VERSION}"), tmp_path / "dist", changelog=changelog).is_file()
    monkeypatch.setattr(signing, "PUBLIC", keys.public)
    with pytest.raises(ReleaseError, match="set SIGN_KEY and KEYRING"):
        pack(Release(version=f"v{VERSION}"), tmp_path / "dist", changelog=changelog)


def test_the_public_key_is_public(keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    assert public_key() is None
    (tmp_path / "text").write_text("no key")
    for file in (keys.secret, tmp_path / "text"):
        monkeypatch.setattr(signing, "PUBLIC", file)
        with pytest.raises(ReleaseError, match="is no public key"):
            public_key()


def test_the_command_signs_with_a_file_or_the_environment(
    keys: Keys, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PASSPHRASE", keys.passphrase)
    command = ["--destination", str(tmp_path), "--sign-key", keys.name]
    provenance = tmp_path / f"airdock-{VERSION}.tgz.prov"
    assert main([*command, "--keyring", str(keys.secret)]) == 0, capsys.readouterr().err
    assert provenance.is_file()
    provenance.unlink()
    monkeypatch.setenv("KEYRING_BASE64", base64.b64encode(keys.secret.read_bytes()).decode())
    assert main(command) == 0, capsys.readouterr().err
    assert provenance.is_file()
    # A package without a signature has none of the one before.
    assert main(["--destination", str(tmp_path)]) == 0
    assert not provenance.exists()
    assert "is not signed" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("keyring", "variable", "message"),
    [
        ("", "", "SIGN_KEY needs KEYRING"),
        ("missing.gpg", "", "there is no file missing.gpg"),
        ("", "%", "KEYRING_BASE64 is not base64"),
    ],
)
def test_a_key_that_is_missing(
    keyring: str, variable: str, message: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("KEYRING_BASE64", variable)
    with pytest.raises(ReleaseError, match=message), signer("x", Path(keyring) if keyring else None):
        pass


@HELMS
def test_from_a_registry(
    helm: str, signed: Path, keys: Keys, other_keys: Keys, registry: str, tmp_path: Path
) -> None:
    """Push, pull, verify, and render from the registry; `helm install` loads a chart as `template` does."""
    pushed = push(signed, registry)
    assert f"charts/airdock:{VERSION}" in pushed
    chart = [f"{registry}/airdock", "--version", VERSION, "--plain-http"]
    template = ["template", "airdock", *chart, "--kube-version", KUBE_VERSIONS[-1]]
    verify = ["--verify", "--keyring", str(keys.public)]
    done = run(helm, "pull", *chart, *verify, "--destination", tmp_path)
    assert done.returncode == 0, done.stderr
    assert (tmp_path / signed.name).read_bytes() == signed.read_bytes()
    rendered = run(helm, *template, *verify)
    assert rendered.returncode == 0, rendered.stderr
    assert f'helm.sh/chart: "airdock-{VERSION}"' in rendered.stdout
    refused = run(helm, *template, "--verify", "--keyring", other_keys.public)
    assert refused.returncode != 0 and "signature made by unknown entity" in refused.stderr


def test_an_unsigned_chart_does_not_verify(registry: str, keys: Keys, tmp_path: Path) -> None:
    push(pack(Release(), tmp_path), registry)
    chart = [f"{registry}/airdock", "--version", VERSION, "--plain-http"]
    template = ["template", "airdock", *chart, "--kube-version", KUBE_VERSIONS[-1]]
    assert run(HELM4, *template).returncode == 0
    refused = run(HELM4, *template, "--verify", "--keyring", keys.public)
    assert refused.returncode != 0


def test_a_version_is_pushed_once(registry: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """The manifest's digest is that of the source, too: Helm writes the archive's time into it."""
    archive = pack(Release(), tmp_path / "one")
    digests = []
    for zone, path in (("UTC", "charts"), ("Asia/Tokyo", "again")):
        monkeypatch.setenv("TZ", zone)
        said = push(pack(Release(), tmp_path / path), registry.replace("charts", path))
        digests.append(next(line for line in said.splitlines() if line.startswith("Digest: ")))
    assert digests[0] == digests[1]
    assert push(archive, registry).endswith("has this content already.")
    other = pack(Release(source=SOURCE), tmp_path / "two")
    with pytest.raises(ReleaseError, match="exists with other content"):
        push(other, registry)


def test_an_address_that_is_no_registry(tmp_path: Path) -> None:
    for to in ("registry.example.com/charts", "oci://registry.example.com"):
        with pytest.raises(ReleaseError, match="is no OCI registry with a path"):
            push(tmp_path / "airdock-1.2.3.tgz", to)
