"""What users hold of a streaming call: async iterators that are context managers too.

A call starts when it is first used (``async with``, ``async for``, `recv`, `send`). Leaving ``async with`` cancels what
is not over, and so does letting go of the object.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterable, AsyncIterator, Coroutine, Generator, Iterable, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Self

from meshkit.metadata import Metadata, MetadataLike

from .exchange import Exchange
from .intercepted import Intercepted
from .interceptor import Interceptor
from .method import Method, Rep, Req
from .options import CallOptions, Timeout

if TYPE_CHECKING:
    from .caller import Caller

__all__ = ["BidiStream", "ClientStream", "ServerStream"]

Source = Exchange[Req, Rep] | Intercepted[Req, Rep]


class _Stream(Generic[Req, Rep]):
    """The common part: starting, receiving, metadata, letting go."""

    __slots__ = ("__weakref__", "_loop", "_source")

    def __init__(
        self,
        caller: Caller,
        method: Method[Req, Rep],
        timeout: Timeout,
        metadata: MetadataLike | None,
        options: CallOptions | None,
        interceptors: Sequence[Interceptor],
    ) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._source: Source[Req, Rep]
        if interceptors:
            self._source = Intercepted(caller, method, timeout, metadata, options, interceptors)
        else:
            self._source = Exchange(caller, method, timeout, metadata, options)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._source!r})"

    @property
    def method(self) -> Method[Req, Rep]:
        """The rpc."""
        return self._source.method

    @property
    def peer(self) -> str:
        """The server's address, once an attempt was made."""
        return self._source.peer

    @property
    def attempts(self) -> int:
        """How many attempts have been started."""
        return self._source.attempts

    async def initial_metadata(self) -> Metadata:
        """What the server sent before its first reply: waits for it; empty if the call ended without."""
        await self._start()
        return await self._source.initial_metadata()

    def trailing_metadata(self) -> Metadata:
        """What the server sent with its status; empty until then."""
        return self._source.trailing_metadata()

    def cancel(self) -> None:
        """Give the call up: the server is told, and who reads gets `meshkit.errors.Cancelled`."""
        self._source.cancel()

    async def _start(self) -> None:
        if self._loop is None:
            self._loop = asyncio.get_running_loop()
            self._feed()
        await self._source.open()

    def _feed(self) -> None:
        """Start sending what the user gave, if there is something."""

    async def __aenter__(self) -> Self:
        await self._start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._source.cancel()

    def __del__(self) -> None:
        # Letting go of a running call cancels it. Garbage may be collected in any thread, hence the detour.
        if self._loop is not None and not self._source.over and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._source.cancel)


class _Replies(_Stream[Req, Rep]):
    """The receiving side of a call with many replies."""

    __slots__ = ()

    def recv(self) -> Coroutine[Any, Any, Rep | None]:
        """The next reply; None when the server has ended the call with OK. Raises `RpcError` when it ends badly, or the
        error of the request iterator that was given. Being cancelled here loses no reply and leaves the call alive."""
        return self._start_and_recv() if self._loop is None else self._source.recv()

    async def _start_and_recv(self) -> Rep | None:
        await self._start()
        return await self._source.recv()

    def __aiter__(self) -> AsyncIterator[Rep]:
        return self

    async def __anext__(self) -> Rep:
        try:
            if self._loop is None:
                await self._start()
            reply = await self._source.recv()
        except asyncio.CancelledError:
            self._source.cancel()
            raise
        if reply is None:
            raise StopAsyncIteration
        return reply


class ServerStream(_Replies[Any, Rep]):
    """A call with one request and many replies: ``async for reply in call``.

    Raises TypeError when made with a request of the wrong class.
    """

    __slots__ = ()

    def __init__(
        self,
        caller: Caller,
        method: Method[Any, Rep],
        request: Any,
        timeout: Timeout = None,
        metadata: MetadataLike | None = None,
        options: CallOptions | None = None,
        interceptors: Sequence[Interceptor] = (),
    ) -> None:
        super().__init__(caller, method, timeout, metadata, options, interceptors)
        self._source.give(request)


class _Requests(_Stream[Req, Rep]):
    """The sending side of a call with many requests: an iterable given at the start, or `send` and `end`."""

    __slots__ = ("_given",)

    def __init__(
        self,
        caller: Caller,
        method: Method[Req, Rep],
        requests: AsyncIterable[Req] | Iterable[Req] | None = None,
        timeout: Timeout = None,
        metadata: MetadataLike | None = None,
        options: CallOptions | None = None,
        interceptors: Sequence[Interceptor] = (),
    ) -> None:
        super().__init__(caller, method, timeout, metadata, options, interceptors)
        self._given = requests
        if requests is not None and not hasattr(requests, "__aiter__") and not hasattr(requests, "__iter__"):
            raise TypeError(
                f"{method.path} takes an iterable or async iterable of requests, not {type(requests).__name__}"
            )

    def send(self, message: Req) -> Coroutine[Any, Any, None]:
        """Send a request, waiting while much is queued.

        TypeError for a message of a wrong class, RuntimeError after `end` or when the requests were given as an
        iterable; the call's error when it has ended badly. Once the server has ended it with OK, requests go nowhere.
        """
        if self._given is not None:
            raise RuntimeError(
                f"the requests of {self.method.path} were given as an iterable; send() cannot add to them"
            )
        return self._start_and_send(message) if self._loop is None else self._source.send(message)

    async def _start_and_send(self, message: Req) -> None:
        await self._start()
        await self._source.send(message)

    async def end(self) -> None:
        """No request follows. Replies may still come."""
        if self._loop is None:
            await self._start()
        self._source.end()

    def _feed(self) -> None:
        if self._given is not None:
            self._source.feed(self._given)


class ClientStream(_Requests[Req, Rep]):
    """A call with many requests and one reply.

    ``reply = await client.upload(requests)``; or ``async with client.upload() as call: await call.send(m); ...;
    reply = await call.finish()``. An error that the iterable raises cancels the call and comes out here.
    """

    __slots__ = ()

    def __await__(self) -> Generator[Any, None, Rep]:
        return self._reply().__await__()

    async def finish(self) -> Rep:
        """End the requests and wait for the reply. Raises `RpcError`."""
        if self._given is None:
            await self.end()
        return await self._reply()

    async def _reply(self) -> Rep:
        await self._start()
        return await self._source.only_reply()


class BidiStream(_Requests[Req, Rep], _Replies[Req, Rep]):
    """A call with many requests and many replies, in both directions at once.

    ``async with client.chat() as call: await call.send(m); reply = await call.recv()``, or with an iterable of
    requests: ``async for reply in client.chat(requests)``.
    """

    __slots__ = ()
