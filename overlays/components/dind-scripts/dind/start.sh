#!/bin/sh
# Start the pod's Docker daemon: `start.sh VARIANT dockerd [OPTION...]`. It takes the place of the image's entrypoint, whose
# nesting script takes /sys/fs/cgroup for its own: in a privileged container that is the node's root.
# Environment: AIRDOCK_PIDS_LIMIT, processes of all tasks together; AIRDOCK_DAEMON_CONFIG, a daemon.json in place of the image's,
# may be missing.
set -eu

# Below the volume's own directory: Kubernetes has given that a group, which all in it would inherit, and would give it to
# all of the images again if the daemon changed that directory's mode.
DATA=/var/lib/docker/root
variant=$1
shift 2
config=

fail() {
    echo "airdock: $*" >&2
    exit 1
}

# put VALUE FILE: write to a kernel file, quietly if it is not there or refuses.
put() {
    { echo "$1" > "$2"; } 2> /dev/null
}

# Whether the container's root is the node's.
is_node_root() {
    awk '{ exit !($1 == 0 && $2 == 0 && $3 == 4294967295) }' /proc/self/uid_map
}

# The requirements of the variant, which the API server cannot check.
check() {
    case $1 in
        userNamespace)
            ! is_node_root || fail "workers.<name>.dind.variant is userNamespace, but this pod has no user namespace. The node needs Kubernetes 1.33," \
                "Linux 6.3, containerd 2.0 or CRI-O 1.25, and user namespaces enabled." ;;
        sysbox)
            ! is_node_root || fail "workers.<name>.dind.variant is sysbox, but this pod does not run in Sysbox:" \
                "set workers.<name>.runtimeClassName to the name of Sysbox's RuntimeClass." ;;
        rootless)
            [ "$(id -u)" != 0 ] || fail "workers.<name>.dind.variant is rootless, but the container runs as root."
            command -v rootlesskit > /dev/null ||
                fail "workers.<name>.dind.variant is rootless, but the image has no rootlesskit:" \
                    "set images.dockerRootless to a -dind-rootless image."
            [ "$(cat /proc/sys/user/max_user_namespaces 2> /dev/null || echo 1)" != 0 ] ||
                fail "workers.<name>.dind.variant is rootless, but the node allows no user namespaces:" \
                    "increase the node's sysctl user.max_user_namespaces."
            [ "$(cat /proc/sys/kernel/unprivileged_userns_clone 2> /dev/null || echo 1)" != 0 ] ||
                fail "workers.<name>.dind.variant is rootless, but the node forbids user namespaces of unprivileged users:" \
                    "set the node's sysctl kernel.unprivileged_userns_clone to 1."
            unshare --user true 2> /dev/null ||
                fail "workers.<name>.dind.variant is rootless, but uid $(id -u) cannot create a user namespace on this node:" \
                    "check the node's sysctl kernel.apparmor_restrict_unprivileged_userns." ;;
    esac
}

# An image layer is an overlay: without it the daemon would copy whole images for each container.
check_overlay() {
    probe=$DATA/.airdock-overlay
    rm -rf "$probe"
    mkdir "$probe" "$probe/lower" "$probe/upper" "$probe/work" "$probe/merged"
    options=lowerdir=$probe/lower,upperdir=$probe/upper,workdir=$probe/work
    is_node_root || options=$options,userxattr
    mount -t overlay -o "$options" overlay "$probe/merged" ||
        fail "the file system of $DATA ($(stat -f -c %T "$DATA")) cannot hold overlays: set workers.<name>.dind.dataVolume or" \
            "workers.<name>.dind.claim to a volume with ext4, or with xfs that was created with ftype=1."
    umount "$probe/merged"
    rm -rf "$probe"
}

# memory_left LIMIT: what tasks may take of the container's memory, so that the daemon is never what the kernel kills.
# An eighth, at least 128 MiB and at most 256 MiB, but never more than half: the daemon with two containers takes 70 MiB.
memory_left() {
    reserve=$(($1 / 8))
    [ "$reserve" -gt 134217728 ] || reserve=134217728
    [ "$reserve" -lt 268435456 ] || reserve=268435456
    [ "$reserve" -lt $(($1 / 2)) ] || reserve=$(($1 / 2))
    echo $(($1 - reserve))
}

# cgroup v2: containers go below the container's own cgroup, which the node may show under its full path.
nest_v2() {
    own=$(sed -n 's/^0:://p' /proc/self/cgroup)
    case $own in
        /..*) fail "the container's cgroup ($own) is not visible inside the container: no limit would apply." ;;
        /) base=/sys/fs/cgroup ;;
        *) base=/sys/fs/cgroup$own ;;
    esac
    [ -e "$base/cgroup.type" ] || fail "the container is in the node's root cgroup: no limit would apply."
    case $own in
        *.scope) nest_beside ;;
        *) nest_below ;;
    esac
    limit=$(cat "$base/memory.max" 2> /dev/null || echo max)
    [ "$limit" = max ] || put "$(memory_left "$limit")" "$tasks/memory.max" || :
    put "$AIRDOCK_PIDS_LIMIT" "$tasks/pids.max" || :
}

