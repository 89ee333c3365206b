"""The body of `POST /containers/create` as typed fields: what docker-py 7.2 and the docker program 29.5 send.

Each field knows its JSON key and how to read it, so that the same declaration reads a request strictly, tells
which keys are known, and writes a new request from known fields alone (`to_json`). Keys match exactly: the
daemon's own parser ignores case, which is how a filter that looks for "Privileged" is bypassed by
"privileged".
"""

# ruff: noqa: RUF009
from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, TypeVar

T = TypeVar("T")
_INT64 = 1 << 63


class BadBody(ValueError):
    """The body is no create request; the text says where and why."""


def string(value: Any, where: str) -> str:
    """Read a string that can be written again: no NUL, no half of a surrogate pair."""
    if not isinstance(value, str):
        raise BadBody(f"{where} must be a string")
    if "\0" in value or (not value.isascii() and any("\ud800" <= c <= "\udfff" for c in value)):
        raise BadBody(f"{where} holds a character that no string of the API may hold")
    return value


def boolean(value: Any, where: str) -> bool:
    """Read true or false."""
    if not isinstance(value, bool):
        raise BadBody(f"{where} must be true or false")
    return value


def integer(value: Any, where: str) -> int:
    """Read a whole number of at most 64 bits."""
    if isinstance(value, bool) or not isinstance(value, int) or not -_INT64 <= value < _INT64:
        raise BadBody(f"{where} must be a whole number of 64 bits")
    return int(value)


def mapping(value: Any, where: str) -> dict[str, Any]:
    """Read an object whose keys are the client's own."""
    if not isinstance(value, dict):
        raise BadBody(f"{where} must be an object")
    return {string(key, f"a key of {where}"): item for key, item in value.items()}


def swappiness(value: Any, where: str) -> int | None:
    """Read a number of which -1 means that none is set, as the docker program sends it."""
    return None if value == -1 else integer(value, where)


def list_of(read: Callable[[Any, str], T]) -> Callable[[Any, str], tuple[T, ...]]:
    """Read a list, each item by `read`."""

    def reader(value: Any, where: str) -> tuple[T, ...]:
        if not isinstance(value, list):
            raise BadBody(f"{where} must be a list")
        return tuple(read(item, f"{where}[{index}]") for index, item in enumerate(value))

    return reader


def map_of(read: Callable[[Any, str], T]) -> Callable[[Any, str], dict[str, T]]:
    """Read an object whose keys are the client's own, each value by `read`."""
    return lambda value, where: {k: read(v, f"{where}[{k!r}]") for k, v in mapping(value, where).items()}


def empty_object(value: Any, where: str) -> None:
    """Read the `{}` that stands for "present" in Docker's sets."""
    if value not in (None, {}):
        raise BadBody(f"{where} must be an empty object")


def one_or_many(value: Any, where: str) -> tuple[str, ...]:
    """Read a list of strings, or one string for a list of one, as the daemon does for commands."""
    return (value,) if isinstance(value, str) and string(value, where) is not None else strings(value, where)


strings = list_of(string)
string_map = map_of(string)


def json_field(key: str, read: Callable[[Any, str], T], default: T, also: str = "") -> T:
    """Declare a field: its JSON key, its reader, and what an absent or null value means.

    `also` is the key as another client spells it.
    """
    metadata = {"key": key, "read": read, "also": also or key}
    if isinstance(default, dict):
        return dataclasses.field(default_factory=dict, metadata=metadata)  # type: ignore[return-value]
    return dataclasses.field(default=default, metadata=metadata)


def struct(cls: type[T]) -> Callable[[Any, str], T]:
    """Read an object with the keys that `cls` declares; any other key is refused by name."""

    def reader(value: Any, where: str) -> T:
        if not isinstance(value, dict):
            raise BadBody(f"{where or 'the body'} must be an object")
        declared = [f for f in dataclasses.fields(cls) if f.metadata]  # type: ignore[arg-type]
        known = {f.metadata[spelling]: f for spelling in ("also", "key") for f in declared}
        values: dict[str, Any] = {}
        for key, item in value.items():
            here = f"{where}.{key}" if where else key
            if key not in known:
                close = next((k for k in known if k.casefold() == key.casefold()), None)
                hint = f" (it is spelled {close!r})" if close else ""
                raise BadBody(f"{here[:200]!r} is not a field that this gateway knows{hint}; remove it")
            if known[key].name in values:
                raise BadBody(f"{here!r} is given twice")
            if item is not None:
                values[known[key].name] = known[key].metadata["read"](item, here)
        return cls(**values)

    return reader


@dataclass(frozen=True)
class Ulimit:
    """A limit of setrlimit(2)."""

    name: str = json_field("Name", string, "")
    soft: int = json_field("Soft", integer, 0)
    hard: int = json_field("Hard", integer, 0)


