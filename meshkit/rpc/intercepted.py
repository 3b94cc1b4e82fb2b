"""A streaming call with interceptors around it: the same face as an `Exchange`, with the chain between.

Interceptors see requests as an async iterator, so what users `send` is handed over one by one to whoever iterates. The
chain runs in a task of the call, as an interceptor may want a request before it lets the call proceed.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Iterable, Sequence
from typing import TYPE_CHECKING, Any, Generic, cast

from meshkit.errors import Internal
from meshkit.metadata import EMPTY, Metadata, MetadataLike
from meshkit.tasks import Scope

from .exchange import Exchange
from .inbox import Inbox
from .interceptor import Call, Interceptor, chain
from .invocation import CANCELLED, error_of
from .method import Method, Rep, Req
from .options import CallOptions, Timeout
from .pump import as_async
from .signal import Signal

if TYPE_CHECKING:
    from .caller import Caller

__all__ = ["Intercepted"]

_MAX_WAITING = 8  # requests handed over and not taken yet, after which a sender waits


class Handover(Generic[Req]):
    """Requests on their way from a sender to the chain, which iterates over them."""

    __slots__ = ("_changed", "inbox")

    def __init__(self, changed: Signal) -> None:
        self._changed = changed
        self.inbox: Inbox[Req] = Inbox()

    def __aiter__(self) -> AsyncIterator[Req]:
        return self

    async def __anext__(self) -> Req:
        message = await self.inbox.get()
        if message is None:
            raise StopAsyncIteration
        self._changed.notify()
        return message


class Intercepted(Generic[Req, Rep]):
    """One streaming call that passes through interceptors."""

    __slots__ = (
        "_caller",
        "_chain",
        "_changed",
        "_error",
        "_exchanges",
        "_handover",
        "_options",
        "_result",
        "_running",
        "_scope",
        "_seen",
        "method",
        "over",
    )

    def __init__(
        self,
        caller: Caller,
        method: Method[Req, Rep],
        timeout: Timeout,
        metadata: MetadataLike | None,
        options: CallOptions | None,
        interceptors: Sequence[Interceptor],
    ) -> None:
        first: Exchange[Req, Rep] = Exchange(caller, method, timeout, metadata, options)
        self.method = method
        self.over = False
        self._caller = caller
        self._options = options
        self._chain = chain(interceptors, self._transport)
        changed = Signal()
        self._handover: Handover[Req] = Handover(changed)
        self._seen = Call(method, self._handover, metadata, first.deadline, None)
        self._exchanges: list[Exchange[Req, Rep]] = []
        self._running: asyncio.Task[None] | None = None
        self._scope = Scope(f"intercept {method.path}")
        self._changed = changed
        self._result: Any = None
        self._error: BaseException | None = None

    def __repr__(self) -> str:
        return f"Intercepted({self.method.path!r}, {self._exchanges!r})"

    @property
    def peer(self) -> str:
        """The server's address, once an attempt was made."""
        return self._exchanges[-1].peer if self._exchanges else ""

    @property
    def attempts(self) -> int:
        """How many attempts have been started."""
        return sum(exchange.attempts for exchange in self._exchanges)

    @property
    def answered(self) -> bool:
        """Whether the server sent headers of its own, apart from a status."""
        return bool(self._exchanges) and self._exchanges[-1].answered

    # The chain and what it runs around.

    async def open(self) -> None:
        """Start the interceptors; the call itself starts when they let it."""
        if self._running is None:
            self._running = self._scope.start(self._run())

    async def _run(self) -> None:
        try:
            result = await self._chain(self._seen)
        except asyncio.CancelledError:
            self._finish(error_of(CANCELLED))
            raise
        except Exception as error:
            self._finish(error)
        else:
            self._result = aiter(result) if self.method.server_streaming else result
            self._changed.notify()

    async def _transport(self, seen: Call) -> Any:
        exchange: Exchange[Req, Rep] = Exchange(self._caller, self.method, None, seen.metadata, self._options)
        if seen.deadline is not None:
            exchange.limit(seen.deadline)
        self._exchanges.append(exchange)
        if self.method.client_streaming:
            exchange.feed(seen.request)
        else:
            exchange.give(seen.request)
        await exchange.open()
        self._changed.notify()
        return _replies(exchange) if self.method.server_streaming else await exchange.only_reply()

    def _finish(self, error: BaseException | None) -> None:
        if self.over:
            return
        self.over = True
        self._error = error
        for exchange in self._exchanges:
            exchange.cancel()
        if self._running is not None and self._running is not asyncio.current_task():
            self._running.cancel()
        self._changed.notify()

    # What the user's objects do.

    def give(self, message: Any) -> None:
        """Before `open`: the one request of a call that does not stream requests."""
        self.method.check_request(message)
        self._seen.request = message

    def feed(self, requests: AsyncIterable[Req] | Iterable[Req]) -> None:
        """Before `open`: all requests."""
        self._seen.request = aiter(as_async(requests))

    async def send(self, message: Req) -> None:
        """Hand a request over, waiting while several are not taken. Raises the call's error if it ended badly."""
        self.method.check_request(message)
        if self._handover.inbox.ended:
            raise RuntimeError(f"send after end: the requests of {self.method.path} have been ended")
        self._handover.inbox.put(message)
        while len(self._handover.inbox) > _MAX_WAITING and not self.over:
            await self._changed.wait()
        if self._error is not None:
            raise self._error

    def end(self) -> None:
        """No request follows."""
        self._handover.inbox.end()

    async def recv(self) -> Rep | None:
        """The next reply; None at a good end. Raises the error of a bad one."""
        await self.open()
        while self._result is None and not self.over:
            await self._changed.wait()
        if self._error is not None:
            raise self._error
        if self.over:
            return None
        if not self.method.server_streaming:
            reply = cast(Rep, self._result)
            self._finish(None)
            return reply
        return await self._next()

    async def only_reply(self) -> Rep:
        """The reply of a call that streams requests only. Raises its error."""
        try:
            reply = await self.recv()
        finally:
            self.cancel()
        if reply is None:
            raise Internal(f"an interceptor of {self.method.path} answered no reply")
        return reply

    async def _next(self) -> Rep | None:
        try:
            reply: Rep = await anext(self._result)
        except StopAsyncIteration:
            self._finish(None)
            return None
        except Exception as error:
            self._finish(error)
            raise
        return reply

    def cancel(self) -> None:
        """Give the call up; the server is told. Does nothing once the call is over."""
        self._finish(error_of(CANCELLED))

    async def initial_metadata(self) -> Metadata:
        """What the server sent before its first reply."""
        await self.open()
        while not self._exchanges and not self.over:
            await self._changed.wait()
        return await self._exchanges[-1].initial_metadata() if self._exchanges else EMPTY

    def trailing_metadata(self) -> Metadata:
        """What the server sent with its status; empty until then."""
        return self._exchanges[-1].trailing_metadata() if self._exchanges else EMPTY


async def _replies(exchange: Exchange[Any, Rep]) -> AsyncIterator[Rep]:
    try:
        while (reply := await exchange.recv()) is not None:
            yield reply
    finally:
        exchange.cancel()
