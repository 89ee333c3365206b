"""The one way in which tests wait for something."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TypeVar

T = TypeVar("T")


def wait_until(true: Callable[[], T], seconds: float, what: str | Callable[[], str], every: float = 0.1) -> T:
    """Call `true` until it returns something true, and return that.

    Args:
        true: what to call.
        seconds: how long to wait.
        what: what is waited for; called when time is up if it takes, say, a log to tell.
        every: seconds between two calls.

    Raises:
        AssertionError: if it is not true in time; says `what`.
    """
    end = time.monotonic() + seconds
    while not (value := true()):
        if time.monotonic() > end:
            raise AssertionError(f"not within {seconds:g} s: {what if isinstance(what, str) else what()}")
        time.sleep(every)
    return value
