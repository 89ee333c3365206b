"""Write the configuration of the worker's Docker clients: logins of a Secret, and proxies for containers.

Environment: DOCKER_CONFIG (the directory to write to); AIRDOCK_LOGINS (a file, may be missing);
AIRDOCK_PROXY_HTTP, AIRDOCK_PROXY_HTTPS and AIRDOCK_PROXY_NONE (may be missing). Clients give the proxies to
containers and builds: https://docs.docker.com/engine/cli/proxy/.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

#: Key of the file -> variable.
PROXIES = {
    "httpProxy": "AIRDOCK_PROXY_HTTP",
    "httpsProxy": "AIRDOCK_PROXY_HTTPS",
    "noProxy": "AIRDOCK_PROXY_NONE",
}


def main() -> None:
    """Write config.json."""
    logins = os.environ.get("AIRDOCK_LOGINS")
    config = json.loads(Path(logins).read_text()) if logins else {}
    proxies = {key: os.environ[name] for key, name in PROXIES.items() if os.environ.get(name)}
    if proxies:
        config["proxies"] = {**config.get("proxies", {}), "default": proxies}
    file = Path(os.environ["DOCKER_CONFIG"], "config.json")
    file.touch(mode=0o600)
    file.write_text(json.dumps(config))


if __name__ == "__main__":
    main()
