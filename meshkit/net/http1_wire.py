"""HTTP/1.1 without the socket, by h11: bytes to requests, answers to bytes."""

from __future__ import annotations

from collections.abc import Callable
from email.utils import formatdate
from http import HTTPStatus
from typing import TYPE_CHECKING, Protocol, cast

import h11

from meshkit.metadata import RawHeaders

from .http import TEXT, Carrier, HttpStream, UnfinishedRequest
from .options import ServerOptions

if TYPE_CHECKING:
    from h11 import Event, Request

__all__ = ["Http1Wire"]

_REASONS: dict[int, bytes] = {status.value: status.phrase.encode() for status in HTTPStatus}
_FIELD = 32  # what a header field counts beside its bytes, as in HTTP/2 (RFC 9113 section 10.5.1)
_FRAMING = frozenset(  # what an answer's bytes are told apart by: ours to say (RFC 9110 section 7.6.1)
    (
        b"connection",
        b"content-length",
        b"date",
        b"keep-alive",
        b"proxy-connection",
        b"te",
        b"trailer",
        b"transfer-encoding",
        b"upgrade",
    )
)


class Http1Carrier(Carrier, Protocol):
    """The connection, as its wire needs it."""

    now: Callable[[], float]

    def write(self, data: bytes) -> None:
        """Give bytes to the socket."""
        ...

    def late(self, unfinished: UnfinishedRequest) -> None:
        """A body that comes too slowly."""
        ...


class Http1Wire:
    """The protocol without the socket: bytes to requests, answers to bytes."""

    def __init__(self, options: ServerOptions) -> None:
        limits = options.limits
        self._options = options
        self._limits = limits
        self._http = h11.Connection(h11.SERVER, max_incomplete_event_size=limits.max_header_list_size)
        self.reading: UnfinishedRequest | None = None

    @property
    def in_head(self) -> int:
        """How many bytes of an unfinished request's head have come."""
        return len(self._http.trailing_data[0])

    @property
    def untouched(self) -> bool:
        """Whether nothing of a request has come, or been refused."""
        return self._http.their_state is h11.IDLE and not self.in_head

    @property
    def whole(self) -> bool:
        """Whether all of the present request was read."""
        return self._http.their_state in (h11.DONE, h11.MUST_CLOSE)

    def read(self, carrier: Http1Carrier, data: bytes = b"") -> HttpStream | None:
        """The next request that is whole, or too large. Raises `h11.RemoteProtocolError` for what is none."""
        if data:
            self._http.receive_data(data)
        while (event := self._http.next_event()) is not h11.NEED_DATA and event is not h11.PAUSED:
            ended = isinstance(event, h11.EndOfMessage)
            if isinstance(event, h11.Request):
                self._begin(carrier, event)
            elif not ended:
                self._add(bytes(cast("h11.Data", event).data), carrier.now())
            if (reading := self.reading) is not None and (ended or reading.too_large):
                self.reading = None
                return reading.whole()
        return None

    def _begin(self, carrier: Http1Carrier, request: Request) -> None:
        """A request's head has come. Bodies that announce to be too large are given up at once."""
        fields = _checked(request, self._limits.max_header_list_size)
        target, authority = _origin(request.target)
        if authority:  # which counts before the host field (RFC 9112 section 3.2.2)
            fields = [(b"host", authority), *(field for field in fields if field[0] != b"host")]
        stream = HttpStream(carrier, request.method, target, fields, carrier.now())
        self.reading = UnfinishedRequest(stream, self._options, carrier.late)
        if int(dict(fields).get(b"content-length", b"0")) > self._limits.max_receive_message:
            self.reading.give_up()
        elif self._http.they_are_waiting_for_100_continue:
            carrier.write(self._bytes(h11.InformationalResponse(status_code=100, headers=[])))

    def _add(self, data: bytes, now: float) -> None:
        if self.reading is not None and not self.reading.add(data, now):
            self.reading.give_up()

    def answer(self, status: int, fields: RawHeaders, body: bytes, *, last: bool, head_only: bool = False) -> bytes:
        """An answer as bytes; ``last``: the connection ends with it."""
        more = [(b"date", formatdate(usegmt=True).encode()), (b"content-length", b"%d" % len(body))]
        if last:
            more.append((b"connection", b"close"))
        reason = _REASONS.get(status, b"")
        said = [(name, value.strip()) for name, value in fields if name not in _FRAMING]  # h11 refuses blanks around
        events: list[Event] = [h11.Response(status_code=status, reason=reason, headers=[*said, *more])]
        if body and not head_only:
            events.append(h11.Data(data=body))
        return self._bytes(*events, h11.EndOfMessage())

    def refusal(self, error: h11.RemoteProtocolError) -> bytes:
        """What is said about what is not HTTP; nothing where an answer is out already."""
        if self._http.our_state not in (h11.IDLE, h11.SEND_RESPONSE):
            return b""
        return self.answer(error.error_status_hint, (TEXT,), f"not a request: {error}\n".encode(), last=True)

    def again(self) -> bool:
        """Begin with the next request, if one may follow."""
        if self._http.our_state is not h11.DONE or self._http.their_state is not h11.DONE:
            return False
        self._http.start_next_cycle()
        return True

    def _bytes(self, *events: Event) -> bytes:
        return b"".join([self._http.send(event) or b"" for event in events])


def _checked(request: Request, most: int) -> list[tuple[bytes, bytes]]:
    """The header fields of a request, which has one length only: what a proxy before us takes for the end of it must be
    what we take for it (RFC 9112 section 6.1)."""
    fields = [(name, value) for name, value in request.headers]
    if sum(len(name) + len(value) + _FIELD for name, value in fields) > most:
        raise h11.RemoteProtocolError("its headers are too large", error_status_hint=431)
    if any(name == b"transfer-encoding" for name, _ in fields):
        if request.http_version < b"1.1":
            raise h11.RemoteProtocolError("HTTP/1.0 has no transfer-encoding")
        if any(name == b"content-length" for name, _ in fields):
            raise h11.RemoteProtocolError("both content-length and transfer-encoding")
    return fields


def _origin(target: bytes) -> tuple[bytes, bytes]:
    """Path and query of a request's target, and the authority where that is a whole URL, as proxies are told it."""
    scheme, found, rest = target.partition(b"://")
    if not found or scheme.lower() not in (b"http", b"https"):
        return target, b""
    authority = rest.partition(b"/")[0].partition(b"?")[0]
    path = rest[len(authority) :]
    return (path if path[:1] == b"/" else b"/" + path), authority
