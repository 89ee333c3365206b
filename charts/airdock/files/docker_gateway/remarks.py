"""What the gateway itself says about a container: in its log, and in the answer to `wait`.

In a log it is standard error (wire.RawStream.remark). Airflow's cluster policy knows it by PREFIX.
"""

from __future__ import annotations

from collections.abc import Iterable

PREFIX = "[airdock] "


def lines(remarks: Iterable[str], within_line: bool = False) -> bytes:
    """Give remarks as lines of a log; `within_line`: its last line has no end yet."""
    text = "".join(f"{PREFIX}{remark}\n" for remark in remarks)
    return ("\n" * within_line + text).encode() if text else b""


def out_of_memory(limit: str, chosen: bool, key: str) -> str:
    """Say that a container was killed for its memory.

    Args:
        limit: its memory limit, with the unit; empty if it is unknown.
        chosen: whether the limit is the author's mem_limit.
        key: the value of the chart that sets the default.
    """
    way_out = (
        f"Raise mem_limit of the task; {key} is the default"
        if chosen
        else f"Set mem_limit of the task, or ask the administrator to raise {key}"
    )
    limit = f" of {limit}" if limit else ""
    return f"The container used more memory than its limit{limit} and was killed. {way_out}."


def size(bytes_: float) -> str:
    """Give a number of bytes as a quantity that people read: 4Gi, 512Mi, 1000000."""
    for unit, factor in (("Gi", 1 << 30), ("Mi", 1 << 20), ("Ki", 1 << 10)):
        if bytes_ >= factor and bytes_ % factor == 0:
            return f"{bytes_ / factor:.0f}{unit}"
    return f"{bytes_:.0f}"
