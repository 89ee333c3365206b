"""Which image an entry of an allow-list admits: one table for every implementation.

`tasks.admission.images` is compared by CEL in the API server and by the gateway of mode `kubernetes`;
`workers.<name>.socket.allowed.images` by the gateway of mode `socket`. All of them parse entry and image
into parts and compare the parts, as github.com/distribution/reference (`ParseDockerRef`) does:

registry    the first component, if there are others and it has "." or ":" or a capital letter, or is
            `localhost`. Otherwise docker.io. index.docker.io is docker.io.
repository  the rest of the name; on docker.io a single component is below library/.
tag         without tag and digest: latest.
digest      it decides what runs, so a tag beside it says nothing.

An entry is `*` (any image), or a name with an optional tag or digest:

repository  exact; `/*` at the end: every repository below.
tag         `*` stands for any characters. Without tag, or `*`: any tag and any digest.
            With another tag: images with a matching tag and without a digest.
digest      images with exactly this digest.
"""

from __future__ import annotations

_A = "sha256:" + "a" * 64
_B = "sha256:" + "b" * 64

#: (entry, image, whether the entry admits it)
CASES: tuple[tuple[str, str, bool], ...] = (
    # Any tag, any digest
    ("busybox", "busybox", True),
    ("busybox", "busybox:1.37", True),
    ("busybox", f"busybox@{_A}", True),
    ("busybox", f"busybox:1.37@{_A}", True),
    ("busybox:*", "busybox", True),
    ("busybox:*", "busybox:1.37", True),
    ("busybox:*", f"busybox:1.37@{_A}", True),
    ("busybox", "busybox-evil", False),
    ("busybox", "evil/busybox", False),
    ("busybox", "busybox/evil", False),
    ("busybox", "busybox.evil/miner", False),
    # A port is no tag
    ("busybox", "busybox:5000/evil/miner:1", False),
    ("busybox:*", "busybox:5000/evil/miner:1", False),
    ("busybox:*", "busybox:5000/evil/miner", False),
    ("python:3*", "python:3000/evil/miner", False),
    ("python:3*", "python:3000/evil/miner:3", False),
    ("localhost:5000/etl", "localhost:5000/etl:1", True),
    ("localhost:5000/etl", "localhost/etl:5000", False),
    ("localhost:5000/etl", "localhost:5001/etl:1", False),
    ("registry.example:5000/etl:1", "registry.example:5000/etl:1", True),
    ("registry.example/etl", "registry.example:5000/etl", False),
    ("registry.example:5000/etl", "registry.example/etl", False),
    # Tags
    ("python:3*", "python:3", True),
    ("python:3*", "python:3.12-slim", True),
    ("python:3*", "python:2", False),
    ("python:3*", "python", False),
    ("python:3.*-slim", "python:3.12-slim", True),
    ("python:3.*-slim", "python:3.12-slim-bookworm", False),
    ("python:3.*-slim", "python:3x12-slim", False),
    ("python:3.12", "python:3.12", True),
    ("python:3.12", "python:3.12.1", False),
    ("python:3.12", "python:3x12", False),
    ("python:latest", "python", True),
    ("python:latest", "python:latest", True),
    ("python:Latest", "python:latest", False),
    ("registry.example/one:1", "registry.example/one:12", False),
    # A digest decides
    ("python:3*", f"python:3@{_A}", False),
    ("python:3", f"python:3@{_A}", False),
    ("python:3", f"python@{_A}", False),
    (f"python@{_A}", f"python@{_A}", True),
    (f"python@{_A}", f"python:3@{_A}", True),
    (f"python@{_A}", f"python@{_B}", False),
    (f"python@{_A}", "python", False),
    (f"python@{_A}", f"evil/python@{_A}", False),
    (f"python:3@{_A}", f"python:3@{_A}", True),
    (f"python:3@{_A}", f"python:4@{_A}", True),
    (f"python:3@{_A}", f"python:3@{_B}", False),
    (f"python:3@{_A}", "python:3", False),
    # docker.io and library/
    ("busybox", "docker.io/busybox:1", True),
    ("busybox", "docker.io/library/busybox:1", True),
    ("busybox", "index.docker.io/library/busybox:1", True),
    ("busybox", "library/busybox:1", True),
    ("docker.io/library/busybox", "busybox", True),
    ("index.docker.io/busybox", "busybox", True),
    ("library/busybox", "busybox", True),
    ("busybox", "evil.example/library/busybox", False),
    ("busybox", "evil.example/busybox", False),
    ("busybox", "localhost/busybox", False),
    ("apache/airflow", "docker.io/apache/airflow:3", True),
    ("apache/airflow", "ghcr.io/apache/airflow:3", False),
    # The first component: a registry or not
    ("localhost/etl", "localhost/etl", True),
    ("localhost/etl", "docker.io/localhost/etl", False),
    ("team/etl", "TEAM/etl", False),
    ("TEAM/etl", "TEAM/etl:1", True),
    ("docker.io/*", "TEAM/etl", False),
    # Below
    ("ghcr.io/team/*", "ghcr.io/team/etl", True),
    ("ghcr.io/team/*", "ghcr.io/team/a/b:1", True),
    ("ghcr.io/team/*", f"ghcr.io/team/etl@{_A}", True),
    ("ghcr.io/team/*", "ghcr.io/team", False),
    ("ghcr.io/team/*", "ghcr.io/teammate/etl", False),
    ("ghcr.io/team/*", "ghcr.io/evil/team/etl", False),
    ("ghcr.io/*", "ghcr.io/any/thing:1", True),
    ("ghcr.io/*", "ghcr.io:8443/any/thing:1", False),
    ("ghcr.io/*", "ghcr.io.evil.example/any", False),
    ("ghcr.io/team/*:1.*", "ghcr.io/team/a/b:1.2", True),
    ("ghcr.io/team/*:1.*", "ghcr.io/team/a/b:2", False),
    ("ghcr.io/team/*:1.*", f"ghcr.io/team/a/b:1.2@{_A}", False),
    ("ghcr.io/team/*:*", f"ghcr.io/team/a/b:1.2@{_A}", True),
    ("team/*", "team/etl", True),
    ("team/*", "docker.io/team/etl:1", True),
    ("team/*", "team.example/etl", False),
    ("team/*", "team:5000/etl", False),
    ("library/*", "busybox", True),
    ("library/*", "team/etl", False),
    ("docker.io/*", "busybox:1", True),
    ("docker.io/*", "team/etl:1", True),
    ("docker.io/*", "localhost/etl", False),
    ("docker.io/*", "ghcr.io/team/etl", False),
    ("localhost/*", "localhost/a/b", True),
    ("localhost:5000/*", "localhost:5000/a/b:1", True),
    ("localhost:5000/*", "localhost:50001/a/b:1", False),
    # Any
    ("*", "busybox", True),
    ("*", f"registry.example:5000/a/b:1@{_A}", True),
    # No image reference
    ("busybox", "busybox@", False),
    ("busybox", "busybox:", False),
    ("busybox", f"busybox@{_A}@{_B}", False),
    ("busybox", "busybox@sha256:short", False),
    ("busybox", "busybox:1:2", False),
    ("busybox", "Busybox", False),
    ("busybox", " busybox", False),
    ("busybox", "busybox\n", False),
    ("busybox", "/busybox", False),
    ("busybox", "a" * 64, False),
    ("ghcr.io/team/*", "ghcr.io/team/../evil/x", False),
    ("ghcr.io/team/*", "ghcr.io/team//x", False),
    ("ghcr.io/team/*", "ghcr.io/team/", False),
    ("", "busybox", False),
)

#: No entries: the chart rejects such a value, and the gateway admits nothing by it.
MALFORMED_ENTRIES = (
    "busybox:",
    "ghcr.io/team/",
    "registry.example/etl@",
    "python*",
    "*/etl",
    "gh*.io/team/etl",
    "ghcr.io/*/etl",
    "ghcr.io/team/*@" + _A,
    "python:[3]*",
    "python:?",
    "python@sha256:*",
    "Python",
    "registry.example//etl",
    " busybox",
    "",
)
