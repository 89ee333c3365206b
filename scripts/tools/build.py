"""Build pinned Go tools into the cache and link them where the Makefile finds them."""

from __future__ import annotations

import fcntl
import hashlib
import os
import re
import shutil
import subprocess
import tempfile
import threading
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from scripts.tools import apt
from scripts.tools.catalog import TOOLS, Tool
from scripts.tools.errors import ToolError
from scripts.tools.progress import Progress

ROOT = Path(__file__).resolve().parents[2]
LINKS = ROOT / ".tools" / "bin"
#: Whether this is the package that `pip install` brings: it has no pins, and takes programs from PATH alone.
INSTALLED = not (ROOT / "scripts" / "tools" / "helm" / "go.mod").is_file()
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airdock" / "tools"

#: Every binary's tool: ``containerd-shim-runc-v2`` -> containerd.
_BY_BINARY = {binary: tool for tool in TOOLS for binary in tool.binaries}
_BY_NAME = {tool.name: tool for tool in TOOLS}


def lookup(name: str) -> Tool:
    """The tool of that name, or the one that a binary of that name comes from."""
    tool = _BY_NAME.get(name) or _BY_BINARY.get(name)
    if tool is None:
        known = ", ".join(sorted({*_BY_NAME, *_BY_BINARY}))
        raise ToolError(f"There is no pinned tool {name!r}; there are {known}.")
    return tool


def version(tool: Tool) -> str:
    """The version in go.mod of the tool's module, such as ``v1.2.3``."""
    imported = tool.module or next(iter(tool.binaries.values()))
    candidates = {name: at for name, at in pins(tool).items() if f"{imported}/".startswith(f"{name}/")}
    return str(candidates[max(candidates, key=len)]).removesuffix("+incompatible")


def pins(tool: Tool) -> dict[str, str]:
    """The modules that go.mod requires, with their versions. Replacements are not among them."""
    text = (tool.directory / "go.mod").read_text()
    required = re.finditer(r"^(?:require )?\t?([^\s=]+) (v\S+)(?: // indirect)?$", text, re.M)
    return {line[1]: line[2] for line in required}


def version_of(name: str) -> str:
    """The pinned version of a tool, such as ``v1.2.3``, by its name or a binary's."""
    return version(lookup(name))


def flags(tool: Tool) -> list[str]:
    """Arguments of ``go build``. Stripped and without paths, so that a build is the same everywhere."""
    at = version(tool)
    linker = ["-s", "-w", *(f"-X {variable}={at}" for variable in tool.set_version)]
    linker += [flag.format(version=at, number=at.removeprefix("v")) for flag in tool.ldflags]
    found = ["-trimpath", "-buildvcs=false", "-mod=readonly", f"-ldflags={' '.join(linker)}"]
    return [*found, f"-tags={','.join(tool.tags)}"] if tool.tags else found


def entry(tool: Tool) -> Path:
    """The tool's directory in the cache, named by a hash of everything that decides what is built."""
    digest = hashlib.sha256(repr((flags(tool), sorted(tool.binaries.items()), os.uname().machine)).encode())
    for file in sorted(tool.directory.rglob("*")):
        if file.is_file():
            digest.update(file.relative_to(tool.directory).as_posix().encode() + file.read_bytes())
    return CACHE / f"{tool.name}-{digest.hexdigest()[:16]}"


def built(tool: Tool) -> bool:
    """Whether the cache has it. An entry appears by one rename, so it is whole or not there."""
    return entry(tool).is_dir()


def check_go() -> None:
    """Raise ToolError unless there is a Go that can build, or fetch the toolchain that can."""
    if shutil.which("go") is None:
        raise ToolError(
            "Go is needed to build the pinned tools and is not on PATH: install it from https://go.dev/dl "
            "(or `apt-get install golang`, 1.21 or newer), then try again."
        )
    found = subprocess.run(["go", "env", "GOVERSION"], capture_output=True, text=True).stdout.strip()
    match = re.match(r"go1\.(\d+)", found)
    if match and int(match[1]) < 21:
        raise ToolError(
            f"Go is too old ({found}): 1.21 or newer is needed, which fetches the toolchain it lacks."
        )


