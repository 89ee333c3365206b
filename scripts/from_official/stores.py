"""Secrets, database, broker, and the first administrator."""

from __future__ import annotations

import re

from scripts.from_official.pods import Pods
from scripts.from_official.result import Result
from scripts.from_official.source import Source, sets, templated

#: Name of an existing Secret -> (its place here, its key here, the same key as there).
KEYS = {
    "fernetKey": ("fernetKeySecretName", "secrets.fernetKey", "fernet-key", True),
    "apiSecretKey": ("apiSecretKeySecretName", "secrets.apiSecretKey", "api-secret-key", True),
    "jwtSecret": ("jwtSecretName", "secrets.jwtSecret", "jwt-secret", True),
    "webserverSecretKey": ("webserverSecretKeySecretName", "secrets.apiSecretKey", "api-secret-key", False),
}
DATABASE, BROKER = "airflow-database", "airflow-broker"


def create(name: str, **literals: str) -> str:
    """The command that creates a Secret; keys with underscores for dashes."""
    given = " ".join(f"--from-literal={key.replace('_', '-')}='{value}'" for key, value in literals.items())
    return f"kubectl create secret generic {name} {given}"


def secret_keys(source: Source, result: Result) -> None:
    """The keys of Airflow: Fernet, API, JWT."""
    for plain, (named, here, key, same) in KEYS.items():
        name = source.take(named)
        value = source.take(plain)
        if name and templated(name):
            result.decide(f"{named}: has Helm templates. Set `{here}` to the name of the Secret.")
        elif name and not result.get(here):
            result.put(here, name, (named,))
            if same:
                result.secrets.append(f"{name}, key {key}: `{here}`")
            else:
                text = (
                    f"{named}: the key is {key} here. Add it to the Secret {name}, or let the chart "
                    f"create a Secret."
                )
                result.decide(text)
        elif value and not name:
            secret = f"airflow-{key}"
            result.put(here, secret, (plain,))
            result.decide(f"{plain}: is a secret. Create: {create(secret, **{key.replace('-', '_'): '...'})}")
    if not result.get("secrets.fernetKey") and result.get("database.existingSecret"):
        text = (
            "secrets.fernetKey: the official chart created the Secret <release>-fernet-key. Set its name "
            "here if you "
            "keep the database. Otherwise Airflow cannot decrypt its connections and variables."
        )
        result.decide(text)


def database(source: Source, result: Result, pods: Pods) -> None:
    """The metadata database: a Secret, or the embedded one."""
    name = source.take("data", "metadataSecretName")
    connection = source.look("data", "metadataConnection") or {}
    source.take("data", "metadataConnection")
    pooled = source.look("pgbouncer", "enabled")
    if name:
        result.put("database.existingSecret", name, ("data", "metadataSecretName"))
        result.secrets.append(f"{name}, key connection: `database.existingSecret`")
    elif connection.get("host"):
        result.put("database.existingSecret", DATABASE, ("data", "metadataConnection"))
        protocol = str(connection.get("protocol", "postgresql")).partition("+")[0]
        driver = {"postgresql": "postgresql+psycopg2", "mysql": "mysql+mysqldb"}.get(protocol, protocol)
        server = f"{connection['host']}:{connection.get('port', 5432)}/{connection.get('db', 'airflow')}"
        url = f"{driver}://{connection.get('user', '...')}:<password>@{server}"
        url += f"?sslmode={connection.get('sslmode', 'prefer')}" if not pooled else ""
        if protocol != "postgresql":
            url = url.partition("?")[0]
        result.decide(f"data.metadataConnection: has a password. Create: {create(DATABASE, connection=url)}")
    elif source.look("postgresql", "enabled") is False:
        result.decide(
            "postgresql.enabled: is false, and the values name no database. Set `database.existingSecret`."
        )
    if not result.get("database.existingSecret"):
        _embedded_database(source, result, pods)
    source.take("postgresql", "enabled")
    if source.look("databaseCleanup", "enabled"):
        for key in ("enabled", "schedule", "retentionDays", "tables"):
            value = source.take("databaseCleanup", key)
            if sets(value) and not templated(value):
                result.put(f"database.cleanup.{key}", value, ("databaseCleanup", key))
    if pooled:
        pooler(source, result, pods)


def pooler(source: Source, result: Result, pods: Pods) -> None:
    """PgBouncer: the sizes, its pods, and how it connects to the server."""
    source.take("pgbouncer", "enabled")
    result.put("database.pooler.enabled", True, ("pgbouncer", "enabled"))
    for theirs, ours, least in (
        ("metadataPoolSize", "poolSize", 5),
        ("maxClientConn", "maxClientConnections", 20),
    ):
        value = source.take("pgbouncer", theirs)
        if isinstance(value, int):
            result.put(f"database.pooler.{ours}", max(value, least), ("pgbouncer", theirs))
    if not sets(source.look("pgbouncer", "replicas")):
        source.take("pgbouncer", "replicas")
    pods.block(("pgbouncer",), "database.pooler")
    mode = source.take("pgbouncer", "sslmode") or "prefer"
    secret = result.get("database.existingSecret")
    if secret:
        result.decide(
            f"database.existingSecret: {secret} must have the address of PostgreSQL itself, and not that of "
            "PgBouncer. The URL may have no parameters: use `database.tls`."
        )
    if mode != "prefer" and secret and mode.startswith("verify-"):
        result.decide(
            f"pgbouncer.sslmode: set `database.tls.mode` to {mode}, and name the CA: `database.tls.ca`."
        )
    elif mode != "prefer" and secret:
        result.put("database.tls.mode", mode, ("pgbouncer", "sslmode"))
    if sets(source.take("pgbouncer", "ssl")):
        result.decide("pgbouncer.ssl: create Secrets, and name them in `database.tls`.")
    for key in ("extraIni", "extraIniMetadata", "extraIniResultBackend"):
        if sets(source.take("pgbouncer", key)):
            result.decide(f"pgbouncer.{key}: write settings to `database.pooler.config`.")
    for key in (
        "auth_type",
        "resultBackendPoolSize",
        "uid",
        "logDisconnections",
        "logConnections",
        "verbose",
    ):
        source.take("pgbouncer", key)


