"""Plain HTTP requests over HTTP/2: what `Admission` does not take for gRPC, where the server answers such too."""

from __future__ import annotations

from typing import TYPE_CHECKING

from meshkit.metadata import RawHeaders
from meshkit.wire import Body, Stream

from .http import TOO_SLOW, HttpAccept, HttpStream, UnfinishedRequest
from .options import ServerOptions
from .timers import Timers

if TYPE_CHECKING:
    from .serving import ServerConnection

__all__ = ["Bodies"]

_PATIENCE = 1.0  # seconds that the rest of a request which is too large may take
_EXPECTED, _CONTINUE = (b"expect", b"100-continue"), ((b":status", b"100"),)  # RFC 9110 section 10.1.1


class Bodies:
    """The requests of one connection whose bodies are being gathered, and the answers to them."""

    __slots__ = ("_accept", "_gathering", "_link", "_options", "_size", "_streams", "timers")

    def __init__(self, link: ServerConnection, options: ServerOptions, accept: HttpAccept) -> None:
        self._link = link
        self._accept = accept
        self._options = options
        self._gathering: dict[int, UnfinishedRequest] = {}
        self._streams: dict[HttpStream, Stream] = {}
        self._size = 0
        self.timers: Timers = link.timers
        link.engine.bodies = True

    def __repr__(self) -> str:
        return f"Bodies(gathering={len(self._gathering)}, {self._size} bytes)"

    @property
    def peer(self) -> str:
        """The client's address."""
        return self._link.peer

    @property
    def peer_identity(self) -> str | None:
        """What the client's certificate says."""
        return self._link.peer_identity

    def begin(self, stream: Stream, fields: RawHeaders) -> None:
        """A request whose headers have come; the end of its body, or of itself, is told by `end`."""
        self._link.running += 1
        self._link.last_call = self._link.heard
        found = dict(fields)
        plain = [field for field in fields if field[0][:1] != b":"]
        plain.append((b"host", found.get(b":authority", b"")))
        http = HttpStream(self, found[b":method"], found[b":path"], plain, self._link.heard)
        stream.context = http
        self._streams[http] = stream
        gathering = UnfinishedRequest(http, self._options, lambda _: self._late(stream))
        self._gathering[stream.id] = gathering
        if _EXPECTED in fields and int(found.get(b"content-length", b"0")) <= gathering.limit:
            self._link.engine.send_headers(stream, _CONTINUE)

    def add(self, event: Body) -> None:
        """Bytes of a body. One that is too large, by itself or for its connection, is not kept; its sender may end it
        first, for a while: curl looks at no answer to a request that was cut short."""
        gathering = self._gathering.get(event.stream.id)
        if gathering is None or gathering.too_large:
            return
        self._size += len(event.data)
        most = max(self._options.limits.max_unfinished, gathering.limit)
        if not gathering.add(event.data, self._link.heard) or self._size > most:
            self._size -= gathering.give_up()
            gathering.stream.arm(self._link.heard + _PATIENCE, lambda: self._end_late(event.stream))

    def _end_late(self, stream: Stream) -> None:
        if self.end(stream):
            self._link.wake()

    def _late(self, stream: Stream) -> None:
        """A body that came too slowly: nobody sees the request."""
        gathering = self._gathering.pop(stream.id)
        self._size -= gathering.size
        gathering.stream.respond(*TOO_SLOW)
        gathering.stream.release()

    def end(self, stream: Stream) -> bool:
        """The request is whole; False where it is none of these."""
        gathering = self._gathering.pop(stream.id, None)
        if gathering is None:
            return False
        self._size -= gathering.size
        self._accept(gathering.whole())
        return True

    def drop(self, stream: Stream) -> None:
        """The stream was reset."""
        gathering = self._gathering.pop(stream.id, None)
        if gathering is not None:
            self._size -= gathering.size
            self.released()
        if isinstance(stream.context, HttpStream):
            self._streams.pop(stream.context, None)

    # -- what requests ask for (meshkit.net.http.Carrier)

    def answer(self, stream: HttpStream, status: int, fields: RawHeaders, body: bytes) -> None:
        """Write the whole answer."""
        below = self._streams.pop(stream)
        below.context = None
        engine = self._link.engine
        bare = not body or stream.method == b"HEAD"  # which is answered without one (RFC 9110 section 9.3.2)
        engine.send_headers(below, ((b":status", b"%d" % status), *fields), end=bare)
        if not bare:
            engine.send_data(below, body, end=True)
        self._link.wake()

    def released(self) -> None:
        """A handler has really ended."""
        self._link.running -= 1
