"""google.protobuf.Struct: JSON inside of protobuf."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from meshkit.codec import Field, Schema, compile_schema

__all__ = ["LIST", "STRUCT", "VALUE", "Json", "StructMessage", "decode_struct", "to_struct"]

Json = None | bool | int | float | str | Sequence["Json"] | Mapping[str, "Json"]
"""A JSON value."""


class ValueMessage(NamedTuple):
    """google.protobuf.Value: one of these is set."""

    null_value: int | None = None
    number_value: float | None = None
    string_value: str | None = None
    bool_value: bool | None = None
    struct_value: StructMessage | None = None
    list_value: ListMessage | None = None


class StructMessage(NamedTuple):
    """google.protobuf.Struct."""

    fields: Mapping[str, ValueMessage]

    def text(self, key: str) -> str:
        """The string under ``key``; "" where there is none, or something else."""
        value = self.fields.get(key)
        return value.string_value or "" if value is not None else ""


class ListMessage(NamedTuple):
    """google.protobuf.ListValue."""

    values: tuple[ValueMessage, ...]


def _value_schema() -> Schema:
    return VALUE


def _struct_schema() -> Schema:
    return STRUCT


def _list_schema() -> Schema:
    return LIST


STRUCT = Schema(
    "google.protobuf.Struct",
    (Field("fields", 1, "map", key="string", value="message", schema=_value_schema),),
    StructMessage,
)
LIST = Schema(
    "google.protobuf.ListValue", (Field("values", 1, "message", schema=_value_schema, repeated=True),), ListMessage
)
VALUE = Schema(
    "google.protobuf.Value",
    (
        Field("null_value", 1, "enum", oneof="kind"),
        Field("number_value", 2, "double", oneof="kind"),
        Field("string_value", 3, "string", oneof="kind"),
        Field("bool_value", 4, "bool", oneof="kind"),
        Field("struct_value", 5, "message", schema=_struct_schema, oneof="kind"),
        Field("list_value", 6, "message", schema=_list_schema, oneof="kind"),
    ),
    ValueMessage,
)


def to_struct(value: Mapping[str, Json]) -> StructMessage:
    """A JSON object as a Struct."""
    return StructMessage({key: _to_value(item) for key, item in value.items()})


def _to_value(value: Json) -> ValueMessage:
    if value is None:
        return ValueMessage(null_value=0)
    if isinstance(value, bool):
        return ValueMessage(bool_value=value)
    if isinstance(value, int | float):
        return ValueMessage(number_value=float(value))
    if isinstance(value, str):
        return ValueMessage(string_value=value)
    if isinstance(value, Mapping):
        return ValueMessage(struct_value=to_struct(value))
    return ValueMessage(list_value=ListMessage(tuple(_to_value(item) for item in value)))


def decode_struct(data: bytes) -> StructMessage:
    """The bytes of a Struct. Raises DecodeError."""
    message: StructMessage = compile_schema(STRUCT).decode(data)
    return message
