#!/bin/sh
# Run the scripts of workers.<name>.dind.init.scripts, in this order, before the worker starts: `init.sh NAME SCRIPT [NAME SCRIPT...]`.
# Ends with an error, and so is started again, at the first that fails. Environment: AIRDOCK_INIT, the key of the values;
# AIRDOCK_INIT_SECONDS, for all together.
set -eu

deadline=$(($(date +%s) + AIRDOCK_INIT_SECONDS))

# The sentence is in the container's log and in its status, which `kubectl describe` shows.
fail() {
    echo "airdock: $*" >&2
    { echo "airdock: $*" > /dev/termination-log; } 2> /dev/null || :
    exit 1
}

while [ $# -gt 0 ]; do
    name=$1 script=$2
    shift 2
    echo "airdock: script $name"
    left=$((deadline - $(date +%s)))
    code=0
    if [ "$left" -gt 0 ]; then
        timeout -s KILL "$left" sh -ec "$script" || code=$?
        [ "$code" != 0 ] || continue
    fi
    if [ "$(date +%s)" -ge "$deadline" ]; then
        fail "$AIRDOCK_INIT.scripts.$name: the scripts did not end within $AIRDOCK_INIT_SECONDS s, and the worker takes no tasks." \
            "Correct the script, or raise $AIRDOCK_INIT.timeoutSeconds."
    fi
    fail "$AIRDOCK_INIT.scripts.$name: the script ended with exit code $code, and the worker takes no tasks. Its output is in the log" \
        "of the container docker-init."
done
