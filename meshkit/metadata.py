"""Metadata of a call: an ordered multimap of lower-case names to text, or to bytes for names that end in ``-bin``.

On the wire (grpc/doc/PROTOCOL-HTTP2.md, "Custom-Metadata"): binary values travel as base64, accepted with or without
padding and sent without; several values of one name may come joined with commas, which only binary ones are split at.
"""

from __future__ import annotations

import binascii
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from typing import cast

__all__ = ["EMPTY", "Metadata", "MetadataLike", "RawHeaders", "decode_metadata", "encode_metadata"]

MetadataLike = Mapping[str, str | bytes] | Iterable[tuple[str, str | bytes]]
"""What users may give: a mapping, or pairs where a name has several values."""

RawHeaders = Sequence[tuple[bytes, bytes]]
"""Header fields as the wire has them."""

_NAME = re.compile(r"[0-9a-z_.\-]+\Z")
_TEXT = re.compile(r"[ -~]*\Z")
_GRPC = ("te", "content-type", "user-agent", "host")
_HTTP = ("connection", "transfer-encoding", "content-length", "keep-alive", "proxy-connection", "upgrade")
_RESERVED = frozenset((*_GRPC, *_HTTP))  # HTTP tells the ends of bodies and connections by its own (RFC 9113 8.2.2)


class Metadata(Mapping[str, str | bytes]):
    """Immutable metadata: ``md["name"]`` is a name's first value, `getall` has all, `pairs` everything in order."""

    __slots__ = ("pairs",)

    def __init__(self, pairs: Sequence[tuple[str, str | bytes]] = ()) -> None:
        self.pairs = pairs

    @classmethod
    def of(cls, metadata: MetadataLike | None) -> Metadata:
        """What a user gave, as `Metadata` (itself if it is that), names in lower case."""
        if isinstance(metadata, Metadata):
            return metadata
        return cls([(name.lower(), value) for name, value in _pairs(metadata)]) if metadata else EMPTY

    def __repr__(self) -> str:
        return f"Metadata({list(self.pairs)!r})"

    def __add__(self, other: MetadataLike) -> Metadata:
        """This metadata followed by ``other``: ``call.metadata += {"user": "admin"}``."""
        return Metadata((*self.pairs, *Metadata.of(other).pairs))

    def __getitem__(self, name: str) -> str | bytes:
        for key, value in self.pairs:
            if key == name:
                return value
        raise KeyError(name)

    def __iter__(self) -> Iterator[str]:
        return iter(dict.fromkeys(key for key, _ in self.pairs))

    def __len__(self) -> int:
        return len(dict(self.pairs))

    def getall(self, name: str) -> list[str | bytes]:
        """Every value of ``name``, in the order received; empty where there is none."""
        return [value for key, value in self.pairs if key == name]


EMPTY = Metadata()


def encode_metadata(metadata: MetadataLike | None) -> tuple[tuple[bytes, bytes], ...]:
    """Metadata as header fields. Raises ValueError for a name or a value that gRPC does not allow, TypeError for a
    value of the wrong type (``str``, or ``bytes`` for a ``-bin`` name)."""
    if not metadata:
        return ()
    pairs = metadata.pairs if isinstance(metadata, Metadata) else _pairs(metadata)
    return tuple([_encode(name.lower(), value) for name, value in pairs])


def _pairs(metadata: MetadataLike) -> Iterable[tuple[str, str | bytes]]:
    if isinstance(metadata, Mapping):
        return cast("Mapping[str, str | bytes]", metadata).items()
    return metadata


def _encode(name: str, value: str | bytes) -> tuple[bytes, bytes]:
    if not _NAME.match(name):
        raise ValueError(f"metadata name {name!r}: only 0-9 a-z _ . - are allowed")
    if name in _RESERVED or name.startswith("grpc-"):
        raise ValueError(f"metadata name {name!r} is reserved by gRPC or HTTP")
    if name.endswith("-bin"):
        if not isinstance(value, bytes | bytearray | memoryview):
            raise TypeError(f"metadata {name!r} must be bytes, as its name ends in -bin, not {type(value).__name__}")
        return name.encode(), binascii.b2a_base64(value, newline=False).rstrip(b"=")
    if not isinstance(value, str):
        raise TypeError(f"metadata {name!r} must be str, not {type(value).__name__}; binary names end in -bin")
    if not _TEXT.match(value):
        raise ValueError(f"metadata {name!r} has a character outside 0x20-0x7E; send bytes under a name ending in -bin")
    return name.encode(), value.encode()


def decode_metadata(fields: RawHeaders) -> Metadata:
    """The custom metadata among header fields: no pseudo-headers, no ``grpc-*`` and no transport headers.

    Raises ValueError for a ``-bin`` value that is not base64.
    """
    pairs: list[tuple[str, str | bytes]] = []
    for raw_name, raw in fields:
        name = raw_name.decode("ascii", "replace")
        if name in _RESERVED or name[:1] == ":" or name.startswith("grpc-"):
            continue
        if name.endswith("-bin"):
            pairs.extend((name, _unbase64(name, part)) for part in raw.split(b","))
        else:
            pairs.append((name, raw.decode("utf-8", "replace")))
    return Metadata(pairs) if pairs else EMPTY


def _unbase64(name: str, text: bytes) -> bytes:
    stripped = text.strip().rstrip(b"=")
    try:
        return binascii.a2b_base64(stripped + b"=" * (-len(stripped) % 4), strict_mode=True)
    except binascii.Error as error:
        raise ValueError(f"metadata {name!r} is not base64: {error}") from None
