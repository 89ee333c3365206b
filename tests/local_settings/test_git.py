"""Errors of dags.git: they name the value to change, and the host.

The texts are those of git 2.47 and OpenSSH 10.0.
"""

from __future__ import annotations

import contextlib
import importlib
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any, ClassVar

import pytest

URL = "ssh://git@git.example.com:2222/dags.git"
CHANGED = """\
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
@    WARNING: REMOTE HOST IDENTIFICATION HAS CHANGED!     @
@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@@
The fingerprint for the ED25519 key sent by the remote host is
SHA256:uNiVztksCsDhcc0u9e8BrJQXVUpKZIDTMczCvj3tD2s.
Host key verification failed.
fatal: Could not read from remote repository."""
UNKNOWN = """\
No ED25519 host key is known for [git.example.com]:2222 and you have requested strict checking.
Host key verification failed."""
DENIED = "git@git.example.com: Permission denied (publickey)."
NO_KEY = 'Load key "/run/airdock-git/main/ssh-key": error in libcrypto\n' + DENIED
SAID = {
    CHANGED: (
        "dags.git.main.knownHosts: git.example.com:2222 ",
        "SHA256:uNiVztksCsDhcc0u9e8BrJQXVUpKZIDTMczCvj3tD2s)",
    ),
    UNKNOWN: ("dags.git.main.knownHosts: git.example.com:2222 ",),
    DENIED: ("dags.git.main.sshKeySecret: git.example.com:2222 does not accept the key",),
    NO_KEY: ("dags.git.main.sshKeySecret: the Secret contains no private key",),
    "ssh: connect to host git.example.com port 2222: Connection timed out": (
        "dags.git.main.repository: git.example.com:2222 cannot be reached",
    ),
    "fatal: unable to access 'https://git.example.com/x/': Could not resolve host: git.example.com": (
        "dags.git.main.repository: git.example.com:2222 cannot be reached",
    ),
    "fatal: unable to access 'https://x/': server certificate verification failed. CAfile: none": (
        "dags.git.main.repository: the certificate",
        "trust.configMap",
    ),
    "remote: HTTP Basic: Access denied\nfatal: Authentication failed for 'https://git.example.com/x/'": (
        "dags.git.main.tokenSecret: git.example.com:2222 does not accept the token",
    ),
    "fatal: could not read Username for 'https://git.example.com': terminal prompts disabled": (
        "dags.git.main.tokenSecret: ",
    ),
    "fatal: repository 'https://git.example.com/x/' not found": (
        "dags.git.main.repository: git.example.com:2222 has no such repository",
    ),
    "fatal: '/srv/x' does not appear to be a git repository": ("dags.git.main.repository: ",),
    "error: pathspec 'maim' did not match any file(s) known to git": ("dags.git.main.ref: ",),
    "error: file write error: No space left on device\nfatal: unable to write": (
        "dags.storage: has no room for dags.git.main",
    ),
}


class Bundle:
    """Airflow's bundle, as far as the chart's one uses it."""

    name, repo_url = "main", URL
    error: BaseException | None = None
    hook: Any = None

    def initialize(self) -> None:
        if self.error:
            raise RuntimeError("Error cloning repository") from self.error

    refresh = initialize


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Any:
    names = ("airflow.providers", "airflow.providers.git", "airflow.providers.git.bundles")
    for name in names:
        monkeypatch.setitem(sys.modules, name, ModuleType(name))
    bundles: Any = sys.modules["airflow.providers.git.bundles"]
    bundles.git = ModuleType("git")
    bundles.git.GitDagBundle = Bundle
    monkeypatch.delitem(sys.modules, "airdock_git", raising=False)
    yield importlib.import_module("airdock_git")
    sys.modules.pop("airdock_git", None)


class GitCommandError(Exception):
    """As GitPython's: what git printed is in stderr."""

    def __init__(self, stderr: str) -> None:
        super().__init__("Cmd('git') failed due to: exit code(128)")
        self.stderr = f"\n  stderr: '{stderr}'"


@pytest.mark.parametrize("what", ["initialize", "refresh"])
@pytest.mark.parametrize(("printed", "words"), SAID.items(), ids=range(len(SAID)))
def test_it_names_the_value_and_the_host(
    module: Any, printed: str, words: tuple[str, ...], what: str
) -> None:
    bundle = module.GitDagBundle()
    bundle.error = GitCommandError(printed)
    with pytest.raises(module.GitBundleError) as caught:
        getattr(bundle, what)()
    assert str(caught.value).startswith(words[0])
    assert all(word in str(caught.value) for word in words)


class Hook:
    """Airflow's hook, as far as the bundle uses it."""

    env: ClassVar[dict[str, str]] = {"GIT_SSH_COMMAND": "ssh -F /dev/null -o BatchMode=yes"}

    @contextlib.contextmanager
    def configure_hook_env(self) -> Iterator[None]:
        yield


def test_a_failed_fetch_connects_once_more_to_say_why(module: Any, tmp_path: Path) -> None:
    """A fetch keeps of what ssh printed only that it failed. Here the real git and ssh say why."""
    bundle = module.GitDagBundle()
    bundle.error = GitCommandError("fatal: Could not read from remote repository.")
    bundle.hook, bundle.repo_url = Hook(), "ssh://git@127.0.0.1:1/dags.git"
    with pytest.raises(module.GitBundleError) as caught:
        bundle.refresh()
    assert str(caught.value).startswith("dags.git.main.repository: 127.0.0.1:1 cannot be reached")
    subprocess.run(["git", "init", "-q", "--bare", str(tmp_path)], check=True)
    bundle.repo_url = f"file://git@localhost{tmp_path}"
    with pytest.raises(module.GitBundleError, match=r"main\.repository: localhost closed the connection"):
        bundle.refresh()


def test_what_is_unknown_stays_as_it_is(module: Any) -> None:
    bundle = module.GitDagBundle()
    bundle.initialize()
    bundle.error = GitCommandError("fatal: something new")
    with pytest.raises(RuntimeError, match=r"^Error cloning repository$"):
        bundle.initialize()


def test_an_explained_error_is_explained_once(module: Any) -> None:
    class Nested(module.GitDagBundle):  # type: ignore[misc]
        def initialize(self) -> None:
            with self._explained():
                self.refresh()

    bundle = Nested()
    bundle.error = GitCommandError(UNKNOWN)
    with pytest.raises(module.GitBundleError) as caught:
        bundle.initialize()
    assert isinstance(caught.value.__cause__, RuntimeError)
    assert str(caught.value).count("knownHosts") == 1


def test_the_host_of_a_url(module: Any) -> None:
    assert module.host_of("git@git.example.com:a/b.git") == "git.example.com"
    assert module.host_of("https://git.example.com:8443/a") == "git.example.com:8443"
    assert module.host_of(URL) == "git.example.com:2222"