@dataclass(frozen=True)
class DeviceRequest:
    """A request for devices such as GPUs: a count (-1: all) or ids."""

    driver: str = json_field("Driver", string, "")
    count: int = json_field("Count", integer, 0)
    device_ids: tuple[str, ...] = json_field("DeviceIDs", strings, ())
    capabilities: tuple[tuple[str, ...], ...] = json_field("Capabilities", list_of(strings), ())
    options: dict[str, str] = json_field("Options", string_map, {})


@dataclass(frozen=True)
class BindOptions:
    """Options of a bind mount."""

    propagation: str = json_field("Propagation", string, "")


@dataclass(frozen=True)
class DriverConfig:
    """A volume driver and its options."""

    name: str = json_field("Name", string, "")
    options: dict[str, str] = json_field("Options", string_map, {})


@dataclass(frozen=True)
class VolumeOptions:
    """Options of a volume mount."""

    no_copy: bool = json_field("NoCopy", boolean, False)
    labels: dict[str, str] = json_field("Labels", string_map, {})
    driver_config: DriverConfig = json_field("DriverConfig", struct(DriverConfig), DriverConfig())
    subpath: str = json_field("Subpath", string, "")


@dataclass(frozen=True)
class TmpfsOptions:
    """Options of a tmpfs mount."""

    size: int = json_field("SizeBytes", integer, 0)
    mode: int = json_field("Mode", integer, 0)


@dataclass(frozen=True)
class Mount:
    """One entry of HostConfig.Mounts."""

    target: str = json_field("Target", string, "")
    source: str = json_field("Source", string, "")
    type: str = json_field("Type", string, "")
    read_only: bool = json_field("ReadOnly", boolean, False)
    consistency: str = json_field("Consistency", string, "")
    bind: BindOptions = json_field("BindOptions", struct(BindOptions), BindOptions())
    volume: VolumeOptions = json_field("VolumeOptions", struct(VolumeOptions), VolumeOptions())
    tmpfs: TmpfsOptions = json_field("TmpfsOptions", struct(TmpfsOptions), TmpfsOptions())


@dataclass(frozen=True)
class LogConfig:
    """Log driver and its options."""

    type: str = json_field("Type", string, "")
    config: dict[str, str] = json_field("Config", string_map, {})


@dataclass(frozen=True)
class RestartPolicy:
    """What happens when the container ends."""

    name: str = json_field("Name", string, "")
    maximum_retry_count: int = json_field("MaximumRetryCount", integer, 0)


@dataclass(frozen=True)
class Device:
    """A device of the host."""

    path_on_host: str = json_field("PathOnHost", string, "")
    path_in_container: str = json_field("PathInContainer", string, "")
    cgroup_permissions: str = json_field("CgroupPermissions", string, "")


@dataclass(frozen=True)
class WeightDevice:
    """Block I/O weight of a device."""

    path: str = json_field("Path", string, "")
    weight: int = json_field("Weight", integer, 0)


@dataclass(frozen=True)
class ThrottleDevice:
    """Block I/O limit of a device."""

    path: str = json_field("Path", string, "")
    rate: int = json_field("Rate", integer, 0)


@dataclass(frozen=True)
class Healthcheck:
    """The image's or the author's health check."""

    test: tuple[str, ...] = json_field("Test", one_or_many, ())
    interval: int = json_field("Interval", integer, 0)
    timeout: int = json_field("Timeout", integer, 0)
    retries: int = json_field("Retries", integer, 0)
    start_period: int = json_field("StartPeriod", integer, 0)
    start_interval: int = json_field("StartInterval", integer, 0)


@dataclass(frozen=True)
class NetworkingConfig:
    """Endpoints by network name; one that asks for anything is refused unread."""

    endpoints: dict[str, Any] = json_field("EndpointsConfig", mapping, {})


@dataclass(frozen=True)
class PortBinding:
    """A port of the host."""

    host_ip: str = json_field("HostIp", string, "")
    host_port: str = json_field("HostPort", string, "")


_throttle = list_of(struct(ThrottleDevice))


