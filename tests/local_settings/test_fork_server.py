"""The fork server: processes that run authors' code without the secrets of the one that starts them.

Every case is a real process tree: a parent with a secret in its environment and its memory, and a child that
searches for it, without capabilities, as in a pod.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.support.attacks import PARSING
from tests.support.paths import FILES, ROOT

SOURCES = (FILES / "scripts" / "fork_server.py", ROOT / "tests" / "e2e" / "dags" / "secret_search.py")
#: Every case has its own, or those that run beside it would be found.
PATTERN = "s3cret-TOKEN-[0-9a-f]{32}"
#: A program with a secret. Its child does what CHILD says: "{act}" of the cases below.
PROGRAM = """
import json, os, re, signal, socket, sys, time
import fork_server, secret_search

def act():
    {act}

if sys.argv[1] == "--serve":
    fork_server.protect()
    fork_server.unconfined = {unconfined}
    asked = os.environ.get("ASKED", "")
    def wait(there):
        for _ in range(2000):
            if there():
                return
            time.sleep(0.01)
        os._exit(9)
    if asked:
        os.register_at_fork(after_in_child=lambda: wait(lambda: signal.SIGTERM in signal.sigpending()))
    def prepare(request):
        if os.environ.get("SLOW") == "server":
            wait(lambda: os.path.exists(asked))
    def run(request, descriptors):
        os.dup2(descriptors[0], 1)
        assert request == b"go"
        act()
    names = (os.environ.get(name, "") for name in ("CLOSED", "OPEN"))
    fork_server.serve(int(sys.argv[2]), run, prepare, *names)
    sys.exit()

kept = os.environ["SECRET"]
separate = sys.argv[1] == "separate"
if separate:
    fork_server.protect()
    clean = dict((k, v) for k, v in os.environ.items() if k != "SECRET")
    server = fork_server.start([sys.executable, __file__, "--serve"], clean)
    time.sleep(0.2)
read, write = os.pipe()
child = os.fork()
if child == 0:
    os.close(read)
    if separate:
        fork_server.prepare(server, b"be slow")
        fork_server.fork(server, b"go", [write])
    os.dup2(write, 1)
    act()
    os._exit(0)
os.close(write)
{parent}
said = os.fdopen(read).read()
print(json.dumps([said, os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])]))
"""
WITH_LANDLOCK = "fork_server.unconfined"
WITHOUT = "lambda: 'off'"


def run(
    directory: Path, how: str, act: str, *, parent: str = "", unconfined: str = WITH_LANDLOCK
) -> tuple[Any, int]:
    """What the child printed, and how its parent saw it end."""
    for source in SOURCES:
        shutil.copy(source, directory)
    program = directory / "program.py"
    token = secrets.token_hex(4)
    text = PROGRAM.format(act=act, parent=parent, unconfined=unconfined)
    program.write_text(text.replace("TOKEN", token))
    # Nobody in a pod has capabilities, with which every memory can be read.
    drop = ["setpriv", "--bounding-set=-all", "--inh-caps=-all"] if os.getuid() == 0 else []
    done = subprocess.run(
        [*drop, sys.executable, str(program), how],
        env={
            **os.environ,
            "SECRET": f"s3cret-{token}-{secrets.token_hex(16)}",
            "PYTHONDONTWRITEBYTECODE": "1",
        },
        cwd=directory,
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert done.returncode == 0, done.stderr
    said, code = json.loads(done.stdout.splitlines()[-1])
    return said, code


SEARCH = f'print(json.dumps(secret_search.search(rb"{PATTERN}")), flush=True)'


@pytest.mark.attack(actor=PARSING, finding=(8,))
def test_a_forked_child_has_the_secret_and_a_separate_one_has_not(tmp_path: Path) -> None:
    found = json.loads(run(tmp_path, "fork", SEARCH)[0])
    for way in ("os.environ", "own environment", "own memory"):
        assert way in found
    assert any(way.endswith(" environment") and "own" not in way for way in found), "of its parent"
    assert any(way.endswith(" memory") and "own" not in way for way in found), "of its parent"
    assert json.loads(run(tmp_path, "separate", SEARCH)[0]) == []


#: A process beside them with the secret in its environment: a probe, git, the container's init.
BESIDE = "import subprocess; beside = subprocess.Popen(['sleep', '60']); time.sleep(0.3)"


@pytest.mark.attack(actor=PARSING, finding=(8,))
def test_processes_beside_it(tmp_path: Path) -> None:
    """Programs that are executed can be read by every process of their uid, but not by a confined one."""
    act = f"time.sleep(1); {SEARCH}"
    end = f"{BESIDE}; import atexit; atexit.register(beside.kill)"
    found = json.loads(run(tmp_path, "separate", act, parent=end, unconfined=WITHOUT)[0])
    assert found and all(way.startswith("sleep ") for way in found), found
    assert json.loads(run(tmp_path, "separate", act, parent=end)[0]) == []


@pytest.mark.attack(actor=PARSING, finding=(8,))
def test_without_landlock_the_parent_stays_closed(tmp_path: Path) -> None:
    assert json.loads(run(tmp_path, "separate", SEARCH, unconfined=WITHOUT)[0]) == []


@pytest.mark.attack(actor=PARSING, finding=(8,))
def test_the_fork_server_is_out_of_reach(tmp_path: Path) -> None:
    """Who could write into its memory, or ask it, could have it fork a process that is not confined."""
    act = """
    server = os.getppid()
    reach = []
    for what, flags in (("mem", os.O_RDWR), ("environ", os.O_RDONLY), ("maps", os.O_RDONLY)):
        try:
            os.close(os.open(f"/proc/{server}/{what}", flags)); reach.append(what)
        except OSError:
            pass
    try:
        os.kill(server, 0); reach.append("signal")
    except OSError:
        pass
    links = [os.path.join("/proc/self/fd", fd) for fd in os.listdir("/proc/self/fd") if int(fd) > 2]
    sockets = [link for link in links if os.path.exists(link) and "socket" in os.readlink(link)]
    print(json.dumps([reach, sockets]), flush=True)
