"""What the converter makes is accepted by the chart, loses nothing silently and shows no secret."""

from __future__ import annotations

import fnmatch
import re
from pathlib import Path
from typing import Any

import pytest
import yaml

from scripts.chart import official, render
from scripts.from_official.__main__ import main, report
from scripts.from_official.attach import attached
from scripts.from_official.convert import convert
from scripts.from_official.result import Result
from scripts.from_official.source import SourceError
from tests.from_official import files
from tests.render.named_keys import exists

DEFAULT = Path(__file__).with_name("default.yaml").read_text()
FILES = {
    "default": DEFAULT,
    "celery": files.CELERY,
    "kubernetes": files.KUBERNETES,
    "minimal": files.MINIMAL,
    "both": files.BOTH,
    "old": files.OLD,
}


@pytest.mark.parametrize("name", FILES)
def test_the_chart_accepts_the_values(name: str) -> None:
    """The text, not only the values that it is made from."""
    result = convert(FILES[name])
    values = yaml.safe_load(result.text())
    assert values == result.values
    assert render(values)


def test_celery() -> None:
    result = convert(files.CELERY)
    values = result.values
    assert values["images"]["airflow"] == {
        "repository": "registry.example.com/data/airflow",
        "tag": "3.2.2-7",
    }
    assert values["secrets"] == {"fernetKey": "own-fernet", "apiSecretKey": "own-api", "jwtSecret": "own-jwt"}
    assert values["database"] == {
        "existingSecret": "own-metadata",
        "pooler": {
            "enabled": True,
            "poolSize": 5,
            "maxClientConnections": 500,
            "resources": {"limits": {"memory": "256Mi"}},
        },
        "tls": {"mode": "require"},
    }
    keys = {"brokerUrl": "connection", "resultBackend": "connection"}
    assert values["broker"] == {"existingSecret": "own-redis", "keys": keys}
    assert values["airflow"]["env"] == {
        "AIRFLOW__CORE__PARALLELISM": "64",
        "API_TOKEN": {"valueFrom": {"secretKeyRef": {"name": "own-token", "key": "token"}}},
        "SENTRY_DSN": {"valueFrom": {"secretKeyRef": {"name": "own-sentry", "key": "dsn"}}},
    }
    scheduler = values["controlPlane"]["scheduler"]
    assert scheduler["replicas"] == 2
    pods = values.get("podDefaults") or scheduler
    assert pods["nodeSelector"] == {"pool": "airflow"}
    assert scheduler["volumes"] == {"ca": {"configMap": {"name": "company-ca"}}}
    assert scheduler["resources"] == {"requests": {"cpu": "1", "memory": "4Gi"}, "limits": {"memory": "4Gi"}}
    defaults = values["workerDefaults"]
    assert defaults["volumes"] == {
        "ca": {"configMap": {"name": "company-ca"}},
        "models": {"persistentVolumeClaim": {"claimName": "models"}},
    }
    assert defaults["volumeMounts"]["models-2"] == {
        "name": "models",
        "mountPath": "/opt/models",
        "subPath": "current",
    }
    assert defaults["env"] == {"OMP_NUM_THREADS": "4"}
    assert defaults["concurrency"] == 8
    assert values["workers"]["default"] == {
        "queues": ["default"],
        "autoscaling": {"enabled": True, "min": 2, "max": 20},
    }
    assert values["workers"]["high-mem"] == {
        "queues": ["highmem", "huge"],
        "replicas": 3,
        "resources": {"limits": {"memory": "64Gi"}},
    }
    assert values["dags"]["git"] == {
        "dags": {
            "repository": "git@github.com:example/dags.git",
            "ref": "main",
            "subdir": "dags",
            "refreshSeconds": 30,
            "sshKeySecret": "own-ssh",
            "keys": {"sshKey": "gitSshKey"},
            "acceptAnyHostKey": True,
        }
    }
    assert values["podDisruptionBudget"] == {"enabled": True, "maxUnavailable": 1}
    said = " ".join(result.decisions)
    for word in (
        "workers.keda: ",
        "broker.keys.resultBackend",
        "dags.git.dags.knownHosts",
        "dockersock",
        "own-metadata must have the address of PostgreSQL itself",
        "pgbouncer.extraIni",
    ):
        assert word in said, word
    assert "workers.env, DOCKER_HOST: the worker group's mode sets it." in result.dropped


def git_sync(**settings: Any) -> Result:
    return convert(yaml.safe_dump({"dags": {"gitSync": {"enabled": True, "ref": "v1", **settings}}}))