@dataclass(frozen=True)
class HostConfig:
    """HostConfig: sizes in bytes, cpu_shares 1024 to the core, nano_cpus 1e9 to the core."""

    memory: int = json_field("Memory", integer, 0)
    memory_swap: int = json_field("MemorySwap", integer, 0)
    memory_reservation: int = json_field("MemoryReservation", integer, 0)
    kernel_memory: int = json_field("KernelMemory", integer, 0)
    memory_swappiness: int | None = json_field("MemorySwappiness", swappiness, None)
    oom_kill_disable: bool = json_field("OomKillDisable", boolean, False)
    oom_score_adj: int = json_field("OomScoreAdj", integer, 0)
    shm_size: int = json_field("ShmSize", integer, 0)
    pids_limit: int = json_field("PidsLimit", integer, 0)
    cpu_shares: int = json_field("CpuShares", integer, 0)
    cpu_quota: int = json_field("CpuQuota", integer, 0)
    cpu_period: int = json_field("CpuPeriod", integer, 0)
    nano_cpus: int = json_field("NanoCpus", integer, 0)
    cpuset_cpus: str = json_field("CpusetCpus", string, "")
    cpuset_mems: str = json_field("CpusetMems", string, "")
    cpu_realtime_period: int = json_field("CPURealtimePeriod", integer, 0, "CpuRealtimePeriod")
    cpu_realtime_runtime: int = json_field("CPURealtimeRuntime", integer, 0, "CpuRealtimeRuntime")
    cpu_count: int = json_field("CpuCount", integer, 0)
    cpu_percent: int = json_field("CpuPercent", integer, 0)
    blkio_weight: int = json_field("BlkioWeight", integer, 0)
    blkio_weight_device: tuple[WeightDevice, ...] = json_field(
        "BlkioWeightDevice", list_of(struct(WeightDevice)), ()
    )
    blkio_read_bps: tuple[ThrottleDevice, ...] = json_field("BlkioDeviceReadBps", _throttle, ())
    blkio_write_bps: tuple[ThrottleDevice, ...] = json_field("BlkioDeviceWriteBps", _throttle, ())
    blkio_read_iops: tuple[ThrottleDevice, ...] = json_field("BlkioDeviceReadIOps", _throttle, ())
    blkio_write_iops: tuple[ThrottleDevice, ...] = json_field("BlkioDeviceWriteIOps", _throttle, ())
    ulimits: tuple[Ulimit, ...] = json_field("Ulimits", list_of(struct(Ulimit)), ())
    mounts: tuple[Mount, ...] = json_field("Mounts", list_of(struct(Mount)), ())
    binds: tuple[str, ...] = json_field("Binds", strings, ())
    tmpfs: dict[str, str] = json_field("Tmpfs", string_map, {})
    volumes_from: tuple[str, ...] = json_field("VolumesFrom", strings, ())
    volume_driver: str = json_field("VolumeDriver", string, "")
    storage_opt: dict[str, str] = json_field("StorageOpt", string_map, {})
    readonly_rootfs: bool = json_field("ReadonlyRootfs", boolean, False)
    network_mode: str = json_field("NetworkMode", string, "")
    port_bindings: dict[str, tuple[PortBinding, ...]] = json_field(
        "PortBindings", map_of(list_of(struct(PortBinding))), {}
    )
    publish_all_ports: bool = json_field("PublishAllPorts", boolean, False)
    links: tuple[str, ...] = json_field("Links", strings, ())
    dns: tuple[str, ...] = json_field("Dns", strings, ())
    dns_search: tuple[str, ...] = json_field("DnsSearch", strings, ())
    dns_options: tuple[str, ...] = json_field("DnsOptions", strings, ())
    extra_hosts: tuple[str, ...] = json_field("ExtraHosts", strings, ())
    privileged: bool = json_field("Privileged", boolean, False)
    cap_add: tuple[str, ...] = json_field("CapAdd", strings, ())
    cap_drop: tuple[str, ...] = json_field("CapDrop", strings, ())
    security_opt: tuple[str, ...] = json_field("SecurityOpt", strings, ())
    devices: tuple[Device, ...] = json_field("Devices", list_of(struct(Device)), ())
    device_cgroup_rules: tuple[str, ...] = json_field("DeviceCgroupRules", strings, ())
    device_requests: tuple[DeviceRequest, ...] = json_field(
        "DeviceRequests", list_of(struct(DeviceRequest)), ()
    )
    group_add: tuple[str, ...] = json_field("GroupAdd", strings, ())
    pid_mode: str = json_field("PidMode", string, "")
    ipc_mode: str = json_field("IpcMode", string, "")
    uts_mode: str = json_field("UTSMode", string, "")
    userns_mode: str = json_field("UsernsMode", string, "")
    cgroupns_mode: str = json_field("CgroupnsMode", string, "")
    cgroup_parent: str = json_field("CgroupParent", string, "")
    sysctls: dict[str, str] = json_field("Sysctls", string_map, {})
    runtime: str = json_field("Runtime", string, "")
    isolation: str = json_field("Isolation", string, "")
    init: bool | None = json_field("Init", boolean, None)
    init_path: str = json_field("InitPath", string, "")
    log_config: LogConfig = json_field("LogConfig", struct(LogConfig), LogConfig())
    restart_policy: RestartPolicy = json_field("RestartPolicy", struct(RestartPolicy), RestartPolicy())
    auto_remove: bool = json_field("AutoRemove", boolean, False)
    annotations: dict[str, str] = json_field("Annotations", string_map, {})
    cgroup: str = json_field("Cgroup", string, "")
    console_size: tuple[int, ...] = json_field("ConsoleSize", list_of(integer), ())
    container_id_file: str = json_field("ContainerIDFile", string, "")
    io_maximum_iops: int = json_field("IOMaximumIOps", integer, 0)
    io_maximum_bandwidth: int = json_field("IOMaximumBandwidth", integer, 0)
    masked_paths: tuple[str, ...] | None = json_field("MaskedPaths", strings, None)
    readonly_paths: tuple[str, ...] | None = json_field("ReadonlyPaths", strings, None)
    lxc_conf: tuple[dict[str, str], ...] = json_field("LxcConf", list_of(string_map), ())


