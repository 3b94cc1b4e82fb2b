"""ProtoJSON (https://protobuf.dev/programming-guides/json/) of betterproto2 messages, by the tables of their codecs.

betterproto2's own ``to_dict`` and ``from_dict`` differ from the standard in too many points: base64 for URLs is cut to
pieces without a word, numbers lose their fractions, negative durations fail. Every kind of value has one row in
`_KINDS`, every well-known type one in `_KNOWN`. What is read is not checked for the range of its type: encode it.
"""

from __future__ import annotations

import dataclasses
import re
import sys
from base64 import b64encode
from collections.abc import Callable
from functools import cache
from math import copysign
from typing import Any, NamedTuple, cast

from betterproto2 import Casing

from meshkit.codec.betterproto import schema_of
from meshkit.codec.schema import Field, zero

from .jsonvalues import (
    EPOCH,
    expect,
    join_span,
    read_bytes,
    read_float,
    read_integer,
    read_span,
    read_time,
    split_span,
    split_time,
    write_float,
    write_span,
    write_time,
)

__all__ = ["from_json", "to_json"]

_NAME = 200  # characters of a field's name that are looked at
_LIKE_NUMBER = re.compile(r"-?[0-9]")  # no enum's member is called so

_SHORT = ("int32", "uint32", "sint32", "fixed32", "sfixed32")
_LONG = ("int64", "uint64", "sint64", "fixed64", "sfixed64")  # which JavaScript's numbers would not hold


def to_json(message: Any) -> Any:
    """The message as what `json.dumps` takes. ValueError for what has no JSON."""
    known = _known(_class(message))
    return known.write(message) if known is not None else _write_fields(message)


def from_json(kind: Any, value: object) -> Any:
    """The message of a class that parsed JSON means; unknown fields are left out. ValueError, with the field, for what
    it cannot mean."""
    known = _known(kind)
    return known.read(kind, value) if known is not None else _read_fields(kind, expect(dict, value))


def _class(message: Any) -> Any:
    return cast(Any, type(message))


# Fields.


class _Item(NamedTuple):
    """What one value is: a field's, an item's of a list, a value's of a map."""

    kind: str
    wrapped: str
    enum: Any
    build: Callable[[], Any]


class _Shape(NamedTuple):
    """How a class is read: fields by all their names, and who shares a oneof with others."""

    written: tuple[tuple[str, Field, _Item], ...]
    read: dict[str, tuple[Field, _Item]]
    groups: dict[str, str]


@cache
def _shape(kind: Any) -> _Shape:
    """Of a message class."""
    written = tuple((_camel(field.name), field, _item(field)) for field in schema_of(kind).fields)
    read = {name: (field, item) for camel, field, item in written for name in (field.name.rstrip("_"), camel)}
    groups = {item.name: item.metadata["betterproto"].group for item in dataclasses.fields(kind)}
    return _Shape(written, read, {name: group for name, group in groups.items() if group})


def _camel(name: str) -> str:
    """As protoc makes it: ``k8s_name`` -> ``k8sName``, where `Casing.CAMEL` would take each digit for a word's end."""
    return re.sub(r"_+(.?)", lambda found: found[1].upper(), name)


def _item(field: Field) -> _Item:
    kind, wrapped = (field.value, field.wraps) if field.kind == "map" else (field.kind, field.value)
    return _Item(kind, wrapped, field.enum, lambda: field.target.build)


def _write_fields(message: Any) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for name, field, item in _shape(_class(message)).written:
        value = getattr(message, field.name)
        if field.kind == "map":
            if value:
                shown[name] = {_write_key(key): _write(item, one) for key, one in value.items()}
        elif field.repeated:
            if value:
                shown[name] = [_write(item, one) for one in value]
        elif value is not None and (field.present or not _is_zero(field, value)):
            shown[name] = _write(item, value)
    return shown


def _is_zero(field: Field, value: Any) -> bool:
    """Whether ``value`` is the default; a negative zero is not."""
    return bool(value == zero(field.kind, field.enum)) and not (isinstance(value, float) and copysign(1.0, value) < 0)


def _read_fields(kind: Any, given: dict[str, Any]) -> Any:
    shape, values, chosen = _shape(kind), dict[str, Any](), dict[str, str]()
    for name, value in given.items():
        field, item = shape.read.get(name) or shape.read.get(Casing.SNAKE(name[:_NAME])) or (None, None)
        if field is None or item is None or (value is None and not _takes_null(field, item)):
            continue
        if (group := shape.groups.get(field.name)) and chosen.setdefault(group, name) != name:
            raise ValueError(f"{name}: {chosen[group]} is given already, of the same oneof")
        try:
            values[field.name] = _read_field(field, item, value)
        except ValueError as error:
            raise ValueError(f"{name}: {error}") from error
    return kind(**{name: value for name, value in values.items() if value is not _UNKNOWN})


