"""Values that cannot be changed: a render is shared by all tests that ask for it."""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any, NoReturn


class _Frozen:
    """Refuses every change; `copy.deepcopy` gives an ordinary dict or list."""

    def _refuse(self, *_: object, **__: object) -> NoReturn:
        raise TypeError("manifests are shared between tests and read-only: change a copy.deepcopy()")

    __setitem__ = __delitem__ = __ior__ = __iadd__ = __imul__ = _refuse
    clear = pop = popitem = setdefault = update = append = extend = insert = remove = sort = reverse = _refuse


class FrozenDict(_Frozen, dict[str, Any]):
    """A dict that cannot be changed."""

    def __deepcopy__(self, memo: dict[int, Any]) -> dict[str, Any]:
        """An ordinary, changeable dict."""
        return {key: copy.deepcopy(value, memo) for key, value in self.items()}


class FrozenList(_Frozen, list[Any]):
    """A list that cannot be changed."""

    def __deepcopy__(self, memo: dict[int, Any]) -> list[Any]:
        """An ordinary, changeable list."""
        return [copy.deepcopy(value, memo) for value in self]


def freeze(value: Any) -> Any:
    """The same JSON value, read-only all the way down."""
    if isinstance(value, _Frozen):
        return value
    if isinstance(value, dict):
        return FrozenDict((key, freeze(item)) for key, item in value.items())
    if isinstance(value, list):
        return FrozenList(freeze(item) for item in value)
    return value


def as_map(value: Any) -> Mapping[str, Any]:
    """The value if it is a map, else an empty one: manifests may hold null anywhere."""
    # dict first: asking whether something is a Mapping takes ten times as long.
    return value if isinstance(value, (dict, Mapping)) else {}
