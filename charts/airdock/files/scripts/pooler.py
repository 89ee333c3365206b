"""Writes PgBouncer's configuration and its list of users, from the Secret that has the database's password.

Standard library only; runs in an init container of the pooler. Clients log in as `airflow` with a password
that the chart created, and only this configuration has the database's own one. It is in a volume of memory.

Argument: the directory to write to. Environment: AIRFLOW__DATABASE__SQL_ALCHEMY_CONN, the database's URL, or
libpq's PGHOST, PGPORT, PGUSER, PGPASSWORD and PGDATABASE in its place; PGSSLMODE, PGSSLROOTCERT, PGSSLCERT
and PGSSLKEY, as libpq reads them; AIRDOCK_POOLER_PASSWORD, that of clients; AIRDOCK_POOLER_SETTINGS, JSON
map: further settings of PgBouncer.
"""

import json
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import unquote, urlsplit

USER = "airflow"
#: Name of the database for clients -> what it has beside the server's address. A migration holds a lock of
#: its session, which another client would get in mode transaction. It has connections apart: PgBouncer does
#: not close idle ones of another database to stay below a common limit. One api-server migrates at a time
#: (database.py), and takes four.
DATABASES = {"airflow": "", "airflow-migrations": " pool_mode=session pool_size=5"}
#: PgBouncer's setting -> libpq's variable.
TLS = {
    "server_tls_sslmode": "PGSSLMODE",
    "server_tls_ca_file": "PGSSLROOTCERT",
    "server_tls_cert_file": "PGSSLCERT",
    "server_tls_key_file": "PGSSLKEY",
}
WAY_OUT = "Change the Secret of database.existingSecret, then restart the pooler"


def server(environ: Mapping[str, str]) -> dict[str, str]:
    """Give the address of the database, in PgBouncer's words: host, port, dbname, user, password.

    Raises:
        ValueError: the Secret's content cannot be used; a sentence with the way out.
    """
    url = urlsplit(environ.get("AIRFLOW__DATABASE__SQL_ALCHEMY_CONN", ""))
    if url.netloc:
        if url.scheme.partition("+")[0] not in ("postgresql", "postgres"):
            raise ValueError(f"The database's URL begins with {url.scheme}://, not with postgresql://.")
        if url.query:
            raise ValueError(
                f"The database's URL has parameters ({url.query.partition('=')[0]}, ...), which PgBouncer"
                " does not take. Remove them from the URL, and set database.tls for those of TLS."
            )
        found = {
            "host": unquote(url.hostname or ""),
            "port": str(url.port or 5432),
            "dbname": unquote(url.path.removeprefix("/")),
            "user": unquote(url.username or ""),
            "password": unquote(url.password or ""),
        }
    else:
        names = {
            "host": "PGHOST",
            "port": "PGPORT",
            "dbname": "PGDATABASE",
            "user": "PGUSER",
            "password": "PGPASSWORD",
        }
        found = {key: environ.get(name, "") for key, name in names.items()}
        found["port"] = found["port"] or "5432"
    for key, value in found.items():
        if not value:
            raise ValueError(f"The database's {key} is missing.")
        if any(character in value for character in "\n\r\0"):
            raise ValueError(f"The database's {key} contains a line break, which PgBouncer cannot read.")
    if "," in found["host"]:
        raise ValueError(
            "The database's host is a list. PgBouncer would use the hosts in turn, standbys too: name one."
        )
    return found


def quoted(value: str) -> str:
    """Write a value of a connection string: in single quotes, and a quote twice."""
    return "'" + value.replace("'", "''") + "'"


def config(environ: Mapping[str, str], directory: Path) -> str:
    """Give pgbouncer.ini."""
    address = " ".join(f"{key}={quoted(value)}" for key, value in server(environ).items())
    settings: dict[str, str | int] = {
        "listen_addr": "*",
        "listen_port": 6432,
        # The root file system is read-only, and no other container would use a socket.
        "unix_socket_dir": "",
        "auth_type": "scram-sha-256",
        "auth_file": str(directory / "userlist.txt"),
        # SHOW POOLS and the like, in the database pgbouncer.
        "stats_users": USER,
        "pool_mode": "transaction",
        # asyncpg prepares every statement. Its connection may get another server connection each time.
        "max_prepared_statements": 200,
        "ignore_startup_parameters": "extra_float_digits",
        # PostgreSQL has few connections: others get them soon.
        "server_idle_timeout": 60,
        # A server or client that has disappeared: see airdock_connections.py.
        "tcp_keepidle": 15,
        "tcp_keepintvl": 5,
        "tcp_keepcnt": 3,
        "tcp_user_timeout": 30_000,
        # Probes connect all the time.
        "log_connections": 0,
        "log_disconnections": 0,
        "server_tls_sslmode": "prefer",
    }
    settings |= {name: environ[variable] for name, variable in TLS.items() if environ.get(variable)}
    settings |= json.loads(environ.get("AIRDOCK_POOLER_SETTINGS") or "{}")
    lines = [
        "[databases]",
        *(f"{name} = {address}{options}" for name, options in DATABASES.items()),
        "[pgbouncer]",
        *(f"{name} = {value}" for name, value in settings.items()),
    ]
    return "\n".join(lines) + "\n"


def users(password: str) -> str:
    """Give userlist.txt: the one client and its password, with a double quote twice."""
    escaped = password.replace('"', '""')
    return f'"{USER}" "{escaped}"\n'


def main(directory: Path) -> None:
    """Write both files, readable by this user only."""
    os.umask(0o077)
    try:
        text = config(os.environ, directory)
    except ValueError as error:
        sys.exit(f"{error} {WAY_OUT}.")
    (directory / "pgbouncer.ini").write_text(text)
    (directory / "userlist.txt").write_text(users(os.environ["AIRDOCK_POOLER_PASSWORD"]))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
