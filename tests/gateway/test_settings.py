"""The settings file: strict, every key optional but the owner."""

from __future__ import annotations

import dataclasses
import json
from pathlib import Path
from typing import Any

import pytest
from docker_gateway import settings
from docker_gateway.settings import ConfigError, Registry, Settings, Volume, camel

from tests.support.paths import DOCS


def load(tmp_path: Path, values: Any, owner: str = "uid") -> Settings:
    file = tmp_path / "gateway.json"
    file.write_text(values if isinstance(values, str) else json.dumps(values))
    return settings.load({"AIRDOCK_GATEWAY_CONFIG": str(file), "AIRDOCK_GATEWAY_OWNER": owner})


def test_defaults_need_an_owner() -> None:
    assert settings.load({"AIRDOCK_GATEWAY_OWNER": "uid"}) == dataclasses.replace(Settings(), owner="uid")
    with pytest.raises(ConfigError, match="AIRDOCK_GATEWAY_OWNER"):
        settings.load({})


def test_all_levels_are_read(tmp_path: Path) -> None:
    loaded = load(
        tmp_path,
        {
            "workerGroup": "g",
            "tasks": {
                "user": None,
                "registries": {"r": {"pullSecret": "s"}},
                "claims": {"v": {"claimName": "c", "readOnly": True}},
                "pod": {"nodeSelector": {"a": "b"}},
                "ttlSeconds": 5,
            },
            "daemon": {"cpu": 2, "binds": ["/a"]},
        },
    )
    assert loaded.tasks.user is None
    assert loaded.tasks.registries == {"r": Registry("s")}
    assert loaded.tasks.claims == {"v": Volume("c", read_only=True)}
    assert loaded.tasks.pod == {"nodeSelector": {"a": "b"}}
    several = load(tmp_path, {"daemon": {"binds": ["/srv/a", "/srv/a-b", {"path": "/b", "readOnly": True}]}})
    assert several.daemon.directories()["/b"].read_only
    assert (loaded.tasks.ttl_seconds, loaded.daemon.cpu, loaded.daemon.binds) == (5, 2.0, ["/a"])


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"tasks": {"nameSpace": "x"}}, "tasks/nameSpace: is not a setting"),
        ({"tasks": {"registries": {"r": {"secret": "x"}}}}, "tasks/registries/r/secret"),
        ({"tasks": {"ttlSeconds": "5"}}, "tasks/ttlSeconds: '5' is not int"),
        ({"tasks": {"ttlSeconds": True}}, "tasks/ttlSeconds"),
        ({"tasks": {"user": "root"}}, "tasks/user: 'root' is not one of auto"),
        ({"tasks": {"user": 0}}, "tasks/user: 0 is not"),
        ({"tasks": {"user": True}}, "tasks/user"),
        ({"tasks": []}, "tasks: must be an object"),
        ({"tasks": {"images": "x"}}, "tasks/images: must be a list"),
        ({"tasks": {"userNamespaces": "maybe"}}, "tasks/userNamespaces: 'maybe' is not one of auto, on, off"),
        ({"backend": "docker"}, "backend: 'docker'"),
        ({"tasks": {"leaseSeconds": 0}}, "tasks/leaseSeconds: 0"),
        ({"daemon": {"memory": "much"}}, "daemon/memory: 'much'"),
        ({"daemon": {"storage": "much"}}, "daemon/storage: 'much'"),
        ({"daemon": {"images": ["python*"]}}, "daemon/images: 'python*'"),
        ({"daemon": {"images": None}}, "daemon/images"),
        ({"daemon": {"registries": ["https://a.b"]}}, "daemon/registries: 'https://a.b'"),
        ({"daemon": {"networks": ["host"]}}, "daemon/networks: 'host'"),
        ({"daemon": {"networks": ["container:x"]}}, "daemon/networks: 'container:x'"),
        ({"daemon": {"volumes": ["/etc"]}}, "daemon/volumes: '/etc'"),
        ({"daemon": {"binds": ["/srv", "/srv/x/y"]}}, "'/srv/x/y' is below '/srv'"),
        ({"daemon": {"binds": ["/srv/x", {"path": "/srv", "readOnly": True}]}}, "'/srv/x' is below '/srv'"),
        ({"daemon": {"binds": ["/srv", {"path": "/srv"}]}}, "two entries"),
        ({"daemon": {"binds": [{"readOnly": True}]}}, "daemon/binds: ''"),
        ({"daemon": {"binds": [{"path": "/a", "mode": "ro"}]}}, "daemon/binds/mode"),
        *(
            ({"daemon": {"binds": [path]}}, "daemon/binds")
            for path in ("/", "a", "/a/", "/a//b", "/a/../b", "/a/.", "/a:b", "")
        ),
        ({"tasks": {"retrievePullPolicy": "Often"}}, "tasks/retrievePullPolicy: 'Often'"),
        ([], "must be an object"),
        ("{", "AIRDOCK_GATEWAY_CONFIG"),
    ],
)
def test_what_is_wrong_is_named(tmp_path: Path, values: Any, words: str) -> None:
    with pytest.raises(ConfigError) as error:
        load(tmp_path, values)
    assert words in str(error.value)


def test_every_setting_of_the_tables_is_documented() -> None:
    text = "".join((DOCS / page).read_text() for page in ("docker-gateway.md", "ceilings.md"))
    for kind in (settings.Tasks, settings.Daemon, settings.Settings, settings.Kubernetes):
        for field in dataclasses.fields(kind):
            assert camel(field.name) in text or field.name == "owner", f"{kind.__name__}.{field.name}"


def test_names_in_variables_win_over_the_file(tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text('{"tasks": {"namespace": "file", "serviceAccount": "file", "retrieveImage": "file"}}')
    given = {
        "AIRDOCK_GATEWAY_CONFIG": str(file),
        "AIRDOCK_GATEWAY_OWNER": "uid",
        "AIRDOCK_TASK_NAMESPACE": "team-tasks",
        "AIRDOCK_TASK_SERVICE_ACCOUNT": "team-task",
        "AIRDOCK_XCOM_SIDECAR_IMAGE": "registry/busybox:1",
        "AIRDOCK_XCOM_SIDECAR_PULL_POLICY": "Never",
    }
    tasks = settings.load(given).tasks
    assert (tasks.namespace, tasks.service_account) == ("team-tasks", "team-task")
    assert (tasks.retrieve_image, tasks.retrieve_pull_policy) == ("registry/busybox:1", "Never")
    assert settings.load({**given, "AIRDOCK_TASK_NAMESPACE": ""}).tasks.namespace == "file"


def test_names_that_deployment_tools_change_come_from_the_environment(tmp_path: Path) -> None:
    file = tmp_path / "gateway.json"
    file.write_text('{"tasks": {"namespace": "a", "serviceAccount": "b", "retrieveImage": "c"}}')
    environment = {
        "AIRDOCK_GATEWAY_CONFIG": str(file),
        "AIRDOCK_GATEWAY_OWNER": "uid",
        "AIRDOCK_TASK_NAMESPACE": "",
    }
    assert settings.load(environment).tasks.namespace == "a"
    names = {
        "AIRDOCK_TASK_NAMESPACE": "x",
        "AIRDOCK_TASK_SERVICE_ACCOUNT": "y",
        "AIRDOCK_XCOM_SIDECAR_IMAGE": "z",
    }
    tasks = settings.load(environment | names).tasks
    assert (tasks.namespace, tasks.service_account, tasks.retrieve_image) == ("x", "y", "z")
