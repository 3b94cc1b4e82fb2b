"""One call at its server: the sink of its stream, the context of its handler, and the task that runs it."""

from __future__ import annotations

import asyncio
import secrets
import time
from collections.abc import AsyncIterator, Callable
from inspect import CORO_CREATED, getcoroutinestate
from types import CoroutineType
from typing import Any, Generic, cast

from grpclib.exceptions import GRPCError

from meshkit.codec import DecodeError
from meshkit.errors import Cancelled, Internal
from meshkit.net import CancelReason, ServerStream
from meshkit.observe.log import event_logger
from meshkit.status import Status

from .context import CURRENT, Context
from .details import encode_details
from .inbox import Inbox
from .method import Method, Req

__all__ = ["Observer", "RequestStream", "Route", "ServerCall"]

_LOG = event_logger("meshkit.rpc")
_LARGE = 64 << 10
# A lone request above this gives its room in the connection's budget back while its handler runs; a lone reply above it
# keeps its handler's place until it has left, so that a client which does not read is given no more of them.

Observer = Callable[[Method[Any, Any], Status, float], None]
"""Told of each call once it is over: the rpc, how it ended, and how many seconds it took. Must not raise."""


class Route:
    """One rpc of a server: what a call of it needs, made once.

    ``handler(request, context)`` gives an awaitable reply, or an async iterator of replies. ``undecodable`` is the
    status of a lone request that is no message.
    """

    __slots__ = ("calls", "handler", "loop", "method", "observer", "start", "undecodable")

    def __init__(
        self,
        method: Method[Any, Any],
        handler: Callable[[Any, Any], Any],
        calls: set[ServerCall],
        observer: Observer | None,
    ) -> None:
        self.method = method
        self.handler = handler
        self.calls = calls
        self.observer = observer
        self.loop: asyncio.AbstractEventLoop | None = None
        self.undecodable = Status.INTERNAL
        self.start: Callable[[Any, ServerStream], object] = StreamingCall if method.client_streaming else ServerCall

    def __repr__(self) -> str:
        return f"Route({self.method.path!r})"


def _kind(stream: ServerStream) -> str:
    """What messages are said to be written in, where that is not protobuf: other codecs look like broken ones."""
    kind = stream.content_type
    known = kind in (b"application/grpc", b"application/grpc+proto") or not kind.startswith(b"application/grpc")
    return "" if known else f" as protobuf, but is {kind.decode('ascii', 'replace')}"


def _encoded(method: Method[Any, Any], reply: Any) -> bytes:
    if type(reply) is not method.reply:
        method.check_reply(reply)
    return method.encode_reply(reply)


