"""nft with the libraries it needs, in a directory of its own: neither host nor images need have it.

It serves three: kube-proxy, the CNI plugins and dockerd on the node, and the host's one table.
"""

from __future__ import annotations

import shutil
from pathlib import Path

from scripts.cluster import debian
from scripts.cluster.errors import ClusterError
from scripts.cluster.run import run

_PACKAGE = "nftables"
#: Without names nft prints numbers, and kube-proxy, which compares what is listed with what it wants, takes
#: all elements of its maps for leftovers: after an hour, at its first full resync, no Service works.
_PROTOCOLS = "icmp 1\ntcp 6\nudp 17\nipv6-icmp 58\nsctp 132\n"


def root() -> Path:
    """A directory that ``chroot DIRECTORY /usr/sbin/nft`` works in, made on demand from Debian packages."""
    return debian.tree("nft", _PROTOCOLS, _fill)


def _fill(scratch: Path, tree: Path) -> None:
    installed = shutil.which("nft", path="/usr/sbin:/sbin:/usr/bin:/bin:/usr/local/sbin")
    if installed:
        _copy_with_libraries(Path(installed), tree)
    elif shutil.which("apt-get") is None:
        raise ClusterError(
            "nft is needed for Services in the cluster: install your system's nftables package."
        )
    else:
        debian.unpack(debian.with_dependencies(_PACKAGE), scratch, tree)
    (tree / "etc").mkdir(exist_ok=True)
    (tree / "etc/protocols").write_text(_PROTOCOLS)
    run(["chroot", tree, "/usr/sbin/nft", "--version"])


def _copy_with_libraries(program: Path, tree: Path) -> None:
    """Copy an installed nft and the libraries that ldd names, each to its own path."""
    names = [word for word in run(["ldd", program]).split() if word.startswith("/")]
    for name in names:
        place = tree / name.lstrip("/")
        place.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(name, place)
    (tree / "usr/sbin").mkdir(parents=True, exist_ok=True)
    shutil.copy(program, tree / "usr/sbin/nft")
