"""The DAG bundles of dags.git: Airflow's GitDagBundle, with errors that name the value to change.

git and ssh say what failed, but not which setting of the release it comes from. Airflow logs the exception
of a bundle in the dag-processor, and in the log of a task that cannot start without it.
"""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

from airflow.providers.git.bundles import git

#: What git or ssh print, the key of dags.git.<name>, and what it means. The first that matches counts.
CAUSES: tuple[tuple[str, str, str], ...] = (
    (
        r"Host key verification failed|REMOTE HOST IDENTIFICATION HAS CHANGED",
        "knownHosts",
        "{host} has a host key{fingerprint} that is not among these. Compare it with the one that the"
        " operator of the host publishes, and add it",
    ),
    (
        r"error in libcrypto|invalid format|Load key .*: (?!Permission denied)",
        "sshKeySecret",
        "the Secret contains no private key that ssh can read. Create it from the file of an OpenSSH key"
        " without a passphrase",
    ),
    (
        r"Permission denied \(|Load key .*: Permission denied",
        "sshKeySecret",
        "{host} does not accept the key. Add its public key to the repository as a deploy key",
    ),
    (
        r"Authentication failed|could not read Username|could not read Password|HTTP 40[13]|error: 40[13]",
        "tokenSecret",
        "{host} does not accept the token, or requires one. Check that it has not expired and can read the"
        " repository",
    ),
    (
        r"SSL certificate problem|certificate verif|unable to get local issuer",
        "repository",
        "the certificate of {host} is not from a known CA. Set trust.configMap or trust.secret",
    ),
    (
        r"Could not resolve|Connection timed out|Operation timed out|Connection refused|Failed to connect"
        r"|Network is unreachable|No route to host|Proxy",
        "repository",
        "{host} cannot be reached. Check the name, networkPolicy.egress and proxy",
    ),
    (
        r"[Rr]epository .*not found|does not appear to be a git repository|does not exist",
        "repository",
        "{host} has no such repository, or the key or token cannot read it",
    ),
    (
        r"pathspec|ambiguous argument|unknown revision",
        "ref",
        "the repository has no such branch, tag or commit",
    ),
)
#: All that is left of what ssh printed when a fetch fails: GitPython keeps git's own lines.
UNSPECIFIC = "Could not read from remote repository"
FULL = re.compile(r"No space left on device|Disk quota exceeded")


class GitBundleError(RuntimeError):
    """A repository cannot be fetched: names the value of the chart, and the host."""


class GitDagBundle(git.GitDagBundle):
    """A repository of dags.git."""

    def initialize(self) -> None:
        """Clone, or check out a version.

        Raises:
            GitBundleError: git failed for a known reason.
        """
        with self._explained():
            super().initialize()

    def refresh(self) -> None:
        """Fetch.

        Raises:
            GitBundleError: git failed for a known reason.
        """
        with self._explained():
            super().refresh()

    @contextlib.contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except GitBundleError:
            raise
        except Exception as error:
            text, url = said(error), str(self.repo_url)
            explanation = explain(self.name, url, text)
            if not explanation and UNSPECIFIC in text:
                again = (
                    f"dags.git.{self.name}.repository: {host_of(url)} closed the connection. It answers now"
                )
                explanation = explain(self.name, url, self._ask()) or again
            if explanation:
                raise GitBundleError(explanation) from error
            raise

    def _ask(self) -> str:
        """Give what ssh and git print when they connect once more."""
        with self.hook.configure_hook_env() if self.hook else contextlib.nullcontext():
            environment = {**os.environ, **(self.hook.env if self.hook else {})}
            command = ["git", "ls-remote", "--heads", "--", str(self.repo_url)]
            done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
        return done.stderr


def said(error: BaseException | None) -> str:
    """Give what git printed: the texts of an exception and of those that caused it."""
    texts: list[Any] = []
    while error is not None:
        texts += [getattr(error, "stderr", "") or "", error]
        error = error.__cause__ or error.__context__
    return "\n".join(map(str, texts))


def explain(name: str, url: str, text: str) -> str:
    """Give one sentence on why a repository cannot be fetched, "" if the reason is unknown."""
    if FULL.search(text):
        return f"dags.storage: has no room for dags.git.{name} ({url}). Set a larger size"
    for pattern, key, meaning in CAUSES:
        if re.search(pattern, text):
            found = re.search(r"SHA256:[A-Za-z0-9+/=]+", text)
            fingerprint = f" ({found[0]})" if found else ""
            return f"dags.git.{name}.{key}: {meaning.format(host=host_of(url), fingerprint=fingerprint)}"
    return ""


def host_of(url: str) -> str:
    """Give the host of a URL, or of USER@HOST:PATH, with its port."""
    if "://" not in url:
        return url.partition("@")[2].partition(":")[0]
    return urlsplit(url).netloc.rpartition("@")[2]
