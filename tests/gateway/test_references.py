"""Images and lists of allowed images, by the table that the admission policy is tested against too."""

from __future__ import annotations

import json

import docker.auth
import pytest
from docker_gateway import references
from hypothesis import given
from hypothesis import strategies as st

from tests.support.attacks import AUTHOR
from tests.support.image_references import CASES, MALFORMED_ENTRIES

ADMITTED = sorted({image for _, image, admits in CASES if admits})


@pytest.mark.parametrize(("entry", "image", "admits"), CASES)
@pytest.mark.attack(actor=AUTHOR, finding=(16,))
def test_the_table(entry: str, image: str, admits: bool) -> None:
    assert references.admitted(image, [entry]) is admits
    assert references.admitted(image, ["registry.example/other", entry]) is admits


@pytest.mark.parametrize("entry", MALFORMED_ENTRIES)
def test_what_is_no_entry(entry: str) -> None:
    assert references.parse_entry(entry) is None
    assert not any(references.admitted(image, [entry]) for image in ADMITTED)


@pytest.mark.parametrize("image", ADMITTED)
def test_what_is_sent_means_the_same(image: str) -> None:
    read = references.parse(image)
    assert references.parse(str(read)) == read
    assert "/" in str(read), (
        "the daemon takes a short name for the start of an id where it knows no such image"
    )


@pytest.mark.parametrize("image", ADMITTED)
def test_docker_py_finds_the_same_registry(image: str) -> None:
    read = references.parse(image)
    assert read
    found, _ = docker.auth.resolve_repository_name(image)
    # docker-py, unlike the daemon, does not see a registry in capital letters.
    assert read.registry in (found, image.partition("/")[0])


_parts = st.sampled_from(
    ["busybox", "library", "docker.io", "localhost", "a.b", "a:5000", "TEAM", "*", "1", "", "..", "sha256"]
)


@given(st.lists(_parts, min_size=1, max_size=4), st.sampled_from(["", ":1", ":*", "@sha256:" + "a" * 64]))
def test_an_entry_that_is_a_name_admits_it(parts: list[str], rest: str) -> None:
    text = "/".join(parts) + rest
    read = references.parse(text)
    if read is None:
        return
    entry = references.parse_entry(text)
    assert entry is not None, json.dumps(text)
    assert entry.admits(read)
    assert not entry.admits(references.Reference("evil.example", read.repository, read.tag, read.digest))