@dataclass(frozen=True)
class Create:
    """A whole create request; `name` and `platform` come from the query."""

    name: str = ""
    platform: str = ""
    image: str = json_field("Image", string, "")
    # None: the image's own; empty: cleared.
    entrypoint: tuple[str, ...] | None = json_field("Entrypoint", one_or_many, None)
    cmd: tuple[str, ...] | None = json_field("Cmd", one_or_many, None)
    env: tuple[str, ...] = json_field("Env", strings, ())
    user: str = json_field("User", string, "")
    working_dir: str = json_field("WorkingDir", string, "")
    hostname: str = json_field("Hostname", string, "")
    domainname: str = json_field("Domainname", string, "")
    labels: dict[str, str] = json_field("Labels", string_map, {})
    tty: bool = json_field("Tty", boolean, False)
    open_stdin: bool = json_field("OpenStdin", boolean, False)
    stdin_once: bool = json_field("StdinOnce", boolean, False)
    attach_stdin: bool = json_field("AttachStdin", boolean, False)
    attach_stdout: bool = json_field("AttachStdout", boolean, False)
    attach_stderr: bool = json_field("AttachStderr", boolean, False)
    exposed_ports: dict[str, None] = json_field("ExposedPorts", map_of(empty_object), {})
    volumes: dict[str, None] = json_field("Volumes", map_of(empty_object), {})
    network_disabled: bool = json_field("NetworkDisabled", boolean, False)
    mac_address: str = json_field("MacAddress", string, "")
    stop_signal: str = json_field("StopSignal", string, "")
    stop_timeout: int | None = json_field("StopTimeout", integer, None)
    healthcheck: Healthcheck = json_field("Healthcheck", struct(Healthcheck), Healthcheck())
    runtime: str = json_field("Runtime", string, "")
    networking: NetworkingConfig = json_field(
        "NetworkingConfig", struct(NetworkingConfig), NetworkingConfig()
    )
    host: HostConfig = json_field("HostConfig", struct(HostConfig), HostConfig())


_read_create = struct(Create)


def parse_json(body: bytes) -> Any:
    """Parse JSON as RFC 8259 has it, in UTF-8, without repeated keys. Raises BadBody."""
    try:
        return json.loads(body.decode("utf-8"), object_pairs_hook=_unique, parse_constant=_no_constant)
    except BadBody:
        raise
    except (ValueError, RecursionError) as error:
        raise BadBody(f"the body is not JSON: {type(error).__name__}") from None


def parse_create(body: bytes, name: str = "", platform: str = "") -> Create:
    """Read a create request. Raises BadBody."""
    create = _read_create(parse_json(body), "")
    if not create.image:
        raise BadBody("Image is missing")
    return dataclasses.replace(create, name=name, platform=platform)


def to_json(value: Any) -> dict[str, Any]:
    """Write an instance of one of these classes as the daemon's JSON.

    Known fields that are set, nothing else.
    """
    result: dict[str, Any] = {}
    for field in dataclasses.fields(value):
        item = getattr(value, field.name)
        if field.metadata and item != _default(field):
            result[field.metadata["key"]] = _plain(item)
    return result


def is_set(value: Any, name: str) -> bool:
    """Tell whether a field asks for anything: neither its default nor a zero, empty or false value."""
    item = getattr(value, name)
    if dataclasses.is_dataclass(item):
        return any(is_set(item, field.name) for field in dataclasses.fields(item))
    return bool(item)


def _default(field: dataclasses.Field[Any]) -> Any:
    return field.default if field.default is not dataclasses.MISSING else {}


def _plain(item: Any) -> Any:
    if dataclasses.is_dataclass(item):
        return to_json(item)
    if isinstance(item, tuple):
        return [_plain(each) for each in item]
    if isinstance(item, Mapping):
        return {key: {} if each is None else _plain(each) for key, each in item.items()}
    return item


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise BadBody("an object of the body gives a key twice")
    return result


def _no_constant(name: str) -> Any:
    raise BadBody(f"{name} is not JSON")
