#!/bin/sh
# Run a Docker daemon in a container. Without arguments, or with options only, it listens on its socket and by TCP:
# on 2376 with TLS, whose certificates are made in DOCKER_TLS_CERTDIR, or on 2375 without if that is empty.
# `dockerd ...` gets no more options than it was given. Anything else runs as docker-entrypoint.sh runs it.
set -eu

# signed NAME USAGE [SAN]: make $directory/NAME/{key,cert,ca}.pem, signed by the authority in $directory/ca.
signed() {
    mkdir -p "$directory/$1"
    [ -s "$directory/$1/key.pem" ] || openssl genrsa -out "$directory/$1/key.pem" 4096
    printf '[ usage ]\nextendedKeyUsage = %s\n%s\n' "$2" "${3:+subjectAltName = $3}" > "$directory/$1/openssl.cnf"
    openssl req -new -key "$directory/$1/key.pem" -out "$directory/$1/csr.pem" -subj "/CN=docker:dind $1"
    openssl x509 -req -in "$directory/$1/csr.pem" -out "$directory/$1/cert.pem" -days 825 \
        -CA "$directory/ca/cert.pem" -CAkey "$directory/ca/key.pem" -CAcreateserial \
        -extfile "$directory/$1/openssl.cnf" -extensions usage
    cp "$directory/ca/cert.pem" "$directory/$1/ca.pem"
}

certificates() {
    directory=$1
    # Certificates that someone else made are left alone.
    if [ -s "$directory/server/key.pem" ] && [ ! -s "$directory/ca/key.pem" ]; then
        return
    fi
    mkdir -p "$directory/ca"
    if [ ! -s "$directory/ca/key.pem" ]; then
        openssl genrsa -out "$directory/ca/key.pem" 4096
        openssl req -new -x509 -key "$directory/ca/key.pem" -out "$directory/ca/cert.pem" -days 825 \
            -subj '/CN=docker:dind CA' -addext keyUsage=critical,digitalSignature,keyCertSign
    fi
    names=$(printf 'DNS:%s,' docker localhost "$(hostname)")
    addresses=$(ip -oneline address | awk '{ sub(/\/.*/, "", $4); printf "IP:%s,", $4 }')
    names=$names$addresses${DOCKER_TLS_SAN:-}
    signed server serverAuth "${names%,}"
    signed client clientAuth
    chmod 0644 "$directory/client/key.pem" # Clients in other containers have other uids.
}

case ${1:--} in
    -*)
        socket=unix:///var/run/docker.sock
        case ${DOCKER_HOST:-} in
            unix://*) socket=$DOCKER_HOST ;;
        esac
        if [ -n "${DOCKER_TLS_CERTDIR:-}" ]; then
            certificates "$DOCKER_TLS_CERTDIR"
            set -- --host=tcp://0.0.0.0:2376 --tlsverify --tlscacert="$DOCKER_TLS_CERTDIR/server/ca.pem" \
                --tlscert="$DOCKER_TLS_CERTDIR/server/cert.pem" --tlskey="$DOCKER_TLS_CERTDIR/server/key.pem" "$@"
        else
            set -- --host=tcp://0.0.0.0:2375 "$@"
        fi
        set -- dockerd --host="$socket" "$@"
        ;;
esac
[ "$1" = dockerd ] || exec docker-entrypoint.sh "$@"

# What a killed daemon left would keep the next one from starting.
find /run /var/run -iname 'docker*.pid' -delete || true

# Rules of one kind hide those of the other: go on with the kind that is in use, or that works.
if [ -n "${DOCKER_IPTABLES_LEGACY-}" ] || [ -n "$(cat /proc/net/ip_tables_names 2> /dev/null)" ] ||
    { [ -z "${DOCKER_IPTABLES_LEGACY+set}" ] && ! iptables -nL > /dev/null 2>&1; }; then
    export PATH="/usr/local/sbin/.iptables-legacy:$PATH"
fi
iptables --version

# Something has to reap the shims; docker-init does.
set -- docker-init -- "$@"

# cgroup v2: Kubernetes leaves privileged containers in the host's cgroup namespace, and the daemon would put its
# containers beside the pod, out of its limits. In a namespace of its own they are inside.
if [ -f /sys/fs/cgroup/cgroup.controllers ] && ! grep -qx '0::/' /proc/self/cgroup; then
    # shellcheck disable=SC2016  # Expanded by the shell in the namespace.
    remount='umount /sys/fs/cgroup && mount -t cgroup2 cgroup2 /sys/fs/cgroup && exec "$@"'
    if unshare --cgroup --mount sh -ec "$remount" sh true 2> /dev/null; then
        set -- unshare --cgroup --mount sh -ec "$remount" sh "$@"
    fi
fi
exec "$@"
