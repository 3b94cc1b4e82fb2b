"""The event loop that commands run on: uvloop where it is installed, asyncio's own where not."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["run_on_best_loop"]

T = TypeVar("T")


def run_on_best_loop(work: Coroutine[Any, Any, T]) -> T:
    """Run ``work`` to its end and return its result."""
    try:
        from uvloop import new_event_loop
    except ImportError:
        return asyncio.run(work)
    with asyncio.Runner(loop_factory=new_event_loop) as runner:
        return runner.run(work)
