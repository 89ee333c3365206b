"""`make package`: equal bytes, the generated fields of Chart.yaml, the SBOM, and what is refused."""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import tarfile
import time
import zipfile
from pathlib import Path
from typing import Any

import pytest
import yaml
from cyclonedx.schema import SchemaVersion
from cyclonedx.validation.json import JsonStrictValidator

from scripts import tools
from scripts.chart import CHART, HELM3, HELM4, ROOT, load_yaml, render
from scripts.lint.address import LABEL
from scripts.lint.command import FAILURES
from scripts.mirror.needed import needed
from scripts.release.__main__ import main
from scripts.release.archive import Release, epoch, pack
from scripts.release.helm import ReleaseError
from scripts.release.metadata import MOST, changes, sections
from scripts.release.wheel import wheel

SOURCE = "https://git.example.com/team/airdock"
CHANGELOG = (ROOT / "CHANGELOG.md").read_text()
VERSION = str(load_yaml((CHART / "Chart.yaml").read_text())[0]["version"])


def content(archive: Path) -> dict[str, str]:
    with tarfile.open(archive) as packed:
        return {entry.name: packed.extractfile(entry).read().decode() for entry in packed}  # type: ignore[union-attr]


def metadata(archive: Path) -> dict[str, Any]:
    found: dict[str, Any] = load_yaml(content(archive)["airdock/Chart.yaml"])[0]
    return found


