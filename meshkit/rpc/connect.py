"""Unary calls of the Connect protocol (https://connectrpc.com/docs/protocol), which Triple's are too: plain HTTP with a
message of JSON or protobuf as its body, so that ``curl`` can call a service.

A call ends up in the very `Route` that a gRPC call of it would: interceptors, deadlines, metadata and draining are the
same. What differs is how it is written: errors are JSON with an HTTP status, trailing metadata are header fields whose
names begin with ``trailer-``, the deadline comes in milliseconds, and the body as a whole may be compressed.
"""

from __future__ import annotations

import binascii
import json
from base64 import b64decode, b64encode
from collections.abc import Callable
from dataclasses import replace
from typing import Any, cast
from urllib.parse import parse_qs

from meshkit.codec import DecodeError, compile_schema
from meshkit.codec.wellknown import STATUS
from meshkit.metadata import RawHeaders
from meshkit.net import CancelReason, HttpStream, ServerStream
from meshkit.status import Status
from meshkit.wire import InflateError, TooLarge, compress, inflate

from .dubbo import Variants
from .jsonform import json_codec
from .method import Idempotency, Method
from .server_call import Route

__all__ = ["ConnectHandler", "ConnectStream"]

_CODES: dict[Status, tuple[str, int]] = {
    Status.CANCELLED: ("canceled", 499),
    Status.UNKNOWN: ("unknown", 500),
    Status.INVALID_ARGUMENT: ("invalid_argument", 400),
    Status.DEADLINE_EXCEEDED: ("deadline_exceeded", 504),
    Status.NOT_FOUND: ("not_found", 404),
    Status.ALREADY_EXISTS: ("already_exists", 409),
    Status.PERMISSION_DENIED: ("permission_denied", 403),
    Status.RESOURCE_EXHAUSTED: ("resource_exhausted", 429),
    Status.FAILED_PRECONDITION: ("failed_precondition", 400),
    Status.ABORTED: ("aborted", 409),
    Status.OUT_OF_RANGE: ("out_of_range", 400),
    Status.UNIMPLEMENTED: ("unimplemented", 501),
    Status.INTERNAL: ("internal", 500),
    Status.UNAVAILABLE: ("unavailable", 503),
    Status.DATA_LOSS: ("data_loss", 500),
    Status.UNAUTHENTICATED: ("unauthenticated", 401),
}
_JSON, _PROTO = b"application/json", b"application/proto"
_KINDS = {_JSON: _JSON, _PROTO: _PROTO, b"json": _JSON, b"proto": _PROTO}
_TIMEOUTS = (b"connect-timeout-ms", b"triple-timeout-ms")
_DIGITS = 10
_OURS = frozenset(  # what the protocol, or HTTP, says to us and not to a handler
    (
        b"accept",
        b"accept-encoding",
        b"connect-protocol-version",
        b"content-encoding",
        b"content-length",
        b"expect",
        b"http2-settings",
        b"keep-alive",
        b"triple-protocol-version",
        b"upgrade",
        *_TIMEOUTS,
    )
)
_OF_BODIES = frozenset((b"content-encoding", b"date", b"trailer"))  # what metadata cannot say of an answer here


class _Refused(Exception):
    """A request that goes no further: its gRPC status and text, the HTTP status where that is another than the usual,
    and header fields. Without a gRPC status it is not one of this protocol at all, and is answered in plain text."""

    def __init__(self, status: Status | None, text: str, http: int = 0, *fields: tuple[bytes, bytes]) -> None:
        super().__init__(text)
        self.status = status
        self.text = text
        self.http = http
        self.fields = fields

    def answer(self, http: HttpStream) -> None:
        """Tell the client."""
        if self.status is None:
            kind = (b"content-type", b"text/plain; charset=utf-8")
            http.respond(self.http, (kind, *self.fields), f"{self.text}\n".encode())
            return
        code, usual = _CODES[self.status]
        http.respond(self.http or usual, ((b"content-type", _JSON), *self.fields), _error(code, self.text, None))


