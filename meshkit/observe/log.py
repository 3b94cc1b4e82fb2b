"""Structured events through structlog, where the program uses it.

The library emits events and never configures logging: what is shown, and how, is the program's choice
(https://www.structlog.org/en/stable/configuration.html). In a program that did not configure structlog, events go to
the standard library's ``logging``, by whose defaults warnings are shown and the rest is not. structlog is not imported
for that: it would halt the event loop for 50 ms, at the very first thing that goes wrong.
"""

from __future__ import annotations

import logging
import sys
from functools import cache
from typing import Any, Protocol, cast

__all__ = ["EventLogger", "event_logger"]


class EventLogger(Protocol):
    """The part of a structlog logger that we use: an event in words, and its facts as keywords."""

    def debug(self, event: str, **facts: object) -> object: ...
    def info(self, event: str, **facts: object) -> object: ...
    def warning(self, event: str, **facts: object) -> object: ...
    def error(self, event: str, **facts: object) -> object: ...


class _Logger:
    """Finds out at each event where it goes: the program may configure structlog at any time."""

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


class _Plain:
    """Writes an event to the standard library's logger: ``event='disk full' path='/x'``."""

    __slots__ = ("_logger",)

    def __init__(self, name: str) -> None:
        self._logger = logging.getLogger(name)

    def debug(self, event: str, **facts: object) -> object:
        return self._log(logging.DEBUG, event, facts)

    def info(self, event: str, **facts: object) -> object:
        return self._log(logging.INFO, event, facts)

    def warning(self, event: str, **facts: object) -> object:
        return self._log(logging.WARNING, event, facts)

    def error(self, event: str, **facts: object) -> object:
        return self._log(logging.ERROR, event, facts)

    def _log(self, level: int, event: str, facts: dict[str, Any]) -> object:
        if self._logger.isEnabledFor(level):
            trace = facts.pop("exc_info", None)
            text = " ".join(f"{name}={value!r}" for name, value in {"event": event, **facts}.items())
            self._logger.log(level, "%s", text, exc_info=trace)
        return None


def _bound(name: str) -> EventLogger:
    structlog = sys.modules.get("structlog")
    return _structured(name) if structlog is not None and structlog.is_configured() else _plain(name)


@cache
def _structured(name: str) -> EventLogger:
    import structlog

    return cast(EventLogger, structlog.get_logger(name, source=name))


_plain = cache(_Plain)


def event_logger(name: str) -> EventLogger:
    """A logger whose events carry ``source=name``, or go to the standard library's logger of that name."""
    return _Logger(name)
