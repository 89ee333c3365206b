"""What `make up` decides without a cluster: which one to use, which groups to install, what to report."""

from __future__ import annotations

import base64
import json
import socketserver
import threading
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from scripts import up
from scripts.check import probe
from scripts.check.probe import Finding
from scripts.live import Group, Target, TaskInstance, UpError, examples, target
from scripts.live.examples import Result

NATIVE = Target("airdock-native", Path("/nowhere/kubeconfig"), native=True)
OTHER = Target("somebodys", None, native=False)


@pytest.fixture
def no_kubeconfig(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.delenv("KUBECONFIG", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))


@pytest.mark.usefixtures("no_kubeconfig")
class TestChoice:
    def test_native_without_a_kubeconfig(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("CLUSTER", raising=False)
        assert target.choose().native

    def test_current_must_be_there(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("CLUSTER", "current")
        with pytest.raises(UpError, match="current kube context is missing"):
            target.choose()

    def test_another_word_is_named(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setenv("CLUSTER", "kind")
        assert up.main(["up"]) == 1
        assert "CLUSTER=kind is not known" in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("variables", "said"),
        [
            ({"AIRFLOW": "2.11"}, "AIRFLOW=2.11: use one of 3.1, 3.2, or none for the newest."),
            ({"AIRFLOW": "3.1", "OVERLAY": "dind"}, "AIRFLOW=3.1: an overlay has the chart's own version."),
        ],
    )
    def test_a_line_of_airflow_must_be_known(
        self,
        variables: dict[str, str],
        said: str,
        monkeypatch: pytest.MonkeyPatch,
        capsys: pytest.CaptureFixture[str],
    ) -> None:
        for name, value in variables.items():
            monkeypatch.setenv(name, value)
        assert up.main(["up"]) == 1
        assert said in capsys.readouterr().err

    @pytest.mark.parametrize(
        ("context", "address", "used"),
        [
            ("kind-airdock", "127.0.0.1", True),
            ("k3d-dev", "0.0.0.0", True),
            ("minikube", "localhost", True),
            ("docker-desktop", "127.0.0.1", True),
            ("rancher-desktop", "127.0.0.1", True),
            ("somebodys", "127.0.0.1", False),
            ("minikube-of-production", "127.0.0.1", False),
            ("arn:aws:eks:eu-central-1:1:cluster/kind-prod", "127.0.0.1", False),
            ("kind-production", "8.8.8.8", False),
            ("kind-production", "api.production.example.com", False),
        ],
    )
    def test_a_cluster_that_nobody_named_is_left_alone(
        self, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, context: str, address: str, used: bool
    ) -> None:
        """Not even a connection: kubectl would give the address the user's token."""
        with socketserver.TCPServer(("127.0.0.1", 0), Hangs) as server:
            Hangs.connections = 0
            threading.Thread(target=server.serve_forever, daemon=True).start()
            port = server.server_address[1]
            file = kubeconfig(tmp_path / "users", context, "", f"https://{address}:{port}")
            monkeypatch.setenv("KUBECONFIG", str(file))
            monkeypatch.setattr(target, "KUBECONFIG", tmp_path / "there is none")
            monkeypatch.delenv("CLUSTER", raising=False)
            if used:
                # It has no TLS, so it does not answer.
                assert target.choose().native
                assert Hangs.connections > 0
            else:
                with pytest.raises(UpError, match=r"set CLUSTER=current .* or CLUSTER=native"):
                    target.choose()
                assert Hangs.connections == 0
            server.shutdown()
        found = target.current_context()
        assert found and found.context == context
        monkeypatch.setattr(target, "answers", lambda _: True)
        monkeypatch.setenv("CLUSTER", "current")
        assert target.choose() == found
        monkeypatch.setenv("CLUSTER", "native")
        assert target.choose().native


class Hangs(socketserver.BaseRequestHandler):
    """Counts connections, and ends each."""

    connections = 0

    def handle(self) -> None:
        type(self).connections += 1


def kubeconfig(path: Path, context: str, authority: str, server: str = "https://127.0.0.1:6443") -> Path:
    """Write one whose cluster has this CA; give its path."""
    data = base64.b64encode(authority.encode()).decode()
    cluster = {"server": server, "certificate-authority-data": data}
    content = {
        "apiVersion": "v1",
        "kind": "Config",
        "current-context": context,
        "contexts": [{"name": context, "context": {"cluster": "c", "user": "u"}}],
        "users": [{"name": "u", "user": {"token": "theirs"}}],
        "clusters": [{"name": "c", "cluster": cluster}],
    }
    path.write_text(json.dumps(content))
    return path


@pytest.mark.parametrize(
    ("context", "authority", "native"),
    [
        (target.CONTEXT, "native", True),
        ("renamed", "native", True),
        (target.CONTEXT, "another", False),
        ("somebodys", "", False),
    ],
)
def test_the_native_cluster_is_known_by_its_authority(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, context: str, authority: str, native: bool
) -> None:
    """Also where KUBECONFIG names it, as `make up` tells its user to; a name says nothing."""
    monkeypatch.setattr(target, "answers", lambda _: True)
    monkeypatch.setattr(target, "KUBECONFIG", kubeconfig(tmp_path / "native", target.CONTEXT, "native"))
    monkeypatch.setenv("KUBECONFIG", str(kubeconfig(tmp_path / "users", context, authority)))
    monkeypatch.setenv("CLUSTER", "current")
    found = target.choose()
    assert found.native is native
    assert found.kubeconfig == (tmp_path / "native" if native else None)
    monkeypatch.setattr(target, "KUBECONFIG", tmp_path / "there is none")
    assert not target.choose().native


def found(monkeypatch: pytest.MonkeyPatch, dind: Finding, socket: Finding) -> None:
    monkeypatch.setattr(probe, "dind", lambda *_: dind)
    monkeypatch.setattr(probe, "socket", lambda *_: socket)


def test_the_native_cluster_serves_all(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, Finding(), Finding(gid=1234))
    values, skipped = up.values(NATIVE)
    assert skipped == {}
    assert {group["mode"] for group in values["workers"].values()} == {"kubernetes", "dind", "socket"}
    assert values["workers"]["socket"]["socket"]["gid"] == 1234
    assert values["workers"]["dind"]["dind"]["registryMirrors"]
    assert "example_registry" in values["airflow"]["connections"]


def test_a_cluster_without_docker_and_privilege_serves_one(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, Finding("no privilege"), Finding("no Docker"))
    values, skipped = up.values(OTHER)
    assert skipped == {"dind": "no privilege", "socket": "no Docker"}
    assert [group["mode"] for group in values["workers"].values()] == ["kubernetes"]
    assert "connections" not in values["airflow"]


def test_one_node_of_many_has_docker(monkeypatch: pytest.MonkeyPatch) -> None:
    found(monkeypatch, Finding(), Finding(gid=999, node="b"))
    values, _ = up.values(OTHER)
    assert values["workers"]["socket"]["nodeSelector"] == {"kubernetes.io/hostname": "b"}
    assert "dind" not in values["workers"]["dind"]


@pytest.mark.parametrize(
    ("labels", "refused"), [({}, True), ({"app.kubernetes.io/created-by": "airdock-make-up"}, False)]
)
def test_somebody_elses_namespace_is_left_alone(
    monkeypatch: pytest.MonkeyPatch, labels: dict[str, str], refused: bool
) -> None:
    namespace = {"metadata": {"name": "airdock", "labels": labels}}
    monkeypatch.setattr(Target, "items", lambda self, *_: [namespace])
    if refused:
        with pytest.raises(UpError, match="CLUSTER=native"):
            up.create_namespace(OTHER)
    else:
        up.create_namespace(OTHER)


NOON = datetime(2026, 1, 1, 12)


def instance(task_id: str, state: str, **times: datetime | None) -> TaskInstance:
    given: dict[str, Any] = {"queued": None, "started": None, "ended": None, **times}
    return TaskInstance("d_q", "r", task_id, -1, state, "q", "10.0.0.1", 1, **given)


def test_seconds_from_queued_to_done() -> None:
    done = {"started": NOON + timedelta(seconds=2), "ended": NOON + timedelta(seconds=5)}
    assert instance("t", "success", queued=NOON, **done).seconds == 5
    # A deferred task is queued again after it has started.
    assert instance("t", "success", queued=NOON + timedelta(seconds=4), **done).seconds == 3
    assert instance("t", "upstream_failed", ended=NOON).seconds is None


def test_the_table_shows_what_is_wrong() -> None:
    good = Result("docker_fails_q", "dind", instance("exits_with_3", "failed"), "failed")
    bad = Result("docker_fails_q", "dind", instance("exits_with_3", "success"), "failed")
    assert good.right
    assert not bad.right
    assert "should be" not in examples.table([good])
    assert "should be failed" in examples.table([good, bad])


def test_expected_states() -> None:
    assert examples.expected("docker_fails", "exits_with_3", registry=True) == "failed"
    assert examples.expected("docker_registry", "pull", registry=True) == "success"
    assert examples.expected("docker_registry", "pull", registry=False) == "skipped"
    assert examples.expected("weather_docker", "rain", registry=False) == "success"


def test_dag_ids_of_a_release() -> None:
    a = Group("one", "dind", "a", frozenset({"docker"}))
    b = Group("two", "kubernetes", "b", frozenset({"docker", "kubernetes"}))
    ids = examples.ids([a, b])
    assert ids["docker_url_a"] == ("docker_url", a)
    assert ids["docker_url_b"] == ("docker_url", b)
    assert ids["weather_kubernetes_b"] == ("weather_kubernetes", b)
    assert "weather_kubernetes_a" not in ids


def test_usage(capsys: pytest.CaptureFixture[str]) -> None:
    assert up.main(["sideways"]) == 2
    assert "usage" in capsys.readouterr().err
