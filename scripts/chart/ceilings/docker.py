"""Modes socket and dind: what containers take of a Docker daemon and its node."""

from __future__ import annotations

from scripts.chart.ceilings import NONE, Ceiling, Section

_SOCKET = "workers.<name>.socket.limits."
_AUTHOR = "DockerOperator"
_REACHED = "tests/gateway/test_daemon_limits.py::test_the_maximum_is_reached"
_BACKEND = "tests/gateway/test_daemon_backend.py"
_CONTAINER = "with the container"
_DIND = "workers.<name>.dind."
_POD = "with the worker's pod"

_LIMITS = (
    Ceiling(
        "memory, with volumes in memory", _AUTHOR,
        f"{{{_SOCKET}memory}}, above it rejected (`mem_limit`, `mem_reservation`, `shm_size`)",
        "the maximum; never swap", _CONTAINER, _REACHED,
        (
            "HostConfig.Memory", "HostConfig.MemoryReservation", "HostConfig.ShmSize", "HostConfig.Tmpfs",
            "HostConfig.Mounts.TmpfsOptions.SizeBytes", "HostConfig.MemorySwap", "HostConfig.MemorySwappiness",
        ),
    ),
    Ceiling(
        "CPU", _AUTHOR,
        f"{{{_SOCKET}cpu}}, above it rejected (`nano_cpus`, `cpu_quota`); `cpu_shares`, the operator's `cpus`, is"
        " reduced to 1024 for each core",
        "the maximum", _CONTAINER, _REACHED,
        ("HostConfig.NanoCpus", "HostConfig.CpuQuota", "HostConfig.CpuPeriod", "HostConfig.CpuShares"),
    ),
    Ceiling(
        "processes", _AUTHOR, f"{{{_SOCKET}pids}}, above it rejected (`pids_limit`)", "the maximum", _CONTAINER,
        _REACHED, ("HostConfig.PidsLimit", "HostConfig.OomScoreAdj"),
    ),
    Ceiling(
        "disk: layer and anonymous volumes", _AUTHOR,
        f"{{{_SOCKET}storage}}; above it the container is killed, and the task fails with this reason (1)", "-",
        _CONTAINER, f"{_BACKEND}::test_what_a_container_writes_has_a_ceiling",
    ),
    Ceiling(
        "file with the output", _AUTHOR, f"{{{_SOCKET}logs}}; the oldest output is removed from it (2)", "the maximum",
        _CONTAINER, _REACHED, ("HostConfig.LogConfig.Type", "HostConfig.LogConfig.Config"),
    ),
    Ceiling(
        "anonymous volumes", _AUTHOR, f"{{{_SOCKET}anonymousVolumes}}, with those of the image; above it rejected", "-",
        _CONTAINER, _REACHED, ("Volumes", "HostConfig.Mounts.Type", "HostConfig.Mounts.Source", "HostConfig.Mounts.Target"),
    ),
    Ceiling(
        "containers of a worker pod", _AUTHOR,
        f"{{{_SOCKET}containers}}; the oldest ended ones are removed, or the new one is rejected", "-",
        "{workers.<name>.socket.ttlSeconds|s} after their end or, never started, their creation; all when the gateway"
        " ends, or by another gateway of the node when it was silent for {settings:Daemon.lease_seconds|s}",
        f"{_BACKEND}::test_containers_have_a_ceiling",
    ),
    Ceiling(
        "health checks", _AUTHOR,
        f"one in {{{_SOCKET}healthcheckSeconds|s}}; a shorter interval is raised, also that of an image", "30 s",
        _CONTAINER, _REACHED,
        (
            "Healthcheck.Test", "Healthcheck.Interval", "Healthcheck.Timeout", "Healthcheck.Retries",
            "Healthcheck.StartPeriod", "Healthcheck.StartInterval",
        ),
    ),
    Ceiling(
        "time between SIGTERM and SIGKILL", _AUTHOR, f"{{{_SOCKET}stopSeconds|s}}; a longer one is reduced", "10 s",
        _CONTAINER, _REACHED, ("StopTimeout",),
    ),
    Ceiling(
        "ulimits", _AUTHOR,
        ", ".join(
            f"{{{_SOCKET}ulimits:{name}}}"
            for name in ("core", "memlock", "msgqueue", "nice", "nofile", "nproc", "rtprio", "sigpending")
        ) + "; above it rejected; -1 as value means the maximum, as maximum that there is none",
        "the daemon's default; `core` is always set", _CONTAINER, _REACHED,
        ("HostConfig.Ulimits.Name", "HostConfig.Ulimits.Soft", "HostConfig.Ulimits.Hard"),
    ),
    Ceiling(
        "GPUs", _AUTHOR,
        f"{NONE} `workers.<name>.socket.allowed.gpus` allows all GPUs of the node or, as by default, none", "none",
        _CONTAINER, "", (
            "HostConfig.DeviceRequests.Driver", "HostConfig.DeviceRequests.Count",
            "HostConfig.DeviceRequests.DeviceIDs", "HostConfig.DeviceRequests.Capabilities",
            "HostConfig.DeviceRequests.Options",
        ),
    ),
    Ceiling(
        "images on the node", _AUTHOR,
        f"{NONE} the daemon has none. `workers.<name>.socket.allowed.images` and"
        " `workers.<name>.socket.allowed.registries` list what can be pulled",
        "-", "by the node's administrator (`docker image prune`): other programs of the node use them too",
    ),
    Ceiling(
        "named volumes and networks, build cache", "nobody", "0: only those in `workers.<name>.socket.allowed`", "-", "-",
        "tests/gateway/test_clients.py::test_what_is_not_served_names_the_way_out",
    ),
    Ceiling(
        "files in directories of the node and in named volumes", _AUTHOR,
        f"{NONE} they are the administrator's: `workers.<name>.socket.allowed.binds` and"
        " `workers.<name>.socket.allowed.volumes` are empty by default. Give such a directory a file system of its"
        " own, or a project quota",
        "-", "by the administrator",
    ),
    Ceiling(
        "disk and network throughput", _AUTHOR,
        f"{NONE} the filter rejects `blkio_*` values that an author sets, and sets none", "-", _CONTAINER,
    ),
)  # fmt: skip

