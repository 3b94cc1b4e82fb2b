"""Where templates are found, and how they are rendered."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

__all__ = ["environment", "path"]


def path(name: str) -> Path:
    """The file ``name`` ("demo/greeter.proto") of this package."""
    return Path(__file__).parent / name


def environment(**filters: Callable[..., str]) -> Environment:
    """A fresh Jinja environment over this package, with ``filters`` besides Jinja's own.

    An unknown variable is an error; lines of statements leave no gaps.
    """
    jinja = Environment(
        loader=FileSystemLoader(path(".")),
        undefined=StrictUndefined,
        autoescape=False,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    jinja.filters.update(filters)
    return jinja
