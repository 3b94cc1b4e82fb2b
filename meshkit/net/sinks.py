"""What streams tell their owners: plain calls on the event loop, which must not raise and must not block."""

from __future__ import annotations

from typing import Literal, Protocol

from meshkit.metadata import RawHeaders

from .outcome import Outcome

__all__ = ["CancelReason", "ClientSink", "ServerSink"]

CancelReason = Literal["deadline", "reset", "connection"]
"""Why a call was cancelled at its server: its deadline passed, the client reset it, or the connection ended."""


class ClientSink(Protocol):
    """The owner of a `ClientStream`. `on_end` comes exactly once and last, unless the stream is cancelled."""

    def on_headers(self, fields: RawHeaders) -> None:
        """Initial metadata, at most once; not for a Trailers-Only response."""
        ...

    def on_message(self, data: bytes, /) -> None:
        """One message, whole and inflated. Give its size back through `ClientStream.acknowledge` once consumed."""
        ...

    def on_end(self, outcome: Outcome) -> None:
        """The call is over."""
        ...

    def on_unary(self, fields: RawHeaders, data: bytes, outcome: Outcome) -> None:
        """`on_headers`, `on_message` and `on_end` in one, where a whole response came in one piece. Nothing is to be
        acknowledged."""
        ...

    def on_deadline(self) -> None:
        """The deadline that `ClientConnection.open` was given has passed. The call still runs: it is for its owner to
        cancel it."""
        ...

    def on_writable(self) -> None:
        """`ClientStream.writable` was false and is true again."""
        ...


class ServerSink(Protocol):
    """The owner of a `ServerStream`, set by `accept`."""

    def on_message(self, data: bytes, /) -> None:
        """One request message, whole and inflated. Give its size back through `ServerStream.acknowledge`."""
        ...

    def on_half_close(self) -> None:
        """No request message follows."""
        ...

    def on_unary(self, data: bytes) -> None:
        """`on_message` and `on_half_close` in one, where a whole request came in one piece. Nothing is to be
        acknowledged."""
        ...

    def on_cancel(self, reason: CancelReason) -> None:
        """The call is over before its handler finished it: stop it. Nothing follows; sending does nothing."""
        ...

    def on_writable(self) -> None:
        """`ServerStream.writable` was false and is true again."""
        ...