"""
    assert json.loads(run(tmp_path, "separate", act.strip())[0]) == [[], []]


@pytest.mark.parametrize(
    ("act", "code"),
    [
        ("pass", 0),
        ("sys.exit(7)", 7),
        ("raise ValueError", 1),
        ("os.kill(os.getpid(), signal.SIGKILL)", -9),
        ("os.kill(os.getpid(), signal.SIGTERM)", -15),
    ],
)
def test_it_ends_as_the_child_ends(tmp_path: Path, act: str, code: int) -> None:
    assert run(tmp_path, "separate", act)[1] == code


HANDLER = (
    "signal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'asked'), os._exit(3)));"
    " os.write(1, b'up,'); time.sleep(600)"
)


@pytest.mark.parametrize(("number", "said", "code"), [("SIGTERM", "up,asked", 3), ("SIGKILL", "up,", -9)])
def test_signals(tmp_path: Path, number: str, said: str, code: int) -> None:
    """A signal to the stand-in reaches the child; a child does not outlive a stand-in that is killed.

    The pipe's end tells that the child is gone: it holds the other end.
    """
    parent = f"time.sleep(1.5); os.kill(child, signal.{number})"
    assert run(tmp_path, "separate", HANDLER, parent=parent) == (said, code)


@pytest.mark.parametrize("slow", ["server", "child"])
def test_a_signal_is_not_lost_before_the_child_can_have_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, slow: str
) -> None:
    """The child waits for the signal, and a slow server for a file that is made once it was sent."""
    monkeypatch.setenv("SLOW", slow)
    monkeypatch.setenv("ASKED", str(tmp_path / "asked"))
    parent = "time.sleep(1); os.kill(child, signal.SIGTERM); open(os.environ['ASKED'], 'w').close()"
    assert run(tmp_path, "separate", HANDLER, parent=parent) == ("", -15)


def test_files_can_still_be_moved(tmp_path: Path) -> None:
    act = """
    import tempfile
    one, two = tempfile.mkdtemp(), tempfile.mkdtemp()
    open(one + "/x", "w").close(); os.rename(one + "/x", two + "/x"); os.link(two + "/x", one + "/y")
    print(os.path.exists(one + "/y"), flush=True)
"""
    assert run(tmp_path, "separate", act.strip())[0] == "True\n"


@pytest.mark.attack(actor=PARSING, finding=(8,))
def test_a_closed_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Of a DAG bundle: whoever can write a repository's configuration has `git` run what they like."""
    root = tmp_path / "writes"
    for name in ("bundles/repository/.git", "bundles/_tracking", "beside"):
        (root / name).mkdir(parents=True)
    config = root / "bundles" / "repository" / ".git" / "config"
    config.write_text("[core]")
    (root / "link").symlink_to(root / "bundles")
    # Each leaves what the next one needs.
    act = f"""
    done = []
    def attempt(name, write):
        try:
            write(); done.append(name)
        except OSError:
            pass
    root = {str(root)!r}
    put = lambda path: open(root + path, "a").close()
    attempt("beside", lambda: put("/beside/x"))
    attempt("null", lambda: open("/dev/null", "w").close())
    attempt("mark", lambda: put("/bundles/_tracking/x"))
    attempt("read", lambda: open(root + "/bundles/repository/.git/config").read())
    attempt("write", lambda: open(root + "/bundles/repository/.git/config", "r+").close())
    attempt("truncate", lambda: os.truncate(root + "/bundles/repository/.git/config", 0))
    attempt("create", lambda: put("/bundles/repository/.git/hook"))
    attempt("link", lambda: put("/link/repository/.git/hook"))
    attempt("remove", lambda: os.remove(root + "/bundles/repository/.git/config"))
    attempt("rename", lambda: os.rename(root + "/bundles/repository", root + "/beside/repository"))
    attempt("replace", lambda: os.rename(root + "/beside/x", root + "/bundles/config"))
    print(json.dumps(done), flush=True)
"""
    monkeypatch.setenv("CLOSED", str(root / "bundles"))
    monkeypatch.setenv("OPEN", str(root / "bundles" / "_tracking"))
    closed = json.loads(run(tmp_path, "separate", act.strip())[0])
    assert closed == ["beside", "null", "mark", "read"]
    monkeypatch.delenv("CLOSED")
    monkeypatch.delenv("OPEN")
    everything = json.loads(run(tmp_path, "separate", act.strip())[0])
    assert everything == [*closed, "write", "truncate", "create", "link", "remove", "rename", "replace"]
