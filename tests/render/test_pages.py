"""What a page refers to exists: files, headings, targets of make, modules; the README lists each page."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

from scripts.chart import ROOT

PAGES = sorted(
    path
    for folder, pattern in (
        (".", "*.md"),
        ("charts", "**/*.md"),
        ("docs", "**/*.md"),
        ("examples", "**/*.md"),
    )
    for path in (ROOT / folder).glob(pattern)
)
#: Code that says something to a user, and may name a page.
SPEAKERS = sorted(
    path
    for folder in ("charts", "examples", "overlays", "scripts")
    for path in (ROOT / folder).rglob("*")
    if path.suffix in (".json", ".py", ".sh", ".tpl", ".txt", ".yaml")
)
every_page = pytest.mark.parametrize("page", PAGES, ids=lambda page: str(page.relative_to(ROOT)))


def _prose(page: Path) -> str:
    """Its text without blocks of code and comments."""
    return re.sub(r"(?ms)^ *```.*?^ *```$|<!--.*?-->", "", page.read_text())


def _code(page: Path) -> Iterator[str]:
    """Each line of its blocks of code, and each `piece` in its text."""
    for block in re.findall(r"(?ms)^ *```\w*\n(.*?)^ *```$", page.read_text()):
        yield from block.splitlines()
    yield from re.findall(r"`([^`\n]+)`", _prose(page))


@cache
def anchors(page: Path) -> frozenset[str]:
    """The anchors that GitHub gives to a page's headings."""
    found: list[str] = []
    for heading in re.findall(r"(?m)^#+ (.*)$", _prose(page)):
        title = re.sub(r"\[([^\]]*)\]\([^)]*\)", r"\1", heading)
        anchor = re.sub(r"[^\w\- ]", "", title.lower()).replace(" ", "-")
        found.append(anchor if anchor not in found else f"{anchor}-{found.count(anchor)}")
    return frozenset(found)


def links(page: Path) -> Iterator[tuple[Path, str]]:
    """(file, anchor) of each link that is not to another site."""
    text = re.sub(r"`[^`]*`", "", _prose(page))
    for target in re.findall(r"\]\(([^)\s]+)\)", text):
        if not re.match(r"[a-z]+:", target):
            file, _, anchor = target.partition("#")
            yield (page.parent / file).resolve() if file else page, anchor


@every_page
def test_links_lead_somewhere(page: Path) -> None:
    broken = [
        f"{target}#{anchor}"
        for target, anchor in links(page)
        if not target.exists() or (anchor and anchor not in anchors(target))
    ]
    assert not broken


@every_page
def test_files_exist(page: Path) -> None:
    """Those that the text names from the root of the repository."""
    named = [
        piece
        for piece in re.findall(r"`([^`\n]+)`", _prose(page))
        if re.fullmatch(r"(?:charts|docs|examples|overlays|scripts|tests)/[\w./-]+", piece)
    ]
    assert not [
        piece for piece in named if not (ROOT / piece).exists() and not (ROOT / f"{piece}.py").exists()
    ]


def test_pages_that_messages_name_exist() -> None:
    named = {
        (str(path.relative_to(ROOT)), page)
        for path in SPEAKERS
        for page in re.findall(r"\bdocs/[\w/-]+\.md", path.read_text())
    }
    assert len(named) > 20
    assert not {(where, page) for where, page in named if not (ROOT / page).is_file()}


@every_page
def test_commands_exist(page: Path) -> None:
    targets = set(re.findall(r"(?m)^([\w./-]+):", (ROOT / "Makefile").read_text()))
    missing = []
    for line in _code(page):
        for made in re.findall(r"(?:^|[;&] *)make ([^#>;|]*)", line):
            words = made.split()
            missing += [
                word for word in words if re.fullmatch(r"[a-z.][\w./-]*", word) and word not in targets
            ]
        for module in re.findall(r"python3? -m ((?:scripts|tests)[\w.]*)", line):
            path = ROOT.joinpath(*module.split("."))
            if not (path.with_suffix(".py").is_file() or (path / "__main__.py").is_file()):
                missing.append(module)
    assert not missing


def test_the_readme_lists_every_page() -> None:
    listed = {target for target, _ in links(ROOT / "README.md")}
    assert not [page.name for page in (ROOT / "docs").glob("*.md") if page not in listed]
