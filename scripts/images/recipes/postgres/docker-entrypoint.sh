#!/usr/bin/env bash
# Start Postgres as the official image does; on an empty PGDATA, create the database cluster first from
# POSTGRES_USER, POSTGRES_PASSWORD, POSTGRES_DB, POSTGRES_INITDB_ARGS, POSTGRES_INITDB_WALDIR,
# POSTGRES_HOST_AUTH_METHOD (each of the first four also as a file named by <NAME>_FILE), and run what is in
# /docker-entrypoint-initdb.d.
set -Eeo pipefail

fail() {
    echo "Error: $*" >&2
    exit 1
}

# setting NAME [DEFAULT]: export NAME from itself, from the file $NAME_FILE, or the default.
setting() {
    local name=$1 file=$1_FILE
    if [[ -n ${!name:-} && -n ${!file:-} ]]; then
        fail "both $name and $file are set; only one may be."
    elif [[ -n ${!file:-} ]]; then
        export "$name"="$(< "${!file}")"
    else
        export "$name"="${!name:-${2:-}}"
    fi
    unset "$file"
}

directories() {
    mkdir -p "$PGDATA"
    chmod 0700 "$PGDATA" 2> /dev/null || true
    mkdir -p /var/run/postgresql 2> /dev/null || true
    chmod 03775 /var/run/postgresql 2> /dev/null || true
    if [[ -n ${POSTGRES_INITDB_WALDIR:-} ]]; then
        mkdir -p "$POSTGRES_INITDB_WALDIR"
        chmod 700 "$POSTGRES_INITDB_WALDIR"
    fi
    if [[ $(id -u) == 0 ]]; then
        find "$PGDATA" /var/run/postgresql ${POSTGRES_INITDB_WALDIR:+"$POSTGRES_INITDB_WALDIR"} \
            ! -user postgres -exec chown postgres {} +
    fi
}

check_password() {
    case ${POSTGRES_HOST_AUTH_METHOD:-} in
        trust) echo "WARNING: POSTGRES_HOST_AUTH_METHOD is trust: anyone who reaches the port is let in." >&2 ;;
        *) [[ -n $POSTGRES_PASSWORD ]] || fail "Database is uninitialized and POSTGRES_PASSWORD is empty: set it," \
            "or POSTGRES_HOST_AUTH_METHOD=trust where no one else can reach the port." ;;
    esac
}

# initdb asks for the name of its user. A uid that is not in /etc/passwd gets one for as long as initdb runs.
name_user() {
    local wrapper
    ! getent passwd "$(id -u)" > /dev/null || return 0
    for wrapper in {/usr,}/lib{/*,}/libnss_wrapper.so; do
        [[ -s $wrapper ]] || continue
        NSS_WRAPPER_PASSWD=$(mktemp) NSS_WRAPPER_GROUP=$(mktemp)
        export LD_PRELOAD=$wrapper NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
        echo "postgres:x:$(id -u):$(id -g):PostgreSQL:$PGDATA:/bin/false" > "$NSS_WRAPPER_PASSWD"
        echo "postgres:x:$(id -g):" > "$NSS_WRAPPER_GROUP"
        return
    done
}

forget_user() {
    [[ ${LD_PRELOAD:-} == */libnss_wrapper.so ]] || return 0
    rm -f "$NSS_WRAPPER_PASSWD" "$NSS_WRAPPER_GROUP"
    unset LD_PRELOAD NSS_WRAPPER_PASSWD NSS_WRAPPER_GROUP
}

create_cluster() {
    local waldir=()
    [[ -z ${POSTGRES_INITDB_WALDIR:-} ]] || waldir=(--waldir "$POSTGRES_INITDB_WALDIR")
    name_user
    # POSTGRES_INITDB_ARGS is a line of shell words. initdb reads the password from a pipe, not from its arguments.
    eval "initdb --username=\"\$POSTGRES_USER\" --pwfile=<(printf '%s\n' \"\$POSTGRES_PASSWORD\") \
        \"\${waldir[@]}\" $POSTGRES_INITDB_ARGS"
    forget_user
    local method=${POSTGRES_HOST_AUTH_METHOD:-$(postgres -C password_encryption -D "$PGDATA")}
    printf '\nhost all all all %s\n' "$method" >> "$PGDATA/pg_hba.conf"
}

# sql ARGUMENT...: psql in the new server, as its superuser.
sql() {
    psql -v ON_ERROR_STOP=1 --no-psqlrc --username "$POSTGRES_USER" --no-password "$@"
}

create_database() {
    [[ $POSTGRES_DB != postgres ]] || return 0
    sql --dbname postgres --set db="$POSTGRES_DB" --tuples-only --quiet <<< \
        "SELECT format('CREATE DATABASE %I', :'db') WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = :'db') \gexec"
}

run_initdb_files() {
    local file
    for file in /docker-entrypoint-initdb.d/*; do
        case $file in
            *.sh)
                echo "$0: running $file"
                if [[ -x $file ]]; then "$file"; else . "$file"; fi
                ;;
            *.sql) echo "$0: running $file" && sql --dbname "$POSTGRES_DB" -f "$file" ;;
            *.sql.gz) echo "$0: running $file" && gunzip -c "$file" | sql --dbname "$POSTGRES_DB" ;;
            *.sql.xz) echo "$0: running $file" && xz -dc "$file" | sql --dbname "$POSTGRES_DB" ;;
            *.sql.zst) echo "$0: running $file" && zstd -dc "$file" | sql --dbname "$POSTGRES_DB" ;;
            *'/*') ;;
            *) echo "$0: ignoring $file" ;;
        esac
    done
}

initialize() {
    setting POSTGRES_PASSWORD
    setting POSTGRES_USER postgres
    setting POSTGRES_DB "$POSTGRES_USER"
    setting POSTGRES_INITDB_ARGS
    check_password
    create_cluster
    # Only the socket while it is being set up: nobody sees a half-made database.
    export PGPASSWORD=${PGPASSWORD-$POSTGRES_PASSWORD}
    unset PGHOST PGPORT
    pg_ctl -D "$PGDATA" -o "-c listen_addresses='' -p 5432" -w start
    create_database
    run_initdb_files
    pg_ctl -D "$PGDATA" -m fast -w stop
    unset PGPASSWORD
    echo
    echo 'PostgreSQL init process complete; ready for start up.'
    echo
}

[[ ${1:-} != -* ]] || set -- postgres "$@"
if [[ ${1:-} == postgres && " $* " != *' --version '* && " $* " != *' --help '* && " $* " != *' -V '* ]]; then
    directories
    if [[ $(id -u) == 0 ]]; then
        exec gosu postgres "${BASH_SOURCE[0]}" "$@"
    fi
    if [[ -s $PGDATA/PG_VERSION ]]; then
        echo 'PostgreSQL Database directory appears to contain a database; Skipping initialization'
    else
        initialize
    fi
fi
exec "$@"
