"""`codec_for`: one way to ask for the codec of a class, whatever the library behind it."""

from __future__ import annotations

import sys
from collections.abc import Callable
from functools import cache
from typing import Any, Protocol, TypeVar, cast

from .errors import DecodeError, EncodeError
from .program import function
from .table import TableCodec

__all__ = ["Codec", "codec_for", "register"]

M = TypeVar("M")


class Codec(Protocol[M]):
    """Bytes to messages of ``type`` and back.

    ``encode`` raises only `EncodeError`, ``decode`` only `DecodeError`. Both may be kept and called without the codec.
    """

    @property
    def type(self) -> type[M]: ...
    @property
    def encode(self) -> Callable[[M], bytes]: ...
    @property
    def decode(self) -> Callable[[bytes], M]: ...


class _BytesCodec:
    """Messages that stay bytes."""

    type = bytes

    @staticmethod
    def encode(message: bytes) -> bytes:
        if not isinstance(cast(object, message), bytes | bytearray | memoryview):
            raise EncodeError("bytes", "", f"expected bytes, got {type(message).__name__}")
        return bytes(message)

    decode = bytes


class _GeneratedCodec:
    """betterproto2 messages, by generated functions."""

    def __init__(self, cls: Any) -> None:
        from .betterproto import schema_of  # betterproto2 is imported already: its class is here

        self.type = cls
        self._schema_of = schema_of

    def __getattr__(self, name: str) -> Callable[[Any], Any]:
        """``encode`` and ``decode``: generated when first asked for, plain attributes from then on."""
        if name not in ("encode", "decode"):
            raise AttributeError(name)
        made = function(name, self._schema_of(self.type))
        setattr(self, name, made)
        return made


class _ProtobufCodec:
    """google.protobuf messages, by that library."""

    def __init__(self, cls: Any) -> None:
        from google.protobuf.message import DecodeError as Unreadable  # only where such a class exists already

        self.type = cls
        self.encode = _protobuf_encoder(cls)
        self.decode = _protobuf_decoder(cls, Unreadable)


def _protobuf_encoder(cls: Any) -> Callable[[Any], bytes]:
    serialize = cls.SerializeToString

    def encode(message: Any) -> bytes:
        if not isinstance(message, cls):
            raise EncodeError(cls.__name__, "", f"expected {cls.__name__}, got {type(message).__name__}")
        try:
            return cast(bytes, serialize(message))
        except (TypeError, ValueError) as error:
            raise EncodeError(cls.__name__, "", str(error)) from None

    return encode


def _protobuf_decoder(cls: Any, unreadable: type[Exception]) -> Callable[[bytes], Any]:
    parse = cls.FromString

    def decode(data: bytes) -> Any:
        try:
            return parse(data)
        except unreadable as error:
            raise DecodeError(cls.__name__, "", 0, str(error)) from None

    return decode


_REGISTERED: dict[Any, TableCodec] = {}


def register(codec: TableCodec) -> TableCodec:
    """Let `codec_for` find ``codec`` by the class that its table builds."""
    _REGISTERED[codec.type] = codec
    return codec


@cache
def codec_for(cls: type[M]) -> Codec[M]:
    """The codec of a betterproto2 or google.protobuf message class, of a class given to `register`, or of ``bytes``.

    TypeError for any other class.
    """
    return cast("Codec[M]", _find(cls))


def _is_betterproto(cls: Any) -> bool:
    """Asked without importing betterproto2, which costs time and memory, where nobody else has."""
    library = sys.modules.get("betterproto2")
    return library is not None and isinstance(cls, type) and issubclass(cls, library.Message)


def _find(cls: Any) -> Any:
    if cls is bytes:
        return _BytesCodec()
    if cls in _REGISTERED:
        return _REGISTERED[cls]
    if _is_betterproto(cls):
        return _GeneratedCodec(cls)
    if hasattr(cls, "DESCRIPTOR") and hasattr(cls, "FromString"):
        return _ProtobufCodec(cls)
    raise TypeError(f"no codec for {cls!r}: expected a betterproto2 message class, a google.protobuf one, or bytes")
