"""Makes the Secrets that the release lacks: random, in the cluster, once.

It may only create. A Secret that is there (HTTP 409) stays as it is, so that upgrades and restarts change
nothing and a user can put one there first. Standard library only; runs in init containers of the
api-server: one makes the release's Secrets, a second one those of worker groups in other namespaces, which
are the same as the release's.

Arguments: the namespaces, none for the pod's own. Environment: AIRDOCK_MAKE_<purpose>_AS, the name of a
Secret to make; AIRDOCK_POSTGRES_HOST and AIRDOCK_REDIS_HOST, the Services that its URLs name;
AIRDOCK_ADMIN_USERNAME; AIRDOCK_LABELS, JSON map; REDIS_PASSWORD and AIRFLOW__API__SECRET_KEY, where these are
not to be random.
"""

import base64
import json
import os
import re
import secrets
import sys
import time
import urllib.error
from collections.abc import Callable

import api_server

ATTEMPTS = 60
MAKE = re.compile("AIRDOCK_MAKE_([A-Z_]+)_AS")


def password(variable: str = "") -> str:
    """What the variable holds; without it, a random password of 256 bits, safe inside a URL."""
    return os.environ.get(variable) or secrets.token_urlsafe(32)


def admin() -> dict[str, str]:
    """Keys of the first user's Secret."""
    return {"username": os.environ["AIRDOCK_ADMIN_USERNAME"], "password": password()}


def postgres() -> dict[str, str]:
    """Keys of the embedded database's Secret: the password, and the SQLAlchemy URL that holds it."""
    word = password()
    return {
        "password": word,
        "connection": f"postgresql+psycopg2://airflow:{word}@{os.environ['AIRDOCK_POSTGRES_HOST']}:5432/airflow",
    }


def redis() -> dict[str, str]:
    """Keys of the embedded broker's Secret: the password and the URLs of broker and result backend."""
    word = password("REDIS_PASSWORD")
    url = f"redis://:{word}@{os.environ['AIRDOCK_REDIS_HOST']}:6379"
    return {"password": word, "broker-url": f"{url}/0", "result-backend": f"{url}/1"}


def fernet_key() -> str:
    """A key as cryptography.fernet.Fernet.generate_key makes it."""
    return base64.urlsafe_b64encode(os.urandom(32)).decode()


#: By its label, Argo CD takes a Secret for one of an Application of the release's name, and would delete it.
UNMANAGED = {
    "argocd.argoproj.io/compare-options": "IgnoreExtraneous",
    "argocd.argoproj.io/sync-options": "Prune=false,Delete=false",
}

PURPOSES: dict[str, Callable[[], dict[str, str]]] = {
    "ADMIN": admin,
    "API_SECRET_KEY": lambda: {"api-secret-key": password("AIRFLOW__API__SECRET_KEY")},
    "FERNET_KEY": lambda: {"fernet-key": fernet_key()},
    "JWT_SECRET": lambda: {"jwt-secret": password()},
    "POOLER": lambda: {"password": password()},
    "POSTGRES": postgres,
    "REDIS": redis,
}


def create(namespace: str, name: str, data: dict[str, str]) -> str:
    """Creates one Secret and says what became of it.

    Raises urllib.error.HTTPError for every answer but 201 and 409, OSError where no API server answers.
    """
    body: dict[str, object] = {
        "apiVersion": "v1",
        "kind": "Secret",
        "metadata": {
            "name": name,
            "labels": json.loads(os.environ["AIRDOCK_LABELS"]),
            "annotations": UNMANAGED,
        },
        "stringData": data,
    }
    try:
        api_server.create(f"/api/v1/namespaces/{namespace}/secrets", body)
    except urllib.error.HTTPError as error:
        if error.code != 409:
            raise
        return "is there, left as it is"
    return "created"


def create_patiently(namespace: str, name: str, data: dict[str, str]) -> str:
    """As create, but waits for an API server that cannot be reached yet: at most ATTEMPTS seconds."""
    for attempt in range(ATTEMPTS):
        try:
            return create(namespace, name, data)
        except urllib.error.HTTPError as error:
            if error.code < 500:
                reason = json.loads(error.read() or b"{}").get("message", error.reason)
                sys.exit(f"Secret {namespace}/{name}: the API server refused it ({error.code}): {reason}")
        except OSError as error:
            print(f"Secret {namespace}/{name}: {error}; attempt {attempt + 1} of {ATTEMPTS}", flush=True)
        time.sleep(1)
    sys.exit(
        f"Secret {namespace}/{name}: the API server could not be reached in {ATTEMPTS} seconds."
        f" {api_server.UNREACHABLE}"
    )


if __name__ == "__main__":
    for place in sys.argv[1:] or [(api_server.ACCOUNT / "namespace").read_text()]:
        for variable, secret_name in sorted(os.environ.items()):
            if match := MAKE.fullmatch(variable):
                outcome = create_patiently(place, secret_name, PURPOSES[match[1]]())
                print(f"Secret {place}/{secret_name}: {outcome}", flush=True)
