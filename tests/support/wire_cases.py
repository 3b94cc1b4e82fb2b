"""Random values for generated message types, and ways to damage their bytes; all from one `random.Random`."""

from __future__ import annotations

import math
import struct
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

from google.protobuf.message import Message

from meshkit.codec import Field, Schema

from .message_types import SCALARS, WRAPPED, FieldSpec, Types

_EDGES: dict[str, tuple[Any, ...]] = {
    "int32": (0, 1, -1, 127, 128, 2**31 - 1, -(2**31)),
    "int64": (0, 1, -1, 300, 2**63 - 1, -(2**63)),
    "uint32": (0, 1, 127, 128, 2**32 - 1),
    "uint64": (0, 1, 16384, 2**64 - 1),
    "bool": (False, True),
    "float": (0.0, -0.0, 1.5, math.inf, -math.inf, math.nan, struct.unpack("<f", b"\xff\xff\x7f\x7f")[0]),
    "double": (0.0, -0.0, 0.1, math.inf, math.nan, 5e-324, 1.7976931348623157e308),
    "string": ("", "a", "naïve", "🐍" * 3, "x" * 127, "y" * 128, "\0"),
    "bytes": (b"", b"\0", b"\xff" * 130),
    "enum": (0, 1, 2, -3, 77, 2**31 - 1, -(2**31)),
}
_ALIASES = {
    "sint32": "int32",
    "sfixed32": "int32",
    "sint64": "int64",
    "sfixed64": "int64",
    "fixed32": "uint32",
    "fixed64": "uint64",
}
_WRAPPED_KINDS = {"Int32Value": "int32", "Int64Value": "int64", "UInt32Value": "uint32", "UInt64Value": "uint64"}
_VALUE_KINDS = {**_WRAPPED_KINDS, "BoolValue": "bool", "FloatValue": "float", "DoubleValue": "double"}
VALUE_KINDS = {**_VALUE_KINDS, "StringValue": "string", "BytesValue": "bytes"}


def scalar(random: Random, kind: str) -> Any:
    return random.choice(_EDGES[_ALIASES.get(kind, kind)])


def fill(random: Random, types: Types, index: int, depth: int = 3) -> Any:
    """A random upb message of type ``M{index}``; times are what Python's types can hold."""
    message = types.upb[index]()
    for field in types.specs[index]:
        if random.random() < 0.6:
            _set(random, types, message, field, depth)
    return message


def _set(random: Random, types: Types, message: Any, field: FieldSpec, depth: int) -> None:
    target = getattr(message, field.name)
    count = random.randrange(4)
    if field.kind in SCALARS:
        if field.label == "repeated":
            target.extend([scalar(random, field.kind) for _ in range(count)])
        elif field.label == "map":
            target.update({scalar(random, field.key): scalar(random, field.kind) for _ in range(count)})
        else:
            setattr(message, field.name, scalar(random, field.kind))
    elif field.label == "repeated":
        target.extend([_made(random, types, field, depth) for _ in range(count if depth else 0)])
    elif field.label == "map":
        for _ in range(count if depth else 0):
            target[scalar(random, field.key)].CopyFrom(_made(random, types, field, depth))
    elif depth:
        target.SetInParent()
        target.CopyFrom(_made(random, types, field, depth))


def _made(random: Random, types: Types, field: FieldSpec, depth: int) -> Any:
    if field.kind not in WRAPPED:
        return fill(random, types, int(field.kind[1:]), depth - 1)
    return known_value(random, field.kind)