class ServerCall(Context):
    """A call with one request. Its task starts when the request is complete, and it is its own only owner: the server
    holds it in ``route.calls`` until the handler has really ended."""

    __slots__ = ("_drained", "_request", "_started", "_task", "route")

    def __init__(self, route: Route, stream: ServerStream) -> None:
        Context.__init__(self, route.method, stream)
        self.route = route
        self._request: Any = None
        self._task: asyncio.Task[None] | None = None
        self._drained: asyncio.Future[None] | None = None
        self._started = time.monotonic() if route.observer is not None else 0.0
        stream.sink = self

    # What the stream below tells (meshkit.net.ServerSink).

    def on_message(self, data: bytes, /) -> None:
        if self._request is not None:
            self._refuse(Status.UNIMPLEMENTED, f"{self.method.path} takes one request message, and more came")
        else:
            self._request = data

    def on_half_close(self) -> None:
        if self._task is not None or self.cancelled:
            return
        data = self._request
        if data is None:
            self._refuse(Status.UNIMPLEMENTED, f"{self.method.path} takes one request message, and none came")
            return
        if len(data) > _LARGE:
            self._stream.acknowledge(len(data))
        self.on_unary(data)

    def on_unary(self, data: bytes) -> None:
        try:
            request = self.method.decode_request(data)
        except DecodeError as error:
            what = f"the request of {self.method.path} does not decode{_kind(self._stream)}"
            self._refuse(self.route.undecodable, f"{what}: {error}")
            return
        self._run(request)

    def on_cancel(self, reason: CancelReason) -> None:
        if self.cancelled:
            return
        self.cancelled = True
        status = Status.DEADLINE_EXCEEDED if reason == "deadline" else Status.CANCELLED
        if self._task is None or _cancel(self._task, reason):
            self._close(status)

    def on_writable(self) -> None:
        drained = self._drained
        if drained is not None and not drained.done():
            drained.set_result(None)

    # The handler.

    def _run(self, request: Any) -> None:
        work = self._answer_many(request) if self.method.server_streaming else self._answer(request)
        self.route.calls.add(self)
        # Owned by `route.calls`, which a closing server empties; meshkit.tasks.Scope costs half as much as the call.
        self._task = asyncio.Task(work, loop=self.route.loop, name=self.method.path)

    async def _answer(self, request: Any) -> None:
        CURRENT.set(self)
        status = Status.OK
        try:
            reply = await self.route.handler(request, self)
            data = _encoded(self.method, reply)
            if self._initial or self.compression is not None:
                self.send_headers()
            if len(data) <= _LARGE:
                self._stream.reply(data, self.compression is not None, self._trailing)
            else:
                self._stream.send(data, compress=self.compression is not None)
                await self._drain()
                self._stream.finish(0, trailers=self._trailing)
        except BaseException as error:
            status = self._fail(error)
        finally:
            self._close(status)

    async def _answer_many(self, request: Any) -> None:
        CURRENT.set(self)
        status = Status.OK
        try:
            replies = self.route.handler(request, self)
            if not hasattr(replies, "__aiter__"):
                replies = await replies
            try:
                async for reply in replies:
                    if not self._put(reply):
                        await self._drain()
            finally:
                close = getattr(replies, "aclose", None)
                if close is not None:
                    await close()
            self.send_headers()
            self._stream.finish(0, trailers=self._trailing)
        except BaseException as error:
            status = self._fail(error)
        finally:
            self._close(status)

    async def send(self, reply: Any) -> None:
        """Send one reply of several, waiting while much is queued."""
        if not self._put(reply):
            await self._drain()

    def _put(self, reply: Any) -> bool:
        """Send one reply of several; false where that makes much be queued."""
        method = self.method
        if type(reply) is not method.reply:
            method.check_reply(reply)
        data = method.encode_reply(reply)
        if not self._headers_sent:
            self.send_headers()
        writable: bool = self._stream.send(data, compress=self.compression is not None)
        return writable

    async def _drain(self) -> None:
        while not self._stream.writable and not self.cancelled:
            self._drained = asyncio.get_running_loop().create_future()
            await self._drained

    def send_headers(self) -> None:
        """Send the initial metadata, if it is not sent yet, and settle on a compression."""
        if self._headers_sent:
            return
        if self.compression is not None:
            encoding = self.compression.encode()
            if encoding in self._stream.accept_encodings:
                self._stream.encoding = encoding
            else:
                self.compression = None
        Context.send_headers(self)

    # The end.

    def _fail(self, error: BaseException) -> Status:
        """Tell the caller of ``error`` and give the status of the call."""
        answer = _answer_in(error)
        if answer is not None and _is_sendable(answer):
            self._finish(answer.status, answer.message or "", _details_of(answer))
            return answer.status
        if isinstance(error, asyncio.CancelledError):
            return self._was_cancelled(error)
        if not isinstance(error, Exception):
            self._stream.finish(Status.UNAVAILABLE.value, "the server is going down")
            raise error
        return self._was_buggy(error)

    def _finish(self, status: Status, text: str, details: bytes | None = None) -> None:
        """End with an error, after the initial metadata if the handler has set some."""
        if self._initial:
            self.send_headers()
        self._stream.finish(status.value, text, self._trailing, details)

    def _was_cancelled(self, error: asyncio.CancelledError) -> Status:
        if self.cancelled:
            return Status.DEADLINE_EXCEEDED if error.args == ("deadline",) else Status.CANCELLED
        self._finish(Status.CANCELLED, "the handler was cancelled")
        return Status.CANCELLED

    def _was_buggy(self, error: Exception) -> Status:
        """What went wrong stays here: the caller gets a number to ask for."""
        incident = secrets.token_hex(4)
        _LOG.error("handler failed", method=self.method.path, peer=self.peer, incident=incident, exc_info=error)
        self._finish(Status.UNKNOWN, f"the handler failed, incident {incident}")
        return Status.UNKNOWN

    def _refuse(self, status: Status, text: str) -> None:
        """End a call that has no handler running."""
        self.cancelled = True
        self._stream.finish(status.value, text)
        self._close(status)

    def _close(self, status: Status) -> None:
        route = self.route
        route.calls.discard(self)
        self._task = None
        self._stream.release()
        if route.observer is not None:
            route.observer(self.method, status, time.monotonic() - self._started)

    def stop(self) -> asyncio.Task[None] | None:
        """The server closes for good: cancel the handler. Gives its task, to wait for."""
        task = self._task
        self.on_cancel("connection")
        return task


