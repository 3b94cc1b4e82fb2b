"""Message compression: identity, gzip, deflate (grpc/doc/compression.md). A fresh context for every message."""

from __future__ import annotations

import zlib
from collections.abc import Mapping
from typing import Final

__all__ = ["ENCODINGS", "InflateError", "TooLarge", "compress", "inflate"]

_WINDOW_BITS: Final[Mapping[bytes, int]] = {b"gzip": 31, b"deflate": 15}  # zlib's numbers for the two formats
ENCODINGS: Final = (b"identity", *_WINDOW_BITS)
_MEMBERS: Final = 16  # of a gzip message; each costs a copy of what follows
_SMALLEST: Final = 64  # below this compression costs more than it brings


class InflateError(Exception):
    """What came is not what its encoding says."""


class TooLarge(Exception):
    """The message would be larger than allowed; found out before it is."""


def compress(data: bytes, encoding: bytes) -> bytes | None:
    """``data`` compressed; None where that would not make it smaller, and for identity."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None or len(data) < _SMALLEST:
        return None
    deflater = zlib.compressobj(wbits=bits)
    packed = deflater.compress(data) + deflater.flush()
    return packed if len(packed) < len(data) else None


def inflate(data: bytes, encoding: bytes, limit: int) -> bytes:
    """``data`` inflated, never to more than ``limit`` bytes (TooLarge). Raises InflateError for what is not whole."""
    bits = _WINDOW_BITS.get(encoding)
    if bits is None:
        raise InflateError(f"a compressed message on a stream of encoding {encoding.decode('ascii', 'replace')}")
    text, rest = _member(data, encoding, bits, limit)
    members = _MEMBERS if encoding == b"gzip" else 0  # which may follow one another (RFC 1952 section 2.2)
    while rest and members:
        members -= 1
        more, rest = _member(rest, encoding, bits, limit - len(text))
        text += more
    if rest:
        raise InflateError(f"{len(rest)} bytes after the {encoding.decode()} data")
    return text


def _member(data: bytes, encoding: bytes, bits: int, limit: int) -> tuple[bytes, bytes]:
    """What one compressed piece inflates to, and what follows it."""
    inflater = zlib.decompressobj(wbits=bits)
    try:
        text = inflater.decompress(data, limit + 1)
    except zlib.error as error:
        raise InflateError(f"not {encoding.decode()}: {error}") from None
    if len(text) > limit:
        raise TooLarge
    if not inflater.eof:
        raise InflateError(f"{encoding.decode()} data ends early")
    return text, inflater.unused_data
