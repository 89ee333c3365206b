"""Search at random for SECONDS: `make fuzz`.

Inputs of both targets; those that reach new code are kept below .cache/fuzz and begin the next search, and
what is found goes to the corpus. Clients (clients.py), which begin where the last search ended; write a test
for what they find. And each fault at each place (../faults.py), however long that takes.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
PACKAGE, CACHE = str(ROOT / "charts/airdock/files"), ROOT / ".cache/fuzz"
#: MiB; the fuzzer itself takes about 60.
MEMORY = 300
BACKENDS, PYTHON = ("cluster", "daemon"), [sys.executable, "-m"]


def start_clients(backend: str, seconds: str) -> subprocess.Popen[str]:
    """Begin where the last search ended, far from the fixed seed of `make test`."""
    file = CACHE / f"{backend}.seed"
    seed = file.read_text() if file.exists() else "1000000"
    command = [*PYTHON, "tests.gateway.fuzz.clients", PACKAGE, backend, seed, str(1 << 40), seconds]
    return subprocess.Popen(command, cwd=ROOT, stdout=subprocess.PIPE, text=True)


def search_clients(backend: str, process: subprocess.Popen[str]) -> int:
    """Print what clients have found; 1 if that is something."""
    out = process.communicate()[0]
    print(out, end="")
    if last := re.search(r"next seed (\d+)", out):
        (CACHE / f"{backend}.seed").write_text(last[1])
    return int(process.returncode != 0)


def main(seconds: str) -> int:
    """Search; exit code 1 if something was found."""
    sys.path.insert(0, PACKAGE)
    from . import seeds
    from .mutations import WORDS

    found = 0
    searches = []
    for target in ("wire", "body"):
        directory = CACHE / target
        kept, begin, crashes = (directory / name for name in ("kept", "seeds", "found"))
        for each in (kept, begin, crashes):
            each.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(seeds.of(target)):
            (begin / str(number)).write_bytes(data)
        escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in WORDS)
        (directory / "words").write_text("".join(f'"{word}"\n' for word in escaped))
        options = [f"-max_total_time={seconds}", "-timeout=5", f"-rss_limit_mb={MEMORY}", "-max_len=16384"]
        options += [f"-dict={directory / 'words'}", f"-artifact_prefix={crashes}/"]
        program = ["-m", "tests.gateway.fuzz.search", PACKAGE, target]
        # A grandchild: a child's peak memory begins with that of the process that started it.
        command = [
            "sh",
            "-c",
            '"$@"; exit $?',
            "sh",
            sys.executable,
            *program,
            *options,
            str(kept),
            str(begin),
        ]
        with (directory / "log").open("wb") as log:
            process = subprocess.Popen(command, cwd=ROOT, stdout=log, stderr=log)
        searches.append((target, directory, process))
    found += sum(map(search_clients, BACKENDS, [start_clients(each, seconds) for each in BACKENDS]))
    for backend in BACKENDS:
        found += subprocess.run(
            [*PYTHON, "tests.gateway.faults", PACKAGE, backend, "all"], cwd=ROOT
        ).returncode
    for target, directory, process in searches:
        code = process.wait()
        log = (directory / "log").read_text(errors="replace")
        runs = re.search(r"Done (\d+) runs", log)
        print(f"{target}: {runs[1] + ' inputs, nothing found' if runs and not code else log[-3000:]}")
        for file in sorted((directory / "found").iterdir()):
            case = seeds.CORPUS / target / file.name
            case.write_bytes(file.read_bytes())
            file.unlink()
            found += 1
            print(f"{target}: {case.relative_to(ROOT)} is a case of `make test` now: {case.read_bytes()!r}")
        found += code != 0
    return int(found > 0)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
