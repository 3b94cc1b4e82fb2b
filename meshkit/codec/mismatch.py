"""Which value of an object has a wrong type: asked only when writing it has failed, so it costs good values nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from enum import Enum
from typing import Any, Final

from .schema import ABSENT, Field, Schema

__all__ = ["mismatch", "one_by_one"]

_NUMBER: Final = (int, float)
# Kind -> the type to tell, and the types that it takes.
_TYPES: Final[dict[str, tuple[str, tuple[type, ...]]]] = {
    **dict.fromkeys(("int32", "int64", "uint32", "uint64", "sint32", "sint64"), ("int", (int,))),
    **dict.fromkeys(("fixed32", "fixed64", "sfixed32", "sfixed64"), ("int", (int,))),
    **dict.fromkeys(("float", "double", "duration", "timestamp"), ("float", _NUMBER)),
    **dict.fromkeys(("bytes", "raw"), ("bytes", (bytes, bytearray))),
    "bool": ("bool", _NUMBER),  # a number other than 0 and 1 is told by its value
    "enum": ("int", (int, Enum)),
    "string": ("str", (str,)),
    "timedelta": ("timedelta", (timedelta,)),
    "datetime": ("datetime", (datetime,)),
}
# What can be gone through, but not as the items of a repeated field.
_NO_ITEMS: Final = (str, bytes, bytearray, memoryview, dict)


def one_by_one(values: object) -> None:
    """Refuse what Python would take apart into characters, bytes or keys, each a valid item."""
    if not _is_many(values):
        raise TypeError("not a list")


def _is_many(values: object) -> bool:
    return hasattr(values, "__iter__") and not isinstance(values, _NO_ITEMS)


def mismatch(schema: Schema, name: str, message: object) -> tuple[str, str]:
    """The field and the reason ("expected str, got int") for ``message``, whose field ``name`` could not be written.

    The field is "" where ``message`` itself is of a wrong type; the reason is "" where no type is wrong.
    """
    if isinstance(schema.build, type) and schema.unknown and not isinstance(message, schema.build):
        return "", _words(schema.build.__name__, message)
    value = getattr(message, name, ABSENT) if name else None
    if value is ABSENT:
        return name, f"{type(message).__name__} has no such attribute"
    return name, next((_of_field(field, value) for field in schema.fields if field.name == name), "")


def _of_field(field: Field, value: Any) -> str:
    if field.kind == "map":
        return _of_map(field, value)
    if not field.repeated:
        return _of_value(field.kind, field, value)
    if not _is_many(value):
        return _words("list", value)
    return next(filter(None, (_of_value(field.kind, field, item) for item in value)), "")


def _of_map(field: Field, value: Any) -> str:
    if not hasattr(value, "items"):
        return _words("dict", value)
    found = (_of_value(field.key, field, key) or _of_value(field.value, field, item) for key, item in value.items())
    return next(filter(None, found), "")


def _of_value(kind: str, field: Field, value: object) -> str:
    # Messages and wrappers are not among the kinds: their own functions have looked at them.
    expected, types = _TYPES.get(kind, ("", (object,)))
    if isinstance(value, types):
        return ""
    return _words(field.enum.__name__ if kind == "enum" and field.enum else expected, value)


def _words(expected: str, value: object) -> str:
    return f"expected {expected}, got {type(value).__name__}"
