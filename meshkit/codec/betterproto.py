"""Tables read from betterproto2 message classes (0.9 and 0.10, plain or pydantic dataclasses)."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from enum import Enum
from functools import cache
from typing import Any, Final, cast

import betterproto2

from .schema import Field, Schema

__all__ = ["schema_of"]

_Meta = betterproto2.FieldMetadata

# Classes that betterproto2 replaces by a Python value, by name (its compiler's WRAPPED_TYPES) -> kind, wrapped kind.
_UNWRAPPED: Final = {
    "BoolValue": ("wrapper", "bool"),
    "Int32Value": ("wrapper", "int32"),
    "Int64Value": ("wrapper", "int64"),
    "UInt32Value": ("wrapper", "uint32"),
    "UInt64Value": ("wrapper", "uint64"),
    "FloatValue": ("wrapper", "float"),
    "DoubleValue": ("wrapper", "double"),
    "StringValue": ("wrapper", "string"),
    "BytesValue": ("wrapper", "bytes"),
    "Timestamp": ("datetime", ""),
    "Duration": ("timedelta", ""),
}


@cache
def schema_of(cls: type[betterproto2.Message]) -> Schema:
    """The table of ``cls``: all its fields, lists for repeated ones, unknown fields where betterproto2 keeps them."""
    hints = cast(Any, cls)._type_hints()
    items = dataclasses.fields(cast(Any, cls))
    fields = tuple(_field(item.name, item.metadata["betterproto"], hints[item.name]) for item in items)
    return Schema(cls.__name__, fields, cls, sequence=list, unknown="_unknown_fields")


def _field(name: str, meta: _Meta, hint: Any) -> Field:
    if meta.map_meta is not None:
        return _map(name, meta.number, meta.map_meta, hint)
    kind, wrapped = _kind(meta)
    target = _argument(hint)
    return Field(
        name,
        meta.number,
        kind,
        repeated=bool(meta.repeated),
        optional=bool(meta.optional),
        oneof="" if meta.optional else meta.group or "",
        schema=_schema(kind, target),
        value=wrapped,
        enum=_enum(kind, target),
    )


def _map(name: str, number: int, metas: tuple[_Meta, _Meta], hint: Any) -> Field:
    key, value = metas
    kind, wrapped = _kind(value)
    target = hint.__args__[1]
    return Field(
        name,
        number,
        "map",
        key=key.proto_type,
        value=kind,
        wraps=wrapped,
        schema=_schema(kind, target),
        enum=_enum(kind, target),
    )


def _kind(meta: _Meta) -> tuple[str, str]:
    if meta.unwrap is None:
        return meta.proto_type, "string"
    return _UNWRAPPED[meta.unwrap().__name__]


def _argument(hint: Any) -> Any:
    """``T`` of ``T | None`` and of ``list[T]``."""
    arguments = getattr(hint, "__args__", None)
    return arguments[0] if arguments else hint


def _schema(kind: str, target: Any) -> Callable[[], Schema] | None:
    return (lambda: schema_of(target)) if kind == "message" else None


def _enum(kind: str, target: Any) -> type[Enum] | None:
    return target if kind == "enum" else None