class ConnectStream:
    """A call as its `ServerCall` sees it: the part of `meshkit.net.ServerStream` that two messages need."""

    __slots__ = (
        "_gzip", "_http", "_initial", "_kept", "content_type", "deadline", "encoding", "fields", "headers_sent", "over",
        "path", "sink",
    )  # fmt: skip

    writable = True  # there is one message to write

    def __init__(self, http: HttpStream, path: str, content_type: bytes, accepted: bytes) -> None:
        self._http = http
        self._gzip = b"gzip" in [part.partition(b";")[0].strip() for part in accepted.split(b",")]
        self._initial: RawHeaders = ()
        self._kept: tuple[bytes, bool] | None = None
        self.path = path
        self.content_type = content_type
        self.fields: RawHeaders = tuple(field for field in http.fields if field[0] not in _OURS)
        self.deadline: float | None = None
        self.encoding: bytes | None = None
        self.sink: Any = None
        self.headers_sent = False
        self.over = False
        http.sink = self

    def __repr__(self) -> str:
        return f"ConnectStream({self.path}, {self.peer}{', over' if self.over else ''})"

    @property
    def peer(self) -> str:
        """The client's address."""
        return self._http.peer

    @property
    def peer_identity(self) -> str | None:
        """What the client's certificate says."""
        return self._http.peer_identity

    @property
    def connection(self) -> Any:
        """The connection that carries the call."""
        return self._http.connection

    @property
    def accept_encodings(self) -> tuple[bytes, ...]:
        """How the reply may be compressed."""
        return (b"gzip",) if self._gzip else ()

    # What the call says (as to meshkit.net.ServerStream).

    def send_headers(self, fields: RawHeaders = ()) -> None:
        """Initial metadata, which go out with the reply."""
        if not self.headers_sent:
            self.headers_sent = True
            self._initial = [field for field in fields if field[0] not in _OF_BODIES]

    def send(self, data: bytes, *, compress: bool = False) -> bool:
        """The one reply, which goes out with the status."""
        self._kept = (data, compress)
        return self.writable

    def reply(self, data: bytes, compress: bool = False, trailers: RawHeaders = ()) -> None:
        """The whole answer of a call that went well."""
        if self.over:
            return
        fields = [(b"content-type", self.content_type), *self._initial, *_trailing(trailers)]
        packed = _packed(data) if compress and self.encoding == b"gzip" else None
        if packed is not None:
            fields.append((b"content-encoding", b"gzip"))
        self.over = True
        self._http.respond(200, fields, data if packed is None else packed)

    def finish(self, status: int, message: str = "", trailers: RawHeaders = (), details: bytes | None = None) -> None:
        """The answer of a call that failed, or of one that went well and has sent its reply."""
        if self.over:
            return
        if status == 0 and self._kept is not None:
            data, packed = self._kept
            self.reply(data, compress=packed, trailers=trailers)
            return
        self.over = True
        code, http = _CODES[Status(status)]
        fields = ((b"content-type", _JSON), *self._initial, *_trailing(trailers))
        self._http.respond(http, fields, _error(code, message, details))

    def acknowledge(self, size: int) -> None:
        """Nothing: the request has come whole."""

    def release(self) -> None:
        """The handler has really ended."""
        self._http.release()

    # What the connection says (meshkit.net.HttpSink).

    def on_cancel(self, reason: CancelReason) -> None:
        self.over = True
        if self.sink is not None:
            self.sink.on_cancel(reason)

    def expect(self, seconds: float) -> None:
        """Cancel the call so long after its headers came."""
        self.deadline = self._http.began + seconds
        self._http.arm(self.deadline, self._expire)

    def _expire(self) -> None:
        sink = self.sink
        self.finish(Status.DEADLINE_EXCEEDED.value, "the deadline passed")
        if sink is not None:
            sink.on_cancel("deadline")


class ConnectHandler:
    """Where a server's plain HTTP requests come in. ``find`` gives what serves a path, ``unknown`` the words for a path
    that nothing serves; messages larger than ``limit`` bytes are refused."""

    def __init__(
        self, find: Callable[[str], Route | Variants | None], unknown: Callable[[str], str], limit: int
    ) -> None:
        self._find = find
        self._unknown = unknown
        self._limit = limit
        self._made: dict[tuple[str, bytes], Route | Variants] = {}

    def accept(self, http: HttpStream) -> None:
        """Start the call that a request makes, or say why it makes none."""
        try:
            self._start(http)
        except _Refused as refused:
            refused.answer(http)
            http.release()

    def _start(self, http: HttpStream) -> None:
        path, _, query = http.target.decode("ascii", "replace").partition("?")
        found = self._find(path)
        if found is None:
            raise _Refused(Status.UNIMPLEMENTED, self._unknown(path), 404)
        headers = {name: value.strip() for name, value in http.fields}
        body = http.body
        if http.method != b"POST":
            headers, body = _read_get(http.method, found.method, headers, query)
        kind = _kind(headers, found.method)
        seconds = _timeout(headers)
        stream = ConnectStream(http, path, kind, headers.get(b"accept-encoding", b""))
        data = self._unpacked(body, headers.get(b"content-encoding", b"identity"))
        route = self._route(found, kind)
        if seconds is not None:
            stream.expect(seconds)
        route.start(route, cast(ServerStream, stream))  # it has all of it that a call of two messages uses
        if not stream.over:
            stream.sink.on_unary(data)

    def _unpacked(self, body: bytes | None, encoding: bytes) -> bytes:
        if encoding not in (b"identity", b"gzip"):
            text = f"content-encoding {encoding.decode('ascii', 'replace')!r} is not one of identity, gzip"
            raise _Refused(Status.UNIMPLEMENTED, text, 0, (b"accept-encoding", b"gzip"))
        try:
            if body is None:
                raise TooLarge
            return inflate(body, encoding, self._limit) if body and encoding == b"gzip" else body
        except TooLarge:
            raise _Refused(Status.RESOURCE_EXHAUSTED, f"a message of more than {self._limit} bytes") from None
        except InflateError as error:
            raise _Refused(Status.INVALID_ARGUMENT, f"the body is {error}") from None

    def _route(self, found: Route | Variants, kind: bytes) -> Route | Variants:
        """``found`` as it is called with messages of this kind; made at the first such call."""
        key = (found.method.path, kind)
        if key not in self._made:
            change = _as_json if kind == _JSON else _as_proto
            self._made[key] = found.map(change) if isinstance(found, Variants) else change(found)
        return self._made[key]


