"""Checks that workers can join the Airflow that another chart deployed, before they take tasks.

One sentence says what is wrong, with the value that changes it. What is not there yet gets a minute.
The key that signs requests for logs cannot be checked: only the other side uses it.

Environment: AIRFLOW__CORE__EXECUTION_API_SERVER_URL, AIRFLOW__CELERY__BROKER_URL and
AIRFLOW__CELERY__RESULT_BACKEND.
"""

import json
import os
import socket
import time
import urllib.error
import urllib.request
from importlib import metadata
from urllib.parse import urlsplit

import probe_worker
import waiting

WAIT_SECONDS = 60
TIMEOUT_SECONDS = 5.0
NETWORK = "Check that the NetworkPolicies of both releases admit the connection"


def api_problem() -> str:
    """Say why the execution API does not serve these workers, or nothing if it does."""
    url = os.environ["AIRFLOW__CORE__EXECUTION_API_SERVER_URL"].rstrip("/")
    value = f"controlPlane.executionApiUrl: {url}"
    try:
        # Airflow's airflow/api_fastapi/execution_api/routes/health.py.
        if answer(f"{url}/health").get("status") != "healthy":
            return f"{value} is not an execution API: its /health has another answer"
    except urllib.error.HTTPError as error:
        return f"{value} is not an execution API: /health answers {error.code}. The path ends in /execution/"
    except ValueError:
        return f"{value} is not an execution API: /health is no JSON. The path ends in /execution/"
    except OSError as error:
        return f"{value} cannot be reached ({reason(error)}). {NETWORK} to it"
    return version_problem(url)


def version_problem(url: str) -> str:
    """Compare the versions of Airflow: its api-server serves workers of its own version and older ones."""
    try:
        there = str(answer(f"{url.removesuffix('/execution')}/api/v2/version")["version"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        print(f"The other Airflow does not tell its version ({error!r}). It is not compared.", flush=True)
        return ""
    here = metadata.version("apache-airflow-core")
    if [int(part) for part in here.split(".")[:2]] > [int(part) for part in there.split(".")[:2]]:
        return (
            f"images.airflow.tag: these workers have Airflow {here}, and the other Airflow is {there}, which"
            " is older. Upgrade it first, or set its tag"
        )
    return ""


def answer(url: str) -> dict[str, object]:
    """Ask for a JSON object.

    Raises:
        OSError: it cannot be reached, or answers with an error (urllib.error.HTTPError).
        ValueError: the answer is no JSON object.
    """
    with urllib.request.urlopen(url, timeout=TIMEOUT_SECONDS) as response:
        found = json.loads(response.read(1_000_000))
    if not isinstance(found, dict):
        raise ValueError("not an object")
    return found


def reason(error: Exception) -> str:
    """The short form of what urllib and Celery's clients say."""
    return str(getattr(error, "reason", "") or error or type(error).__name__).strip().rstrip(".")


def broker_problem() -> str:
    """Say why the broker does not serve these workers, or nothing if it does."""
    import kombu

    url = os.environ["AIRFLOW__CELERY__BROKER_URL"]
    host = named(url)
    try:
        with kombu.Connection(
            url, ssl=probe_worker.tls(url) or False, connect_timeout=TIMEOUT_SECONDS
        ) as connection:
            connection.ensure_connection(max_retries=1, interval_start=0)
            connection.default_channel.close()
    except Exception as error:
        return f"broker.existingSecret: the broker at {host} {said(error)}"
    return ""


def result_problem() -> str:
    """Say why the result backend does not serve these workers, or nothing if it does."""
    url = os.environ["AIRFLOW__CELERY__RESULT_BACKEND"]
    try:
        if url.startswith("db+"):
            database_answers(url.removeprefix("db+"))
        elif url.startswith(("redis", "valkey")):
            import redis

            redis.Redis.from_url(url, socket_connect_timeout=TIMEOUT_SECONDS).ping()
        else:
            socket.create_connection(address(url), TIMEOUT_SECONDS).close()
    except Exception as error:
        return f"broker.keys.resultBackend: the result backend at {named(url)} {said(error)}"
    return ""


def database_answers(url: str) -> None:
    """Connect once."""
    import sqlalchemy

    sqlalchemy.create_engine(url, connect_args={"connect_timeout": int(TIMEOUT_SECONDS)}).connect().close()


def named(url: str) -> str:
    """The host and port of a URL, without its login."""
    return urlsplit(url).netloc.rpartition("@")[2] or "an empty URL"


def address(url: str) -> tuple[str, int]:
    """Host and port of a URL; 80 without a port."""
    parts = urlsplit(url)
    return parts.hostname or "", parts.port or 80


def said(error: Exception) -> str:
    """Tell a login that is rejected from a server that is not reached."""
    words = reason(error)
    login = ("auth", "password", "access_refused", "noperm", "wrongpass")
    if any(word in words.lower() for word in login):
        return f"rejects the login ({words}). Copy the Secret of the other Airflow again"
    return f"cannot be reached ({words}). {NETWORK} to it, and that the host's name has its namespace"


def problem() -> str:
    """Say what is wrong first, or nothing if these workers can join."""
    return api_problem() or broker_problem() or result_problem()


def main() -> None:
    """Wait until all is well; exit with what is not after WAIT_SECONDS."""
    failed = "These workers cannot join the other Airflow"
    waiting.wait(problem, time.monotonic() + WAIT_SECONDS, "Waiting", failed)
    print("The other Airflow, its broker and its result backend serve these workers.")


if __name__ == "__main__":
    main()