@contextmanager
def _locked(tool: Tool) -> Iterator[None]:
    """Only one process builds a tool; the kernel drops the lock when its holder dies."""
    CACHE.mkdir(parents=True, exist_ok=True)
    with (CACHE / f".{tool.name}.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def build(tool: Tool, progress: Progress | None = None) -> Path:
    """Build one tool into the cache, if it is not there, and return its directory."""
    target = entry(tool)
    if target.is_dir():
        return target
    check_go()
    for name, packages in tool.libraries.items():
        apt.library(name, packages, f"building {tool.name}")
    with _locked(tool):
        if target.is_dir():  # Another process built it while we waited.
            return target
        for stale in CACHE.glob(f".tmp-{tool.name}-*"):  # We hold the lock, so their builder was killed.
            shutil.rmtree(stale)
        scratch = Path(tempfile.mkdtemp(prefix=f".tmp-{tool.name}-", dir=CACHE))
        try:
            with (progress or Progress([tool])).step(tool, f"{tool.name} {version(tool)}"):
                _compile(tool, scratch)
            scratch.chmod(0o755)
            scratch.rename(target)
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
    return target


def _compile(tool: Tool, scratch: Path) -> None:
    """Run ``go build`` once for all packages, so that they share what they compile."""
    environment = os.environ | {"CGO_ENABLED": "1" if tool.cgo else "0", "GOFLAGS": "", "GOWORK": "off"}
    raw = scratch / "raw"
    raw.mkdir()
    command = ["go", "build", *flags(tool), "-o", f"{raw}/", *tool.binaries.values()]
    with (scratch / "log").open("w+") as log:
        process = subprocess.Popen(command, cwd=tool.directory, env=environment, stdout=log, stderr=log)
        try:
            process.wait()
        finally:
            process.kill()
        if process.returncode != 0:
            log.seek(0)
            tail = "".join(line for line in log.readlines() if not line.startswith("go: downloading"))[-1500:]
            raise ToolError(f"go build of {tool.name} failed (exit code {process.returncode}):\n{tail}")
    for binary, imported in tool.binaries.items():
        (raw / _output_name(imported)).rename(scratch / binary)
    raw.rmdir()
    (scratch / "log").unlink()


def _output_name(imported: str) -> str:
    """What ``go build`` calls a binary: the last part of its import path that is no major version."""
    parts = imported.split("/")
    return parts[-2] if re.fullmatch(r"v\d+", parts[-1]) else parts[-1]


def on_path(tool: Tool) -> Path | None:
    """A binary on PATH (not one of ours) whose version is sufficient, if the tool allows that."""
    least = _least(tool)
    if least is None:
        return None
    places = [place for place in os.get_exec_path() if Path(place).resolve() != LINKS.resolve()]
    found = shutil.which(tool.name, path=os.pathsep.join(places))
    if found is None:
        return None
    # Without a cluster: the kubectl of Google Cloud's SDK asks the current one for its version.
    environment = os.environ | {"KUBECONFIG": os.devnull}
    command = [found, *tool.version_command]
    try:
        shown = subprocess.run(
            command, capture_output=True, text=True, timeout=20, check=True, env=environment
        )
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r"v?(\d+)\.(\d+)", shown.stdout + shown.stderr)
    return Path(found) if match and (int(match[1]), int(match[2])) >= least else None


def _least(tool: Tool) -> tuple[int, int] | None:
    return (INSTALLED and tool.oldest) or tool.minimum


def _how_to_install(tool: Tool) -> str:
    """The way out where nothing is built."""
    least = _least(tool)
    wanted = f"{tool.name} {'.'.join(map(str, least)).removesuffix('.0')} or later" if least else tool.name
    there = shutil.which(tool.name)
    problem = f"{there} is older, or does not run" if there else "it is not on PATH"
    return f"{wanted} is needed, and {problem}. Install it: {tool.site}"


def pinned(name: str) -> Path:
    """The pinned build of a binary, built on demand; never one from PATH."""
    tool = lookup(name)
    if INSTALLED:
        raise ToolError(_how_to_install(tool))
    binary = name if name in tool.binaries else next(iter(tool.binaries))
    return build(tool) / binary


def path(name: str) -> Path:
    """A binary to use: one on PATH at a sufficient version, else the pinned one, built on demand.

    Raises:
        ToolError: if the name is unknown, there is no Go, or the build fails.
    """
    return on_path(lookup(name)) or pinned(name)


def provide(names: Sequence[str], *, only_pinned: bool = False) -> None:
    """Make tools available in ``.tools/bin``, building what is missing, with progress on stderr."""
    tools = list(dict.fromkeys(lookup(name) for name in names))
    outside = {} if only_pinned else {tool.name: found for tool in tools if (found := on_path(tool))}
    missing = [tool for tool in tools if tool.name not in outside and not built(tool)]
    if missing:
        _build_all(missing)
    LINKS.mkdir(parents=True, exist_ok=True)
    for tool in tools:
        for binary in tool.binaries:
            _link(LINKS / binary, outside.get(tool.name) or entry(tool) / binary)


def _build_all(missing: Sequence[Tool]) -> None:
    """Build tools, two at a time: while one downloads or links, which takes one CPU, another compiles.

    Those that share modules are built one after the other, so that no package is compiled twice.
    """
    check_go()
    families: dict[str, list[Tool]] = {}
    for tool in missing:
        families.setdefault(tool.shares or tool.pins or tool.name, []).append(tool)
    for family in families.values():
        family.sort(key=lambda tool: bool(tool.shares))
    progress, failed = Progress(missing), threading.Event()

    def build_family(family: list[Tool]) -> None:
        try:
            for tool in family:
                if not failed.is_set():
                    build(tool, progress)
        except BaseException:
            failed.set()
            raise

    # The one with the most to compile first.
    ordered = sorted(families.values(), key=lambda family: -sum(tool.weight for tool in family))
    with ThreadPoolExecutor(2) as pool, progress:
        for future in [pool.submit(build_family, family) for family in ordered]:
            future.result()


def _link(link: Path, target: Path) -> None:
    """Point ``link`` at ``target`` in one step, also while someone runs it."""
    if link.is_symlink() and link.readlink() == target:
        return
    scratch = link.with_name(f".{link.name}.{os.getpid()}")
    scratch.symlink_to(target)
    scratch.replace(link)
