"""Docker operators: which daemon they use, and the labels for the Docker gateway."""

from __future__ import annotations

import importlib
import inspect
from collections.abc import Iterator
from types import SimpleNamespace
from typing import Any

import pytest

from scripts.chart import CHART, load_yaml
from tests.local_settings.settings import (
    HOST,
    SOURCE,
    USUAL,
    BashOperator,
    DockerOperator,
    TheirOwnOperator,
    _DockerDecoratedOperator,
    load,
    mapped,
    run,
)


@pytest.mark.parametrize("cls", [DockerOperator, _DockerDecoratedOperator, TheirOwnOperator])
@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        (USUAL, HOST),
        ("unix://var/run/docker.sock", HOST),
        ("UNIX:///var/run/docker.sock", HOST),
        ("http+unix:///var/run/docker.sock", HOST),
        ("tcp://docker:2375", HOST),
        ("tcp://Docker", HOST),
        ("http://localhost:2375/", HOST),
        ("127.0.0.1:2375", HOST),
        ("tcp://:2375", HOST),
        ("tcp://[::1]:2375", HOST),
        ("https://docker:2376", "https://docker:2376"),
        ("tcp://docker.example.com:2375", "tcp://docker.example.com:2375"),
        ("tcp://build-host:2375/docker", "tcp://build-host:2375/docker"),
        ("tcp://[bad", "tcp://[bad"),
        ("ssh://me@docker", "ssh://me@docker"),
        ("npipe:////./pipe/docker", "npipe:////./pipe/docker"),
        ([USUAL], [HOST]),
        ([USUAL, "unix:///other.sock", "tcp://far:2375"], [HOST, "tcp://far:2375"]),
        (HOST, HOST),
        (None, None),
    ],
)
def test_urls(cls: type[DockerOperator], given: Any, wanted: Any) -> None:
    assert run(cls(given)).docker_url == wanted


#: By default, from the values: what tutorials and usual proxies are called.
DEFAULT_HOSTS = load_yaml((CHART / "values.yaml").read_text())[0]["airflow"]["dockerHosts"]
TUTORIALS = ["docker-proxy", "docker-socket-proxy", "gateway.docker.internal", "host.docker.internal",
             "host.containers.internal", "172.17.0.1", "localhost"]  # fmt: skip


@pytest.mark.parametrize("host", sorted({*TUTORIALS, *DEFAULT_HOSTS}))
def test_the_charts_hosts(monkeypatch: pytest.MonkeyPatch, host: str) -> None:
    monkeypatch.setenv("AIRDOCK_DOCKER_HOSTS", ",".join(DEFAULT_HOSTS))
    for url in (f"tcp://{host}:2375", f"http://{host}", f"{host}:2375"):
        assert run(DockerOperator(url)).docker_url == HOST
    assert run(DockerOperator(f"tcp://{host}.example.com:2375")).docker_url != HOST


