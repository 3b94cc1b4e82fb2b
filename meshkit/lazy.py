"""Names of a package that are imported when they are first used (PEP 562): a table, not an accident."""

from __future__ import annotations

import sys
from collections.abc import Callable, Mapping
from importlib import import_module
from typing import Any

__all__ = ["lazily"]


def lazily(package: str, rooms: Mapping[str, str]) -> Callable[[str], Any]:
    """The ``__getattr__`` of ``package``: ``rooms`` says in which of its modules each name lives."""

    def find(name: str) -> Any:
        if (room := rooms.get(name)) is None:
            raise AttributeError(f"module {package!r} has no attribute {name!r}")
        value = getattr(import_module(f"{package}.{room}"), name)
        setattr(sys.modules[package], name, value)
        return value

    return find
