"""Messages as JSON (https://protobuf.dev/programming-guides/json/), by what their own library makes of it.

google.protobuf has `json_format`, betterproto2 our own `protojson`; unknown fields are ignored, as Connect's own
servers do. What is out of its type's range is refused by encoding it.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any, Generic, TypeVar, cast

from meshkit.codec import DecodeError, EncodeError

from .method import message_codec

__all__ = ["JsonCodec", "json_codec"]

M = TypeVar("M")


class JsonCodec(Generic[M]):
    """Bytes of JSON to messages of a class and back; stands where a codec of `meshkit.codec` would."""

    def __init__(self, kind: type[M], encode: Callable[[M], bytes], decode: Callable[[Any], M]) -> None:
        self.type = kind
        self.encode = encode
        self._decode = decode

    def __repr__(self) -> str:
        return f"JsonCodec({self.type.__name__})"

    def decode(self, data: bytes) -> M:
        """The message; DecodeError for what is none."""
        try:
            value: object = json.loads(data, parse_constant=_refuse) if data else {}
            if not isinstance(value, dict):
                raise ValueError(f"an object is expected, not {type(value).__name__}")
            return self._decode(cast(object, value))
        except (ValueError, TypeError, LookupError, AttributeError, ArithmeticError, RecursionError) as error:
            raise DecodeError(self.type.__name__, "", getattr(error, "pos", 0), f"not its JSON: {error}") from error


def json_codec(kind: type[Any]) -> JsonCodec[Any] | None:
    """The codec of a message class; None for what has no JSON form (``bytes``)."""
    if hasattr(kind, "DESCRIPTOR"):
        return _protobuf(kind)
    if hasattr(kind, "from_dict"):
        return _betterproto(kind)
    return _plain(kind) if is_dataclass(kind) else None


def _refuse(constant: str) -> float:
    raise ValueError(f'{constant} is written "{constant}"')


def _dump(value: Any) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode()


def _protobuf(kind: type[Any]) -> JsonCodec[Any]:
    from google.protobuf import json_format

    def encode(message: Any) -> bytes:
        try:
            return _dump(json_format.MessageToDict(message))
        except (json_format.Error, TypeError, ValueError) as error:
            raise EncodeError(kind.__name__, "", f"it has no JSON: {error}") from error

    def decode(value: Any) -> Any:
        try:
            return json_format.ParseDict(value, kind(), ignore_unknown_fields=True)
        except json_format.Error as error:
            raise ValueError(str(error)) from error

    return JsonCodec(kind, encode, decode)


def _betterproto(kind: type[Any]) -> JsonCodec[Any]:
    from .protojson import from_json, to_json

    check = message_codec(kind).encode

    def encode(message: Any) -> bytes:
        check(message)
        try:
            return _dump(to_json(message))
        except (ValueError, ArithmeticError) as error:
            raise EncodeError(kind.__name__, "", f"it has no JSON: {error}") from error

    def decode(value: Any) -> Any:
        message = from_json(kind, value)
        check(message)  # an EncodeError is a ValueError too
        return message

    return JsonCodec(kind, encode, decode)


def _plain(kind: type[Any]) -> JsonCodec[Any]:
    """Our own few messages: dataclasses of texts and enums."""
    defaults = {item.name: item.default for item in fields(kind)}

    def encode(message: Any) -> bytes:
        values = {name: getattr(message, name) for name in defaults}
        shown = {name: value.name if isinstance(value, Enum) else value for name, value in values.items()}
        return _dump({name: shown[name] for name, value in values.items() if value != defaults[name]})

    def decode(value: Any) -> Any:
        given = {name: value[name] for name in defaults if name in value}
        if wrong := [name for name, one in given.items() if not isinstance(one, str)]:
            raise ValueError(f"{wrong[0]} is not a text")
        return kind(**given)

    return JsonCodec(kind, encode, decode)
