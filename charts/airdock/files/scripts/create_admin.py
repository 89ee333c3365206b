"""Gives the first administrator to the auth manager.

SimpleAuthManager reads its passwords from a file that it opens for writing, so the Secret's cannot be
mounted there: the file is made in the pod's /tmp. FAB gets a user in its database; one of that name that
is there stays as it is.
"""

import configparser
import json
import os
import subprocess
from pathlib import Path


def main() -> None:
    """Writes the password file, or creates the FAB user."""
    username, password = os.environ["AIRDOCK_ADMIN_USERNAME"], os.environ["AIRDOCK_ADMIN_PASSWORD"]
    if not os.environ["AIRFLOW__CORE__AUTH_MANAGER"].endswith(".FabAuthManager"):
        config = configparser.ConfigParser()
        config.read(os.environ["AIRFLOW_CONFIG"])
        path = Path(config.get("core", "simple_auth_manager_passwords_file"))
        path.touch(mode=0o600)
        path.write_text(json.dumps({username: password}))
        return
    command = ["airflow", "users", "create", "--role", "Admin", "--username", username]
    for option in ("email", "first-name", "last-name"):
        command += [
            f"--{option.replace('-', '')}",
            os.environ[f"AIRDOCK_ADMIN_{option.replace('-', '_').upper()}"],
        ]
    # Asked twice on standard input: an argument would be there for every process to see.
    subprocess.run(command, input=f"{password}\n{password}\n", text=True, check=True)


if __name__ == "__main__":
    main()