def _as_proto(route: Route) -> Route:
    made = Route(route.method, route.handler, route.calls, route.observer)
    made.loop, made.undecodable = route.loop, Status.INVALID_ARGUMENT
    return made


def _as_json(route: Route) -> Route:
    method = route.method
    request, reply = json_codec(method.request), json_codec(method.reply)
    if request is None or reply is None:
        raise _Refused(Status.UNIMPLEMENTED, f"the messages of {method.path} have no JSON")
    made = _as_proto(route)
    made.method = replace(method, request_codec=request, reply_codec=reply)
    return made


def _kind(headers: dict[bytes, bytes], method: Method[Any, Any]) -> bytes:
    """What the messages of a call are written in."""
    given = headers.get(b"content-type", b"")
    kind, _, parameters = given.partition(b";")
    charset = parameters.strip().lower().removeprefix(b"charset=").strip(b'"')
    streams = method.client_streaming or method.server_streaming
    found = None if streams or charset not in (b"", b"utf-8") else _KINDS.get(kind.strip().lower())
    if found is not None:
        if headers.get(b"connect-protocol-version", b"1") != b"1":
            raise _Refused(Status.INVALID_ARGUMENT, "connect-protocol-version must be 1")
        return found
    takes = b"application/grpc" if streams else b"%b, %b" % (_JSON, _PROTO)
    text = f"{method.path} takes {takes.decode()}, not content-type {given.decode('ascii', 'replace')!r}"
    raise _Refused(None, text, 415, (b"accept-post", takes))


def _timeout(headers: dict[bytes, bytes]) -> float | None:
    given = next((headers[name] for name in _TIMEOUTS if name in headers), None)
    if given is None:
        return None
    if not given.isdigit() or len(given) > _DIGITS:
        said = given.decode("ascii", "replace")
        raise _Refused(Status.INVALID_ARGUMENT, f"timeout {said!r} is not milliseconds, of at most {_DIGITS} digits")
    return int(given) / 1000


def _read_get(
    verb: bytes, method: Method[Any, Any], headers: dict[bytes, bytes], query: str
) -> tuple[dict[bytes, bytes], bytes]:
    """The headers and the body that a request without body would have as a POST: calls without side effects."""
    gettable = method.idempotency is Idempotency.NO_SIDE_EFFECTS
    if verb != b"GET" or not gettable:
        allowed = b"GET, POST" if gettable else b"POST"
        text = f"{method.path} is called by {allowed.decode()}, not {verb.decode('ascii', 'replace')}"
        raise _Refused(None, text, 405, (b"allow", allowed))
    given = {name: values[0] for name, values in parse_qs(query, keep_blank_values=True).items()}
    read = {name: value for name, value in headers.items() if name not in (b"content-type", b"content-encoding")}
    read[b"content-type"] = given.get("encoding", "").encode()
    read[b"content-encoding"] = given.get("compression", "identity").encode()
    if given.get("connect", "v1") != "v1":
        raise _Refused(Status.INVALID_ARGUMENT, "the query's connect must be v1")
    text = given.get("message", "")
    if given.get("base64") != "1":
        return read, text.encode()
    try:
        return read, b64decode(text + "=" * (-len(text) % 4), altchars=b"-_", validate=True)
    except (binascii.Error, ValueError) as error:
        raise _Refused(Status.INVALID_ARGUMENT, f"the query's message is not base64: {error}") from None


def _trailing(trailers: RawHeaders) -> RawHeaders:
    return [(b"trailer-" + name, value) for name, value in trailers]


def _packed(data: bytes) -> bytes | None:
    return compress(data, b"gzip")


def _error(code: str, message: str, details: bytes | None) -> bytes:
    """The body of a failed call."""
    error: dict[str, Any] = {"code": code}
    if message:
        error["message"] = message
    if details and (shown := _shown(details)):
        error["details"] = shown
    return json.dumps(error, ensure_ascii=False).encode("utf-8", "replace") + b"\n"


def _shown(details: bytes) -> list[dict[str, str]]:
    try:
        packed = compile_schema(STATUS).decode(details).details
    except DecodeError:
        return []  # a handler may send any bytes as details
    return [
        {"type": detail.type_url.rpartition("/")[2], "value": b64encode(detail.value).decode().rstrip("=")}
        for detail in packed
    ]