def known_value(random: Random, kind: str) -> Any:
    from google.protobuf import duration_pb2, timestamp_pb2, wrappers_pb2

    if kind == "Timestamp":
        return timestamp_pb2.Timestamp(
            seconds=random.choice((0, 1, -1, 1_700_000_000, -62135596800, 253402300799)),
            nanos=random.choice((0, 1000, 999_999_000)),
        )
    if kind == "Duration":
        sign = random.choice((1, -1))
        return duration_pb2.Duration(
            seconds=sign * random.choice((0, 1, 315_576_000_000 // 4)),
            nanos=sign * random.choice((0, 1000, 500_000_000)),
        )
    return getattr(wrappers_pb2, kind)(value=scalar(random, VALUE_KINDS[kind]))


def damage(random: Random, data: bytes, other: bytes) -> bytes:
    """``data`` with something done to it that a peer, a bug or an attacker might do."""
    for _ in range(random.randrange(1, 4)):
        data = random.choice(_DAMAGES)(random, data, other)
    return data


def _cut(random: Random, data: bytes, other: bytes) -> bytes:
    return data[: random.randrange(len(data) + 1)]


def flip(random: Random, data: bytes, other: bytes) -> bytes:
    """One bit of ``data`` changed, which mostly leaves the lengths of messages alone: as valid as can be."""
    if not data:
        return data
    at = random.randrange(len(data))
    return data[:at] + bytes((data[at] ^ 1 << random.randrange(8),)) + data[at + 1 :]


def _insert(random: Random, data: bytes, other: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(_PIECES) + data[at:]


def _join(random: Random, data: bytes, other: bytes) -> bytes:
    return data + other


def _append(random: Random, data: bytes, other: bytes) -> bytes:
    return data + random.choice(_PIECES)


def _overwrite(random: Random, data: bytes, other: bytes) -> bytes:
    at = random.randrange(len(data) + 1)
    return data[:at] + random.choice(_PIECES) + data[at + 1 :]


_DAMAGES = (_cut, flip, _insert, _join, _join, _append, _overwrite)
_PIECES = (
    b"\x80",
    b"\xff",
    b"\x00",
    b"\x80\x00",
    b"\x88\x80\x00\x05",  # field 1 with a key of three bytes
    b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    b"\x08\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01",
    b"\x0a\x80\x00",
    b"\x0a\x81\x80\x80\x80\x00a",
    b"\x0a\xff\xff\xff\xff\x07",
    b"\x0a\xff\xff\xff\xff\x0f",
    b"\x0b\x08\x01\x0c",  # a group
    b"\x0b\x13\x14\x0c",
    b"\x0b\x14",
    b"\x0c",
    b"\x0e",
    b"\x0f",
    b"\x0d\x01\x02\x03\x04",
    b"\x09\x01\x02\x03\x04\x05\x06\x07\x08",
    b"\xf2\x7d\x01x",
    b"\xf8\xff\xff\xff\x0f\x01",
    b"\xf8\xff\xff\xff\x1f\x01",
    b"\x10\x01",
    b"\x12\x02\x08\x01",
    b"\x12\x00",
    b"\x1a\x02\x10\x01",
    b"\x1a\x06\x0a\x01a\x12\x01b",
    b"\x22\x04\x08\x01\x10\x02",
)


# -- what is meant to differ -----------------------------------------------------------------------------------------

_EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


def tables_of(types: Types) -> list[Schema]:
    """The same messages as tables of our own: unknown fields are not kept, repeated ones are tuples."""
    tables: list[Schema] = []
    for index, spec in enumerate(types.specs):
        tables.append(Schema(f"t.M{index}", tuple(_table_field(field, tables) for field in spec)))
    return tables


def _table_field(field: FieldSpec, tables: list[Schema]) -> Field:
    kind, value = field.kind, "string"
    if kind in WRAPPED:
        kind, value = {"Timestamp": "datetime", "Duration": "timedelta"}.get(kind, "wrapper"), VALUE_KINDS.get(kind, "")
    schema = None
    if kind.startswith("M"):
        kind, schema = "message", lambda: tables[int(field.kind[1:])]
    if field.label == "map":
        return Field(field.name, field.number, "map", key=field.key, value=kind, wraps=value, schema=schema)
    repeated, oneof = field.label == "repeated", "choice" if field.label == "oneof" else ""
    optional = field.label == "optional"
    return Field(
        field.name, field.number, kind, value=value, repeated=repeated, oneof=oneof, optional=optional, schema=schema
    )


def betterproto2_errs(message: Any) -> bool:
    """Whether ``message`` has what betterproto2 writes wrongly.

    That is -0.0 without presence, and Durations that are negative or so long that its floats round them.
    """
    if message.DESCRIPTOR.full_name == "google.protobuf.Duration":
        return message.seconds < 0 or message.nanos < 0 or message.seconds > 2**31
    return any(_errs(field, value) for field, value in message.ListFields())


def _errs(field: Any, value: Any) -> bool:
    if field.message_type is not None and field.message_type.GetOptions().map_entry:
        value = list(value.values()) if field.message_type.fields_by_name["value"].message_type else []
    elif not field.is_repeated:
        value = [value]
    if field.type in (field.TYPE_FLOAT, field.TYPE_DOUBLE):
        return any(number == 0 for number in value)
    return any(isinstance(item, Message) and betterproto2_errs(item) for item in value)


def normalized(message: Any) -> bytes:
    """The bytes of a upb message as our codec would see it; OverflowError where Python's types cannot hold it.

    Well-known types become Python values: unknown fields in them, and nanoseconds, are lost. A signalling NaN of 32
    bits becomes a quiet one on its way through a Python float.
    """
    _normalize(message)
    return message.SerializeToString(deterministic=True)


def _quieted(field: Any, message: Any, value: Any) -> None:
    if field.is_repeated:
        value[:] = [math.nan if number != number else number for number in value]
    elif value != value:
        setattr(message, field.name, math.nan)


def _normalize(message: Any) -> None:
    name = message.DESCRIPTOR.full_name
    if name.startswith("google.protobuf."):
        message.DiscardUnknownFields()
        _round(message)
    for field, value in message.ListFields():
        if field.message_type is None:
            if field.type == field.TYPE_FLOAT:
                _quieted(field, message, value)
        elif field.message_type.GetOptions().map_entry:
            _normalize_map(field.message_type.fields_by_name["value"], value)
        elif field.is_repeated:
            for item in value:
                _normalize(item)
        else:
            _normalize(value)


def _normalize_map(field: Any, items: Any) -> None:
    for key, value in list(items.items()):
        if field.message_type is not None:
            _normalize(value)
        elif value != value and field.type == field.TYPE_FLOAT:
            items[key] = math.nan


def _round(message: Any) -> None:
    name = message.DESCRIPTOR.name
    if name == "Timestamp":
        value = _EPOCH + timedelta(seconds=message.seconds, microseconds=message.nanos // 1000)
        seconds, micros = divmod((value - _EPOCH) // timedelta(microseconds=1), 10**6)
        message.seconds, message.nanos = seconds, micros * 1000
    elif name == "Duration":
        delta = timedelta(seconds=message.seconds, microseconds=message.nanos / 1e3)
        total = delta // timedelta(microseconds=1)
        seconds, micros = divmod(abs(total), 10**6)
        sign = 1 if total >= 0 else -1
        message.seconds, message.nanos = sign * seconds, sign * micros * 1000
