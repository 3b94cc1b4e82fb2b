"""How the engine's events find their handlers: a table from an event's class to a function."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

__all__ = ["Handlers"]

Handlers = dict[type, Callable[[Any], None]]
"""A function for each kind of event of the engine."""
