"""The attempts of a streaming call: one after another until the server has answered.

What was sent is kept (up to 256 KiB) until then, so that an attempt which the server surely never handled, or which a
retry policy wants to repeat, can be made again with the same messages (gRFC A6).
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Coroutine
from typing import TYPE_CHECKING, Any, cast

from meshkit.errors import RpcError
from meshkit.metadata import EMPTY, MetadataLike, RawHeaders
from meshkit.net import ClientConnection, ClientStream, Outcome, Timer, Timers
from meshkit.tasks import Scope
from meshkit.wire import HeadersTooLarge

from .inbox import Inbox
from .invocation import CANCELLED, Invocation, deadline_outcome, error_of, lenient_metadata
from .method import Method
from .options import CallOptions, Timeout
from .signal import Signal

if TYPE_CHECKING:
    from .caller import Caller
    from .exchange import Exchange

__all__ = ["MAX_REPLAY", "Attempts", "stream_attempt"]

MAX_REPLAY = 256 << 10
_RESOURCE_EXHAUSTED = 8


def final(outcome: Outcome) -> None:
    """The answer of an attempt's owner who wants no other attempt."""


class Attempts(Invocation):
    """A streaming call's life at its client: opening, attempts, deadline, end. Everything not awaited is immediate."""

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
        "_scope",
        "_stream",
        "_tasks",
        "_timer",
        "carried",
        "on_message",
        "peer",
    )

    def __init__(
        self,
        caller: Caller,
        method: Method[Any, Any],
        timeout: Timeout,
        metadata: MetadataLike | None,
        options: CallOptions | None,
    ) -> None:
        super().__init__(method, timeout, metadata, options)
        self.peer = ""
        """The server's address, once an attempt was made."""
        self.carried: Any = None
        """What the caller keeps between the attempts of this call."""
        self._caller = caller
        self._stream: ClientStream | None = None
        self._inbox: Inbox[bytes] = Inbox()
        self.on_message = self._inbox.put  # for every message, hence directly
        self._replay: list[bytes] | None = []
        self._ended_local = False
        self._headers: RawHeaders | None = None
        self._outcome: Outcome | None = None
        self._opening: asyncio.Future[None] | None = None
        self._changed = Signal()
        self._scope: Scope | None = None
        self._tasks: list[asyncio.Task[Any]] = []
        self._timer: Timer | None = None
        self._decide: Callable[[Outcome], float | None] = final

    def __repr__(self) -> str:
        state = "idle" if self._opening is None else "open"
        if self._outcome is not None:
            state = f"status {self._outcome.status}"
        return f"{type(self).__name__}({self.method.path!r}, {state}, attempts={self.attempts}, peer={self.peer!r})"

    @property
    def over(self) -> bool:
        """Whether the call has ended, one way or the other."""
        return self._outcome is not None

    @property
    def answered(self) -> bool:
        """Whether the server sent headers of its own, apart from a status."""
        return self._headers is not None

    async def open(self) -> None:
        """Start the call, or wait until it is started. Raises `RpcError` when no attempt can be made."""
        if self._opening is not None:
            while not self._opening.done():
                await self._changed.wait()
            return
        loop = asyncio.get_running_loop()
        self._opening = loop.create_future()
        if self.deadline is not None:
            self._arm(self.deadline, loop)
        try:
            await self._attempt(0.0)
        finally:
            self._opening.set_result(None)
            self._changed.notify()

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
                await self._caller.mesh_open(cast("Exchange[Any, Any]", self))
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
        try:
            stream = connection.open(
                self.method.path_bytes,
                self.wire_fields(time.monotonic()),
                self,
                authority=options.authority.encode() if options.authority else None,
                message=replay[0] if replay else None,
                end=whole,
                encoding=options.compression.encode() if options.compression else None,
                accept=options.accept_compression,
                max_receive=options.max_receive,
            )
        except HeadersTooLarge as error:
            outcome = Outcome(_RESOURCE_EXHAUSTED, str(error))
            decide(outcome)
            self._finish(outcome, error_of(outcome))
            return
        self.attempts += 1
        self.peer, self._decide, self._stream = connection.peer, decide, stream
        for data in replay[1:]:
            stream.send(data, compress=options.compression is not None)
        if self._ended_local and not whole:
            stream.end()
        self._changed.notify()

    def start_task(self, work: Coroutine[Any, Any, None], name: str) -> None:
        """Run ``work`` until the call is over."""
        if self._scope is None:
            self._scope = Scope(self.method.path)
        self._tasks.append(self._scope.start(work, name=name))

    def cancel(self) -> None:
        """Give the call up: the server is told, and replies that nobody has read are dropped.

        Does nothing once the call is over and read to its end.
        """
        self._abort(CANCELLED, error_of(CANCELLED))

    def fail(self, error: BaseException) -> None:
        """Give the call up, and let ``error`` come out at who reads."""
        self._abort(CANCELLED, error)

    def _expire(self) -> None:
        outcome = deadline_outcome(self.method)
        self._abort(outcome, error_of(outcome))

    def _abort(self, outcome: Outcome, error: BaseException) -> None:
        if self._outcome is not None:
            self._inbox.discard(error)
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
        self._changed.notify()
        if self._tasks:
            self._stop_tasks()

    def _stop_tasks(self) -> None:
        current = asyncio.current_task()
        for task in self._tasks:
            if task is not current:
                task.cancel()

    # What the stream below tells (meshkit.net.ClientSink).

    def on_headers(self, fields: RawHeaders) -> None:
        self._headers = fields
        self._replay = None
        self._changed.notify()

    def on_unary(self, fields: RawHeaders, data: bytes, outcome: Outcome) -> None:
        self.on_headers(fields)
        self.on_message(data)
        self.on_end(outcome)

    def on_end(self, outcome: Outcome) -> None:
        if outcome.status == CANCELLED.status:
            outcome = self.in_time(outcome)
        delay = self._decided(outcome)
        if delay is not None and outcome.status and self._replay is not None and self._headers is None:
            self._stream = None
            self._changed.notify()
            self.start_task(self._attempt(delay), "retry")
            return
        initial = lenient_metadata(self._headers) if self._headers else EMPTY
        self._finish(outcome, error_of(outcome, initial) if outcome.status else None)

    def on_deadline(self) -> None:
        self._expire()

    def on_writable(self) -> None:
        self._changed.notify()


def stream_attempt(
    connection: ClientConnection, call: Attempts, ended: Callable[[Outcome], float | None] = final
) -> None:
    """Start an attempt of a streaming ``call`` on ``connection``.

    ``ended`` is told once how the attempt ended, CANCELLED or DEADLINE_EXCEEDED made at this end included. Seconds as
    its answer ask for another attempt after that time (`Caller.mesh_open` is called again, what was sent is sent
    again); the answer is ignored once the server has answered or more was sent than is kept. Raises `ConnectionLost`.
    """
    call.begin(connection, ended)
