"""Search both targets at random for SECONDS each; what is found goes to the corpus: `make fuzz`.

Inputs that reach new code are kept below .cache/fuzz and begin the next search.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]
#: MiB; the fuzzer itself takes about 60.
MEMORY = 300


def main(seconds: str) -> int:
    """Search; exit code 1 if something was found."""
    sys.path.insert(0, str(ROOT / "charts/airdock/files"))
    from . import seeds
    from .mutations import WORDS

    found = 0
    searches = []
    for target in ("wire", "body"):
        directory = ROOT / ".cache/fuzz" / target
        kept, begin, crashes = (directory / name for name in ("kept", "seeds", "found"))
        for each in (kept, begin, crashes):
            each.mkdir(parents=True, exist_ok=True)
        for number, data in enumerate(seeds.of(target)):
            (begin / str(number)).write_bytes(data)
        escaped = ("".join(f"\\x{byte:02x}" for byte in word) for word in WORDS)
        (directory / "words").write_text("".join(f'"{word}"\n' for word in escaped))
        options = [f"-max_total_time={seconds}", "-timeout=5", f"-rss_limit_mb={MEMORY}", "-max_len=16384"]
        options += [f"-dict={directory / 'words'}", f"-artifact_prefix={crashes}/"]
        program = ["-m", "tests.gateway.fuzz.search", str(ROOT / "charts/airdock/files"), target]
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
