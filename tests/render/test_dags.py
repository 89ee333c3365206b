"""Where DAG files come from."""

from __future__ import annotations

from typing import Any

import pytest

from scripts.chart import HELM3, HELM4, Manifests, render


def volume(manifests: Manifests) -> Any:
    pod = manifests.one("Deployment", component="dag-processor").pod
    assert pod
    return pod.volumes["dags"]


NAMED = {"name": "my-dags", "items": [{"key": "a", "path": "a.py"}]}
MODE = {"defaultMode": 0o444}


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize(
    ("given", "sources"),
    [
        ({"configMap": {**NAMED, **MODE}}, [{"configMap": NAMED}]),
        ({"secret": {"secretName": "my-dags", "items": NAMED["items"], **MODE}}, [{"secret": NAMED}]),
        (
            {"projected": {"sources": [{"configMap": NAMED}, {"secret": NAMED}], **MODE}},
            [{"configMap": NAMED}, {"secret": NAMED}],
        ),
    ],
)
def test_a_config_map_of_dags_gets_an_airflowignore(helm: str, given: Any, sources: Any) -> None:
    """Without it, Airflow follows the volume's link ..data in a circle. The user's own file wins."""
    manifests = render({"dags": {"volume": given}}, helm=helm)
    projected = volume(manifests)["projected"]
    assert projected["defaultMode"] == 0o444
    own = projected["sources"][0]["configMap"]
    assert projected["sources"][1:] == sources
    config = manifests.one("ConfigMap", component="config")
    assert own["name"] == config.name
    assert "..*" in config.get("data", own["items"][0]["key"]).splitlines()


def test_other_volumes_are_as_they_are_written() -> None:
    claim = {"persistentVolumeClaim": {"claimName": "dags"}}
    manifests = render({"dags": {"volume": claim}})
    assert volume(manifests) == {"name": "dags", **claim}
    assert ".airflowignore" not in manifests.one("ConfigMap", component="config").get("data")


def test_create_admin_has_the_variables_of_the_api_server() -> None:
    """It loads the api-server's webserver_config.py, which may read the secret of an OAuth client there."""
    secret = {"valueFrom": {"secretKeyRef": {"name": "oidc", "key": "secret"}}}
    values = {
        "auth": {"manager": "fab"},
        "controlPlane": {"apiServer": {"env": {"OIDC_CLIENT_SECRET": secret, "PLAIN": "a"}}},
    }
    pod = render(values).one("Deployment", component="api-server").pod
    assert pod
    for name in ("api-server", "create-admin"):
        env = {entry["name"]: entry for entry in pod.container(name).raw["env"]}
        assert env["OIDC_CLIENT_SECRET"] == {"name": "OIDC_CLIENT_SECRET", **secret}
        assert env["PLAIN"] == {"name": "PLAIN", "value": "a"}, name
