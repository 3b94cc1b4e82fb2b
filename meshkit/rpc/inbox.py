"""Messages that have arrived and are not read yet: between a stream's callbacks and one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Inbox"]

M = TypeVar("M")


class Inbox(Generic[M]):
    """A queue, bounded by who fills it. One reader at a time; being cancelled while waiting loses no message."""

    __slots__ = ("_loop", "_queue", "_waiter", "ended", "error")

    def __init__(self) -> None:
        self._queue: deque[M] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False
        self.error: BaseException | None = None

    def __len__(self) -> int:
        return len(self._queue)

    def put(self, item: M) -> None:
        """Add an item."""
        self._queue.append(item)
        waiter = self._waiter
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

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

    def get_nowait(self) -> M | None:
        """The next message, if it is here already."""
        return self._queue.popleft() if self._queue else None

    async def get(self) -> M | None:
        """The next message; None at a good end. Raises the error of a bad one."""
        queue = self._queue
        while not queue:
            if self.ended:
                if self.error is not None:
                    raise self.error
                return None
            if self._waiter is not None:
                raise RuntimeError("another task is reading from this stream already")
            loop = self._loop
            if loop is None:  # it is the same for every message, and asking for it costs a system call (Python 3.11)
                loop = self._loop = asyncio.get_running_loop()
            self._waiter = waiter = loop.create_future()
            try:
                await waiter
            finally:
                self._waiter = None
        return queue.popleft()
