"""GPUs and other devices that runtime hooks add: requested by field, variable, mount or CDI name.

A container gets none of them unless the settings allow GPUs, and then GPUs only.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from .backend import Refusal
from .model import DeviceRequest

#: nvidia-container-toolkit: the devices of a container. Unset, images of old CUDA versions get all.
NVIDIA = "NVIDIA_VISIBLE_DEVICES"
#: Variables by which hooks add devices: those of other vendors, and those of nvidia-container-toolkit for
#: devices that are no GPUs.
_HOOK = re.compile(
    r"\w+_VISIBLE_DEVICES|DOCKER_RESOURCE_.*|NVIDIA_(?:GDS|MOFED|GDRCOPY|NVSWITCH|IMEX_CHANNELS)\Z"
)
#: These are read by libraries in the container alone.
_LIBRARIES = {"CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES", "ROCR_VISIBLE_DEVICES", "TPU_VISIBLE_DEVICES"}
#: nvidia-container-toolkit takes mounts below it for requests.
_MOUNTS = "nvidia-container-devices"
_CDI = re.compile(r"(?:nvidia|amd|intel)\.com/gpu=[A-Za-z0-9][A-Za-z0-9_.:-]*\Z")
_ID = re.compile(r"all|none|void|[0-9]{1,3}(?::[0-9]{1,3})?|(?:GPU|MIG)-[A-Za-z0-9/-]{1,100}\Z")
_CAPABILITIES = {"gpu", "nvidia", "compute", "compat32", "graphics", "utility", "video", "display", "ngx"}


def is_gpu(device: str) -> bool:
    """Tell whether a device's id or CDI name means GPUs and nothing else."""
    return bool(_ID.fullmatch(device) or _CDI.match(device))


def check(requests: Sequence[DeviceRequest]) -> None:
    """Refuse a request for devices that are no GPUs. Raises Refusal."""
    for request in requests:
        field = "device_requests"
        if request.driver not in ("", "nvidia", "amd", "cdi"):
            raise Refusal(field, f"the driver {request.driver[:40]!r} is not for GPUs; remove it")
        if request.options:
            raise Refusal(field, "options are not passed on; remove them")
        for device in request.device_ids:
            if not is_gpu(device):
                raise Refusal(
                    field, f"{device[:80]!r} is not the id of a GPU; use an index, GPU-... or MIG-..."
                )
        asked = {each for group in request.capabilities for each in group}
        if asked - _CAPABILITIES:
            raise Refusal(
                field, f"the capability {min(asked - _CAPABILITIES)[:40]!r} is not of GPUs; remove it"
            )
        by_name = request.driver == "cdi" and request.device_ids
        if not by_name and any("gpu" not in group for group in request.capabilities or ((),)):
            raise Refusal(field, "the capability 'gpu' is missing; use capabilities=[['gpu']]")


def check_target(field: str, target: str) -> None:
    """Refuse a mount that a hook takes for a request."""
    if _MOUNTS in target.split("/"):
        raise Refusal(field, f"mounts below {_MOUNTS} request devices; use device_requests")


def environment(author: Sequence[str], image: Iterable[str], allowed: bool) -> tuple[str, ...]:
    """Give the author's variables, without those that request devices; an image's are taken out.

    `allowed`: GPUs are. An entry without `=` takes a variable of the image away.
    """
    given = {entry.partition("=")[0]: entry.partition("=")[2] for entry in (*image, *author)}
    kept = [entry for entry in author if not requests_devices(entry.partition("=")[0])]
    removed = [name for name in given if requests_devices(name) and name != NVIDIA]
    if not allowed:
        kept.append(f"{NVIDIA}=void")
    elif NVIDIA in given:
        wanted = given[NVIDIA] if all(map(is_gpu, filter(None, given[NVIDIA].split(",")))) else "void"
        kept.append(f"{NVIDIA}={wanted}")
    return (*kept, *removed)


def requests_devices(name: str) -> bool:
    """Tell whether a hook of the runtime adds devices by a variable of this name."""
    return name not in _LIBRARIES and _HOOK.fullmatch(name) is not None