def test_git_by_ssh_keeps_host_keys_and_secret() -> None:
    repo = "ssh://git@git.example.com:2222/a.git"
    hosts = "[git.example.com]:2222 ssh-ed25519 AAAA"
    result = git_sync(repo=repo, sshKeySecret="airflow-ssh-secret", knownHosts=hosts)
    found = result.values["dags"]["git"]["dags"]
    assert found["knownHosts"] == hosts
    assert "acceptAnyHostKey" not in found
    assert "airflow-ssh-secret, key gitSshKey: `dags.git.dags.sshKeySecret`" in result.secrets
    assert render(result.values)


def test_git_by_https_keeps_its_secret() -> None:
    result = git_sync(repo="https://git.example.com/a.git", credentialsSecret="git-credentials")
    assert result.values["dags"]["git"]["dags"] == {
        "repository": "https://git.example.com/a.git",
        "ref": "v1",
        "tokenSecret": "git-credentials",
        "keys": {"username": "GITSYNC_USERNAME", "token": "GITSYNC_PASSWORD"},
    }
    assert any(each.startswith("git-credentials, keys GITSYNC_USERNAME") for each in result.secrets)
    assert render(result.values)


@pytest.mark.parametrize("repo", ["http://git.example.com/a.git", "git://a/b", "{{ .Values.x }}"])
def test_git_by_other_urls_is_a_decision(repo: str) -> None:
    result = git_sync(repo=repo)
    assert "git" not in result.values.get("dags", {})
    assert any("dags.git.dags.repository" in each for each in result.decisions)


def test_kubernetes() -> None:
    result = convert(files.KUBERNETES)
    values = result.values
    assert values["executor"] == "KubernetesExecutor"
    assert "replicas" not in values["workers"]["default"]
    assert values["workers"]["default"]["tolerations"] == [{"key": "tasks", "operator": "Exists"}]
    assert values["logs"]["remote"] == {
        "baseLogFolder": "s3://example-logs/airflow",
        "connectionId": "aws_logs",
    }
    assert values["airflow"]["config"] == {"api": {"expose_config": "False"}}
    assert values["ingress"] == {
        "enabled": True,
        "host": "airflow.example.com",
        "className": "nginx",
        "annotations": {"cert-manager.io/cluster-issuer": "internal"},
        "tlsSecretName": "airflow-tls",
        "pathType": "ImplementationSpecific",
        "hosts": {
            "other.example.com": {"tlsSecretName": ""},
            "shared.example.com": {},
            "own.example.com": {"tlsSecretName": "own-tls"},
        },
    }
    assert "own-tls: `ingress.hosts`, own.example.com" in result.secrets
    assert values["auth"]["manager"] == "fab"
    assert "AUTH_OAUTH" in values["auth"]["webserverConfig"]
    assert values["auth"]["admin"]["username"] == "boss"
    assert values["database"] == {
        "existingSecret": "airflow-database",
        "cleanup": {"enabled": True, "schedule": "0 4 * * 0", "retentionDays": 30},
    }
    said = " ".join(result.decisions)
    assert "postgresql+psycopg2://airflow:<password>@db.example.com:5432/airflow?sslmode=require" in said
    assert "<release>-fernet-key" in said
    assert "{{ .Release.Name }}.example.com has Helm templates. Set `ingress.hosts`." in said
    assert "`auth.oidc` can do that" in said
    assert [line.split(":")[0] for line in result.dropped] == ["quotas"]


def test_another_auth_manager_is_its_class() -> None:
    manager = "airflow.providers.keycloak.auth_manager.keycloak_auth_manager.KeycloakAuthManager"
    result = convert(f"config: {{core: {{auth_manager: {manager}}}}}\n")
    assert result.values["auth"] == {"manager": manager}
    render(result.values)


def test_a_service() -> None:
    text = """
    apiServer:
      service:
        type: LoadBalancer
        annotations: {example.com/scheme: internal}
        loadBalancerIP: 192.0.2.1
        loadBalancerSourceRanges: [10.0.0.0/8]
        ports: [{name: api-server, port: "{{ .Values.ports.apiServer }}", nodePort: 30080}]
    webserver: {service: {type: NodePort}}
    ingress:
      apiServer:
        {enabled: true, pathType: Exact, host: a.example.com, tls: {enabled: true, secretName: t}}
    """
    result = convert(text)
    assert result.values["controlPlane"]["apiServer"]["service"] == {
        "type": "LoadBalancer",
        "annotations": {"example.com/scheme": "internal"},
        "loadBalancerSourceRanges": ["10.0.0.0/8"],
        "nodePort": 30080,
    }
    assert result.values["ingress"] == {"enabled": True, "host": "a.example.com", "tlsSecretName": "t"}
    assert [line.split(":")[0] for line in result.dropped] == [
        "ingress.apiServer.pathType",
        "apiServer.service.loadBalancerIP",
    ]
    assert render(result.values)
    web = convert("webserver: {service: {type: NodePort, loadBalancerSourceRanges: [10.0.0.0/8]}}")
    assert web.values["controlPlane"]["apiServer"]["service"] == {"type": "NodePort"}


