"""The rules of HTTP/2 header lists (RFC 9113 sections 8.2 and 8.3), and what of a list the engine itself needs.

Blocks that refer to HPACK's dynamic table are decoded each time, but what they say is mostly what the last one said:
`CheckedLists` knows a list again that was found good, on whatever connection of the process.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from meshkit.metadata import RawHeaders

from .grpc import is_grpc
from .hpack_table import OVERHEAD

__all__ = [
    "REQUESTS",
    "RESPONSES",
    "TRAILERS",
    "CheckedLists",
    "HeaderBlock",
    "check_request",
    "check_response",
    "check_trailers",
]

_NAME_OCTETS: Final = b"!#$%&'*+-.^_`|~0123456789abcdefghijklmnopqrstuvwxyz"  # section 8.2.1; no upper case
_CONNECTION_SPECIFIC: Final = frozenset(
    (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
)
_NOTABLE: Final = _CONNECTION_SPECIFIC | {b"te", b"content-type", b"grpc-encoding", b"content-length"}
_REQUEST_PSEUDO: Final = frozenset((b":method", b":scheme", b":path", b":authority"))
_RESPONSE_PSEUDO: Final = frozenset((b":status",))
_NO_PSEUDO: Final[frozenset[bytes]] = frozenset()
_NEEDED: Final = frozenset((b":method", b":scheme", b":path"))

_LISTS: Final = 128
_LONGEST: Final = 1024
_OURS: Final = frozenset(
    (
        b":authority",
        b":method",
        b":path",
        b":scheme",
        b":status",
        b"accept-encoding",
        b"content-type",
        b"grpc-accept-encoding",
        b"grpc-encoding",
        b"grpc-status",
        b"grpc-timeout",
        b"te",
        b"user-agent",
    )
)


@dataclass(slots=True)
class HeaderBlock:
    """A decoded block. ``malformed`` says which rule it breaks, if any; ``grpc``: its body is gRPC messages;
    ``encoding``: of messages; ``status``: of a response; ``length``: content-length, -1 where there is none;
    ``plain``: well formed, and nothing but messages follows, of a response that is no error of HTTP's."""

    fields: RawHeaders
    malformed: str = ""
    grpc: bool = False
    encoding: bytes = b"identity"
    status: bytes = b""
    length: int = -1
    plain: bool = False


def check_request(fields: RawHeaders) -> HeaderBlock:
    """A request's header list (section 8.3.1)."""
    block = HeaderBlock(fields)
    pseudo = _check(block, _REQUEST_PSEUDO)
    if not block.malformed and not pseudo.keys() >= _NEEDED:
        if pseudo.get(b":method") != b"CONNECT":
            missing = ", ".join([name.decode() for name in sorted(_NEEDED) if name not in pseudo])
            block.malformed = f"a request without {missing}"
        else:
            block.malformed = "CONNECT is not served here"
    if not block.malformed and not pseudo[b":path"]:
        block.malformed = "an empty :path"
    block.plain = block.grpc and block.length < 0 and not block.malformed
    return block


def check_response(fields: RawHeaders) -> HeaderBlock:
    """A response's header list (section 8.3.2)."""
    block = HeaderBlock(fields)
    block.status = _check(block, _RESPONSE_PSEUDO).get(b":status", b"")
    if not block.malformed and not (len(block.status) == 3 and block.status.isdigit()):
        block.malformed = f"a response with :status {block.status!r}"
    block.plain = block.grpc and block.length < 0 and block.status == b"200" and not block.malformed
    return block


def check_trailers(fields: RawHeaders) -> HeaderBlock:
    """A trailer section: no pseudo-headers (section 8.1)."""
    block = HeaderBlock(fields)
    _check(block, _NO_PSEUDO)
    return block