@pytest.fixture(scope="module")
def archive(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return pack(Release(source=SOURCE), tmp_path_factory.mktemp("dist"))


def dated(tmp_path: Path) -> Path:
    """CHANGELOG.md as it is on the day of the release."""
    file = tmp_path / "CHANGELOG.md"
    file.write_text(CHANGELOG.replace(f"## {VERSION} - unreleased", f"## {VERSION} - 2026-12-24"))
    return file


def test_the_same_source_gives_the_same_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    packages = []
    for number, zone in enumerate(("UTC", "Asia/Tokyo")):
        monkeypatch.setenv("TZ", zone)
        chart = shutil.copytree(
            CHART, tmp_path / f"clone-{number}" / "airdock", copy_function=shutil.copyfile
        )
        for path in chart.rglob("*"):
            os.utime(path, (number * 1_000_000, number * 1_000_000))
            path.chmod(0o755 if path.is_dir() or number else 0o644)
        archive = pack(Release(), tmp_path / f"dist-{number}", chart=chart)
        packages.append([(file.name, file.read_bytes()) for file in sorted(archive.parent.iterdir())])
        assert archive.stat().st_mtime == epoch()
        time.sleep(1.1)  # The resolution of times in an archive.
    assert [name for name, _ in packages[0]] == [f"airdock-{VERSION}.cdx.json", f"airdock-{VERSION}.tgz"]
    assert packages[0] == packages[1]


def test_the_time_is_the_commits(monkeypatch: pytest.MonkeyPatch) -> None:
    assert epoch() == 1790000000
    monkeypatch.delenv("SOURCE_DATE_EPOCH")
    commit = subprocess.run(["git", "log", "-1", "--format=%ct"], cwd=ROOT, capture_output=True, text=True)
    assert epoch() == int(commit.stdout)
    monkeypatch.setenv("PATH", "")
    with pytest.raises(ReleaseError, match="set SOURCE_DATE_EPOCH"):
        epoch()


def test_changes_are_those_of_the_changelog(archive: Path) -> None:
    annotations = metadata(archive)["annotations"]
    listed = yaml.safe_load(annotations["artifacthub.io/changes"])
    newest = CHANGELOG.split("\n## ")[1]
    lines = [line for line in newest.splitlines() if line.startswith("- ")]
    left = len(lines) - len(listed) + 1
    if listed[-1]["description"] == f"CHANGELOG.md has {left} more changes.":
        assert len(annotations["artifacthub.io/changes"]) > MOST
        del listed[-1]
    else:
        assert len(listed) == len(lines)
    for change, line in zip(listed, lines, strict=False):
        before, link, _ = line.removeprefix("- ").replace("**", "").partition("](")
        start = before.replace("[", "") if link else before
        assert start.startswith(change["description"]) or change["description"].startswith(start), line
    security = annotations["artifacthub.io/containsSecurityUpdates"]
    assert security == str("### Security" in newest).lower()


def test_changes_in_short() -> None:
    head = "# Changelog\n\n## 1.2.3 - unreleased\n\n"
    text = "### Fixed\n- **`a.b` is in [docs/x.md](docs/x.md#a).** Set `c`, e.g. to 1.5. More.\n- One\n"
    (section,) = sections(f"{head}{text}\n### Added\n- Two. Three.\n")
    assert section.changes == (("fixed", "`a.b` is in docs/x.md."), ("fixed", "One"), ("added", "Two."))
    assert [change["kind"] for change in changes(section)] == ["fixed", "fixed", "added"]
    (long,) = sections(head + "### Removed\n" + f"- {'x' * (MOST // 4)}\n" * 6)
    assert [len(change["description"]) for change in changes(long)[:-1]] == [MOST // 4] * 4
    assert changes(long)[-1] == {"kind": "changed", "description": "CHANGELOG.md has 2 more changes."}


def test_images_are_those_of_the_default_values(archive: Path) -> None:
    wanted = [image.name for image in needed(render())]
    listed = yaml.safe_load(metadata(archive)["annotations"]["artifacthub.io/images"])
    assert [each["image"] for each in listed] == wanted
    assert [each["name"] for each in listed] == ["airflow", "busybox", "postgres", "valkey"]
    bom = json.loads(archive.with_suffix(".cdx.json").read_text())
    assert [each["bom-ref"] for each in bom["components"]] == wanted


def test_addresses_are_those_of_the_repository(archive: Path, tmp_path: Path) -> None:
    found = metadata(archive)
    assert found["home"] == SOURCE
    assert found["sources"] == [SOURCE]
    assert found["maintainers"] == [{"name": "team", "url": "https://git.example.com/team"}]
    links = yaml.safe_load(found["annotations"]["artifacthub.io/links"])
    for url in (found["icon"], *(link["url"] for link in links)):
        place, _, _ = url.removeprefix(f"{SOURCE}/").partition("#")
        kind, version, name = place.split("/", 2)
        assert kind in ("raw", "blob") and version == f"v{VERSION}"
        assert (ROOT / name).is_file(), url
    readme = content(archive)["airdock/README.md"]
    assert f"]({SOURCE}/blob/v{VERSION}/docs/modes.md)" in readme and "](../" not in readme
    unknown = pack(Release(), tmp_path)
    readme = content(unknown)["airdock/README.md"]
    assert "](../" not in readme and "docs/modes.md" in readme
    plain = metadata(unknown)
    assert not plain.keys() & {"home", "sources", "icon", "maintainers"}, "nobody has said where it is from"
    assert "artifacthub.io/links" not in plain["annotations"]


def test_the_rest_is_the_charts(archive: Path) -> None:
    """All other files and fields are those of the repository."""
    files = content(archive)
    assert files.keys() == {
        f"airdock/{path.relative_to(CHART)}"
        for path in CHART.rglob("*")
        if path.is_file() and path.suffix != ".pyc"
    }
    for name, text in files.items():
        own_text = (CHART.parent / name).read_text()
        if name == "airdock/values.schema.json":
            # Without blanks.
            assert json.loads(text) == json.loads(own_text)
            assert len(text) < len(own_text)
        elif name not in ("airdock/Chart.yaml", "airdock/README.md"):
            assert text == own_text, name
    own = load_yaml((CHART / "Chart.yaml").read_text())[0]
    packed = metadata(archive)
    assert {key: packed[key] for key in own if key != "annotations"} == {
        key: value for key, value in own.items() if key != "annotations"
    }
    assert own["annotations"].items() <= packed["annotations"].items()


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_helm_lint_has_nothing_to_say(archive: Path, helm: str) -> None:
    done = subprocess.run([tools.path(helm), "lint", "--strict", archive], capture_output=True, text=True)
    assert done.returncode == 0, done.stdout
    assert "[INFO]" not in done.stdout and "[WARNING]" not in done.stdout, done.stdout


def test_sbom_is_valid_and_of_this_archive(archive: Path) -> None:
    text = archive.with_suffix(".cdx.json").read_text()
    validator = JsonStrictValidator(SchemaVersion.V1_6)
    assert validator.validate_str(text) is None
    assert validator.validate_str(text.replace('"container"', '"crate"')) is not None
    bom = json.loads(text)
    subject = bom["metadata"]["component"]
    done = subprocess.run(["sha256sum", archive], check=True, capture_output=True, text=True)
    assert subject["hashes"] == [{"alg": "SHA-256", "content": done.stdout.split()[0]}]
    assert (subject["name"], subject["version"]) == ("airdock", VERSION)
    assert subject["externalReferences"] == [{"type": "vcs", "url": SOURCE}]
    assert "pkg:docker/valkey/valkey@8.1" in {each["purl"] for each in bom["components"]}


def test_sbom_of_images_in_another_registry(tmp_path: Path) -> None:
    chart = shutil.copytree(CHART, tmp_path / "airdock")
    values = (chart / "values.yaml").read_text()
    digest = f"sha256:{'7' * 64}"
    values = values.replace('registry: ""', "registry: m.example.com:5000/x", 1)
    values = values.replace('tag: "17", digest: ""', f'tag: "17", digest: "{digest}"')
    (chart / "values.yaml").write_text(values)
    file = pack(Release(), tmp_path / "dist", chart=chart).with_suffix(".cdx.json")
    purls = {each["name"]: each["purl"] for each in json.loads(file.read_text())["components"]}
    where = "?repository_url=m.example.com:5000"
    assert purls["m.example.com:5000/x/apache/airflow"].startswith("pkg:docker/x/apache/airflow@")
    assert purls["m.example.com:5000/x/postgres"] == f"pkg:docker/x/postgres@{digest}{where}"


def test_a_release_has_one_version_and_a_date(tmp_path: Path) -> None:
    def refused(version: str, changelog: str) -> str:
        file = tmp_path / "changelog"
        file.write_text(changelog)
        with pytest.raises(ReleaseError) as error:
            pack(Release(version=version), tmp_path, changelog=file)
        return str(error.value)

    changelog = dated(tmp_path).read_text()
    assert pack(Release(version=f"v{VERSION}"), tmp_path, changelog=tmp_path / "CHANGELOG.md").is_file()
    assert f"has version {VERSION}, not 9.9.9" in refused("v9.9.9", changelog)
    undated = changelog.replace(f"{VERSION} - 2026-12-24", f"{VERSION} - unreleased")
    assert "has no date" in refused(f"v{VERSION}", undated)
    assert "neither a date" in refused("", changelog.replace("2026-12-24", "soon"))
    assert "no heading `## " in refused("", changelog.replace(f"## {VERSION} ", "## 0.0.1 "))
    assert "'Misc' is none of" in refused("", changelog.replace("### Changes", "### Misc"))
    assert "line 3: only" in refused("", changelog.replace("## ", "Hello\n## ", 1))


def test_versions_agree() -> None:
    """The newest heading of the changelog and the reports have the chart's version."""
    assert sections(CHANGELOG)[0].version == VERSION
    report = json.loads(FAILURES["sarif"]("no"))
    assert report["runs"][0]["tool"]["driver"]["semanticVersion"] == VERSION


def test_wheel_has_the_version_and_links(tmp_path: Path) -> None:
    """SARIF links to the rules of a release by the wheel's metadata."""

    def metadata(source: str) -> str:
        (folder := tmp_path / (source[-7:] or "none")).mkdir()
        built = wheel(Release(source=source), folder)
        assert built.name == f"airdock-{VERSION}-py3-none-any.whl"
        assert built.read_bytes() == wheel(Release(source=source), tmp_path).read_bytes()
        with zipfile.ZipFile(built) as packed:
            return packed.read(f"airdock-{VERSION}.dist-info/METADATA").decode()

    assert "Project-URL" not in metadata("")
    told = metadata(SOURCE)
    assert f"\nVersion: {VERSION}\n" in told
    page = f"{SOURCE}/blob/v{VERSION}/docs/lint.md"
    assert f"\nProject-URL: {LABEL}, {page}\n" in told
    assert (ROOT / "docs" / "lint.md").is_file()


def test_command_says_what_is_wrong(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--destination", str(tmp_path), "--version", "v9.9.9"]) == 1
    assert capsys.readouterr().err.startswith("release: ")
    assert list(tmp_path.iterdir()) == []
