#!/bin/sh
# Run a Docker daemon in a container without being root: in a user namespace and a network of its own, by rootlesskit.
# Options only: it listens on its socket. Anything but `dockerd ...` runs as docker-entrypoint.sh runs it.
set -eu

: "${XDG_RUNTIME_DIR:=/run/user/$(id -u)}"
export XDG_RUNTIME_DIR
case ${1:--} in
    -*) set -- dockerd --host="unix://$XDG_RUNTIME_DIR/docker.sock" "$@" ;;
esac
[ "$1" = dockerd ] || exec docker-entrypoint.sh "$@"
mkdir -p "$XDG_RUNTIME_DIR"

# What a killed daemon left would keep the next one from starting.
find /run /var/run "$XDG_RUNTIME_DIR" -iname 'docker*.pid' -delete 2> /dev/null || true

# Copies of /etc and /run, because the daemon writes there.
# shellcheck disable=SC2086  # The flags are words.
exec rootlesskit \
    --net="${DOCKERD_ROOTLESS_ROOTLESSKIT_NET:-slirp4netns}" \
    --mtu="${DOCKERD_ROOTLESS_ROOTLESSKIT_MTU:-1500}" \
    --disable-host-loopback \
    --port-driver="${DOCKERD_ROOTLESS_ROOTLESSKIT_PORT_DRIVER:-builtin}" \
    --copy-up=/etc \
    --copy-up=/run \
    ${DOCKERD_ROOTLESS_ROOTLESSKIT_FLAGS:-} \
    "$@"
