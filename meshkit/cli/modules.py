"""Modules that a command's arguments name."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

from meshkit.errors import ConfigError

__all__ = ["imported"]


def imported(name: str) -> ModuleType:
    """The module called ``name``, also of the current folder. Raises ConfigError where there is none; what goes wrong
    inside of one is raised as it is."""
    if "" not in sys.path:
        sys.path.insert(0, "")
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name is None or not f"{name}.".startswith(f"{error.name}."):
            raise  # the module is there, and what it imports is not
        raise ConfigError(
            f"{name!r}: there is no module {error.name!r} here; run it from the folder it is in"
        ) from None
