"""Moves what a user's iterable gives into a call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable
from typing import Protocol, TypeVar

__all__ = ["Sending", "as_async", "pump"]

M = TypeVar("M")
M_contra = TypeVar("M_contra", contravariant=True)


class Sending(Protocol[M_contra]):
    """The sending side of a call."""

    @property
    def over(self) -> bool:
        """Whether the call has ended."""
        ...

    async def send(self, message: M_contra) -> None:
        """Send a request, waiting while much is queued."""
        ...

    def end(self) -> None:
        """No request follows."""
        ...

    def fail(self, error: BaseException) -> None:
        """Give the call up; ``error`` comes out at who reads."""
        ...


async def pump(call: Sending[M], requests: AsyncIterable[M] | Iterable[M]) -> None:
    """Send every request and end. An error of the iterable cancels the call and becomes what its reader gets."""
    try:
        await _send_all(call, aiter(as_async(requests)))
        call.end()
    except asyncio.CancelledError:
        call.fail(asyncio.CancelledError())
        raise
    except Exception as error:
        call.fail(error)


async def _send_all(call: Sending[M], requests: AsyncIterator[M]) -> None:
    try:
        async for request in requests:
            if call.over:
                return
            await call.send(request)
    finally:
        close = getattr(requests, "aclose", None)
        if close is not None:
            await close()


def as_async(requests: AsyncIterable[M] | Iterable[M]) -> AsyncIterable[M]:
    """``requests`` as an async iterable."""
    if isinstance(requests, AsyncIterable):
        return requests
    return _each(requests)


async def _each(requests: Iterable[M]) -> AsyncIterator[M]:
    for request in requests:
        yield request
