"""Messages that have arrived and are not read yet: between a stream's callbacks and one reader."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Generic, TypeVar

__all__ = ["Inbox"]

M = TypeVar("M")


class Inbox(Generic[M]):
    """A queue, bounded by who fills it. One reader at a time; being cancelled while waiting loses no message.

    `get` is for whoever reads now and then. Readers of calls do the same in their own coroutine, since each coroutine
    on the way costs as much as half of what else a message needs: ``while not inbox.queue: await inbox.more()``, which
    is None at the end, and then ``inbox.queue.popleft()``.
    """

    __slots__ = ("_loop", "_waiter", "ended", "error", "queue")

    def __init__(self) -> None:
        self.queue: deque[M] = deque()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._waiter: asyncio.Future[None] | None = None
        self.ended = False
        self.error: BaseException | None = None

    def __len__(self) -> int:
        return len(self.queue)

    def put(self, item: M, /) -> None:
        """Add an item."""
        self.queue.append(item)
        waiter = self._waiter
        if waiter is not None:
            self._waiter = None
            if not waiter.done():
                waiter.set_result(None)

    def end(self, error: BaseException | None = None, *, discard: bool = False) -> None:
        """No message follows; readers see ``error`` after the messages that are here, or at once with ``discard``."""
        if self.ended:
            return
        self.ended = True
        self.error = error
        if discard:
            self.queue.clear()
        waiter, self._waiter = self._waiter, None
        if waiter is not None and not waiter.done():
            waiter.set_result(None)

    def discard(self, error: BaseException) -> None:
        """Drop messages that nobody has read; if there are any, readers see ``error`` in their place."""
        if self.queue:
            self.queue.clear()
            self.error = error

    def more(self) -> asyncio.Future[None] | None:
        """While ``queue`` is empty: what to wait for before looking again; None at a good end. Raises the error of a
        bad one, and RuntimeError where another task waits already."""
        if self.ended:
            if self.error is not None:
                raise self.error
            return None
        if self._waiter is not None and not self._waiter.done():
            raise RuntimeError("another task is reading from this stream already")
        loop = self._loop
        if loop is None:  # it is the same for every message, and asking for it costs a system call (Python 3.11)
            loop = self._loop = asyncio.get_running_loop()
        self._waiter = waiter = loop.create_future()
        return waiter

    async def get(self) -> M | None:
        """The next message; None at a good end. Raises the error of a bad one."""
        queue = self.queue
        while not queue:
            if (more := self.more()) is None:
                return None
            await more
        return queue.popleft()
