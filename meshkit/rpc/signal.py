"""Wakes everybody who waits for a call to change."""

from __future__ import annotations

import asyncio

__all__ = ["Signal"]


class Signal:
    """``while not wanted: await signal.wait()`` at those who wait, `notify` after each change."""

    __slots__ = ("_waiting",)

    def __init__(self) -> None:
        self._waiting: list[asyncio.Future[None]] = []

    def notify(self) -> None:
        """Wake who waits now."""
        if self._waiting:
            waiting, self._waiting = self._waiting, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)

    async def wait(self) -> None:
        """Return after the next `notify`."""
        future = asyncio.get_running_loop().create_future()
        self._waiting.append(future)
        await future
