"""kube-apiserver and kube-controller-manager of other Kubernetes minors than the one of `make up`.

    python -m scripts.tools.minors 1.30 1.33        # build what is missing; print the directories
    python -m scripts.tools.minors --pin 1.30.14    # move or add a pin

The module k8s.io/kubernetes contains a go.mod and a go.sum of all modules that it needs, but for those of
its own repository. So a pin is one file, kubernetes-minors/<minor>.sum, with the hashes of these alone: that
of k8s.io/kubernetes stands for its go.sum.
"""

from __future__ import annotations

import argparse
import hashlib
import inspect
import json
import re
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from scripts.tools.build import CACHE, build, built, check_go, lookup, version_of
from scripts.tools.catalog import HERE, KUBERNETES_VERSION, Tool
from scripts.tools.errors import ToolError

PINS = HERE / "kubernetes-minors"
PROGRAMS = ("kube-apiserver", "kube-controller-manager")
_MODULE = "k8s.io/kubernetes"


def minors() -> list[str]:
    """The minors that can be had, oldest first, such as 1.30. The last one is the pinned tool's."""
    newest = re.sub(r"^v(\d+\.\d+)\..*", r"\1", version_of("kubernetes"))
    found = {newest, *(file.stem for file in PINS.glob("*.sum"))}
    return sorted(found, key=lambda minor: int(minor.partition(".")[2]))


def programs(minor: str) -> Path:
    """The directory with a minor's programs, built on demand.

    Raises:
        ToolError: if the minor has no pin, there is no Go, or the build fails.
    """
    if minor not in minors():
        raise ToolError(f"Kubernetes {minor} has no pin; there are {', '.join(minors())}.")
    pin = PINS / f"{minor}.sum"
    if not pin.exists():
        return build(lookup("kubernetes"))
    return build(_tool(minor, _module(pin)))


def is_built(minor: str) -> bool:
    """Whether the cache has a minor's programs."""
    pin = PINS / f"{minor}.sum"
    if not pin.exists():
        return built(lookup("kubernetes"))
    return _place(pin).is_dir() and built(_tool(minor, _place(pin)))


def _tool(name: str, directory: Path) -> Tool:
    return Tool(
        f"kubernetes-{name}",
        {program: f"{_MODULE}/cmd/{program}" for program in PROGRAMS},
        pins=str(directory),
        weight=40,
        set_version=KUBERNETES_VERSION,
        # Without the clients of clouds that Kubernetes before 1.31 has: they take as long as all the rest.
        tags=("providerless",),
    )


def _place(pin: Path) -> Path:
    """The directory of the cache for the go.mod and go.sum of a pin, named by a hash of what decides them."""
    digest = hashlib.sha256(pin.read_bytes() + inspect.getsource(_go_mod).encode()).hexdigest()[:16]
    return CACHE / f"module-{pin.stem}-{digest}"


def _module(pin: Path) -> Path:
    """The same directory, with the files."""
    target = _place(pin)
    if not target.is_dir():
        hashes = pin.read_text()
        found = re.search(rf"^{_MODULE} (v\S+) (h1:\S+)$", hashes, re.M)
        if not found:
            raise ToolError(f"{pin.name} has no hash of {_MODULE}.")
        CACHE.mkdir(parents=True, exist_ok=True)
        scratch = Path(tempfile.mkdtemp(prefix=".tmp-module-", dir=CACHE))
        try:
            source = _download(found[1], found[2])
            (scratch / "go.mod").write_text(_go_mod((source / "go.mod").read_text(), found[1]))
            (scratch / "go.sum").write_text((source / "go.sum").read_text() + hashes)
            scratch.chmod(0o755)
            if not target.is_dir():
                scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


def _go_mod(theirs: str, version: str) -> str:
    """Kubernetes' go.mod for a module that needs it, with released modules in place of directories."""
    staging = version.replace("v1.", "v0.", 1)
    text = re.sub(r"=> \./staging/src/(\S+)", rf"=> \1 {staging}", theirs)
    return re.sub(rf"^module {_MODULE}$", "module airdock.dev/tools/kubernetes", text, flags=re.M) + (
        f"\nrequire {_MODULE} {version}\n"
    )


def _download(version: str, expected: str) -> Path:
    """The module's directory in Go's cache, which has been compared with the hash."""
    check_go()
    with tempfile.TemporaryDirectory() as directory:
        command = ["go", "mod", "download", "-json", f"{_MODULE}@{version}"]
        done = subprocess.run(command, cwd=directory, capture_output=True, text=True)
    answer = json.loads(done.stdout or "{}")
    if done.returncode or "Dir" not in answer:
        raise ToolError(f"{_MODULE} {version} cannot be had: {answer.get('Error') or done.stderr.strip()}")
    if expected and answer["Sum"] != expected:
        raise ToolError(f"{_MODULE} {version} has the hash {answer['Sum']}, not the pinned {expected}.")
    return Path(answer["Dir"])


def pin(version: str) -> Path:
    """Write the pin of a version such as 1.30.14, and give its file."""
    source = _download(f"v{version}", "")
    with tempfile.TemporaryDirectory() as directory:
        module = Path(directory)
        theirs = (source / "go.sum").read_text()
        (module / "go.mod").write_text(_go_mod((source / "go.mod").read_text(), f"v{version}"))
        (module / "go.sum").write_text(theirs)
        command = ["go", "list", "-mod=mod", "-deps", *(f"{_MODULE}/cmd/{name}" for name in PROGRAMS)]
        done = subprocess.run(command, cwd=module, capture_output=True, text=True)
        if done.returncode:
            raise ToolError(f"modules of Kubernetes {version} cannot be had: {done.stderr.strip()[-999:]}")
        added = sorted(set((module / "go.sum").read_text().splitlines()) - set(theirs.splitlines()))
    file = PINS / f"{version.rpartition('.')[0]}.sum"
    file.write_text("".join(f"{line}\n" for line in added))
    return file


def main(arguments: Sequence[str] | None = None) -> int:
    """Entry point; returns the exit code."""
    parser = argparse.ArgumentParser(prog="python -m scripts.tools.minors", description=__doc__)
    parser.add_argument("minors", nargs="*", metavar="MINOR", help="such as 1.30; none: list them")
    parser.add_argument("--pin", action="append", default=[], metavar="VERSION", help="such as 1.30.14")
    options = parser.parse_args(arguments)
    try:
        for version in options.pin:
            print(pin(version))
        for minor in options.minors:
            print(programs(minor))
    except ToolError as error:
        print(f"tools: {error}", file=sys.stderr)
        return 1
    if not (options.pin or options.minors):
        print("\n".join(minors()))
    return 0


if __name__ == "__main__":
    sys.exit(main())
