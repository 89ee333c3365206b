"""files/scripts/logins.py: when certificates and logins end, as the exporter of Airflow's metrics is told."""

from __future__ import annotations

import base64
import json
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from scripts.chart import CHART
from tests.support.certificates import authority
from tests.support.chart_modules import load_module

SCRIPT = CHART / "files" / "scripts" / "logins.py"
HOUR, DAY = 3600, 86400
Send = Callable[[], dict[str, dict[str, int]]]


def encoded(value: Any, alphabet: Callable[[bytes], bytes] = base64.b64encode) -> str:
    return alphabet(json.dumps(value).encode()).decode()


def web_token(**claims: int | str) -> str:
    parts = (encoded(part, base64.urlsafe_b64encode).rstrip("=") for part in ({"alg": "none"}, claims))
    return ".".join((*parts, "signature"))


@pytest.fixture
def logins(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> ModuleType:
    module = load_module(SCRIPT)
    monkeypatch.setattr(module, "CLUSTERS", tmp_path / "clusters")
    monkeypatch.setattr(module, "STORES", tmp_path / "stores")
    monkeypatch.setenv("DOCKER_CONFIG", str(tmp_path / "docker"))
    monkeypatch.setenv("HOSTNAME", "worker-1")
    for directory in ("clusters/gpu", "stores/broker", "docker"):
        (tmp_path / directory).mkdir(parents=True)
    return module


@pytest.fixture
def sent(logins: ModuleType, monkeypatch: pytest.MonkeyPatch) -> Iterator[Send]:
    """What one call sends: name of the metric and tags -> value."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as exporter:
        exporter.bind(("127.0.0.1", 0))
        exporter.settimeout(0.05)
        monkeypatch.setenv("AIRDOCK_STATSD_HOST", "127.0.0.1")
        monkeypatch.setattr(logins, "PORT", exporter.getsockname()[1])

        def send() -> dict[str, dict[str, int]]:
            logins.send()
            found: dict[str, dict[str, int]] = {}
            while True:
                try:
                    name, _, rest = exporter.recv(1000).decode().partition(":")
                except TimeoutError:
                    return found
                value, kind, tags = rest.split("|")
                assert kind == "g"
                assert tags.endswith(",pod:worker-1")
                found.setdefault(tags[1:].removesuffix(",pod:worker-1"), {})[name] = int(value)

        yield send


def ends(expiration: int, renewal: int) -> dict[str, int]:
    return {"airdock.login_expiration": expiration, "airdock.login_renewal": renewal}


def kubeconfig(user: dict[str, str], cluster: dict[str, str] | None = None) -> str:
    users, clusters = [{"name": "u", "user": user}], [{"name": "c", "cluster": cluster or {}}]
    return json.dumps({"users": users, "clusters": clusters})


@pytest.mark.parametrize(
    ("token", "renewal"),
    [
        # A quarter of the lifetime is left, but not more than 14 days.
        (web_token(iat=0, exp=400 * HOUR), 300 * HOUR),
        (web_token(nbf=0, exp=400 * HOUR), 300 * HOUR),
        (web_token(iat=0, exp=365 * DAY), 351 * DAY),
        (web_token(exp=365 * DAY), 351 * DAY),
    ],
)
def test_a_kubeconfigs_token(sent: Send, tmp_path: Path, token: str, renewal: int) -> None:
    (tmp_path / "clusters/gpu/kubeconfig").write_text(kubeconfig({"token": token}))
    end = 400 * HOUR if renewal == 300 * HOUR else 365 * DAY
    assert sent() == {"kind:kubeconfig,name:gpu": ends(end, renewal)}


def test_the_first_of_a_kubeconfigs_certificates(sent: Send, tmp_path: Path) -> None:
    """They are valid for two days; the token is for longer."""
    _, ca = authority(tmp_path, "ca")
    pem = base64.b64encode(ca.read_bytes()).decode()
    user = {"token": web_token(iat=0, exp=2**33), "client-certificate-data": pem}
    for given in (kubeconfig(user), kubeconfig({}, {"certificate-authority-data": pem})):
        (tmp_path / "clusters/gpu/kubeconfig").write_text(given)
        (found,) = sent().values()
        assert found["airdock.login_expiration"] - found["airdock.login_renewal"] == DAY // 2


def test_certificates_of_stores(sent: Send, tmp_path: Path) -> None:
    for name in ("ca", "tls"):
        _, made = authority(tmp_path, name)
        made.rename(tmp_path / "stores/broker" / f"{name}.crt")
    (tmp_path / "stores/broker/tls.key").write_text("a key")
    assert sent().keys() == {f"kind:certificate,name:broker/{name}.crt" for name in ("ca", "tls")}


def test_logins_of_registries(sent: Send, tmp_path: Path) -> None:
    amazon = encoded({"payload": "p", "datakey": "d", "version": "2", "type": "DATA_KEY", "expiration": DAY})
    auths = {
        "1.dkr.ecr.eu-west-1.amazonaws.com": {"auth": base64.b64encode(f"AWS:{amazon}".encode()).decode()},
        "localhost:5000": {"username": "u", "password": web_token(iat=0, exp=4 * HOUR)},
        "my.azurecr.io": {"auth": "MDow", "identitytoken": web_token(nbf=0, exp=4 * HOUR)},
        "for.ever": {"auth": base64.b64encode(b"robot:a.pass.word").decode()},
    }
    (tmp_path / "docker/config.json").write_text(json.dumps({"auths": auths}))
    assert sent() == {
        "kind:registry,name:1.dkr.ecr.eu-west-1.amazonaws.com": ends(DAY, DAY - 3 * HOUR),
        "kind:registry,name:localhost:5000": ends(4 * HOUR, 3 * HOUR),
        "kind:registry,name:my.azurecr.io": ends(4 * HOUR, 3 * HOUR),
    }


@pytest.mark.parametrize(
    "broken", ["", "[]", "{", "\x00", '{"users": 1}', '{"users": [{"user": {"token": 1}}]}']
)
def test_what_cannot_be_read_hides_no_other(sent: Send, tmp_path: Path, broken: str) -> None:
    """And fails no probe."""
    (tmp_path / "clusters/bad").mkdir()
    (tmp_path / "clusters/bad/kubeconfig").write_text(broken)
    (tmp_path / "clusters/gpu/kubeconfig").write_text(kubeconfig({"token": web_token(iat=0, exp=HOUR)}))
    (tmp_path / "stores/broker/tls.crt").write_text(broken)
    (tmp_path / "stores/broker/ca.crt").mkdir()
    (tmp_path / "docker/config.json").write_text(broken)
    assert sent().keys() == {"kind:kubeconfig,name:gpu"}


def test_nobody_is_told_without_the_exporter(
    logins: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "found", lambda: pytest.fail("it looks"))
    monkeypatch.delenv("AIRDOCK_STATSD_HOST", raising=False)
    logins.send()


def test_an_exporter_that_is_not_there_fails_nothing(
    logins: ModuleType, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("AIRDOCK_STATSD_HOST", "nobody.invalid")
    (tmp_path / "clusters/gpu/kubeconfig").write_text(kubeconfig({"token": web_token(iat=0, exp=HOUR)}))
    logins.send()
