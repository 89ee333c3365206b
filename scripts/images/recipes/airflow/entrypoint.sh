#!/usr/bin/env bash
# The Airflow image's entrypoint: `airflow ARGUMENT...`, `ARGUMENT...` (a subcommand of airflow), `bash ...` or
# `python ...`, after the checks and preparations that the environment asks for:
#
#   CONNECTION_CHECK_MAX_COUNT (20), CONNECTION_CHECK_SLEEP_TIME (3)   tries, and seconds between them, of the wait
#       for the database (scheduler, dag-processor, triggerer, api-server) and the Celery broker (scheduler, celery);
#       0 tries: no wait
#   _AIRFLOW_DB_MIGRATE          not empty: migrate the database, going on if that fails
#   _AIRFLOW_WWW_USER_CREATE     not empty: create a FAB user from _AIRFLOW_WWW_USER_USERNAME, _FIRSTNAME, _LASTNAME,
#       _EMAIL, _ROLE and _PASSWORD or _PASSWORD_CMD
#   _PIP_ADDITIONAL_REQUIREMENTS to install first, for trying things out
set -euo pipefail

tries=${CONNECTION_CHECK_MAX_COUNT:-20}
pause=${CONNECTION_CHECK_SLEEP_TIME:-3}

fail() {
    echo "ERROR! $*" >&2
    exit 1
}

# Files belong to group 0, so that any uid can run this.
check_group() {
    [[ $(id -g) != 0 ]] || return 0
    if [[ $(id -u) == 50000 ]]; then
        echo "WARNING! The group is $(id -g) and should be 0, also for the user airflow." >&2
    else
        fail "You should run the image with group 0; this is uid $(id -u) and gid $(id -g)."
    fi
}

# An arbitrary uid gets a name where that can be written down, and airflow's home in any case.
name_user() {
    ! whoami &> /dev/null || return 0
    if [[ -w /etc/passwd ]]; then
        local name=${USER_NAME:-default}
        echo "$name:x:$(id -u):0:$name user:$AIRFLOW_USER_HOME_DIR:/sbin/nologin" >> /etc/passwd
    fi
    export HOME=$AIRFLOW_USER_HOME_DIR
}

# retry COMMAND...: until it succeeds; its output is shown if the last try fails.
retry() {
    local left said
    for ((left = tries; left > 0; left--)); do
        if said=$("$@" 2>&1); then
            echo
            return
        fi
        echo -n .
        ((left == 1)) || sleep "$pause"
    done
    echo
    fail "Maximum number of retries ($tries) reached. Last check result: $ $*"$'\n'"$said"
}

# connect URL: open a TCP connection to where the URL points.
connect() {
    python - "$1" << 'END'
import socket, sys
from urllib.parse import urlsplit

url = urlsplit(sys.argv[1])
scheme = url.scheme.partition("+")[0]
port = url.port or {"redis": 6379, "rediss": 6379, "amqp": 5672, "amqps": 5671, "postgresql": 5432}.get(scheme)
if port is None:
    print(f"no port is known for {scheme}: not checked")
else:
    socket.create_connection((url.hostname or "localhost", port), timeout=10).close()
END
}

# setting SECTION KEY: its value, in half the time of `airflow config get-value`.
setting() {
    python -c 'import sys; from airflow.configuration import conf; print(conf.get(*sys.argv[1:]))' "$@"
}

wait_for_broker() {
    [[ $(setting core executor) == *CeleryExecutor* ]] || return 0
    retry connect "$(setting celery broker_url)"
}

create_user() {
    local password=${_AIRFLOW_WWW_USER_PASSWORD:-}
    [[ -z ${_AIRFLOW_WWW_USER_PASSWORD_CMD:-} ]] || password=$(eval "$_AIRFLOW_WWW_USER_PASSWORD_CMD")
    unset _AIRFLOW_WWW_USER_PASSWORD _AIRFLOW_WWW_USER_PASSWORD_CMD
    [[ -n $password ]] || fail "Set _AIRFLOW_WWW_USER_PASSWORD or _AIRFLOW_WWW_USER_PASSWORD_CMD."
    if [[ $(setting core auth_manager) != *FabAuthManager* ]]; then
        echo "Skipping user creation as auth manager different from Fab is used"
        return
    fi
    # The password goes in by standard input (twice, as for a person), where `ps` does not see it.
    printf '%s\n%s\n' "$password" "$password" | airflow users create \
        --username "${_AIRFLOW_WWW_USER_USERNAME:-admin}" \
        --firstname "${_AIRFLOW_WWW_USER_FIRSTNAME:-Airflow}" \
        --lastname "${_AIRFLOW_WWW_USER_LASTNAME:-Admin}" \
        --email "${_AIRFLOW_WWW_USER_EMAIL:-airflowadmin@example.com}" \
        --role "${_AIRFLOW_WWW_USER_ROLE:-Admin}" || true
}

check_group
umask 0002 # What one uid creates on a volume, another one with group 0 may change.
name_user

command=${1:-}
[[ $command != airflow ]] || command=${2:-}
# A shell that only starts a component waits like the component itself.
component='(^|[[:space:]])airflow[[:space:]]+(scheduler|dag-processor|triggerer|api-server)([[:space:]]|$)'
if [[ ${1:-} =~ ^(ba)?sh$ && ${2:-} == -c && ${3:-} =~ $component ]]; then
    command=${BASH_REMATCH[2]}
fi

if ((tries > 0)) && [[ $command =~ ^(scheduler|dag-processor|triggerer|api-server)$ ]]; then
    retry airflow db check
fi
if [[ -n ${_AIRFLOW_DB_MIGRATE:-}${_AIRFLOW_DB_UPGRADE:-} ]]; then
    airflow db migrate || true
fi
if [[ -n ${_AIRFLOW_WWW_USER_CREATE:-} ]]; then
    create_user
fi
if [[ -n ${_PIP_ADDITIONAL_REQUIREMENTS:-} ]]; then
    echo "WARNING: Installing '$_PIP_ADDITIONAL_REQUIREMENTS' at each start. Build an image instead." >&2
    # shellcheck disable=SC2086  # A list of requirements.
    pip install --no-cache-dir $_PIP_ADDITIONAL_REQUIREMENTS
fi

case ${1:-} in
    bash | python) exec "$@" ;;
    airflow) shift ;;
    '') [[ ${_AIRFLOW_DB_MIGRATE:-} != true ]] || exit 0 ;;
esac
if ((tries > 0)) && [[ ${1:-} =~ ^(scheduler|celery)$ ]]; then
    wait_for_broker
fi
exec airflow "$@"
