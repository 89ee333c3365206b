"""Values of single fields of a create request: read, or refused with the reason."""

from __future__ import annotations

import ipaddress
import posixpath
import re
from collections.abc import Iterable

from . import references
from .backend import Refusal
from .model import Create, Mount
from .references import Reference

HOSTNAME = re.compile(r"[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?\Z")
_DNS_NAME = re.compile(
    r"(?=.{1,253}\Z)[a-z0-9](?:[a-z0-9-]*[a-z0-9])?(?:\.[a-z0-9](?:[a-z0-9-]*[a-z0-9])?)*\.?\Z"
)
_SIZE = re.compile(r"([0-9]{1,15})([bkmgt]?)b?\Z", re.IGNORECASE)


def parse_image(image: str) -> Reference:
    """Read the name of an image. Raises Refusal for what is none."""
    read = references.parse(image)
    if read is None:
        raise Refusal("image", f"{image[:200]!r} is not the name of an image; write it as repository:tag")
    return read


def check_image(image: Reference, entries: Iterable[str], shown: str, setting: str) -> None:
    """Refuse an image that the entries of `setting` do not admit."""
    if not references.admits(image, entries):
        raise Refusal(
            "image", f"{shown!r} matches no allowed image; ask the administrator to add it to {setting}"
        )


def check_target(field: str, target: str) -> str:
    """Give a mount point in its shortest form; refuse what is none or would hide what a container needs."""
    clean = posixpath.normpath(target)
    if not target.startswith("/") or ".." in target.split("/") or ":" in target or len(target) > 1024:
        raise Refusal(field, f"the mount point {target[:200]!r} must be absolute, without '..' and ':'")
    clean = "/" + clean.lstrip("/")
    for reserved in ("/proc", "/sys", "/dev"):
        if clean == reserved or (clean.startswith(reserved + "/") and not clean.startswith("/dev/shm")):  # noqa: S108
            raise Refusal(field, f"nothing may be mounted at {clean}; use another mount point")
    if clean == "/":
        raise Refusal(field, "nothing may be mounted at /; use another mount point")
    return clean


def parse_user(user: str) -> tuple[int | None, int | None]:
    """Give uid and gid of a `user`, None for what it leaves open. Raises Refusal."""
    if not user:
        return None, None
    name, colon, group = user.partition(":")
    numbers = []
    for part, word in ((name, "user"), (group, "group")):
        if part == "root":
            numbers.append(0)
        elif re.fullmatch(r"[0-9]{1,10}", part) and int(part) < 2**31:
            numbers.append(int(part))
        elif part or word == "user":
            raise Refusal("user", f"only the image knows the {word} {part[:40]!r}; give its number")
    return numbers[0], numbers[1] if colon and len(numbers) > 1 else None


def parse_size(field: str, text: str) -> int:
    """Give the bytes of a size such as 64m. Raises Refusal."""
    match = _SIZE.match(text)
    if not match:
        raise Refusal(field, f"{text[:40]!r} is not a size; write it as 64m")
    unit = (match[2] or "b").lower()
    return int(match[1]) << 10 * "bkmgt".index(unit)


def parse_host(entry: str) -> tuple[str, str]:
    """Give name and address of an entry of extra_hosts. Raises Refusal."""
    name, colon, address = entry.partition(":")
    if address == "host-gateway":
        raise Refusal("extra_hosts", "pods have no host-gateway; give an address, or the name of a Service")
    if colon and "_" in name:
        raise Refusal(
            "extra_hosts",
            f"Kubernetes does not allow the underscore in the host name {name[:80]!r}; use '-' in the name,"
            " here and in the program",
        )
    if not colon or not _DNS_NAME.match(name.lower()):
        raise Refusal("extra_hosts", f"{entry[:200]!r} must be a host name and an address")
    # Host names are looked up in any case, and Kubernetes takes them in lower case.
    return name.lower(), check_address("extra_hosts", address.strip("[]"))


def check_address(field: str, address: str) -> str:
    """Refuse what is no IP address."""
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        raise Refusal(field, f"{address[:80]!r} is not an IP address; give one") from None


def check_dns_name(field: str, name: str) -> str:
    """Refuse what is no DNS name."""
    if not _DNS_NAME.match(name.lower()):
        raise Refusal(field, f"{name[:80]!r} is not a DNS name; give one")
    return name


def tmpfs_size(options: str) -> int:
    """Give the size of a tmpfs's options in bytes, 0 for none; refuse unknown options."""
    size = 0
    for option in filter(None, options.split(",")):
        key, _, value = option.partition("=")
        if key == "size":
            size = parse_size("tmpfs", value)
        elif key not in ("rw", "ro", "mode", "noexec", "exec", "nosuid", "nodev", "uid", "gid"):
            raise Refusal("tmpfs", f"the option {key[:40]!r} is unknown; use size and mode")
    return size


def parse_group(text: str) -> int:
    """Give the gid of an entry of group_add. Raises Refusal."""
    if not re.fullmatch(r"[0-9]{1,10}", text) or int(text) >= 2**31:
        raise Refusal("group_add", f"only the image knows the group {text[:40]!r}; give its number")
    return int(text)


def check_subpath(mount: Mount) -> str:
    """Give the subpath of a volume mount; refuse one that is absolute or leads out of the volume."""
    path = mount.volume.subpath
    if ".." in path.split("/") or path.startswith("/"):
        raise Refusal("mounts", "a subpath must be relative and must not contain '..'")
    return path


def is_temporary(mount: Mount) -> bool:
    """Tell whether a mount is DockerOperator's temporary directory.

    The operator creates it with the prefix `airflowtmp` and a random rest, on the worker's disk, and throws
    it away afterwards; both backends mount an empty directory in its place.
    """
    return mount.type == "bind" and posixpath.basename(mount.source).startswith("airflowtmp")


def without_temporary(message: str, request: Create) -> str:
    """Take the paths of the request's temporary directories out of a message.

    DockerOperator (4.6.1, `_run_image`) runs the task a second time, without its temporary directory, if the
    whole path of that directory is in an error's message. As the directory is always mounted, no error means
    that it could not be.
    """
    for mount in request.host.mounts:
        if is_temporary(mount):
            message = message.replace(mount.source, "(temporary directory)")
    return message