def _takes_null(field: Field, item: _Item) -> bool:
    if field.repeated or field.kind == "map":
        return False
    return _is_known(item.build(), "Value") if item.kind == "message" else _is_null(item.enum)


def _read_field(field: Field, item: _Item, value: object) -> Any:
    if field.kind == "map":
        pairs = ((_read_key(field.key, key), _read(item, one)) for key, one in expect(dict, value).items())
        return {key: one for key, one in pairs if one is not _UNKNOWN}
    if field.repeated:
        return [one for one in (_read(item, each) for each in expect(list, value)) if one is not _UNKNOWN]
    return _read(item, value)


def _write_key(key: object) -> str:
    return ("false", "true")[key] if isinstance(key, bool) else str(key)


def _read_key(kind: str, key: str) -> Any:
    if kind == "bool":
        if key not in ("true", "false"):
            raise ValueError(f"{key!r} is neither true nor false")
        return key == "true"
    return key if kind == "string" else read_integer(key)


def _write(item: _Item, value: Any) -> Any:
    return _KINDS[item.kind][0](item, value)


def _read(item: _Item, value: object) -> Any:
    return _KINDS[item.kind][1](item, value)


# Values.


class _Unknown:
    """The type of `_UNKNOWN`: a name that an enum does not have, which is left out as unknown fields are."""


_UNKNOWN = _Unknown()


def _is_null(enum: Any) -> bool:
    return enum is not None and _is_known(enum, "NullValue")


def _write_enum(item: _Item, value: Any) -> Any:
    if _is_null(item.enum):
        return None
    member = item.enum(value)
    return (member.proto_name or member.name) if member.name else int(value)


def _read_enum(item: _Item, value: object) -> Any:
    if value is None and _is_null(item.enum):
        return item.enum(0)
    if isinstance(value, str):
        found = item.enum.betterproto_renamed_proto_names_to_value().get(value)
        named = item.enum.__members__.get(value) if found is None else item.enum(found)
        if named is not None or not _LIKE_NUMBER.match(value):
            return _UNKNOWN if named is None else named
    return item.enum(read_integer(value))


_Write = Callable[[_Item, Any], Any]
_Read = Callable[[_Item, object], Any]
_KINDS: dict[str, tuple[_Write, _Read]] = {
    **dict.fromkeys(_SHORT, (lambda _, value: int(value), lambda _, value: read_integer(value))),
    **dict.fromkeys(_LONG, (lambda _, value: str(int(value)), lambda _, value: read_integer(value))),
    "bool": (lambda _, value: bool(value), lambda _, value: expect(bool, value)),
    "float": (lambda _, value: write_float(value, True), lambda _, value: read_float(value)),
    "double": (lambda _, value: write_float(value, False), lambda _, value: read_float(value)),
    "string": (lambda _, value: value, lambda _, value: expect(str, value)),
    "bytes": (lambda _, value: b64encode(value).decode(), lambda _, value: read_bytes(value)),
    "enum": (_write_enum, _read_enum),
    "datetime": (
        lambda _, value: write_time(*split_time(value)),
        lambda _, value: EPOCH + join_span(*read_time(value)),
    ),
    "timedelta": (lambda _, value: write_span(*split_span(value)), lambda _, value: join_span(*read_span(value))),
    "wrapper": (
        lambda item, value: _KINDS[item.wrapped][0](item, value),
        lambda item, value: _KINDS[item.wrapped][1](item, value),
    ),
    "message": (lambda _, value: to_json(value), lambda item, value: from_json(item.build(), value)),
}

# Messages with a form of their own. They are of whoever compiled them: their package tells them, and their name.


class _Known(NamedTuple):
    write: Callable[[Any], Any]
    read: Callable[[Any, object], Any]


def _is_known(kind: Any, name: str) -> bool:
    return bool(kind.__name__ == name and kind.__module__.endswith("google.protobuf"))


@cache
def _known(kind: Any) -> _Known | None:
    return _KNOWN.get(kind.__name__) if _is_known(kind, kind.__name__) else None


def _field_type(kind: Any, name: str) -> Any:
    (item,) = (item for _, field, item in _shape(kind).written if field.name == name)
    return item.build()


