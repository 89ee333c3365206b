"""Renders the chart with Helm, whole, and keeps what came out in the user's cache.

    manifests = render({"dags": {"examples": True}}, kube_version="1.33.0")
    manifests.one("Deployment", component="scheduler")

A render is identified by everything that can change it: the chart's files, values, release, namespace,
Kubernetes and Helm version.
"""

from __future__ import annotations

import gzip
import hashlib
import json
import os
import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from pathlib import Path
from typing import Any

from scripts import tools
from scripts.chart.manifests import Manifests
from scripts.chart.versions import KUBE_VERSIONS

ROOT = Path(__file__).resolve().parents[2]
CHART = ROOT / "charts" / "airdock"
CACHE = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "airdock" / "renders"
#: Names of the pinned tools.
HELM4, HELM3 = "helm", "helm3"
#: Renders of how many states of the chart the cache keeps.
KEPT = 20


class RenderError(Exception):
    """Helm refused; the message is Helm's own."""


def render(
    values: Mapping[str, Any] | None = None,
    *,
    release: str = "airdock",
    namespace: str = "airdock",
    kube_version: str = KUBE_VERSIONS[-1],
    helm: str = HELM4,
    chart: Path = CHART,
) -> Manifests:
    """The manifests that `helm template` makes of the chart with these values over its own.

    `helm` is HELM4 or HELM3. Values go to Helm as JSON, so they arrive with the types that they have here.

    Raises:
        RenderError: if Helm refuses the values or the templates fail.
        ManifestError: if what came out is no YAML or has a key twice.
        ToolError: if Helm cannot be had.
    """
    state = _chart_hash(chart, _newest_change(chart))
    return _rendered(
        state, json.dumps(values or {}, ensure_ascii=False), release, namespace, kube_version, helm, chart
    )


def template(
    values: Mapping[str, Any] | None = None,
    *,
    release: str = "airdock",
    namespace: str = "airdock",
    kube_version: str = KUBE_VERSIONS[-1],
    helm: str = HELM4,
    chart: Path = CHART,
    api_versions: Sequence[str] = (),
) -> str:
    """What `helm template` prints, asked for anew: no cache.

    `api_versions` are those that the cluster has beside Kubernetes' own, as "cilium.io/v2/CiliumNode".

    Raises:
        RenderError: if Helm refuses.
    """
    text = json.dumps(values or {}, ensure_ascii=False)
    return _helm(text, release, namespace, kube_version, helm, chart, api_versions)


@lru_cache(maxsize=4096)
def _rendered(
    state: str, values: str, release: str, namespace: str, kube_version: str, helm: str, chart: Path
) -> Manifests:
    """From this process, else from the cache on disk, else from Helm; refusals are kept on disk too."""
    arguments = (values, release, namespace, kube_version, _identity(helm))
    key = hashlib.sha256(json.dumps(arguments).encode()).hexdigest()[:32]
    entry = CACHE / state / f"{key}.json.gz"
    try:
        kept = json.loads(gzip.decompress(entry.read_bytes()))
    except (OSError, EOFError, ValueError):
        kept = _fresh(values, release, namespace, kube_version, helm, chart)
        if _chart_hash(chart, _newest_change(chart)) == state:  # Else it was edited while Helm read it.
            _store(entry, gzip.compress(json.dumps(kept).encode(), compresslevel=1))
    if "error" in kept:
        raise RenderError(kept["error"])
    return _shared(kept["text"], json.dumps(kept["documents"]))


@lru_cache(maxsize=1024)
def _shared(text: str, documents: str) -> Manifests:
    """One object for all versions that render alike: manifests are read-only."""
    return Manifests.of(json.loads(documents), text)


def _fresh(*arguments: Any) -> dict[str, Any]:
    try:
        text = _helm(*arguments)
    except RenderError as error:
        return {"error": str(error)}
    manifests = Manifests.parse(text, "what the chart renders to")
    return {"text": text, "documents": [(manifest.source, manifest.raw) for manifest in manifests]}


def _helm(
    values: str,
    release: str,
    namespace: str,
    kube_version: str,
    helm: str,
    chart: Path,
    api_versions: Sequence[str] = (),
) -> str:
    command = [_binary(helm), "template", release, str(chart), "--namespace", namespace]
    command += [argument for name in api_versions for argument in ("--api-versions", name)]
    command += ["--kube-version", kube_version, "--values", "-"]
    environment = {**tools.SHORT_RUN, **os.environ}
    done = subprocess.run(command, input=values, capture_output=True, text=True, env=environment)
    if done.returncode != 0:
        raise RenderError(re.sub(r"^Error: ", "", done.stderr.strip()))
    return done.stdout


@lru_cache
def _binary(helm: str) -> str:
    return str(tools.path(helm))


@lru_cache
def _identity(helm: str) -> str:
    """What tells one Helm from another: its path (a pinned build's has a hash of the pins), size and time."""
    file = Path(_binary(helm)).resolve()
    stat = file.stat()
    return f"{file} {stat.st_size} {stat.st_mtime_ns}"


def _newest_change(chart: Path) -> int:
    """Time of the newest change in the chart's tree, in ns; so an edit is seen within one process too."""
    # Directories too: removing a file changes only its directory.
    return max(chart.stat().st_mtime_ns, *(entry.stat().st_mtime_ns for entry in _entries(chart)))


@lru_cache
def _chart_hash(chart: Path, _changed: int) -> str:
    """A hash of the names and contents of the chart's files, but of the generated README."""
    digest = hashlib.sha256()
    for path in sorted(Path(entry.path) for entry in _entries(chart) if entry.is_file()):
        content = path.read_bytes()
        digest.update(f"{path.relative_to(chart)}\0{len(content)}\0".encode() + content)
    return digest.hexdigest()[:16]


def _entries(chart: Path) -> Iterator[os.DirEntry[str]]:
    """What Helm can read of the chart: not the README, nor what Python leaves beside its sources.

    Each call of render() asks for the times of all: Path.rglob takes three times as long.
    """
    waiting = [str(chart)]
    while waiting:
        with os.scandir(waiting.pop()) as entries:
            for entry in entries:
                if entry.name == "__pycache__" or entry.name.endswith(".pyc"):
                    continue
                if entry.is_dir():
                    waiting.append(entry.path)
                if entry.path != f"{chart}/README.md":
                    yield entry


def _store(entry: Path, content: bytes) -> None:
    """Write in one step: parallel processes see the whole file or none."""
    if not entry.parent.is_dir():
        _forget_old()
    entry.parent.mkdir(parents=True, exist_ok=True)
    with tempfile.NamedTemporaryFile(dir=entry.parent, prefix=".", delete=False) as scratch:
        scratch.write(content)
    Path(scratch.name).replace(entry)


def _forget_old() -> None:
    """Drop the renders of all but the KEPT - 1 states of the chart that were written last."""
    if CACHE.is_dir():
        states = sorted(CACHE.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for state in states[KEPT - 1 :]:
            shutil.rmtree(state, ignore_errors=True)
