"""A call with a streaming side, as callers see it: one attempt after another until one is committed.

What was sent is kept (up to 256 KiB) until the server answers, so that an attempt which the server surely never
handled, or which a retry policy wants to repeat, can be made again with the same messages (gRFC A6).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterable, Callable, Coroutine, Iterable
from typing import TYPE_CHECKING, Any, Generic

from meshkit.codec import DecodeError
from meshkit.errors import Internal, RpcError
from meshkit.metadata import EMPTY, Metadata, MetadataLike, RawHeaders
from meshkit.net import ClientConnection, ClientStream, Outcome, Timer, Timers
from meshkit.tasks import Scope

from .inbox import Inbox
from .invocation import CANCELLED, Invocation, deadline_outcome, error_of, lenient_metadata
from .method import Method, Rep, Req
from .options import CallOptions, Timeout
from .pump import pump

if TYPE_CHECKING:
    from .caller import Caller

__all__ = ["Exchange", "stream_attempt"]

_MAX_REPLAY = 256 << 10


def final(outcome: Outcome) -> None:
    """The answer of an attempt's owner who wants no other attempt."""


class Exchange(Invocation, Generic[Req, Rep]):
    """One streaming call at its client, below the objects that users hold. Everything not awaited is immediate."""

    __slots__ = (
        "_caller",
        "_changed",
        "_decide",
        "_ended_local",
        "_headers",
        "_inbox",
        "_opening",
        "_outcome",
        "_replay",
        "_replay_size",
        "_scope",
        "_stream",
        "_tasks",
        "_timer",
        "carried",
        "peer",
    )

    def __init__(
        self,
        caller: Caller,
        method: Method[Req, Rep],
        timeout: Timeout = None,
        metadata: MetadataLike | None = None,
        options: CallOptions | None = None,
    ) -> None:
        super().__init__(method, timeout, metadata, options)
        self.peer = ""
        self.carried: Any = None
        """What the caller keeps between the attempts of this call."""
        self._caller = caller
        self._stream: ClientStream | None = None
        self._inbox: Inbox[bytes, Rep] = Inbox(self._read)
        self._replay: list[bytes] | None = []
        self._replay_size = 0
        self._ended_local = False
        self._headers: RawHeaders | None = None
        self._outcome: Outcome | None = None
        self._opening: asyncio.Future[None] | None = None
        self._changed: list[asyncio.Future[None]] = []
        self._scope: Scope | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._timer: Timer | None = None
        self._decide: Callable[[Outcome], float | None] = final

    def __repr__(self) -> str:
        state = (
            "idle" if self._opening is None else "open" if self._outcome is None else f"status {self._outcome.status}"
        )
        return f"Exchange({self.method.path!r}, {state}, attempts={self.attempts}, peer={self.peer!r})"

    # The life of a call.

    async def open(self) -> None:
        """Start the call, or wait until it is started. Raises `RpcError` when no attempt can be made."""
        if self._opening is not None:
            while not self._opening.done():
                await self._change()
            return
        loop = asyncio.get_running_loop()
        self._opening = loop.create_future()
        if self.deadline is not None:
            self._arm(self.deadline, loop)
        try:
            await self._attempt(0.0)
        finally:
            self._opening.set_result(None)
            self._notify()

    def _arm(self, deadline: float, loop: asyncio.AbstractEventLoop) -> None:
        if deadline <= time.monotonic():
            self._expire()
        else:
            self._timer = Timers.of(loop).schedule(deadline, self._expire)

    async def _attempt(self, delay: float) -> None:
        try:
            if delay:
                await asyncio.sleep(delay)
            if self._outcome is None:
                await self._caller.mesh_open(self)
        except RpcError as error:
            self.fail(error)
        except BaseException:
            self.cancel()
            raise

    def begin(self, connection: ClientConnection, decide: Callable[[Outcome], float | None]) -> None:
        """Start an attempt on ``connection``; for `stream_attempt`."""
        if self._outcome is not None:
            decide(self._outcome)
            return
        replay = self._replay or []
        whole = self._ended_local and len(replay) <= 1  # headers, message and end in one go
        options = self.options
        stream = connection.open(
            self.method.path_bytes,
            self.wire_fields(time.monotonic()),
            self,
            authority=options.authority.encode() if options.authority else None,
            message=replay[0] if replay else None,
            end=whole,
            encoding=options.compression.encode() if options.compression else None,
            max_receive=options.max_receive,
        )
        self.attempts += 1
        self.peer, self._decide, self._stream = connection.peer, decide, stream
        for data in replay[1:]:
            stream.send(data, compress=options.compression is not None)
        if self._ended_local and not whole:
            stream.end()

    def _start_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        if self._scope is None:
            self._scope = Scope(self.method.path)
        self._tasks.append(self._scope.start(work, name=name))

    def cancel(self) -> None:
        """Give the call up; the server is told. Does nothing once the call is over."""
        self._abort(CANCELLED, error_of(CANCELLED))

    def fail(self, error: BaseException) -> None:
        """Give the call up, and let ``error`` come out at who reads."""
        self._abort(CANCELLED, error)

    def _expire(self) -> None:
        outcome = deadline_outcome(self.method)
        self._abort(outcome, error_of(outcome))

    def _abort(self, outcome: Outcome, error: BaseException) -> None:
        if self._outcome is not None:
            return
        stream = self._stream
        if stream is not None:
            stream.cancel()
            self._decided(outcome)
        self._finish(outcome, error, discard=True)

    def _decided(self, outcome: Outcome) -> float | None:
        decide, self._decide = self._decide, final
        return decide(outcome)

    def _finish(self, outcome: Outcome, error: BaseException | None, *, discard: bool = False) -> None:
        self._outcome = outcome
        self._stream = None
        self._replay = None
        if self._timer is not None:
            self._timer.cancel()
        self._inbox.end(error, discard=discard)
        self._notify()
        if self._tasks:
            self._stop_tasks()

    def _stop_tasks(self) -> None:
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    def _notify(self) -> None:
        waiting, self._changed = self._changed, []
        for future in waiting:
            if not future.done():
                future.set_result(None)

    async def _change(self) -> None:
        future = asyncio.get_running_loop().create_future()
        self._changed.append(future)
        await future

    # What the user's objects do.

    @property
    def over(self) -> bool:
        """Whether the call has ended, one way or the other."""
        return self._outcome is not None

    @property
    def answered(self) -> bool:
        """Whether the server sent headers of its own, apart from a status."""
        return self._headers is not None

    async def send(self, message: Req) -> None:
        """Send a request, waiting while much is queued. Raises the call's error if it ended badly."""
        method = self.method
        if type(message) is not method.request:
            method.check_request(message)
        if self._ended_local:
            raise RuntimeError(f"send after end: the requests of {method.path} have been ended")
        self._put(method.encode_request(message))
        stream = self._stream
        while stream is not None and not stream.writable:
            await self._change()
            stream = self._stream
        if self._outcome is not None and self._inbox.error is not None:
            raise self._inbox.error

    def _put(self, data: bytes) -> None:
        replay = self._replay
        if replay is not None:
            self._replay_size += len(data)
            replay.append(data)
        stream = self._stream
        if stream is not None:
            stream.send(data, compress=self.options.compression is not None)
            if self._replay_size > _MAX_REPLAY:
                self._replay = None

    def give(self, message: Req) -> None:
        """Before `open`: the one request of a call that does not stream requests."""
        self.method.check_request(message)
        self._replay = [self.method.encode_request(message)]
        self._ended_local = True

    def feed(self, requests: AsyncIterable[Req] | Iterable[Req]) -> None:
        """Send all of ``requests``, in a task of the call."""
        self._start_task(pump(self, requests), "requests")

    def end(self) -> None:
        """No request follows."""
        if not self._ended_local:
            self._ended_local = True
            if self._stream is not None:
                self._stream.end()

    async def recv(self) -> Rep | None:
        """The next reply; None at a good end. Raises the error of a bad one."""
        if self._opening is None:
            await self.open()
        return await self._inbox.get()

    async def only_reply(self) -> Rep:
        """The reply of a call that streams requests only, once its status is known. Raises its error."""
        try:
            reply = await self.recv()
            if reply is None:
                raise Internal(f"the server of {self.method.path} ended with OK and no reply")
            if await self.recv() is not None:
                raise Internal(f"the server of {self.method.path} sent more than one reply")
        finally:
            self.cancel()
        return reply

    async def initial_metadata(self) -> Metadata:
        """What the server sent before its first reply; empty if it sent none before the end."""
        await self.open()
        while self._headers is None and self._outcome is None:
            await self._change()
        return lenient_metadata(self._headers) if self._headers else EMPTY

    def trailing_metadata(self) -> Metadata:
        """What the server sent with its status; empty until then."""
        return EMPTY if self._outcome is None else lenient_metadata(self._outcome.trailers)

    def _read(self, data: bytes) -> Rep:
        if self._stream is not None:
            self._stream.acknowledge(len(data))
        try:
            reply: Rep = self.method.decode_reply(data)
        except DecodeError as error:
            failure = Internal(f"a reply of {self.method.path} does not decode: {error}")
            self.fail(failure)
            raise failure from error
        return reply

    # What the stream below tells (meshkit.net.ClientSink).

    def on_headers(self, fields: RawHeaders) -> None:
        self._headers = fields
        self._replay = None
        self._notify()

    def on_message(self, data: bytes) -> None:
        self._inbox.put(data)

    def on_end(self, outcome: Outcome) -> None:
        delay = self._decided(outcome)
        if delay is not None and outcome.status and self._replay is not None and self._headers is None:
            self._stream = None
            self._notify()
            self._start_task(self._attempt(delay), "retry")
            return
        initial = lenient_metadata(self._headers) if self._headers else EMPTY
        self._finish(outcome, error_of(outcome, initial) if outcome.status else None)

    def on_writable(self) -> None:
        self._notify()


def stream_attempt(
    connection: ClientConnection, call: Exchange[Any, Any], ended: Callable[[Outcome], float | None] = final
) -> None:
    """Start an attempt of a streaming ``call`` on ``connection``.

    ``ended`` is told once how the attempt ended, CANCELLED or DEADLINE_EXCEEDED made at this end included. Seconds as
    its answer ask for another attempt after that time (`Caller.mesh_open` is called again, what was sent is sent
    again); the answer is ignored once the server has answered or more was sent than is kept. Raises `ConnectionLost`.
    """
    call.begin(connection, ended)
