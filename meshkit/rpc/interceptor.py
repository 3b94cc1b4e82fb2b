"""One kind of interceptor for clients and servers, and for all four shapes of calls.

    async def timed(call: Call, proceed: Proceed) -> Any:
        start = time.perf_counter()
        try:
            return await proceed(call)
        finally:
            print(call.method.path, time.perf_counter() - start)

Request and reply are what handlers see: a message, or an async iterator of messages on a streaming side. Either may be
replaced, wrapped, or never asked for. The first interceptor in a list is the outermost.
"""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable, Sequence
from functools import partial
from typing import Any

from meshkit.metadata import Metadata, MetadataLike

from .context import Context
from .method import Method

__all__ = ["Call", "Interceptor", "Proceed", "chain"]


class Call:
    """A call as interceptors see it, the same at both ends.

    ``method``: the rpc.  ``request``: the message, or an async iterator of messages.  ``metadata``: the request's; at a
    client what is set here is sent.  ``deadline``: seconds of ``time.monotonic()`` or None; at a client it may be
    brought forward.  ``context``: the handler's `Context` at a server, None at a client.
    """

    __slots__ = ("_metadata", "context", "deadline", "method", "request")

    def __init__(
        self,
        method: Method[Any, Any],
        request: Any,
        metadata: MetadataLike | None,
        deadline: float | None,
        context: Context | None,
    ) -> None:
        self.method = method
        self.request = request
        self._metadata = Metadata.of(metadata)
        self.deadline = deadline
        self.context = context

    def __repr__(self) -> str:
        return f"Call({self.method.path!r}, at={'client' if self.context is None else 'server'})"

    @property
    def metadata(self) -> Metadata:
        """The request's metadata: ``call.metadata += {"user": "admin"}``."""
        return self._metadata

    @metadata.setter
    def metadata(self, metadata: MetadataLike) -> None:
        self._metadata = Metadata.of(metadata)

    def time_remaining(self) -> float | None:
        """Seconds until `deadline`, never below zero; None without a limit."""
        return None if self.deadline is None else max(0.0, self.deadline - time.monotonic())


Proceed = Callable[[Call], Awaitable[Any]]
"""The rest of the way; its result is the reply message, or an async iterator of replies where the rpc streams them."""

Interceptor = Callable[[Call, Proceed], Awaitable[Any]]
"""``async def intercept(call, proceed)``: see the module's text."""


def chain(interceptors: Sequence[Interceptor], last: Proceed) -> Proceed:
    """``interceptors`` around ``last``, the first one outermost."""
    proceed = last
    for interceptor in reversed(interceptors):
        proceed = partial(_step, interceptor, proceed)
    return proceed


def _step(interceptor: Interceptor, proceed: Proceed, call: Call) -> Awaitable[Any]:
    return interceptor(call, proceed)
