"""Policies for secrets: none in plain sight, and each where it is needed alone."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from scripts.chart import Container, Manifest
from scripts.lint.model import Found, Policy, cis, nsa

_SECRET_NAME = re.compile(
    r"passw(or)?d|secret|token|credential|private_?key|api_?key|access_?key|fernet_?key", re.IGNORECASE
)
#: Names that are about a secret and do not hold one.
_ABOUT = re.compile(
    r"(_|^)(file|files|path|cmd|command|dir|name|url|ttl|seconds|timeout|expiration|expiry|days|type|length|"
    r"lifetime|enabled|backend|backend_kwargs|account|secrets|as)$",
    re.IGNORECASE,
)
#: Airflow's options that are secrets without being called so.
_SECRET_OPTION = re.compile(r"(SQL_ALCHEMY_CONN|BROKER_URL|RESULT_BACKEND|INTERNAL_API|SENTRY_DSN)$")
_URI_PASSWORD = re.compile(r"[a-z][\w+.-]*://[^\s:/?#@'\"]*:([^\s/?#@'\"]+)@", re.IGNORECASE)
_PLACEHOLDER = re.compile(r"[${<%]|^x+$|^\*+$")
_KEYS = re.compile(r"-----BEGIN [A-Z ]*PRIVATE KEY-----|\bAKIA[0-9A-Z]{16}\b|\bgh[pousr]_[A-Za-z0-9]{36}\b")
_SETTING = re.compile(r"^\s*[\"']?([\w.-]+)[\"']?\s*[=:]\s*[\"']?([^\s\"',#]+)", re.MULTILINE)
_OPTION = re.compile(r"^--?([\w-]+)=(.+)$")


def names_secret(name: str) -> bool:
    """Whether a variable or setting of this name holds a secret."""
    # Of a secret option, Airflow takes KEY_SECRET for a name in a secrets backend (JWT_SECRET is no such).
    stem = name.removesuffix("_SECRET")
    if stem != name and name.startswith("AIRFLOW__") and (names_secret(stem) or _SECRET_OPTION.search(stem)):
        return False
    return bool(_SECRET_NAME.search(name)) and not _ABOUT.search(name)


def secret_in(text: str) -> str:
    """What kind of secret a text shows, by its form; "" if it shows none."""
    if _KEYS.search(text):
        return "a key"
    if any(not _PLACEHOLDER.search(match[1]) for match in _URI_PASSWORD.finditer(text)):
        return "a password in a URL"
    return ""


def _secret_value(name: str, value: str) -> str:
    """What kind of secret a named value is; "" if none."""
    if not value or re.fullmatch(r"\$\(\w+\)|true|false|\d{1,6}|none|null", value, re.IGNORECASE):
        return ""
    if name.upper().startswith("AIRFLOW_CONN_"):
        return _connection_secret(value)
    return secret_in(value) or ("a value whose name says that it is secret" if names_secret(name) else "")


def _connection_secret(value: str) -> str:
    """The secret of an Airflow connection, in either of its forms."""
    try:
        found = json.loads(value)
    except ValueError:
        query = dict(parse_qsl(urlsplit(value).query))
        return secret_in(value) or ("a connection's secret" if _nested_secret(query) else "")
    return "a connection's password" if _nested_secret(found) else ""


def _nested_secret(value: Any) -> bool:
    if isinstance(value, str) and value.startswith("{"):
        try:
            value = json.loads(value)
        except ValueError:
            return False
    if not isinstance(value, dict):
        return False
    return any(
        (item and isinstance(item, str) and names_secret(key)) or _nested_secret(item)
        for key, item in value.items()
    )


def _literals(manifest: Manifest) -> Iterator[Found]:
    for container in manifest.pod.containers if manifest.pod else ():
        for variable in container.env_list:
            if kind := _secret_value(variable.name, str(variable.value or "")):
                yield Found(f"env.{variable.name}", f"the manifest contains {kind}", container.name)
        for word in container.words:
            option = _OPTION.match(word)
            kind = _secret_value(option[1].replace("-", "_"), option[2]) if option else secret_in(word)
            if kind:
                yield Found("args", f"the manifest contains {kind}", container.name)
    if manifest.kind == "ConfigMap":
        for key, text in (manifest.raw.get("data") or {}).items():
            # In programs, names are assigned from elsewhere: only the form of a value tells.
            settings = [] if key.endswith((".py", ".sh", ".md", ".csv")) else _SETTING.findall(str(text))
            kinds = [(name, _secret_value(name, value)) for name, value in settings]
            names = [name for name, kind in kinds if kind]
            if kind := next((kind for _, kind in kinds if kind), secret_in(str(text))):
                where = f" ({', '.join(dict.fromkeys(names))})" if names else ""
                yield Found(f"data[{key}]", f"the ConfigMap contains {kind}{where}")


def _rendered(manifest: Manifest) -> Iterator[Found]:
    if manifest.kind == "Secret":
        for key in ("data", "stringData"):
            if manifest.raw.get(key):
                yield Found(key, "the manifest contains the secret values, and so do Git and Helm's release")
        if str(manifest.raw.get("type", "")) == "kubernetes.io/service-account-token":
            yield Found("type", "a token that never expires")


def _in_environment(manifest: Manifest) -> Iterator[Found]:
    for container in manifest.pod.containers if manifest.pod else ():
        if names := [variable.name for variable in container.env_list if variable.secret]:
            yield Found("env", f"Secrets as environment variables: {', '.join(names)}", container.name)


def _whole_secrets(manifest: Manifest) -> Iterator[Found]:
    for container in manifest.pod.containers if manifest.pod else ():
        for source in container.raw.get("envFrom") or ():
            if source.get("secretRef"):
                message = f"every key of {source['secretRef'].get('name')} becomes a variable"
                yield Found("envFrom.secretRef", message, container.name)


#: What only the control plane needs: whoever has these is administrator of Airflow and reads all connections.
_CONTROL_PLANE_ONLY = (
    "AIRFLOW__DATABASE__SQL_ALCHEMY_CONN",
    "AIRFLOW__CORE__FERNET_KEY",
    "AIRFLOW__API_AUTH__JWT_SECRET",
    "POSTGRES_PASSWORD",
)


def _worker_secrets(manifest: Manifest) -> Iterator[Found]:
    if manifest.component != "worker" or not manifest.pod:
        return
    for container in manifest.pod.containers:
        for name in _CONTROL_PLANE_ONLY:
            if _has(container, name):
                yield Found(f"env.{name}", "DAG code can read it", container.name)


def _dag_code_secrets(manifest: Manifest) -> Iterator[Found]:
    if manifest.component not in ("dag-processor", "triggerer") or not manifest.pod:
        return
    for container in manifest.pod.containers:
        if not {"dag-processor", "triggerer"} & {*map(str, container.raw.get("args") or ())}:
            continue
        separate = "/opt/airdock/separate_dag_code.py" in container.raw["args"]
        withheld = [each.value or "" for each in container.env_list if each.name == "AIRDOCK_WITHHELD"]
        names = {name for value in withheld for name in value.split(",") if separate}
        for name in _CONTROL_PLANE_ONLY:
            if _has(container, name) and name not in names:
                yield Found(f"env.{name}", "DAG code can read it", container.name)


def _has(container: Container, variable: str) -> bool:
    return any(
        entry.name in (variable, f"{variable}_CMD", f"{variable}_SECRET") for entry in container.env_list
    )


POLICIES: tuple[Policy, ...] = (
    Policy(
        "secret-literal",
        "No secret values in manifests",
        "high",
        "Manifests are stored in Git and in Helm's releases, and everyone who may list pods can read them.",
        "Put the value into a Secret, and refer to it with valueFrom.secretKeyRef.",
        (nsa("C-0012"),),
        check_object=_literals,
    ),
    Policy(
        "secret-rendered",
        "No Secret in the manifests",
        "high",
        "A Secret in a manifest is only encoded. Everyone who can read the manifest can read the values.",
        "Create the Secret in the cluster (External Secrets, Sealed Secrets, kubectl), and set its name "
        "in the values.",
        (nsa("C-0012"), cis("5.4.2")),
        check_object=_rendered,
    ),
    Policy(
        "secret-env",
        "Secrets are files, not environment variables",
        "low",
        "Child processes inherit environment variables, and crash reports often contain them.",
        "Mount the Secret as a file, if the program can read one.",
        (cis("5.4.1"),),
        check_object=_in_environment,
    ),
    Policy(
        "secret-whole",
        "Secrets are used by key",
        "medium",
        "With envFrom, a container gets every key of a Secret, including keys that are added later.",
        "Name each key with env[].valueFrom.secretKeyRef.",
        check_object=_whole_secrets,
    ),
    Policy(
        "worker-secrets",
        "Workers have no secret of the control plane",
        "high",
        "DAG code runs in workers. It could read the metadata database and all connections, or act as any "
        "user.",
        "Remove the variable. Workers use Airflow's API server and do not need it.",
        check_object=_worker_secrets,
    ),
    Policy(
        "dag-code-secrets",
        "DAG code in the dag-processor and triggerer has no secret of the control plane",
        "high",
        "DAG files and triggers run beside Airflow's own processes. They could read the metadata database "
        "and all connections, or act as any user.",
        "Set controlPlane.separateDagCode: true.",
        check_object=_dag_code_secrets,
    ),
)
