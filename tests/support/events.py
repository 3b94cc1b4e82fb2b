"""The events that the library logs, caught as dictionaries, whatever logged before and however."""

from __future__ import annotations

from collections.abc import Iterator, MutableMapping
from contextlib import contextmanager
from typing import Any

import structlog
from structlog.testing import capture_logs


@contextmanager
def captured_events() -> Iterator[list[MutableMapping[str, Any]]]:
    """All events inside of the block: ``event``, ``log_level`` and the event's own facts."""
    structlog.configure()
    try:
        with capture_logs() as events:
            yield events
    finally:
        structlog.reset_defaults()
