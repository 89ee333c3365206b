"""Git repositories that cannot work."""

from __future__ import annotations

from typing import Any

from tests.render.bad_values.model import Bad

SSH = {
    "repository": "git@git.example.com:data/dags.git",
    "sshKeySecret": "key",
    "knownHosts": "git.example.com ssh-ed25519 AAAA",
}
HTTPS = {"repository": "https://git.example.com/dags.git"}


def git(**settings: Any) -> dict[str, Any]:
    return {"dags": {"git": {"main": settings}}}


GIT = (
    *(
        Bad(f"the repository {url}", git(repository=url), (f'dags.git.main.repository: "{url}" is no URL',))
        for url in (
            "http://git.example.com/dags.git",
            "git://git.example.com/dags.git",
            "file:///dags.git",
            "/dags.git",
            "git.example.com/dags.git",
            "ssh://git.example.com/dags.git",
            "ssh://git:password@git.example.com/dags.git",
            "ext::sh -c id",
            "https://",
        )
    ),
    *(
        Bad(
            f"a token in {url}",
            git(repository=url),
            ("dags.git.main.repository: contains a user name or token", "dags.git.main.tokenSecret"),
        )
        for url in ("https://ghp_x@git.example.com/a.git", "https://u:t@git.example.com/a.git")
    ),
    Bad(
        "ssh without a key",
        git(**{**SSH, "sshKeySecret": ""}),
        ("dags.git.main.sshKeySecret: is missing", "git.example.com"),
    ),
    Bad(
        "a key and a token",
        git(**SSH, tokenSecret="token"),
        ("dags.git.main.tokenSecret: is for https", "1 problem(s)"),
    ),
    Bad(
        "https with a key",
        git(**HTTPS, sshKeySecret="key", tokenSecret="token"),
        ("dags.git.main.sshKeySecret: is for ssh", "1 problem(s)"),
    ),
    Bad("https with host keys", git(**HTTPS, knownHosts="x"), ("dags.git.main.knownHosts: is for ssh",)),
    Bad(
        "https with any host key",
        git(**HTTPS, acceptAnyHostKey=True),
        ("dags.git.main.acceptAnyHostKey: is for ssh",),
    ),
    Bad(
        "ssh to a host that is not known",
        git(**{**SSH, "repository": "ssh://git@git.example.com:2222/dags.git", "knownHosts": None}),
        ("dags.git.main.knownHosts: is missing", "[git.example.com]:2222", "dags.git.main.acceptAnyHostKey"),
    ),
    Bad(
        "host keys of another host",
        git(**{**SSH, "knownHosts": "github.com ssh-ed25519 AAAA"}),
        ("dags.git.main.knownHosts: has no line for git.example.com",),
    ),
    Bad(
        "a private key among the host keys",
        git(**{**SSH, "knownHosts": "-----BEGIN OPENSSH PRIVATE KEY-----"}),
        ("dags.git.main.knownHosts: is a private key",),
    ),
    Bad(
        "host keys and any host key",
        git(**SSH, acceptAnyHostKey=True),
        ("dags.git.main.acceptAnyHostKey: is true, so dags.git.main.knownHosts",),
    ),
    *(
        Bad(
            f"the repository name {name!r}",
            {"dags": {"git": {name: HTTPS}}},
            (f'dags.git.{name}: "{name}" cannot be the name of a bundle',),
        )
        for name in ("Main", "a_b", "a.b", "-a", "a/b", "x" * 51)
    ),
    Bad(
        "a bundle of the same name",
        {"dags": {"git": {"main": HTTPS}, "bundles": [{"name": "main", "classpath": "x.Y"}]}},
        ("dags.git.main: dags.bundles has an entry of this name",),
    ),
    Bad(
        "a connection of the same name",
        {**git(**HTTPS), "airflow": {"connections": {"AIRDOCK_GIT_MAIN": "git://"}}},
        ("airflow.connections.airdock_git_main: the chart defines this connection, for dags.git.main",),
    ),
    *(
        Bad(f"the directory {path}", git(**HTTPS, subdir=path), ("dags.git.main.subdir:", "is outside"))
        for path in ("/dags", "../dags", "dags/..", "a/../../b")
    ),
    Bad("an option as ref", git(**HTTPS, ref="--upload-pack=x"), ("dags.git.main.ref:",)),
    Bad("a ref with a space", git(**HTTPS, ref="a b"), ("/dags/git/main/ref",)),
    Bad("no repository", git(ref="main"), ("/dags/git/main", "'repository'")),
    Bad("an unknown key", git(**HTTPS, branch="main"), ("/dags/git/main", "'branch'")),
    Bad("seconds below one", git(**HTTPS, refreshSeconds=0), ("/dags/git/main/refreshSeconds",)),
    *(
        Bad(
            f"other words for what the chart sets: {key}",
            {**git(**HTTPS), "airflow": values},
            (f"airflow.{key}: ",),
        )
        for key, values in (
            (
                "config.dag_processor.dag_bundle_storage_path",
                {"config": {"dag_processor": {"dag_bundle_storage_path": "/x"}}},
            ),
            (
                "env.AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH",
                {"env": {"AIRFLOW__DAG_PROCESSOR__DAG_BUNDLE_STORAGE_PATH": "/x"}},
            ),
            ("env.GIT_CONFIG_COUNT", {"env": {"GIT_CONFIG_COUNT": "1"}}),
        )
    ),
    Bad(
        "strict egress to no repository",
        {**git(**HTTPS), "networkPolicy": {"egress": "strict"}},
        ("networkPolicy.egressRules: is empty", "dags.git", "networkPolicy.workers.egress"),
    ),
    Bad(
        "a claim that pods share",
        {"dags": {"git": {"main": HTTPS}, "storage": {"persistentVolumeClaim": {"claimName": "dags"}}}},
        ("dags.storage: is a volume of type persistentVolumeClaim", "ephemeral"),
    ),
    Bad(
        "storage of nothing",
        {"dags": {"storage": {"emptyDir": {"sizeLimit": "1Gi"}}}},
        ("dags.storage: has no effect without dags.git or dags.bundles",),
    ),
    Bad(
        "examples that no bundle reads",
        {"dags": {"git": {"main": HTTPS}, "examples": True}},
        ("dags.examples: with dags.bundles or dags.git",),
    ),
    Bad(
        "a volume that no bundle reads",
        {"dags": {"git": {"main": HTTPS}, "volume": {"persistentVolumeClaim": {"claimName": "dags"}}}},
        ("dags.volume: with dags.bundles or dags.git",),
    ),
)
