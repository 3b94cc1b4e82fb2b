"""Waiting for what has no event of its own, because another process or library brings it about."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from typing import Any


async def until(condition: Callable[[], Any], limit: float = 60.0) -> None:
    """Wait until ``condition()``, awaited if it is a coroutine, is true; TimeoutError after ``limit`` seconds.

    They are for a machine that does much else: what is waited for takes a fraction of one on an idle machine.
    """
    async with asyncio.timeout(limit):
        while not await _value(condition()):  # noqa: ASYNC110 (there is no event to wait for)
            await asyncio.sleep(0.01)


async def _value(found: Any) -> Any:
    return await found if inspect.isawaitable(found) else found