def _check(block: HeaderBlock, allowed: frozenset[bytes]) -> dict[bytes, bytes]:
    """Fill in ``block`` and give its pseudo-headers."""
    pseudo: dict[bytes, bytes] = {}
    regular: list[bytes] = []
    for name, value in block.fields:
        if name[:1] == b":":
            block.malformed = _pseudo_problem(name, bool(regular), pseudo, allowed)
            pseudo[name] = value
        else:
            regular.append(name)
            if name in _NOTABLE:
                block.malformed = _notable_problem(block, name, value)
            elif not name:
                block.malformed = "a header without a name"
        if block.malformed:
            return pseudo
    values = b"".join([value for _, value in block.fields])
    if b"".join(regular).translate(None, _NAME_OCTETS) or b"\n" in values or b"\r" in values or b"\0" in values:
        block.malformed = _character_problem(block, regular)
    return pseudo


def _character_problem(block: HeaderBlock, names: list[bytes]) -> str:
    """Which name or value it is that has a character it may not have."""
    for name in names:
        if name.translate(None, _NAME_OCTETS):
            return f"header name {_text(name)} has a character that is not allowed"
    found = [name for name, value in block.fields if re.search(rb"[\x00\r\n]", value)]
    return f"header {_text(found[0])} has a value with a control character"


def _pseudo_problem(name: bytes, regular: bool, seen: dict[bytes, bytes], allowed: frozenset[bytes]) -> str:
    if name not in allowed:
        return f"pseudo-header {_text(name)} does not belong here"
    if regular:
        return f"pseudo-header {_text(name)} after regular headers"
    return f"pseudo-header {_text(name)} twice" if name in seen else ""


def _notable_problem(block: HeaderBlock, name: bytes, value: bytes) -> str:
    if name in _CONNECTION_SPECIFIC or (name == b"te" and value != b"trailers"):
        return f"header {_text(name)} is specific to a connection"
    if name == b"content-type":
        block.grpc = is_grpc(value)
    elif name == b"grpc-encoding":
        block.encoding = value
    elif name == b"content-length":
        if not value.isdigit() or len(value) > 18 or block.length not in (-1, int(value)):
            return f"content-length {_text(value)}"
        block.length = int(value)
    return ""


def _text(raw: bytes) -> str:
    return repr(raw[:60].decode("latin-1"))


class CheckedLists:
    """``check``, and what it found of lists that came at least twice.

    Bounded in count and size. Only the protocol's own fields are kept beyond their connection: a list with anything of
    an application's, credentials above all, is checked each time. Lists that differ each time (deadlines do, with some
    clients) are not kept; a peer that fills this on purpose gains that the lists of others are checked again, which is
    what they would cost without it.
    """

    __slots__ = ("_check", "_seen", "known")

    def __init__(self, check: Callable[[RawHeaders], HeaderBlock]) -> None:
        self.known: dict[RawHeaders, HeaderBlock] = {}
        self._check = check
        self._seen: set[int] = set()

    def __call__(self, fields: RawHeaders) -> HeaderBlock:
        """What ``check`` says of ``fields``; as a rule the very same for equal ones: whoever goes by the identity of
        its ``fields`` need not repeat any work either."""
        return self.known.get(fields) or self._checked(fields)

    def _checked(self, fields: RawHeaders) -> HeaderBlock:
        block = self._check(fields)
        if not block.malformed and self._second_time(fields) and _is_ours(block):
            if len(self.known) >= _LISTS:
                self.known.clear()  # lists that differ each time push out those that repeat, which soon are back
            self.known[fields] = block
        return block

    def _second_time(self, fields: RawHeaders) -> bool:
        mark = hash(fields)
        if mark in self._seen:
            return True
        if len(self._seen) >= _LISTS:
            self._seen.clear()
        self._seen.add(mark)
        return False


def _is_ours(block: HeaderBlock) -> bool:
    """Whether a list is gRPC's, short, and has nothing of an application's."""
    if not block.plain and block.fields[:1] and block.fields[0][0][:1] == b":":
        return False
    size = 0
    for name, value in block.fields:
        if value and name not in _OURS:
            return False
        size += len(name) + len(value) + OVERHEAD
    return size <= _LONGEST


REQUESTS: Final = CheckedLists(check_request)
RESPONSES: Final = CheckedLists(check_response)
TRAILERS: Final = CheckedLists(check_trailers)
