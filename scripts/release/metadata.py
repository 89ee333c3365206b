"""Chart.yaml as a release has it: with what Artifact Hub shows, from CHANGELOG.md and the chart's images.

None of it is in the repository's Chart.yaml, so it cannot become out of date there.
https://artifacthub.io/docs/topics/annotations/helm lists the annotations.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import yaml

from scripts.release.helm import ReleaseError

#: A heading of CHANGELOG.md: what Artifact Hub calls a change below it.
KINDS = {
    "Added": "added",
    "Changes": "changed",
    "Deprecated": "deprecated",
    "Fixed": "fixed",
    "Removed": "removed",
    "Security": "security",
}
#: Characters of changes: Helm keeps Chart.yaml in the Secret of each release, which has a limit.
MOST = 3000
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True)
class Section:
    """One version in CHANGELOG.md: `## <version> - <date, or "unreleased">`."""

    version: str
    date: str
    #: Kind for Artifact Hub, and the line's first sentence without Markdown.
    changes: tuple[tuple[str, str], ...]

    @property
    def released(self) -> bool:
        """Whether it has a date."""
        return bool(_DATE.fullmatch(self.date))


def sections(changelog: str) -> tuple[Section, ...]:
    """What CHANGELOG.md says, newest version first.

    Raises:
        ReleaseError: for a line that is neither heading nor list item, and for a heading of another kind.
    """
    found: list[Section] = []
    kind = ""
    changes: list[tuple[str, str]] = []
    for number, line in enumerate(changelog.splitlines(), 1):
        where = f"CHANGELOG.md, line {number}"
        if heading := re.fullmatch(r"## (\S+) - (\S+)", line):
            kind, changes = "", []
            found.append(Section(heading[1], heading[2], ()))
            if heading[2] != "unreleased" and not _DATE.fullmatch(heading[2]):
                raise ReleaseError(
                    f"{where}: {heading[2]!r} is neither a date (YYYY-MM-DD) nor `unreleased`."
                )
        elif line.startswith("### ") and found:
            if line[4:] not in KINDS:
                raise ReleaseError(f"{where}: {line[4:]!r} is none of the headings {', '.join(KINDS)}.")
            kind = KINDS[line[4:]]
        elif line.startswith("- ") and kind:
            changes.append((kind, _plain(line[2:])))
            found[-1] = Section(found[-1].version, found[-1].date, tuple(changes))
        elif line and line != "# Changelog":
            raise ReleaseError(
                f"{where}: only `## <version> - <date>`, `### <kind>` and `- <change>` are read."
            )
    return tuple(found)


def _plain(text: str) -> str:
    """The first sentence as text: links and bold type go, code keeps its marks."""
    plain = re.sub(r"\[([^]]+)\]\([^)]+\)", r"\1", text).replace("**", "")
    return re.split(r"(?<=\.) (?=[A-Z`])", plain, maxsplit=1)[0]


def changes(section: Section) -> list[dict[str, str]]:
    """The changes of a version for Artifact Hub, in the order of CHANGELOG.md, as far as there is room."""
    found: list[dict[str, str]] = []
    room = MOST
    for kind, line in section.changes:
        room -= len(line)
        if room < 0:
            left = len(section.changes) - len(found)
            return [*found, {"kind": "changed", "description": f"CHANGELOG.md has {left} more changes."}]
        found.append({"kind": kind, "description": line})
    return found


def section_of(changelog: str, version: str) -> Section:
    """The section of a version.

    Raises:
        ReleaseError: if there is none.
    """
    for section in sections(changelog):
        if section.version == version:
            return section
    raise ReleaseError(f"CHANGELOG.md has no heading `## {version} - <date>`. Add it, with what changed.")


@dataclass(frozen=True)
class SigningKey:
    """The public key that users verify with."""

    fingerprint: str
    #: Its file in the repository.
    file: str


def completed(
    chart: Mapping[str, Any],
    section: Section,
    images: Iterable[str],
    source: str = "",
    key: SigningKey | None = None,
) -> dict[str, Any]:
    """A Chart.yaml with its generated fields.

    Args:
        chart: the repository's Chart.yaml.
        section: what changed.
        images: images that the default values need.
        source: the repository's address, such as https://github.com/OWNER/airdock. Without one, what Artifact
            Hub links to is left out.
        key: the key that signs releases, if there is one.
    """
    annotations = {
        **chart["annotations"],
        "artifacthub.io/changes": _text(changes(section)),
        "artifacthub.io/containsSecurityUpdates": _bool(
            any(kind == "security" for kind, _ in section.changes)
        ),
        "artifacthub.io/images": _text([{"name": short_name(image), "image": image} for image in images]),
        "artifacthub.io/prerelease": _bool("-" in str(chart["version"])),
    }
    result = {**chart, "annotations": annotations}
    if source:
        files = f"{source}/blob/v{chart['version']}"
        owner, _, _ = source.rpartition("/")
        result |= {
            "home": source,
            "sources": [source],
            "icon": f"{source}/raw/v{chart['version']}/docs/icon.svg",
            "maintainers": [{"name": owner.rpartition("/")[2], "url": owner}],
        }
        annotations["artifacthub.io/links"] = _text(
            [
                {"name": "Documentation", "url": f"{files}/README.md#documentation"},
                {"name": "Changelog", "url": f"{files}/CHANGELOG.md"},
                {"name": "Security", "url": f"{files}/SECURITY.md"},
            ]
        )
        if key:
            url = f"{source}/raw/v{chart['version']}/{key.file}"
            annotations["artifacthub.io/signKey"] = _text({"fingerprint": key.fingerprint, "url": url})
    return result


def short_name(image: str) -> str:
    """apache/airflow:3.1.0 is airflow."""
    return re.sub(r"[:@].*", "", image.rpartition("/")[2])


def linked(readme: str, version: str, source: str) -> str:
    """The chart's README with links that work outside of the repository; without its address, with none."""
    if source:
        return readme.replace("](../../", f"]({source}/blob/v{version}/")
    return re.sub(r"\[([^\]]*)\]\(\.\./\.\./[^)]*\)", r"\1", readme)


def _text(value: Any) -> str:
    text: str = yaml.safe_dump(value, sort_keys=False, allow_unicode=True, width=1000000)
    return text


def _bool(value: bool) -> str:
    return str(value).lower()