_DAEMON = (
    Ceiling(
        "CPU and memory of the daemon and all its containers", "tasks and builds",
        f"{{{_DIND}resources.limits.cpu}}, {{{_DIND}resources.limits.memory}}",
        "a container without a limit may use all of it", _CONTAINER,
        "tests/e2e/dind/test_limits.py::test_a_task_beyond_the_pods_limit_dies_alone",
    ),
    Ceiling(
        "processes of all containers", "tasks and builds", f"{{{_DIND}pidsLimit}}", "-", _CONTAINER,
        "tests/e2e/dind/test_variants.py::test_processes_are_bounded",
    ),
    Ceiling(
        "disk: images, layers, volumes, build cache, log files", "tasks and builds",
        f"the daemon's volume: `{_DIND}dataVolume` (an emptyDir of 20Gi), or `{_DIND}claim` where it is set", "-",
        f"above {{{_DIND}prune.highThresholdPercent|%}}: build cache and the least recently used images, down to"
        f" {{{_DIND}prune.lowThresholdPercent|%}}; all of it {_POD}, except a claim",
        "tests/e2e/dind/test_storage.py::test_a_full_disk_is_said_and_mended",
    ),
    Ceiling(
        "log file of a container", "tasks",
        f"two files of 50 MB (`{_DIND}daemon`, log-opts)", "the same", _CONTAINER,
        "tests/render/test_ceilings.py::test_the_daemons_log_files_have_a_size",
    ),
    Ceiling(
        "containers", "tasks",
        f"{NONE} Docker has none. Disk, memory and processes above bound their number", "-",
        f"{{{_DIND}prune.stoppedMinutes|min}} after their end or, never started, their creation, with their anonymous"
        f" volumes; all {_POD}",
        "tests/e2e/dind/test_storage.py::test_prune_leaves_tasks_their_containers",
    ),
    Ceiling(
        "images that nobody uses", "tasks and builds", "the disk above", "-",
        f"{{{_DIND}prune.unusedHours|h}} after their last use; all {_POD}, except a claim",
        "tests/e2e/dind/test_storage.py::test_prune_keeps_what_is_used",
    ),
    Ceiling(
        "networks", "tasks",
        f"{NONE} in number; the daemon's address ranges have room for about 30 (`{_DIND}network.defaultAddressPools`)",
        "-", f"by the task (`docker network rm`); all {_POD}. Unused ones are kept: `{_DIND}init` may create some",
    ),
    Ceiling(
        "named volumes", "tasks", "the disk above", "-",
        f"by the task (`docker volume rm`); all {_POD}, except a claim: their data may be wanted",
        "tests/e2e/dind/test_storage.py::test_a_full_disk_is_said_and_mended",
    ),
    Ceiling(
        "clean-up itself", "the chart", f"{{{_DIND}prune.resources.limits.cpu}}, {{{_DIND}prune.resources.limits.memory}}",
        "-", _POD, "tests/render/test_ceilings.py::test_workers_have_their_limits",
    ),
    Ceiling(
        "disk and network throughput", "tasks and builds", f"{NONE} neither Kubernetes nor Docker sets one", "-",
        _CONTAINER,
    ),
)  # fmt: skip

_SOCKET_TEXT = """\
Mode `socket`, for each container, through the filter. Without it (`workers.<name>.socket.filter: false`) there are no
ceilings: a DAG author is root on the node. For memory, CPU, pids, storage, logs, volumes and containers, 0 means: no
maximum.

1. The layer and the anonymous volumes of each running container are measured every {daemon_storage:PERIOD|s}. If
   measuring takes long, it is done less often, so that it takes at most 5% of the time. Until then, a container can
   write more.
2. The gateway sets driver `json-file` with two files, and ignores `log_opts_*`. Airflow reads the output while it is
   written: its log is complete.
"""

SECTIONS = (
    Section("Containers on the node's Docker daemon", _SOCKET_TEXT, _LIMITS),
    Section(
        "The Docker daemon of mode dind",
        "Mode `dind`, for each worker pod. With the default variant, a DAG author can become root on the node: the\n"
        "ceilings then stop mistakes, not attacks.",
        _DAEMON,
    ),
)