def _write_value(value: Any) -> Any:
    for name, field, item in _shape(_class(value)).written:
        if (held := getattr(value, field.name)) is not None:
            shown = _write(item, held)
            if isinstance(shown, str) and name == "numberValue":
                raise ValueError(f"a Value has no {shown}")
            return shown
    raise ValueError("a Value has nothing in it")


def _read_value(kind: Any, value: object) -> Any:
    if value is None:
        return kind(null_value=_shape(kind).read["null_value"][1].enum(0))
    if isinstance(value, bool):
        return kind(bool_value=value)
    if isinstance(value, int | float):
        return kind(number_value=read_float(value))
    if isinstance(value, str):
        return kind(string_value=value)
    if isinstance(value, list):
        return kind(list_value=from_json(_field_type(kind, "list_value"), cast(object, value)))
    return kind(struct_value=from_json(_field_type(kind, "struct_value"), value))


def _read_struct(kind: Any, value: object) -> Any:
    one = _field_type(kind, "fields")
    return kind(fields={name: from_json(one, held) for name, held in expect(dict, value).items()})


def _read_list(kind: Any, value: object) -> Any:
    one = _field_type(kind, "values")
    return kind(values=[from_json(one, held) for held in expect(list, value)])


def _write_mask(mask: Any) -> str:
    for path in mask.paths:
        if re.sub(r"_([a-z])", "", path) != re.sub(r"[_A-Z]\w?", "", path):
            raise ValueError(f"a FieldMask's path {path!r} would not come back")
    return ",".join(re.sub(r"_([a-z])", lambda found: found[1].upper(), path) for path in mask.paths)


def _read_mask(kind: Any, value: object) -> Any:
    text = expect(str, value)
    if "_" in text:
        raise ValueError(f"a FieldMask's paths are in camelCase, not {text!r}")
    paths: list[str] = text.split(",") if text else []
    return kind(paths=[re.sub(r"[A-Z]", lambda found: "_" + found[0].lower(), path) for path in paths])


def _packed_type(kind: Any, url: str) -> Any:
    pool = getattr(sys.modules[kind.__module__], "default_message_pool", None)
    found = None if pool is None else pool.url_to_type.get(f"type.googleapis.com/{url.rpartition('/')[2]}")
    if found is None:
        raise ValueError(f"an Any of {url!r}, which is not known here")
    return found


def _write_any(packed: Any) -> dict[str, Any]:
    if not packed.type_url:
        return {}
    message = _packed_type(type(packed), packed.type_url).parse(packed.value)
    shown = to_json(message)
    return {"@type": packed.type_url, **({"value": shown} if _known(_class(message)) else shown)}


def _read_any(kind: Any, value: object) -> Any:
    given = dict(expect(dict, value))
    if not given:
        return kind()
    url = expect(str, given.pop("@type", None))
    packed = _packed_type(kind, url)
    message = from_json(packed, given.get("value") if _known(packed) else given)
    return kind(type_url=url, value=bytes(message))


def _pair(write: Callable[[int, int], str], read: Callable[[object], tuple[int, int]]) -> _Known:
    """Of seconds and nanoseconds."""

    def shown(held: Any) -> str:
        return write(held.seconds, held.nanos)

    def made(kind: Any, value: object) -> Any:
        return kind(*read(value))

    return _Known(shown, made)


def _write_wrapper(wrapper: Any) -> Any:
    return _write(_shape(_class(wrapper)).written[0][2], wrapper.value)


def _read_wrapper(kind: Any, value: object) -> Any:
    return kind(value=_read(_shape(kind).written[0][2], value))


def _write_list(held: Any) -> list[Any]:
    return [to_json(one) for one in held.values]


def _write_struct(held: Any) -> dict[str, Any]:
    return {name: to_json(one) for name, one in held.fields.items()}


_WRAPPER = _Known(_write_wrapper, _read_wrapper)
_KNOWN: dict[str, _Known] = {
    "Any": _Known(_write_any, _read_any),
    "Duration": _pair(write_span, read_span),
    "FieldMask": _Known(_write_mask, _read_mask),
    "ListValue": _Known(_write_list, _read_list),
    "Struct": _Known(_write_struct, _read_struct),
    "Timestamp": _pair(write_time, read_time),
    "Value": _Known(_write_value, _read_value),
    **dict.fromkeys(("BoolValue", "BytesValue", "StringValue", "FloatValue", "DoubleValue"), _WRAPPER),
    **dict.fromkeys(("Int32Value", "Int64Value", "UInt32Value", "UInt64Value"), _WRAPPER),
}
