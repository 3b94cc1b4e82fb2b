"""Replies that are HTTP but not gRPC: a proxy's error page, a JSON 404. What their bodies say is put into the error."""

from __future__ import annotations

from typing import Final, Protocol

from meshkit.metadata import RawHeaders
from meshkit.wire import Body, Connection, ErrorCode

from .client_stream import ClientStream
from .outcome import Outcome, from_http
from .timers import Timer, Timers

__all__ = ["HttpReplies"]

_PATIENCE: Final = 1.0  # seconds that a body may take; the status is known, so nothing longer is worth waiting for
_ENOUGH: Final = 1024  # bytes of a body


class _Owner(Protocol):
    """The connection, as these replies need it."""

    engine: Connection
    timers: Timers

    def wake(self) -> None: ...
    def end(self, call: ClientStream, outcome: Outcome) -> None: ...


class _Reply:
    """One of them, and the beginning of its body."""

    __slots__ = ("body", "fields", "timer")

    def __init__(self, fields: RawHeaders, timer: Timer) -> None:
        self.fields = fields
        self.timer = timer
        self.body = bytearray()


class HttpReplies:
    """The calls of one connection that were answered so and whose bodies are read, for a while."""

    __slots__ = ("_owner", "_replies")

    def __init__(self, owner: _Owner) -> None:
        self._owner = owner
        self._replies: dict[ClientStream, _Reply] = {}
        owner.engine.bodies = True

    def __repr__(self) -> str:
        return f"HttpReplies({len(self._replies)})"

    def begin(self, call: ClientStream, fields: RawHeaders) -> None:
        """A reply whose headers have come: ``call`` ends with it, when enough of its body has come or it takes long."""
        timers = self._owner.timers
        timer = timers.schedule(timers.now() + _PATIENCE, lambda: self._late(call))
        self._replies[call] = _Reply(fields, timer)

    def add(self, event: Body) -> None:
        """Bytes of a body."""
        call: ClientStream = event.stream.context
        reply = self._replies.get(call)
        if reply is not None:
            reply.body += event.data[: _ENOUGH - len(reply.body)]
            if len(reply.body) >= _ENOUGH:
                self.end(call)

    def end(self, call: ClientStream) -> bool:
        """``call`` is over with what there is of its reply; False where it has none of these."""
        reply = self._replies.pop(call, None)
        if reply is None:
            return False
        reply.timer.cancel()
        if not call.over:
            if call.stream is not None:
                self._owner.engine.reset(call.stream, ErrorCode.CANCEL)  # nothing, where the reply has ended
            self._owner.end(call, from_http(reply.fields, bytes(reply.body)))
        return True

    def end_all(self) -> None:
        """The connection is lost: its replies stand."""
        for call in tuple(self._replies):
            self.end(call)

    def _late(self, call: ClientStream) -> None:
        self.end(call)
        self._owner.wake()