def _cancel(task: asyncio.Task[None], reason: str) -> bool:
    """Cancel a handler; true when it had not begun, so that nothing in it runs and its end is the call's to note."""
    work = task.get_coro()
    task.cancel(reason)
    return isinstance(work, CoroutineType) and getcoroutinestate(work) == CORO_CREATED


def _answer_in(error: BaseException) -> GRPCError | None:
    """The error meant for the caller: ``error``, or the first of a group of nothing else (calls in a `TaskGroup`)."""
    while isinstance(error, BaseExceptionGroup):
        group = cast("BaseExceptionGroup[BaseException]", error)
        if group.split(GRPCError)[1] is not None:
            return None
        error = group.exceptions[0]
    return error if isinstance(error, GRPCError) and error.status is not Status.OK else None


def _is_sendable(error: GRPCError) -> bool:
    """Whether it is what its class takes: ``Unavailable(exception)`` and ``GRPCError(14)`` are not, and are bugs."""
    status, message = cast("tuple[object, object]", (error.status, error.message))
    if isinstance(status, Status) and isinstance(message, str | None):
        return True
    error.add_note(f"It cannot be sent: its status must be a Status and its message text, not {status!r}, {message!r}.")
    return False


def _details_of(error: GRPCError) -> bytes | None:
    try:
        return encode_details(error)
    except (TypeError, ValueError) as failure:
        _LOG.error("details of an error cannot be sent", error=str(error), exc_info=failure)
        return None


class RequestStream(Generic[Req]):
    """The requests of a call, as its handler iterates over them."""

    __slots__ = ("_inbox", "_method", "_stream")

    def __init__(self, method: Method[Req, Any], stream: ServerStream, inbox: Inbox[bytes]) -> None:
        self._method = method
        self._stream = stream
        self._inbox = inbox

    def __aiter__(self) -> AsyncIterator[Req]:
        return self

    async def __anext__(self) -> Req:
        inbox = self._inbox
        queue = inbox.queue
        while not queue:
            if (more := inbox.more()) is None:
                raise StopAsyncIteration
            await more
        data = queue.popleft()
        self._stream.acknowledge(len(data))
        try:
            return self._method.decode_request(data)
        except DecodeError as error:
            raise Internal(f"a request of {self._method.path} does not decode{_kind(self._stream)}: {error}") from error


class StreamingCall(ServerCall):
    """A call with many requests. Its task starts at once."""

    __slots__ = ("_inbox",)

    def __init__(self, route: Route, stream: ServerStream) -> None:
        super().__init__(route, stream)
        self._inbox: Inbox[bytes] = Inbox()
        self._run(RequestStream(route.method, stream, self._inbox))

    def on_message(self, data: bytes, /) -> None:
        self._inbox.put(data)

    def on_half_close(self) -> None:
        self._inbox.end()

    def on_unary(self, data: bytes) -> None:
        self._inbox.put(data)
        self._inbox.end()

    def on_cancel(self, reason: CancelReason) -> None:
        self._inbox.end(Cancelled("the caller has gone"), discard=True)
        super().on_cancel(reason)
