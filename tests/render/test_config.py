"""airflow.cfg says what the user wrote, whatever characters are in it."""

from __future__ import annotations

import configparser
import json
import re
from typing import Any

import pytest

from scripts.chart import HELM3, HELM4, Manifests, render

#: Values that a template, YAML or ConfigParser could misread.
ODD: dict[str, Any] = {
    "percent": "%(asctime)s 100%",
    "template": "{{ .Values.secrets }}",
    "yes": "yes",
    "null-like": "~",
    "number-like": "012",
    "colon": "a: b # c",
    "semicolon": "a ; b",
    "unicode": "größer — 東京 🛳",
    # YAML reads some of these as line breaks, or not at all.
    "breaks": "a\u2028b\u2029cd\ufeffe",
    "quotes": """it's "quoted" """.strip(),
    # ConfigParser drops a line that begins with # or ;, and has no way to say one.
    "lines": "first\nsecond = third\n[section]",
    "backslash": r"C:\temp\n",
    "dollar": "$(PATH) ${HOME} $$",
    "empty": "",
    "false": False,
    "zero": 0,
    "million": 1000000,
    "half": 0.5,
    "list": ["a", {"b": None}],
    "map": {"k": "v%"},
}


def config(manifests: Manifests) -> configparser.ConfigParser:
    """As Airflow reads it: interpolation on, keys as they are."""
    parser = configparser.ConfigParser(strict=True)
    parser.read_string(manifests.one("ConfigMap", component="config").get("data", "airflow.cfg"))
    return parser


@pytest.mark.parametrize("helm", [HELM4, HELM3])
def test_values_are_literal(helm: str) -> None:
    parser = config(render({"airflow": {"config": {"odd": ODD}}}, helm=helm))
    for key, value in ODD.items():
        wanted = value if isinstance(value, str) else json.dumps(value, separators=(",", ":"))
        assert parser.get("odd", key) == wanted, key


def test_user_wins_and_null_removes() -> None:
    own = {
        "core": {"load_examples": True, "hostname_callable": None},
        "scheduler": {"enable_health_check": False},
    }
    parser = config(render({"airflow": {"config": own}}))
    assert parser.get("core", "load_examples") == "true"
    assert parser.get("scheduler", "enable_health_check") == "false"
    assert not parser.has_option("core", "hostname_callable")
    assert parser.get("core", "dags_folder") == "/opt/airflow/dags", "the chart's other settings stay"


def test_bundles_are_one_line_of_json() -> None:
    bundles = [{"name": "a", "classpath": "x.Y", "kwargs": {"url": "https://a%20b", "n": 1}}]
    parser = config(render({"dags": {"bundles": bundles}}))
    assert json.loads(parser.get("dag_processor", "dag_bundle_config_list")) == bundles


@pytest.mark.parametrize("helm", [HELM4, HELM3])
@pytest.mark.parametrize("begin", ["", "\n\n", "  # indented\n", "# x\u2028y\ufeff\n"])
def test_files_are_mounted_byte_for_byte(helm: str, begin: str) -> None:
    """Python in values keeps its lines, and does not pass through the template engine."""
    source = begin + '"""Settings: {{ not a template }} %s."""\n\n\nX = {\n    "a": 1,\n}\n'
    values = {
        "airflow": {"localSettings": source},
        "auth": {"manager": "fab", "webserverConfig": source},
    }
    manifests = render(values, helm=helm)
    local = manifests.one("ConfigMap", component="config").get("data", "airdock_user_settings.py")
    web = manifests.one("ConfigMap", component="webserver-config").get("data", "webserver_config.py")
    assert local == source
    assert web == source


def test_secrets_from_secrets_are_no_secrets_in_values() -> None:
    """What the refusals of literal values name as the way out."""
    source = "\n".join((
        "import os", '# client_secret = "x"', 'SECRET_KEY = ""',
        'X = {"client_secret": os.environ["S"], "client_secret_of": "x"}', "",
    ))  # fmt: skip
    reference = {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}}
    component = {"env": {"S": reference, "AIRFLOW__CORE__FERNET_KEY": reference}}
    values = {
        "auth": {"manager": "fab", "webserverConfig": source},
        "controlPlane": {"apiServer": component},
    }
    assert render(values).one("ConfigMap", component="webserver-config").get("data", "webserver_config.py")


def test_connections() -> None:
    connections = {
        "uri": "postgresql://u:p%40ss@h/db?x={{y}}",
        "parts": {"conn_type": "http", "password": 'a"b\\c%d', "port": 1000000},
        "kept": {"valueFrom": {"secretKeyRef": {"name": "s", "key": "k"}}},
    }
    pod = render({"airflow": {"connections": connections}}).one("Deployment", component="scheduler").pod
    assert pod
    env = pod.container("scheduler").env
    assert env["AIRFLOW_CONN_URI"].value == connections["uri"]
    assert json.loads(env["AIRFLOW_CONN_PARTS"].value or "") == connections["parts"]
    assert env["AIRFLOW_CONN_KEPT"].secret == ("s", "k")


def expanded(text: str) -> str:
    """What the kubelet makes of a variable's value: $$ is $, and $(NAME) the value of another one."""
    return re.sub(r"\$(\$|\(([^)]*)\))", lambda found: "$" if found[1] == "$" else f"<{found[2]}>", text)


@pytest.mark.parametrize("text", ["p$$w", "$(PYTHONUNBUFFERED)", "$$(A)", "$", "a$b$$$", "${HOME}", "\u2028"])
def test_connections_and_variables_arrive_as_written(text: str) -> None:
    connection = {"conn_type": "http", "password": text}
    values = {"airflow": {"connections": {"a": text, "b": connection}, "env": {"SAMPLE": text}}}
    manifests = render(values)
    scheduler = manifests.one("Deployment", component="scheduler")
    assert scheduler.pod
    env = {entry["name"]: entry.get("value", "") for entry in scheduler.pod.container("scheduler").raw["env"]}
    assert expanded(env["SAMPLE"]) == text
    assert expanded(env["AIRFLOW_CONN_A"]) == text
    assert json.loads(expanded(env["AIRFLOW_CONN_B"])) == connection


def test_a_long_tag_becomes_a_legal_label() -> None:
    manifests = render({"images": {"airflow": {"tag": "3.1.0-" + "a" * 100}}})
    label = manifests.one("Deployment", component="scheduler").labels["app.kubernetes.io/version"]
    assert label.startswith("3.1.0-aaa") and len(label) <= 63