# hand_down CGROUP: let its children have limits of their own.
hand_down() {
    for controller in $(cat "$1/cgroup.controllers"); do
        put "+$controller" "$1/cgroup.subtree_control" || echo "airdock: no limits of $controller for single tasks" >&2
    done
}

# The container's cgroup is systemd's, which ends all of it when the kernel has killed any process below for want of memory:
# the kubelet sets memory.oom.group (unless it has singleProcessOOMKill), which runc tells systemd as OOMPolicy=kill. A task
# would take the daemon with it. So tasks go beside the container, into the pod's cgroup, with the container's limits.
nest_beside() {
    tasks=${base%/*}/airdock-tasks
    mkdir -p "$tasks" || fail "the container may not write the pod's cgroup: tasks would have no limits."
    for left in "$tasks"/*/; do rmdir "$left" 2> /dev/null || :; done # By a daemon that was killed.
    for file in cpu.max cpu.weight cpuset.cpus cpuset.mems memory.swap.max; do
        put "$(cat "$base/$file" 2> /dev/null)" "$tasks/$file" || :
    done
    hand_down "$tasks"
    parent=${own%/*}/airdock-tasks
}

nest_below() {
    tasks=$base/containers
    if ! mkdir -p "$base/init" "$tasks" 2> /dev/null; then
        mount -o remount,rw /sys/fs/cgroup 2> /dev/null || :
        mkdir -p "$base/init" "$tasks" || fail "the container may not write its cgroup: tasks would have no limits:" \
            "the node's containerd (2.1 or later) needs cgroup_writable = true for its runtime."
    fi
    # A cgroup whose children have controllers may hold no process itself. Some may be born meanwhile.
    for _ in 1 2 3 4 5 6 7 8 9 10; do
        while read -r pid; do put "$pid" "$base/init/cgroup.procs" || :; done < "$base/cgroup.procs"
        [ -n "$(cat "$base/cgroup.procs")" ] || break
    done
    hand_down "$base"
    parent=${own%/}/containers
}

# cgroup v1: each hierarchy shows the container's own cgroup as its root.
nest_v1() {
    for controller in memory pids; do
        [ -d "/sys/fs/cgroup/$controller" ] || continue
        mkdir -p "/sys/fs/cgroup/$controller/containers" ||
            fail "the container may not write its cgroup, and tasks would have no limits: this variant needs cgroup v2."
    done
    limit=$(cat /sys/fs/cgroup/memory/memory.limit_in_bytes 2> /dev/null || echo 9223372036854771712)
    [ "$limit" -ge 9223372036854771712 ] ||
        put "$(memory_left "$limit")" /sys/fs/cgroup/memory/containers/memory.limit_in_bytes || :
    put "$AIRDOCK_PIDS_LIMIT" /sys/fs/cgroup/pids/containers/pids.max || :
    parent=/containers
}

# Rules of one kind hide those of the other: go on with the kind that is in use, or that works.
choose_iptables() {
    legacy=/usr/local/sbin/.iptables-legacy
    if [ -n "$(cat /proc/net/ip_tables_names 2> /dev/null)" ] || ! iptables -nL > /dev/null 2>&1; then
        if "$legacy/iptables" -nL > /dev/null 2>&1; then
            PATH=$legacy:$PATH
        fi
    fi
    iptables -nL > /dev/null || fail "neither nftables nor legacy iptables works here: load nf_tables or ip_tables on the node."
}

# The pod's network may have smaller packets than Ethernet's, and larger ones would vanish.
device=$(awk '$2 == "00000000" { print $1; exit }' /proc/net/route)
mtu=$(cat "/sys/class/net/${device:-eth0}/mtu")

# dockerd has the last word about options that the values set: a newer or older one may know others.
write_config() {
    config=/tmp/airdock-daemon.json
    echo "$AIRDOCK_DAEMON_CONFIG" > "$config"
    said=$(dockerd --validate --config-file="$config" 2>&1) ||
        fail "dockerd rejects workers.<name>.dind.daemon: $(echo "$said" | tail -n 1)"
}

check "$variant"
[ -z "${AIRDOCK_DAEMON_CONFIG:-}" ] || write_config
mkdir -p "$DATA" || fail "$DATA cannot be written: check the volume in workers.<name>.dind.dataVolume or workers.<name>.dind.claim."
chgrp "$(id -g)" "$DATA"
chmod g-s,go-rwx "$DATA"
set -- ${config:+--config-file="$config"} --data-root="$DATA" --mtu="$mtu" --default-network-opt=bridge=com.docker.network.driver.mtu="$mtu" "$@"
if [ "$variant" = rootless ]; then
    export DOCKERD_ROOTLESS_ROOTLESSKIT_MTU="$mtu"
    # No cgroup is handed to it, so that all stays in the container's own. Group 0 in its user namespace is the container's.
    exec dockerd-entrypoint.sh dockerd --group=0 "$@"
fi

find /run -iname 'docker*.pid' -delete # What a killed daemon left would keep this one from starting.
choose_iptables
check_overlay
if [ "$variant" != sysbox ]; then
    parent=
    if [ -f /sys/fs/cgroup/cgroup.controllers ]; then nest_v2; else nest_v1; fi
    set -- --exec-opt=native.cgroupdriver=cgroupfs --cgroup-parent="$parent" "$@"
fi
exec docker-init -- dockerd --group=2375 "$@"
