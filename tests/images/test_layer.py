"""Layers survive the way into a tar and out of it, deletions included."""

from __future__ import annotations

import os
import socket
import stat
import subprocess
import tarfile
from pathlib import Path

import pytest

from scripts.images import ImageError
from scripts.images.layer import EPOCH, digest, pack, unpack

pytestmark = pytest.mark.skipif(os.geteuid() != 0, reason="overlay's marks of deletion are root's to make")
OPAQUE = "trusted.overlay.opaque"
NOW = 2_000_000_000.0


@pytest.fixture
def upper(tmp_path: Path) -> Path:
    """What overlayfs leaves in an upper directory."""
    top = tmp_path / "upper"
    (top / "etc" / "replaced").mkdir(parents=True)
    os.setxattr(top / "etc" / "replaced", OPAQUE, b"y")
    (top / "etc" / "replaced" / "new").write_text("new")
    os.mknod(top / "etc" / "deleted", stat.S_IFCHR, os.makedev(0, 0))
    program = top / "program"
    program.write_text("#!/bin/sh")
    os.chown(program, 50000, 7)
    program.chmod(0o4755)
    os.link(program, top / "same")
    (top / "link").symlink_to("/etc/replaced/new")
    (top / "proc").mkdir()
    (top / "proc" / "leftover").write_text("")
    return top


def test_pack(upper: Path, tmp_path: Path) -> None:
    pack(upper, tmp_path / "layer.tar", newer_than=0)
    with tarfile.open(tmp_path / "layer.tar") as tar:
        assert tar.getnames() == [
            "etc",
            "etc/.wh.deleted",
            "etc/replaced",
            "etc/replaced/.wh..wh..opq",
            "etc/replaced/new",
            "link",
            "proc",
            "program",
            "same",
        ]
        program = tar.getmember("program")
        assert (program.mode, program.uid, program.gid, program.uname) == (0o4755, 50000, 7, "")
        assert tar.getmember("same").islnk()
        assert {member.mtime for member in tar} == {EPOCH}


def test_round_trip(upper: Path, tmp_path: Path) -> None:
    pack(upper, tmp_path / "layer.tar", newer_than=NOW)
    unpack(tmp_path / "layer.tar", tmp_path / "copy")
    copy = tmp_path / "copy"
    deleted = (copy / "etc" / "deleted").lstat()
    assert stat.S_ISCHR(deleted.st_mode)
    assert deleted.st_rdev == 0
    assert os.getxattr(copy / "etc" / "replaced", OPAQUE) == b"y"
    assert [path.name for path in (copy / "etc" / "replaced").iterdir()] == ["new"]
    assert (copy / "program").stat().st_ino == (copy / "same").stat().st_ino
    assert (copy / "program").stat().st_mode & 0o7777 == 0o4755
    assert (copy / "link").readlink() == Path("/etc/replaced/new")


def test_overlay_reads_it(upper: Path, tmp_path: Path) -> None:
    """The kernel sees the deletions in the unpacked layer."""
    pack(upper, tmp_path / "layer.tar", newer_than=NOW)
    unpack(tmp_path / "layer.tar", tmp_path / "top")
    below = tmp_path / "below" / "etc"
    (below / "replaced").mkdir(parents=True)
    for name in ("deleted", "kept", "replaced/old"):
        (below / name).write_text(name)
    script = (
        f"mount -t overlay overlay -o lowerdir={tmp_path}/top:{tmp_path}/below /mnt && cd /mnt && find etc"
    )
    done = subprocess.run(["unshare", "--mount", "sh", "-c", script], capture_output=True, text=True)
    if "unshare" in done.stderr:
        pytest.skip(done.stderr)
    assert sorted(done.stdout.split()) == ["etc", "etc/kept", "etc/replaced", "etc/replaced/new"], done.stderr


def test_same_content_same_digest(tmp_path: Path) -> None:
    """Only what the build wrote loses its time: Python compares sources of packages with their bytecode."""
    digests = set()
    for day in (1, 2):
        top = tmp_path / str(day)
        top.mkdir()
        (top / "built").write_text("")
        os.utime(top / "built", (NOW + day, NOW + day))
        (top / "packaged").write_text("")
        os.utime(top / "packaged", (1000, 1000))
        pack(top, tmp_path / f"{day}.tar", newer_than=NOW)
        digests.add(digest(tmp_path / f"{day}.tar"))
        with tarfile.open(tmp_path / f"{day}.tar") as tar:
            assert [member.mtime for member in tar] == [EPOCH, 1000]
    assert len(digests) == 1


def test_what_a_layer_cannot_hold(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    os.mknod(top / "null", stat.S_IFCHR, os.makedev(1, 3))
    with pytest.raises(ImageError, match="/null is a device"):
        pack(top, tmp_path / "layer.tar", newer_than=0)


def test_sockets_stay_out(tmp_path: Path) -> None:
    top = tmp_path / "top"
    top.mkdir()
    with socket.socket(socket.AF_UNIX) as agent:
        agent.bind(str(top / "agent"))
    pack(top, tmp_path / "layer.tar", newer_than=0)
    with tarfile.open(tmp_path / "layer.tar") as tar:
        assert tar.getnames() == []
