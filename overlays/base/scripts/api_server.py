"""A request to the cluster's API server, as the pod's service account. Standard library only."""

import json
import os
import ssl
import urllib.request
from pathlib import Path
from typing import Any

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
UNREACHABLE = (
    "If NetworkPolicies keep this pod from it: networkPolicy.apiServerCIDR must contain its address, and with"
    " Cilium networkPolicy.cilium must be auto or always."
)


def request(method: str, path: str, body: object = None, content_type: str = "application/json") -> Any:
    """Send a request to a path, as /api/v1/namespaces/NAME/pods, and give the answer.

    Raises urllib.error.HTTPError for every answer but a good one, OSError where no API server answers.
    """
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    request = urllib.request.Request(
        server + path,
        data=None if body is None else json.dumps(body).encode(),
        headers={"Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}", "Content-Type": content_type},
        method=method,
    )
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    with urllib.request.urlopen(request, context=context, timeout=10) as answer:
        return json.load(answer)


def create(path: str, body: dict[str, object]) -> None:
    """Create an object: POST it to a path. Raises what `request` raises."""
    request("POST", path, body)
