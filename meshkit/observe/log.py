"""Structured events through structlog, imported at the first event so that a quiet process never pays for it.

The library emits events and never configures logging: what is shown, and how, is the program's choice
(https://www.structlog.org/en/stable/configuration.html). In a program that did not configure structlog, events go to
the standard library's ``logging``, by whose defaults warnings are shown and the rest is not.
"""

from __future__ import annotations

import logging
from functools import cache
from typing import Protocol, cast

__all__ = ["EventLogger", "event_logger"]


class EventLogger(Protocol):
    """The part of a structlog logger that we use: an event in words, and its facts as keywords."""

    def debug(self, event: str, **facts: object) -> object: ...
    def info(self, event: str, **facts: object) -> object: ...
    def warning(self, event: str, **facts: object) -> object: ...
    def error(self, event: str, **facts: object) -> object: ...


class _LazyLogger:
    """Turns into a structlog logger at its first event."""

    __slots__ = ("_name",)

    def __init__(self, name: str) -> None:
        self._name = name

    def debug(self, event: str, **facts: object) -> object:
        return _bound(self._name).debug(event, **facts)

    def info(self, event: str, **facts: object) -> object:
        return _bound(self._name).info(event, **facts)

    def warning(self, event: str, **facts: object) -> object:
        return _bound(self._name).warning(event, **facts)

    def error(self, event: str, **facts: object) -> object:
        return _bound(self._name).error(event, **facts)


@cache
def _bound(name: str) -> EventLogger:
    import structlog

    if structlog.is_configured():
        return cast(EventLogger, structlog.get_logger(name, source=name))
    render = structlog.processors.KeyValueRenderer(key_order=["event"])
    return cast(
        EventLogger,
        structlog.wrap_logger(
            logging.getLogger(name),
            processors=[structlog.stdlib.filter_by_level, render],
            wrapper_class=structlog.stdlib.BoundLogger,
        ),
    )


def event_logger(name: str) -> EventLogger:
    """A logger whose events carry ``source=name``, or go to the standard library's logger of that name."""
    return _LazyLogger(name)