def test_hosts_are_a_setting(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("AIRDOCK_DOCKER_HOSTS", "far.example.com")
    assert run(DockerOperator("tcp://far.example.com:2375")).docker_url == HOST
    assert run(DockerOperator("tcp://docker:2375")).docker_url == "tcp://docker:2375"
    monkeypatch.delenv("AIRDOCK_DOCKER_HOSTS")
    assert run(DockerOperator("tcp://docker:2375")).docker_url == "tcp://docker:2375"
    assert run(DockerOperator(USUAL)).docker_url == HOST


def test_the_host_of_a_remote_daemon_is_not_logged_as_foreign(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    """Where DOCKER_HOST itself is on the network, as it is for an operator without a docker_url."""
    monkeypatch.setenv("DOCKER_HOST", "tcp://far:2375")
    caplog.set_level("INFO")
    assert run(DockerOperator("tcp://far:2375")).docker_url == "tcp://far:2375"
    assert not caplog.messages


def test_what_is_left_alone_is_logged(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    run(DockerOperator("tcp://far:2375"))
    run(DockerOperator("tcp://docker:2376", tls_ca_cert="/etc/tls.pem"))
    foreign, tls = caplog.messages
    assert "tcp://far:2375" in foreign
    assert "airflow.dockerHosts" in foreign
    assert "tcp://docker:2376" in tls
    assert "tls_" in tls


@pytest.mark.parametrize("name", ["tls_ca_cert", "tls_client_cert", "tls_client_key"])
def test_tls_is_left_alone(name: str) -> None:
    assert run(DockerOperator(USUAL, **{name: "/etc/tls.pem"})).docker_url == USUAL


def test_mapped_tasks_are_prepared_when_they_are_operators() -> None:
    """Whatever came by partial(), expand() or from another task is in the operator by then."""
    many = mapped(DockerOperator, on_execute_callback=None)
    load().task_policy(many)
    (callback,) = many.on_execute_callback
    one = DockerOperator("tcp://docker:2375")
    ti = SimpleNamespace(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=3)
    callback({"task": one, "ti": ti})
    assert one.docker_url == HOST


def test_the_authors_callbacks_stay_and_run_first() -> None:
    seen: list[str] = []

    def theirs(context: dict[str, Any]) -> None:
        seen.append(context["task"].docker_url)
        context["task"].docker_url = "unix:///theirs.sock"

    assert run(DockerOperator(USUAL, on_execute_callback=[theirs])).docker_url == HOST
    assert run(DockerOperator(USUAL, on_execute_callback=theirs)).docker_url == HOST
    assert seen == [USUAL, USUAL]


@pytest.mark.parametrize(
    ("given", "wanted"),
    [
        ({}, {}),
        ({"labels": {"team": "a"}}, {"team": "a"}),
        ({"labels": ["bare"]}, {"bare": ""}),
        (
            {"retrieve_output": True, "retrieve_output_path": "/tmp/o"},
            {"airdock.dev/retrieve-output": "/tmp/o"},
        ),
        ({"retrieve_output": False, "retrieve_output_path": "/tmp/o"}, {}),
        ({"xcom_all": True}, {"airdock.dev/xcom-all": "true"}),
    ],
)
def test_labels_for_the_docker_gateway(
    monkeypatch: pytest.MonkeyPatch, given: dict[str, Any], wanted: dict[str, str]
) -> None:
    own = {
        "airdock.dev/dag-id": "d",
        "airdock.dev/task-id": "t",
        "airdock.dev/run-id": "r",
        "airdock.dev/try-number": "2",
    }
    assert run(DockerOperator(**given)).labels == given.get("labels"), "another daemon gets no label of ours"
    monkeypatch.setenv("AIRDOCK_DOCKER_GATEWAY", "true")
    assert run(DockerOperator(**given)).labels == own | wanted
    mapped_own = own | {"airdock.dev/map-index": "0"}
    assert run(DockerOperator(**given), map_index=0).labels == mapped_own | wanted


def test_labels_are_those_that_the_gateway_knows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(SOURCE.parent)
    known = importlib.import_module("docker_gateway.labels")
    labels = load()._labels(
        DockerOperator(retrieve_output=True, retrieve_output_path="/tmp/o", xcom_all=True),
        SimpleNamespace(dag_id="d", task_id="t", run_id="r", try_number=1, map_index=0),
    )
    assert set(labels) == set(known.POLICY)


WAITS = "[airdock] Waiting: the node pulls the image"


def pushed(monkeypatch: pytest.MonkeyPatch, result: Any, **given: Any) -> Any:
    """Give what Airflow pushes of a result: it calls post_execute with it, and looks at do_xcom_push."""
    monkeypatch.setenv("AIRDOCK_DOCKER_GATEWAY", "true")
    task = run(DockerOperator(**given))
    context = {"task": task, "ti": SimpleNamespace(task=task)}
    done = task._post_execute_hook(context, result)
    if inspect.isgeneratorfunction(task._post_execute_hook):
        list(done)
    return result if task.do_xcom_push else None


@pytest.mark.parametrize(
    ("result", "wanted"),
    [
        (None, None),
        ("done", "done"),
        ("", ""),
        (WAITS, None),
        ([], []),
        (["a", "", "b"], ["a", "", "b"]),
        ([WAITS, "a", "", "[airdock] b"], ["a", ""]),
        ([WAITS], None),
        ({"a": WAITS}, {"a": WAITS}),
        ([1, None, WAITS], [1, None]),
    ],
)
def test_what_the_gateway_says_is_no_result(
    monkeypatch: pytest.MonkeyPatch, result: Any, wanted: Any
) -> None:
    """DockerOperator returns its log's last line or all of them, and None if there is none."""
    assert pushed(monkeypatch, result) == wanted


@pytest.mark.parametrize("generator", [False, True])
def test_the_authors_post_execute_sees_the_result(monkeypatch: pytest.MonkeyPatch, generator: bool) -> None:
    seen: list[Any] = []

    def yields(context: Any, result: Any) -> Iterator[None]:
        yield seen.append(result)

    theirs = yields if generator else lambda context, result: seen.append(result)
    for result in (WAITS, "done", [WAITS, "a"]):
        pushed(monkeypatch, result, _post_execute_hook=theirs)
    assert seen == [None, "done", ["a"]]


def test_another_daemon_has_no_lines_of_ours() -> None:
    assert run(DockerOperator())._post_execute_hook is None


def test_other_operators_keep_theirs() -> None:
    for task in (BashOperator(), mapped(BashOperator)):
        load().task_policy(task)
        assert task.queue == "default"
        assert not task.on_execute_callback


def test_without_a_docker_host_nothing_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("DOCKER_HOST")
    task = DockerOperator(USUAL)
    load().task_policy(task)
    assert task.docker_url == USUAL
    assert task.on_execute_callback == []
