"""The Docker gateway itself, in modes kubernetes and socket."""

from __future__ import annotations

from scripts.chart.ceilings import Ceiling, Section

_CLIENT = "clients of the worker's socket"
_LISTENER = "tests/gateway/test_listener.py::test_no_number_of_clients_ends_the_gateway_or_its_health_port"

_ROWS = (
    Ceiling(
        "memory and CPU of the gateway", _CLIENT,
        "{workers.<name>.dockerGateway.resources.limits.memory}, {workers.<name>.dockerGateway.resources.limits.cpu}",
        "-", "the kubelet restarts the gateway, and its containers end",
        "tests/gateway/test_memory.py::test_as_many_containers_as_there_may_be",
    ),
    Ceiling(
        "connections", _CLIENT,
        "{listener:_MAX_CONNECTIONS}, or fewer where the node allows fewer open files; above it, new ones are closed",
        "-", "with the client", _LISTENER,
    ),
    Ceiling(
        "connections to the port of health and metrics", "peers in `networkPolicy.metricsFrom`, the kubelet",
        "{health_port:MAX_CONNECTIONS}; above it, the oldest is closed", "-", "after {health_port:TIMEOUT|s}", _LISTENER,
    ),
    Ceiling(
        "request line and headers", _CLIENT, "{wire:MAX_HEAD|bytes}, {wire:MAX_HEADERS} headers", "-",
        "after {wire:REQUEST_TIMEOUT|s}", "tests/gateway/test_wire.py::test_malformed",
    ),
    Ceiling(
        "body of a request, so also its texts and lists", _CLIENT, "{wire:MAX_BODY|bytes}", "-",
        "after {wire:REQUEST_TIMEOUT|s}", "tests/gateway/test_wire.py::test_malformed",
        (
            "Image", "Entrypoint", "Cmd", "Env", "User", "WorkingDir", "Hostname", "Domainname", "Labels",
            "ExposedPorts", "StopSignal",
            "HostConfig.Binds", "HostConfig.NetworkMode", "HostConfig.Dns", "HostConfig.DnsSearch",
            "HostConfig.DnsOptions", "HostConfig.ExtraHosts", "HostConfig.CapDrop", "HostConfig.SecurityOpt",
            "HostConfig.GroupAdd", "HostConfig.PidMode", "HostConfig.IpcMode", "HostConfig.CgroupnsMode",
            "HostConfig.ConsoleSize", "HostConfig.ContainerIDFile", "HostConfig.RestartPolicy.Name",
            "HostConfig.RestartPolicy.MaximumRetryCount", "HostConfig.Mounts.BindOptions.Propagation",
            "HostConfig.Mounts.Consistency", "HostConfig.Mounts.TmpfsOptions.Mode",
            "HostConfig.Mounts.VolumeOptions.DriverConfig.Name", "HostConfig.Mounts.VolumeOptions.DriverConfig.Options",
            "HostConfig.Mounts.VolumeOptions.Labels", "HostConfig.Mounts.VolumeOptions.Subpath",
        ),
    ),
    Ceiling(
        "containers that were removed, and still count as known", _CLIENT, "{containers:_REMEMBERED}", "-",
        "the oldest first", "tests/gateway/test_cluster_room.py::test_removed_containers_that_are_remembered_have_a_ceiling",
    ),
    Ceiling(
        "events for `docker events`", _CLIENT, "{events:_KEPT}, each with {events:_LABELS} characters of labels", "-",
        "the oldest first", "tests/gateway/test_events.py::test_the_last_ones_are_kept",
    ),
    Ceiling(
        "output of a container in the gateway", _CLIENT,
        "{wire:MAX_FRAME|bytes} for each client: it is passed on as the client reads", "-", "with the client",
        "tests/gateway/test_wire.py::test_long_output_is_cut_between_characters",
    ),
)  # fmt: skip

_CLUSTER = (
    Ceiling(
        "containers that have not ended", _CLIENT,
        "{cluster_room:MAX_CONTAINERS}, with {cluster_room:MAX_BYTES|bytes} of pods together", "-",
        "when they end; one that is never started after {cluster_cleanup:_UNSTARTED|s}",
        "tests/gateway/test_cluster_room.py::test_containers_have_a_ceiling",
    ),
    Ceiling(
        "containers that have ended", _CLIENT,
        "as many as pods: {tasks.quota.hard:count/pods}. {cluster_container:_KEPT_ENVIRONMENT} characters of the"
        " environment are kept of each",
        "-", "with the pod, {tasks.ttlSeconds|s} after their end", "tests/api/test_ceilings.py::test_ended_pods_are_counted",
    ),
    Ceiling(
        "file of `retrieve_output`, result of `@task.docker`", _CLIENT, "{tasks.resultMaxSize}", "-",
        "with the pod; the gateway holds none in memory", "tests/gateway/test_cluster_retrieval.py::test_a_file_has_a_maximum",
    ),
    Ceiling(
        "names of images that were pulled", _CLIENT, "{cluster:_PULLED}", "-", "the oldest first",
        "tests/gateway/test_cluster_room.py::test_names_of_images_have_a_ceiling",
    ),
)  # fmt: skip

SECTIONS = (
    Section("The Docker gateway", "Modes `kubernetes` and `socket`, for each worker pod.", _ROWS),
    Section("The Docker gateway's containers as pods", "Mode `kubernetes`, for each worker pod.", _CLUSTER),
)
