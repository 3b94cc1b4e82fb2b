"""A `Scope` owns tasks: whatever is started in it has ended when it is closed, and no failure is lost."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from types import TracebackType
from typing import Any, Self

__all__ = ["Scope"]

_LOG = logging.getLogger("meshkit.tasks")


class Scope:
    """Owns the tasks started in it.

    A task that fails is logged once, with its name, and does not end the others: a scope is for long-lived loops beside
    each other (streams, watchers, probes), where ``asyncio.TaskGroup`` would take the healthy ones down.
    """

    __slots__ = ("_closed", "_name", "_tasks")

    def __init__(self, name: str) -> None:
        self._name = name
        self._tasks: set[asyncio.Task[Any]] = set()
        self._closed = False

    def __repr__(self) -> str:
        return f"Scope({self._name!r}, tasks={len(self._tasks)}{', closed' if self._closed else ''})"

    def __len__(self) -> int:
        return len(self._tasks)

    def start(self, work: Coroutine[Any, Any, Any], *, name: str = "") -> asyncio.Task[Any]:
        """Run ``work`` as a task of this scope. Raises RuntimeError, and closes ``work``, once the scope is closed."""
        if self._closed:
            work.close()
            raise RuntimeError(f"{self!r} is closed")
        task = asyncio.get_running_loop().create_task(work, name=f"{self._name}/{name}" if name else self._name)
        self._tasks.add(task)
        task.add_done_callback(self._ended)
        return task

    def _ended(self, task: asyncio.Task[Any]) -> None:
        self._tasks.discard(task)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.error("task %s failed", task.get_name(), exc_info=error)

    async def close(self) -> None:
        """Cancel what still runs and wait for its end. May be called again, and by a task of the scope itself."""
        self._closed = True
        current = asyncio.current_task()
        pending = [task for task in self._tasks if task is not current]
        for task in pending:
            task.cancel()
        if pending:
            await asyncio.gather(*pending, return_exceptions=True)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()
