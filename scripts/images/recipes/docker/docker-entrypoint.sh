#!/bin/sh
# Run a command as a client: options and docker's subcommands are docker's own; where no DOCKER_HOST is given and
# there is no local socket, the daemon is the container `docker`, by TLS if its certificates are mounted here.
set -eu

case ${1:--} in
    -*) set -- docker "$@" ;;
    *) ! docker help "$1" > /dev/null 2>&1 || set -- docker "$@" ;;
esac
if [ -z "${DOCKER_HOST:-}" ] && [ ! -S /var/run/docker.sock ]; then
    certificates=${DOCKER_TLS_CERTDIR:-}/client
    if [ -n "${DOCKER_TLS_CERTDIR:-}" ] && [ -s "$certificates/ca.pem" ] && [ -s "$certificates/key.pem" ]; then
        export DOCKER_HOST=tcp://docker:2376
    else
        export DOCKER_HOST=tcp://docker:2375
    fi
fi
if [ -n "${DOCKER_TLS_CERTDIR:-}" ] && [ -s "$DOCKER_TLS_CERTDIR/client/ca.pem" ]; then
    case ${DOCKER_HOST:-} in
        tcp:*2376) export DOCKER_TLS_VERIFY="${DOCKER_TLS_VERIFY:-1}" DOCKER_CERT_PATH="${DOCKER_CERT_PATH:-$DOCKER_TLS_CERTDIR/client}" ;;
    esac
fi
exec "$@"
