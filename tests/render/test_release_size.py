"""The Secret in which Helm keeps a release: the chart's files and the text of all manifests."""

from __future__ import annotations

import base64
import gzip
import json
import subprocess
from pathlib import Path
from typing import Any

from scripts import tools
from scripts.chart import HELM4, render
from scripts.release.archive import Release, pack

#: Bytes of a Secret's data: MaxSecretSize in Kubernetes' pkg/apis/core/types.go.
MOST = 1024 * 1024
#: For values of a user, and their own objects.
ROOM = 100 * 1024
GROUPS = 30


def own_namespaces(groups: int) -> dict[str, Any]:
    """Groups whose workers and tasks each have a namespace; modes with and without a Docker gateway."""
    modes: list[dict[str, Any]] = [
        {"mode": "kubernetes"},
        {"mode": "socket", "socket": {"gid": 999}},
        {"mode": "dind"},
    ]
    return {
        "dags": {"examples": True},
        "workers": {
            f"team-{number}": {
                **modes[number % 3],
                "queues": [f"team-{number}"],
                "namespace": f"workers-{number}",
                **({"tasks": {"namespace": f"tasks-{number}"}} if number % 3 == 0 else {}),
            }
            for number in range(groups)
        },
    }


def test_many_groups_with_namespaces_fit(tmp_path: Path) -> None:
    values = tmp_path / "values.json"
    values.write_text(json.dumps(own_namespaces(GROUPS)))
    # As it is published: with the list of changes.
    chart = pack(Release(source="https://git.example.com/team/airdock"), tmp_path)
    command = [str(tools.path(HELM4)), "install", "airdock", str(chart), "--namespace", "airdock"]
    done = subprocess.run(
        [*command, "--dry-run=client", "--output=json", "--values", values], capture_output=True
    )
    assert done.returncode == 0, done.stderr.decode()
    # As storage drivers of Helm 3 and 4 do it (pkg/storage/driver/util.go). Helm 3 asks a cluster.
    size = len(base64.b64encode(gzip.compress(done.stdout, 9)))
    assert size < MOST - ROOM, f"{GROUPS} groups take {size} bytes of the {MOST} that a Secret can have"


def test_each_copy_has_the_same_data_as_the_only_one() -> None:
    """A List with an alias is the same to Kubernetes as the ConfigMaps alone."""
    several, alone = render(own_namespaces(6)), render(own_namespaces(1))
    copied = [
        each for each in alone.all("ConfigMap") if each.component in ("config", "scripts", "example-dags")
    ]
    copied += [each for each in alone.all("ConfigMap") if each.name.startswith("airdock-docker-gateway")]
    assert len({each.name for each in copied}) == 5
    for each in copied:
        expected = dict(each.get("data"))
        for copy in several.all("ConfigMap", name=each.name):
            data = dict(copy.get("data"))
            assert data.keys() == expected.keys()
            assert {key: data[key] for key in data if key != "airflow.cfg"} == {
                key: expected[key] for key in expected if key != "airflow.cfg"
            }
    for number in (0, 3):
        assert several.one("ConfigMap", name="airdock-docker-gateway-cluster", namespace=f"workers-{number}")
    for number in (1, 4):
        assert several.one("ConfigMap", name="airdock-docker-gateway-daemon", namespace=f"workers-{number}")
        assert not several.find(
            "ConfigMap", name="airdock-docker-gateway-cluster", namespace=f"workers-{number}"
        )
    for number in (2, 5):
        assert not several.find("ConfigMap", name="airdock-docker-gateway", namespace=f"workers-{number}")
        assert several.one("ConfigMap", name="airdock-dind", namespace=f"workers-{number}")
