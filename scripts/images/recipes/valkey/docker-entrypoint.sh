#!/bin/sh
# Start as the official image does: options or a configuration file alone are valkey-server's; as root, give the
# data directory to the user valkey and become it.
set -e

case ${1:-} in
    -* | *.conf) set -- valkey-server "$@" ;;
esac

if [ "$1" = valkey-server ]; then
    if [ "$(id -u)" = 0 ]; then
        find . ! -user valkey -exec chown valkey {} +
        exec setpriv --reuid=valkey --regid=valkey --clear-groups -- "$0" "$@"
    fi
    # The official build has protected mode off, as a container's ports are opened one by one. Debian's has it on;
    # a configuration file decides for itself.
    case ${2:-} in
        '' | --*) set -- "$@" --protected-mode no ;;
    esac
fi

[ "$(umask)" != 0022 ] || umask 0077
# Unquoted: it is a list of options.
# shellcheck disable=SC2086
exec "$@" ${VALKEY_EXTRA_FLAGS:-}
