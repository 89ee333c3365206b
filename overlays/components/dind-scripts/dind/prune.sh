#!/bin/sh
# Remove what the pod's Docker daemon does not need, once a minute: containers that ended long ago, images that no container
# has used for long, and, where space runs short, build cache and the images used longest ago. What a container uses stays.
# Environment: AIRDOCK_DATA_SIZE, of the daemon's volume, a quantity, may be empty; AIRDOCK_STOPPED_MINUTES, since a container
# ended; AIRDOCK_UNUSED_MINUTES, since an image was used; AIRDOCK_HIGH_PERCENT and AIRDOCK_LOW_PERCENT, of the space:
# removing begins at the one and ends at the other.
set -eu

export HOME=/tmp # docker builder writes there.
DATA=/var/lib/docker
USED=/tmp/used # An empty file for each image, as old as its last use.

say() {
    echo "$(date -u +%Y-%m-%dT%H:%M:%SZ) $*"
}

# RFC 3339 in UTC, which sorts as text, of so many minutes ago.
minutes_ago() {
    date -u -d "@$(($(date +%s) - $1 * 60))" +%Y-%m-%dT%H:%M:%S
}

# What is taken of the space, in percent: of the file system, and of the volume's own size, which that may not know.
percent_used() {
    {
        df -P "$DATA" | awk 'NR == 2 { print $5 + 0 }'
        docker system df --format '{{.Size}}' | awk -v size="$AIRDOCK_DATA_SIZE" '
            function bytes(text, unit) {
                unit = text
                gsub(/[0-9.]/, "", unit)
                return text * (unit in scale ? scale[unit] : 1)
            }
            BEGIN {
                units = "k 1000 K 1000 M 1000000 G 1000000000 T 1000000000000 " \
                    "Ki 1024 Mi 1048576 Gi 1073741824 Ti 1099511627776"
                count = split(units, words, " ")
                for (i = 1; i < count; i += 2) {
                    scale[words[i]] = scale[words[i] "B"] = words[i + 1]
                }
            }
            { sum += bytes($1) }
            END { total = bytes(size); print total ? int(100 * sum / total) : 0 }'
    } | sort -n | tail -n 1
}

# Images that a container uses, running or not.
in_use() {
    docker ps -aq --no-trunc | xargs -r docker inspect --format '{{.Image}}' 2> /dev/null | sort -u || :
}

# remove_image ID: by all its names. One that a container came to use meanwhile stays: the daemon refuses.
remove_image() {
    names=$(docker image inspect --format '{{join .RepoTags " "}}' "$1" 2> /dev/null) || return 0
    # shellcheck disable=SC2086  # One word for each name.
    if docker rmi ${names:-"$1"} > /dev/null 2>&1; then
        say "removed image ${names:-$1}, last used $(date -u -r "$USED/${1#*:}" +%Y-%m-%dT%H:%M:%SZ)"
    fi
}

# Note which images are there and which were used: by the containers that are there, and by those made since the last time.
note_use() {
    images=$(docker images -aq --no-trunc | sort -u)
    for image in $images; do
        [ -e "$USED/${image#*:}" ] || : > "$USED/${image#*:}"
    done
    for file in "$USED"/*; do
        case $images in
            *"${file##*/}"*) ;;
            *) rm -f "$file" ;;
        esac
    done
    now=$(date +%s)
    made=$(docker events --since "$since" --until "$now" --filter type=container --filter event=create \
        --format '{{.Actor.Attributes.image}}' | sort -u)
    since=$now
    for image in $(in_use) $(echo "$made" | xargs -r docker image inspect --format '{{.Id}}' 2> /dev/null); do
        : > "$USED/${image#*:}"
    done
}

# By what the daemon has in mind: where it could not write down an end, for lack of space, its lists still call that running.
remove_stopped() {
    limit=$(minutes_ago "$AIRDOCK_STOPPED_MINUTES")
    # One that never ran has no end, and may be being removed by the task that made it: not only "created".
    state='{{if eq .State.FinishedAt "0001-01-01T00:00:00Z"}}{{.Created}}{{else}}{{.State.FinishedAt}}{{end}}'
    docker ps -aq --no-trunc | xargs -r docker inspect --format "{{.State.Running}} {{.Id}} {{.Name}} $state" |
        while read -r running id name ended; do
            # As text: sort puts the older one first.
            if [ "$running" = false ] && [ "$(printf '%s\n' "$ended" "$limit" | sort | head -n 1)" = "$ended" ]; then
                docker rm --volumes "$id" > /dev/null && say "removed container ${name#/}, which ended $ended"
            fi
        done
}

make_space() {
    [ "$(percent_used)" -ge "$AIRDOCK_HIGH_PERCENT" ] || return 0
    say "$(percent_used) % of the space is used"
    docker builder prune --all --force > /dev/null
    used=$(in_use)
    # shellcheck disable=SC2012  # The names are hexadecimal.
    for name in $(ls -tr "$USED"); do
        [ "$(percent_used)" -ge "$AIRDOCK_LOW_PERCENT" ] || break
        case $used in
            *"$name"*) ;;
            *) remove_image "sha256:$name" ;;
        esac
    done
    say "$(percent_used) % of the space is used now"
}

prune() {
    note_use
    remove_stopped
    for name in $(find "$USED" -type f -mmin "+$AIRDOCK_UNUSED_MINUTES"); do
        remove_image "sha256:${name##*/}"
    done
    make_space
}

trap 'exit 0' TERM INT
since=$(date +%s)
mkdir -p "$USED"
while :; do
    : > /tmp/round
    # A daemon that is away has its own probes.
    if docker version > /dev/null 2>&1; then
        prune || say "not all could be looked at; again in a minute"
    fi
    sleep "${AIRDOCK_PRUNE_SECONDS:-60}" &
    wait $!
done
