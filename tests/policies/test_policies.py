"""The chart satisfies the policies in every scenario, but for what is accepted or is the user's own doing."""

from __future__ import annotations

import subprocess
from collections import Counter

import pytest

from scripts import tools
from scripts.chart import ROOT, Manifests
from scripts.lint.accepted import ACCEPTED
from scripts.lint.engine import findings
from scripts.lint.policies import BY_ID, POLICIES
from scripts.lint.policies.docker import holds_runtime_socket, is_runtime_socket
from scripts.lint.policies.pods import split_image
from scripts.lint.policies.secrets import _secret_value, names_secret, secret_in
from tests.policies.scenarios import ALL
from tests.render.scenarios import Scenario

#: What a scenario's values weaken on purpose: found, and not accepted.
WEAKENED: dict[str, set[str]] = {
    "plain-ingress": {"ingress-tls"},
    "minimal": {"network-ingress", "network-egress", "network-metadata"},  # networkPolicy.enabled: false
    # A connection with its password; an http registry; socket.limits of "0".
    "maximal": {"secret-literal", "insecure-registry", "docker-limits"},
}


@pytest.mark.parametrize("scenario", ALL, ids=str)
def test_findings(scenario: Scenario) -> None:
    found = [finding for finding in findings(scenario.render()) if not finding.accepted]
    shown = [
        f"{finding.policy.id}: {finding.manifest} {finding.found.container} {finding.found.field}:"
        f" {finding.found.message}. {finding.policy.fix}"
        for finding in found
    ]
    assert {finding.policy.id for finding in found} == WEAKENED.get(scenario.name, set()), "\n".join(shown)


@pytest.mark.parametrize("overlay", ["kubernetes", "dind", "socket", "production"])
def test_overlays(overlay: str) -> None:
    """What `kubectl apply -k` gives is as safe as what Helm gives."""
    command = [str(tools.path("kustomize")), "build", str(ROOT / "overlays" / overlay)]
    built = subprocess.run(command, capture_output=True, text=True, check=True).stdout
    found = [finding for finding in findings(Manifests.parse(built)) if not finding.accepted]
    assert not found, [f"{f.policy.id}: {f.manifest} {f.found.message}" for f in found]


def test_every_acceptance_is_used() -> None:
    used = Counter(finding.accepted for scenario in ALL for finding in findings(scenario.render()))
    unused = [acceptance for acceptance in ACCEPTED if not used[acceptance]]
    assert not unused, f"nothing is found that these accept: {unused}"


def test_policies_are_complete() -> None:
    assert len(BY_ID) == len(POLICIES), "two policies of one id"
    for policy in POLICIES:
        assert policy.title and policy.why.endswith(".") and policy.fix.endswith("."), policy.id
        assert (policy.check_object is None) != (policy.check_release is None), policy.id
    assert {acceptance.policy for acceptance in ACCEPTED} <= set(BY_ID)
    for acceptance in ACCEPTED:
        assert acceptance.reason.endswith("."), acceptance


@pytest.mark.parametrize(
    "path",
    [
        "/var/run/docker.sock",
        "/run/docker.sock",
        "//var//run/docker.sock",
        "/var/run/../run/docker.sock",
        "/var/run/docker.sock/",
        "/proc/1/root/run/docker.sock",
        "/run/containerd/containerd.sock",
        "/var/run/crio/crio.sock",
        "/run/k3s/containerd/containerd.sock",
        "/run/user/1000/podman/podman.sock",
        "/data/docker.sock",
        "/run/cri-dockerd.sock",
        "/host/var/run/docker.sock",
    ],
)
def test_runtime_sockets(path: str) -> None:
    assert is_runtime_socket(path)


@pytest.mark.parametrize(
    "path", ["/", "/run", "/var/run/", "/var", "//run//containerd", "/run/crio", "/var/snap"]
)
def test_runtime_directories(path: str) -> None:
    assert holds_runtime_socket(path)
    assert not is_runtime_socket(path)


@pytest.mark.parametrize(
    "path", ["/data", "/runner", "/var/lib/docker-volumes", "/var/log", "/srv/run", "/etc"]
)
def test_other_directories(path: str) -> None:
    assert not holds_runtime_socket(path)
    assert not is_runtime_socket(path)


@pytest.mark.parametrize(
    ("image", "parts"),
    [
        ("postgres", ("postgres", "", "")),
        ("registry:5000/a/b", ("registry:5000/a/b", "", "")),
        ("registry:5000/a/b:1", ("registry:5000/a/b", "1", "")),
        ("a/b:1@sha256:0", ("a/b", "1", "sha256:0")),
        ("a@sha256:0", ("a", "", "sha256:0")),
    ],
)
def test_split_image(image: str, parts: tuple[str, str, str]) -> None:
    assert split_image(image) == parts


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", "hunter2"),
        ("AWS_SECRET_ACCESS_KEY", "abc"),
        ("API_KEY", "x"),
        ("GITHUB_TOKEN", "x"),
        ("DATABASE", "postgresql://u:p@db/x"),
        ("AIRFLOW_CONN_DB", "postgres://u:p@db/x"),
        ("AIRFLOW_CONN_S3", "aws://?aws_secret_access_key=abc"),
        ("AIRFLOW_CONN_DB", '{"conn_type": "http", "password": "x"}'),
        ("AIRFLOW_CONN_DB", '{"conn_type": "http", "extra": "{\\"api_token\\": \\"x\\"}"}'),
        ("AIRFLOW__CORE__FERNET_KEY", "abc="),
        ("NOTE", "-----BEGIN RSA PRIVATE KEY-----"),
        ("NOTE", "AKIAABCDEFGHIJKLMNOP"),
    ],
)
def test_secret_values(name: str, value: str) -> None:
    assert _secret_value(name, value)


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("DB_PASSWORD", ""),
        ("DB_PASSWORD", "$(OTHER)"),
        ("DB_PASSWORD_FILE", "/run/secrets/db"),
        ("TOKEN_TTL_SECONDS", "3600"),
        ("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN_SECRET", "airflow/db"),
        ("DATABASE", "postgresql://db/x"),
        ("DATABASE", "postgresql://u:$(PASSWORD)@db/x"),
        ("AIRFLOW_CONN_DB", '{"conn_type": "http", "host": "x", "password": ""}'),
        ("AIRFLOW_CONN_DB", "http://example.com:80/x"),
        ("URL", "http://example.com:8080/a@b"),
        ("MONKEY", "banana"),
    ],
)
def test_values_that_are_no_secrets(name: str, value: str) -> None:
    assert not _secret_value(name, value)


def test_secret_names() -> None:
    assert names_secret("clientSecret")
    assert not names_secret("simple_auth_manager_passwords_file")
    assert not secret_in("see https://user:{password}@host and https://user:<password>@host")
