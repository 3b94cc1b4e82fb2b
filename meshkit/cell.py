"""A `Cell` holds one value that is swapped whole: readers read an attribute, waiters are told of each store."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

__all__ = ["Cell"]

T = TypeVar("T")


class Cell(Generic[T]):
    """One value, read as ``cell.value`` and replaced by ``cell.set(value)``.

    `set` never awaits and never calls out to anything but the listeners given to `listen`, in the order they came;
    a listener must not raise. Waiters of `wait` see every state in which their predicate held at the time of a store.
    """

    __slots__ = ("_listeners", "_waiters", "value")

    def __init__(self, value: T) -> None:
        self.value = value
        self._listeners: list[Callable[[T], object]] = []
        self._waiters: list[tuple[Callable[[T], bool], asyncio.Future[T]]] = []

    def __repr__(self) -> str:
        return f"Cell({self.value!r})"

    def set(self, value: T) -> None:
        """Store ``value`` and tell listeners and waiters."""
        self.value = value
        for listener in tuple(self._listeners):
            listener(value)
        if self._waiters:
            self._wake(value)

    def listen(self, listener: Callable[[T], object]) -> Callable[[], None]:
        """Call ``listener`` with each value stored from now on; the returned function ends that."""
        self._listeners.append(listener)
        return lambda: self._listeners.remove(listener)

    async def wait(self, predicate: Callable[[T], bool]) -> T:
        """The value now, or the first one stored, for which ``predicate`` holds."""
        if predicate(self.value):
            return self.value
        future: asyncio.Future[T] = asyncio.get_running_loop().create_future()
        entry = (predicate, future)
        self._waiters.append(entry)
        try:
            return await future
        finally:
            if entry in self._waiters:
                self._waiters.remove(entry)

    def _wake(self, value: T) -> None:
        woken = [entry for entry in self._waiters if entry[1].cancelled() or entry[0](value)]
        self._waiters = [entry for entry in self._waiters if entry not in woken]
        for _, future in woken:
            if not future.done():
                future.set_result(value)
