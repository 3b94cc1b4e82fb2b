"""The header fields of our requests (PROTOCOL-HTTP2.md, "Requests")."""

from __future__ import annotations

from meshkit.metadata import RawHeaders

__all__ = ["RequestFields"]

_Fields = tuple[tuple[bytes, bytes], ...]
_ACCEPT = (b"grpc-accept-encoding", b"identity,deflate,gzip")  # only where asked: dubbo-go compresses every answer then
_REMEMBERED = 256


class RequestFields:
    """Header fields for the calls of one connection. What calls have in common is made once: equal tuples are cheap
    for the engine, too."""

    __slots__ = ("_authority", "_known", "_scheme", "_user_agent")

    def __init__(self, authority: bytes, user_agent: bytes, *, secure: bool) -> None:
        self._authority = authority
        self._scheme = b"https" if secure else b"http"
        self._user_agent = user_agent
        self._known: dict[tuple[bytes, bytes | None, bytes | None, bool, RawHeaders], RawHeaders] = {}

    def __call__(
        self, path: bytes, authority: bytes | None, encoding: bytes | None, accept: bool, fields: RawHeaders
    ) -> RawHeaders:
        """All fields of a request, in gRPC's order: ``grpc-timeout``, first of ``fields``, after the pseudo-headers."""
        key = (path, authority, encoding, accept, fields)
        found = self._known.get(key)
        if found is None:
            found = self._make(*key)
            if len(self._known) >= _REMEMBERED:
                self._known.clear()  # fields that differ each time push out those that repeat, which soon are back
            self._known[key] = found
        return found

    def of_unary(self, path: bytes, fields: RawHeaders) -> RawHeaders:
        """The same for a call that chooses nothing else."""
        return self(path, None, None, False, fields)

    def _make(
        self, path: bytes, authority: bytes | None, encoding: bytes | None, accept: bool, fields: RawHeaders
    ) -> RawHeaders:
        pseudo = (
            (b":method", b"POST"),
            (b":scheme", self._scheme),
            (b":path", path),
            (b":authority", self._authority if authority is None else authority),
        )
        rest: _Fields = (
            (b"te", b"trailers"),
            (b"content-type", b"application/grpc"),
            (b"user-agent", self._user_agent),
        )
        if encoding is not None:
            rest += (_ACCEPT, (b"grpc-encoding", encoding))
        elif accept:
            rest += (_ACCEPT,)
        if fields and fields[0][0] == b"grpc-timeout":
            return (*pseudo, fields[0], *rest, *fields[1:])
        return (*pseudo, *rest, *fields)