def test_both_executors() -> None:
    result = convert(files.BOTH)
    values = result.values
    assert values["workers"]["default"] is None
    assert values["workers"]["fast"] == {"queues": ["default"], "replicas": 2}
    assert values["workers"]["slow"]["autoscaling"] == {"enabled": True, "min": 0, "max": 5}
    assert values["workers"]["kubernetes"] == {"queues": ["kubernetes"], "executor": "KubernetesExecutor"}
    assert values["workerDefaults"]["mode"] == "dind"
    assert values["dags"]["volume"] == {"persistentVolumeClaim": {"claimName": "dags"}}
    assert "logs" not in values
    assert any("logs.claim.existingClaim" in line for line in result.decisions)
    assert values["extraObjects"][0]["kind"] == "PriorityClass"
    assert "workers.celery.sets[1].hostNetwork: has no counterpart here." in result.dropped


def test_an_old_airflow_is_a_decision() -> None:
    result = convert(files.OLD)
    assert result.values["executor"] == "CeleryExecutor,KubernetesExecutor"
    assert "images" not in result.values or "tag" not in result.values["images"].get("airflow", {})
    said = " ".join(result.decisions)
    assert "2.10.5 is too old" in said
    assert "extraEnv: " in said


def test_comments_stay_with_their_keys() -> None:
    lines = [line.strip() for line in convert(files.CELERY).text().splitlines()]
    for comment, key in (
        ("# Production. Owner: data platform", "executor: "),
        ("# Built by CI, with our providers", "images:"),
        ("# the last release", "tag: "),
        ("# two, for failover", "replicas: 2"),
        ("# The platform team's nodes", "nodeSelector:"),
    ):
        assert any(line.startswith(key) for line in lines[lines.index(comment) + 1 :][:1]), comment


#: Where passwords and keys are in values of the official chart.
SECRETS = (
    "fernetKey", "apiSecretKey", "jwtSecret", "webserverSecretKey", "data.metadataConnection.pass",
    "data.brokerUrl", "data.resultBackendConnection.pass", "redis.password",
    "postgresql.auth.postgresPassword", "flower.password",
    "webserver.defaultUser.password", "createUserJob.defaultUser.password", "registry.connection.pass",
    "dags.gitSync.sshKey", "elasticsearch.connection.pass", "kerberos.keytabBase64Content",
)  # fmt: skip


def at(key: str, value: Any) -> Any:
    for step in reversed(key.split(".")):
        value = {step: value}
    return value


@pytest.mark.parametrize("key", SECRETS)
def test_no_secret_is_shown(key: str) -> None:
    """It is in a values file already; the converted one is to be committed."""
    values = at(key, "pa55-word")
    for block, more in (
        ("data", {"host": "db"}),
        ("dags", {"enabled": True}),
        ("flower", {}),
        ("kerberos", {}),
    ):
        if block in values and more:
            inner = next(iter(values[block].values()))
            if isinstance(inner, dict):
                inner |= more
    result = convert(yaml.safe_dump(values))
    said = result.text() + report(result)
    assert "pa55-word" not in said
    assert result.decisions or result.dropped, "it is not even mentioned"


@pytest.mark.parametrize("name", FILES)
def test_every_named_secret_is_explained(name: str) -> None:
    """Taken over as it is, or with the command that creates it."""
    result = convert(FILES[name])
    values = result.values
    named = {
        *values.get("secrets", {}).values(),
        *(
            values[store]["existingSecret"]
            for store in ("database", "broker")
            if "existingSecret" in values.get(store, {})
        ),
    }
    for secret in named:
        taken = any(line.startswith(f"{secret}, key ") for line in result.secrets)
        assert taken or f"kubectl create secret generic {secret} " in " ".join(result.decisions), secret


def test_what_is_not_known_is_dropped_by_name() -> None:
    result = convert("futureKey: 1\nscheduler: {futureKey: {a: 1}, replicas: 1}\nflower: {enabled: true}\n")
    assert [line.split(":")[0] for line in result.dropped] == ["futureKey", "scheduler.futureKey", "flower"]


@pytest.mark.parametrize(
    "value", [True, 3, "x", "{{ .Values.x }}", ["x"], [{"x": "y"}], {"x": "y"}, {"enabled": True}]
)
def test_any_value_is_converted_or_named(value: Any) -> None:
    """Each key of the table, and of the default values, with a value of any shape: no trace, nothing lost."""
    keys = {row.key for row in official.rows() if not row.key.startswith(official.COMPONENT)}
    keys |= {
        f"{top}.{key}"
        for top, block in yaml.safe_load(DEFAULT).items()
        if isinstance(block, dict)
        for key in block
    }
    silent = []
    for key in sorted(keys):
        try:
            result = convert(yaml.safe_dump(at(key, value)))
        except SourceError as error:
            assert key in str(error)
            continue
        if told(result) == told(convert("{}")):
            silent.append(key)
    lost = [key for key in silent if not any(fnmatch.fnmatchcase(key, each) for each in SILENT)]
    assert not lost


