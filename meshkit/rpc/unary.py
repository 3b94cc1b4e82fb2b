"""A call with one request and one reply: no task of its own, one future, and the object itself is the stream's sink."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Coroutine, Generator, Sequence
from types import TracebackType
from typing import TYPE_CHECKING, Any, Generic, Protocol

from meshkit.codec import DecodeError
from meshkit.errors import Internal, Unimplemented
from meshkit.metadata import EMPTY, Metadata, MetadataLike, RawHeaders
from meshkit.net import ClientConnection, ClientStream, Outcome
from meshkit.wire import HeadersTooLarge

from .interceptor import Call, Interceptor, chain
from .invocation import CANCELLED, Invocation, deadline_outcome, error_of, lenient_metadata
from .method import Method, Rep
from .options import DEFAULT, CallOptions, Timeout

if TYPE_CHECKING:
    from .caller import Caller

__all__ = ["Load", "UnaryCall"]

_RESOURCE_EXHAUSTED = 8
_UNIMPLEMENTED = 12  # also the word for a wrong number of replies (grpc/doc/statuscodes.md)


class Load(Protocol):
    """Where attempts are counted while they run."""

    in_flight: int


class _Uncounted:
    """Stands for a `Load` that nobody reads."""

    in_flight = 0


_UNCOUNTED = _Uncounted()


class UnaryCall(Invocation, Coroutine[Any, Any, Rep], Generic[Rep]):
    """A call with one request and one reply; it runs when awaited, or as a task, and only once.

    Raises TypeError when made with a request of the wrong class. Awaiting it gives the reply or raises an `RpcError`.
    """

    __slots__ = (
        "_coroutine",
        "_future",
        "_given_up",
        "_headers",
        "_load",
        "_message",
        "_outcome",
        "_request",
        "_stream",
        "peer",
    )

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
        if type(request) is not method.request:
            method.check_request(request)
        Invocation.__init__(self, method, timeout, metadata, options)
        self.peer = ""
        """The server's address, once an attempt was made."""
        self._load: Load = _UNCOUNTED
        self._future: asyncio.Future[Outcome] | None = None
        self._stream: ClientStream | None = None
        self._headers: RawHeaders = ()
        self._message: bytes | None = None
        self._outcome: Outcome | None = None
        self._given_up: Outcome | None = None
        if interceptors:
            self._request = b""
            self._coroutine: Coroutine[Any, Any, Rep] = _intercepted(self, caller, request, metadata, interceptors)
        else:
            self._request = method.encode_request(request)
            self._coroutine = caller.mesh_unary(self)

    def __repr__(self) -> str:
        return f"UnaryCall({self.method.path!r}, attempts={self.attempts}, peer={self.peer!r})"

    def __await__(self) -> Generator[Any, None, Rep]:
        return self._coroutine.__await__()

    def send(self, value: Any, /) -> Any:
        """Part of being a coroutine."""
        return self._coroutine.send(value)

    def throw(self, kind: Any, value: Any = None, trace: TracebackType | None = None, /) -> Any:
        """Part of being a coroutine."""
        return self._coroutine.throw(kind) if value is None else self._coroutine.throw(kind, value, trace)

    def close(self) -> None:
        """Part of being a coroutine: give up a call that was not awaited."""
        self._coroutine.close()

    def cancel(self) -> None:
        """Give the call up: the server is told, and who awaits gets `meshkit.errors.Cancelled`."""
        self._give_up(CANCELLED)

    def initial_metadata(self) -> Metadata:
        """What the server sent before its reply; empty until then."""
        return lenient_metadata(self._headers) if self._headers else EMPTY

    def trailing_metadata(self) -> Metadata:
        """What the server sent with its status; empty until then."""
        return EMPTY if self._outcome is None else lenient_metadata(self._outcome.trailers)

    def reply(self, outcome: Outcome) -> Rep:
        """The reply of the attempt that ended with ``outcome``, or its error raised."""
        if outcome.status:
            raise error_of(outcome, self.initial_metadata())
        if self._message is None:
            raise Unimplemented(f"the server of {self.method.path} ended with OK and no reply")
        try:
            reply: Rep = self.method.decode_reply(self._message)
        except DecodeError as error:
            raise Internal(f"the reply of {self.method.path} does not decode: {error}") from error
        return reply

    # What the stream below tells (meshkit.net.ClientSink).

    def on_headers(self, fields: RawHeaders) -> None:
        self._headers = fields

    def on_message(self, data: bytes) -> None:
        if self._message is not None:
            self._give_up(Outcome(_UNIMPLEMENTED, f"the server of {self.method.path} sent more than one reply"))
        self._message = data

    def on_unary(self, fields: RawHeaders, data: bytes, outcome: Outcome) -> None:
        self._headers = fields
        self._message = data
        future = self._future
        if outcome.status or future is None or future.done():
            self.on_end(outcome)
            return
        self._outcome = outcome
        self._load.in_flight -= 1
        self._stream = self._future = None
        future.set_result(outcome)

    def on_end(self, outcome: Outcome) -> None:
        if outcome.status == CANCELLED.status:
            outcome = self.in_time(outcome)
        self._outcome = outcome
        future = self._future
        if future is not None:
            self._over()
            if not future.done():
                future.set_result(outcome)

    def on_writable(self) -> None:
        pass

    def on_deadline(self) -> None:
        self._give_up(deadline_outcome(self.method))

    def _give_up(self, outcome: Outcome) -> None:
        if self._given_up is None:
            self._given_up = outcome
            if self._stream is not None:
                self._stream.cancel()
                self.on_end(outcome)

    def prepare(self, seen: Call) -> None:
        """Take over what interceptors made of the call; it may be prepared and sent again."""
        self.method.check_request(seen.request)
        self._request = self.method.encode_request(seen.request)
        self.adopt(seen.metadata, seen.deadline)

    async def attempt(self, connection: ClientConnection, load: Load = _UNCOUNTED) -> Outcome:
        """One try on ``connection``, counted in ``load``; `reply` makes a reply or an error of its outcome.

        The deadline is armed, and RST_STREAM CANCEL sent if the awaiting task is cancelled. Raises `ConnectionLost`
        when the connection was closed already, and nothing else.
        """
        try:
            return await self.start(connection, load)
        except BaseException:
            self.abandon()
            raise

    def start(self, connection: ClientConnection, load: Load = _UNCOUNTED) -> asyncio.Future[Outcome]:
        """`attempt` without a coroutine of its own: whoever awaits the future must `abandon` the call if that ends with
        an exception."""
        future: asyncio.Future[Outcome] = asyncio.Future(loop=connection.loop)
        now = 0.0 if self.deadline is None else time.monotonic()
        ended = self._given_up if self.deadline is None or now < self.deadline else deadline_outcome(self.method)
        if ended is not None:
            future.set_result(ended)
            return future
        self._headers = ()
        self._message = None
        self.peer = connection.peer
        fields = self.wire_fields(now)
        try:
            if self.options is DEFAULT:
                stream = connection.open_unary(self.method.path_bytes, fields, self, self._request, self.deadline)
            else:
                stream = self._open(connection, fields)
        except HeadersTooLarge as error:
            future.set_result(Outcome(_RESOURCE_EXHAUSTED, str(error)))
            return future
        self._stream = stream
        self._future = future
        self.attempts += 1
        self._load = load
        load.in_flight += 1
        return future

    def abandon(self) -> None:
        """Nobody waits for the try any more: the awaiting task was cancelled, or the coroutine closed. The server must
        know. Does nothing where no try runs."""
        stream = self._stream
        if stream is not None:
            self._over()
            stream.cancel()

    def _over(self) -> None:
        self._load.in_flight -= 1
        self._stream = self._future = None  # the stream refers to its sink: leave no cycle behind

    def _open(self, connection: ClientConnection, fields: RawHeaders) -> ClientStream:
        options = self.options
        return connection.open(
            self.method.path_bytes,
            fields,
            self,
            authority=options.authority.encode() if options.authority else None,
            message=self._request,
            end=True,
            encoding=options.compression.encode() if options.compression else None,
            accept=options.accept_compression,
            max_receive=options.max_receive,
            deadline=self.deadline,
        )


async def _intercepted(
    call: UnaryCall[Rep],
    caller: Caller,
    request: Any,
    metadata: MetadataLike | None,
    interceptors: Sequence[Interceptor],
) -> Rep:
    async def last(seen: Call) -> Rep:
        call.prepare(seen)
        return await caller.mesh_unary(call)

    reply: Rep = await chain(interceptors, last)(Call(call.method, request, metadata, call.deadline, None))
    return reply
