"""A request to the cluster's API server, as the pod's service account. Standard library only."""

import json
import os
import ssl
import urllib.request
from pathlib import Path

ACCOUNT = Path("/var/run/secrets/kubernetes.io/serviceaccount")
UNREACHABLE = (
    "If NetworkPolicies keep this pod from it: networkPolicy.apiServerCIDR must contain its address, and with"
    " Cilium networkPolicy.cilium must be auto or always."
)


def create(path: str, body: dict[str, object]) -> None:
    """Create an object: POST it to a path, as /api/v1/namespaces/NAME/pods.

    Raises urllib.error.HTTPError for every answer but a good one, OSError where no API server answers.
    """
    server = f"https://{os.environ['KUBERNETES_SERVICE_HOST']}:{os.environ['KUBERNETES_SERVICE_PORT']}"
    request = urllib.request.Request(
        server + path,
        data=json.dumps(body).encode(),
        headers={
            "Authorization": f"Bearer {(ACCOUNT / 'token').read_text()}",
            "Content-Type": "application/json",
        },
    )
    context = ssl.create_default_context(cafile=str(ACCOUNT / "ca.crt"))
    urllib.request.urlopen(request, context=context, timeout=10).close()