def told(result: Result) -> Any:
    """All that a user gets."""
    return (result.values, result.decisions, result.secrets, result.dropped)


#: What may be without any effect, with the reason.
SILENT = {
    "airflowVersion": "the tag says it",
    "allowPodLaunching": "mode kubernetes does it",
    "*.enabled": "the default, true",
    "networkPolicies": "true is the default here",
    "config*": "not a map, or not of maps: no values file of the official chart",
    "*.podDisruptionBudget": "not a map, or not enabled",
    "*.logGroomerSidecar": "true, or without days: the defaults",
    "createUserJob*": "an init container: its user is converted",
    "webserver.defaultUser": "without a name",
    "postgresql.*": "a decision is there for every embedded database",
    "data.metadataConnection": "without a host",
    "logs.*": "enabled without a size or a claim",
    "redis.persistence": "enabled without a size",
    "dags.*": "not enabled",
    "workers.keda": "not enabled",
    "workers.hpa": "not enabled",
    "workers.persistence": "not enabled",
    **dict.fromkeys(
        ("apiServer", "dagProcessor", "postgresql", "redis", "scheduler", "triggerer", "webserver"),
        "enabled, and nothing else: the default",
    ),
}


def test_keys_that_messages_name_exist() -> None:
    """Those in backticks that are keys of ours."""
    for text in FILES.values():
        result = convert(text)
        for line in (*result.decisions, *result.dropped):
            for key in re.findall(r"`([a-zA-Z<>.]+)`", line):
                if "." in key:
                    assert exists(key), f"{key} in: {line}"


@pytest.mark.parametrize("text", ["a: [", "- a\n", "just text", "a: 1\n  b: 2\n"])
def test_no_values_file_is_one_sentence(text: str) -> None:
    with pytest.raises(SourceError, match=r"^It is not .*\.$"):
        convert(text)


def test_command(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "values.yaml"
    file.write_text(files.CELERY)
    assert main([str(file)]) == 0
    out = capsys.readouterr()
    assert yaml.safe_load(out.out)["executor"] == "CeleryExecutor"
    for title in ("Needs a decision:", "Secrets that apply as they are:", "Dropped:"):
        assert title in out.err
    file.write_text("fullnameOverride: Not_A_Name\n")
    assert main([str(file)]) == 1
    assert "/fullnameOverride" in capsys.readouterr().err
    assert main([str(tmp_path / "none.yaml")]) == 2


def test_attach() -> None:
    """What workers need, under the names of the other release's objects; nothing of its control plane."""
    result = attached(files.CELERY, "af")
    values = yaml.safe_load(result.text())
    assert values["controlPlane"] == {
        "enabled": False,
        "executionApiUrl": "http://af-api-server:8080/execution/",
    }
    keys = {"brokerUrl": "connection", "resultBackend": "connection"}
    assert values["broker"] == {"existingSecret": "own-redis", "keys": keys}
    assert values["secrets"] == {"apiSecretKey": "own-api"}
    assert values["images"]["airflow"]["tag"] == "3.2.2-7"
    assert values["airflow"]["env"]["AIRFLOW__CORE__PARALLELISM"] == "64"
    assert not {"database", "auth", "ingress", "podDisruptionBudget"} & values.keys()
    assert any("data.resultBackendSecretName: set it to own-redis" in text for text in result.decisions)
    assert render(values)


@pytest.mark.parametrize("name", FILES)
def test_the_chart_accepts_attached_values(name: str) -> None:
    assert render(yaml.safe_load(attached(FILES[name], "airflow").text()))


def test_attach_keeps_the_bundle_of_the_dag_folder() -> None:
    """A worker asks for the bundle that the other side's dag-processor names."""
    git = "dags: {gitSync: {enabled: true, repo: 'https://git.example.com/dags.git', subPath: flows}}"
    found = attached(git, "airflow").values["dags"]["git"]
    assert found["dags-folder"]["subdir"] == "flows"
    own = attached("dags: {persistence: {enabled: true}}", "af")
    assert own.values["dags"]["volume"] == {"persistentVolumeClaim": {"claimName": "af-dags"}}
    assert not any(text.startswith("dags.persistence:") for text in own.decisions)


def test_attach_needs_celery() -> None:
    result = attached("executor: KubernetesExecutor", "airflow")
    assert any(text.startswith("executor: worker groups") for text in result.decisions)