def _embedded_database(source: Source, result: Result, pods: Pods) -> None:
    for path in (("postgresql", "primary", "persistence"), ("postgresql", "persistence")):
        for theirs, ours in (("size", "size"), ("storageClass", "storageClassName")):
            if source.look(*path, theirs):
                result.put(f"database.embedded.storage.{ours}", source.take(*path, theirs), (*path, theirs))
    for key in ("auth", "image"):
        source.take("postgresql", key)
    text = (
        "database.embedded: is a new, empty PostgreSQL. To keep the data of the official chart's, move "
        "them with "
        "pg_dump, and set `secrets.fernetKey` to <release>-fernet-key."
    )
    result.decide(text)


def broker(source: Source, result: Result, pods: Pods) -> None:
    """Celery's broker and result backend: one Secret, or the embedded broker."""
    name, url = source.take("data", "brokerUrlSecretName"), source.take("data", "brokerUrl")
    backend = source.take("data", "resultBackendSecretName") or source.take("data", "resultBackendConnection")
    if "Celery" not in str(result.get("executor") or "CeleryExecutor"):
        source.take("redis")
        return
    password = source.take("redis", "passwordSecretName") or source.take("redis", "password")
    if name and not backend and not templated(name):
        result.put("broker.existingSecret", name, ("data", "brokerUrlSecretName"))
        result.put("broker.keys", {"brokerUrl": "connection", "resultBackend": "connection"})
        result.secrets.append(f"{name}, key connection: `broker.existingSecret`")
        text = (
            "broker.keys.resultBackend: results of Celery go to the broker's Redis, not to the database. If "
            "the broker is RabbitMQ, add a key with the URL of a database or Redis to the Secret; name it."
        )
        result.decide(text)
        source.take("redis")
        return
    if name or url or source.look("redis", "enabled") is False:
        result.put("broker.existingSecret", BROKER, ("data", "brokerUrlSecretName" if name else "brokerUrl"))
        there = f"the key connection of the Secret {name}" if name else "data.brokerUrl"
        theirs = (
            "data.resultBackendSecretName or data.resultBackendConnection"
            if backend
            else "the database's URL"
        )
        command = create(BROKER, broker_url="...", result_backend="db+postgresql://...")
        text = (
            f"broker.existingSecret: one Secret with the broker ({there}) and the result backend ({theirs}, "
            f"with db+ before it). Create: {command}"
        )
        result.decide(text)
        source.take("redis")
        return
    if password:
        result.dropped.append("redis.password: the chart creates a Secret for the embedded broker.")
    if backend:
        result.dropped.append("data.resultBackendSecretName: the embedded broker stores the results, too.")
    for key in ("size", "storageClassName"):
        if sets(source.look("redis", "persistence", key)):
            value = source.take("redis", "persistence", key)
            result.put(f"broker.embedded.storage.{key}", value, ("redis", "persistence", key))
    source.take("redis", "persistence")
    source.take("redis", "enabled")
    pods.block(("redis",), "broker.embedded")


def login(source: Source, result: Result) -> None:
    """The auth manager, and the first administrator."""
    manager = str(source.take("config", "core", "auth_manager") or "Fab")
    config = None
    for path in (("apiServer", "apiServerConfig"), ("webserver", "webserverConfig")):
        text = source.take(*path)
        if text and templated(text):
            result.decide(f"{'.'.join(path)}: has Helm templates. Write it to `auth.webserverConfig`.")
        elif text:
            config = (text, path)
    for path in (
        ("apiServer", "apiServerConfigConfigMapName"),
        ("webserver", "webserverConfigConfigMapName"),
    ):
        if source.take(*path):
            result.decide(f"{'.'.join(path)}: copy the file to `auth.webserverConfig`.")
    if "Fab" in manager or config:
        result.put("auth.manager", "fab")
    elif "Simple" not in manager:
        whole = re.fullmatch(r"\w+(\.\w+)+", manager)
        key = "auth.manager" if whole else "airflow.config.core.auth_manager"
        result.put(key, manager, ("config", "core", "auth_manager"))
    if config:
        result.put("auth.webserverConfig", config[0], config[1])
        if "AUTH_OAUTH" in str(config[0]):
            result.decide(
                f"{'.'.join(config[1])}: if it signs users on by OpenID Connect, `auth.oidc` can do that "
                "instead (docs/sign-on.md). Otherwise keep it."
            )
    for block in (("createUserJob", "defaultUser"), ("webserver", "defaultUser")):
        user = source.block(*block)
        if user and user.get("enabled") is not False:
            for key in ("username", "email", "firstName", "lastName"):
                if user.get(key) and not templated(user[key]):
                    result.put(f"auth.admin.{key}", user[key], (*block, key))
            if user.get("password"):
                literals = {"username": str(user.get("username", "admin")), "password": "..."}
                secret = create("airflow-admin", **literals)
                text = (
                    f"{'.'.join(block)}.password: passwords are never values. The chart creates a random "
                    f"one; or set "
                    f"`secrets.admin: airflow-admin` and create: {secret}"
                )
                result.decide(text)
            source.take(*block)
            break
    source.take("createUserJob")
    source.take("webserver", "defaultUser")
