"""Messages that have arrived and are not read yet: between a stream's callbacks and one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Inbox"]

M = TypeVar("M")


class Inbox(Generic[M]):
    """A queue, bounded by who fills it. One reader at a time; being cancelled while waiting loses no message."""

    __slots__ = ("_queue", "_waiter", "ended", "error")

    def __init__(self) -> None:
        self._queue: deque[M] = deque()
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False
        self.error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, item: M) -> None:
        """Add an item."""
        self._queue.append(item)
        self._wake()

    def end(self, error: BaseException | None = None, *, discard: bool = False) -> None:
        """No message follows; readers see ``error`` after the messages that are here, or at once with ``discard``."""
        if self.ended:
            return
        self.ended = True
        self.error = error
        if discard:
            self._queue.clear()
        self._wake()

    def discard(self, error: BaseException) -> None:
        """Drop messages that nobody has read; if there are any, readers see ``error`` in their place."""
        if self._queue:
            self._queue.clear()
            self.error = error

    def _wake(self) -> None:
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    async def get(self) -> M | None:
        """The next message; None at a good end. Raises the error of a bad one."""
        queue = self._queue
        while not queue:
            if self.ended:
                if self.error is not None:
                    raise self.error
                return None
            await self._wait()
        return queue.popleft()

    async def _wait(self) -> None:
        if self._waiter is not None:
            raise RuntimeError("another task is reading from this stream already")
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None
