"""Creates the local users of auth.users, and gives existing ones the roles and the password of the values.

Environment: AIRDOCK_USERS, a JSON list of maps with username, roles, email, firstName and lastName;
AIRDOCK_USER_PASSWORD_<number>, the password of the user with this number, from 0.
"""

import json
import os
import sys

from airflow.providers.fab.auth_manager.cli_commands.utils import get_application_builder
from airflow.utils.providers_configuration_loader import providers_configuration_loaded
from werkzeug.security import check_password_hash


@providers_configuration_loaded
def main() -> None:
    """Bring FAB's database to the state of the values; exit if a role does not exist."""
    with get_application_builder() as appbuilder:
        manager = appbuilder.sm
        for number, user in enumerate(json.loads(os.environ["AIRDOCK_USERS"])):
            username, password = user["username"], os.environ[f"AIRDOCK_USER_PASSWORD_{number}"]
            if not password:
                sys.exit(f"auth.users.{username}: the password in the Secret is empty.")
            roles = [manager.find_role(name) for name in user["roles"]]
            if None in roles:
                known = ", ".join(sorted(role.name for role in manager.get_all_roles()))
                missing = user["roles"][roles.index(None)]
                sys.exit(
                    f"auth.users.{username}.roles: {missing} is not a role. The roles are {known};"
                    " airflow.config.fab.custom_roles defines others."
                )
            found = manager.find_user(username=username)
            if not found:
                names = (user["firstName"], user["lastName"], user["email"])
                manager.add_user(username, *names, roles, password)
                print(f"Created the user {username}: {user['roles']}", flush=True)
                continue
            found.roles = roles
            manager.update_user(found)
            # A reset ends the user's sessions.
            if not check_password_hash(found.password or "", password):
                manager.reset_password(found.id, password)
            print(f"The user {username} exists: {user['roles']}", flush=True)


if __name__ == "__main__":
    main()
