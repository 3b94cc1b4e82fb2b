"""Message types made at run time, twice: as betterproto2 classes and as google.protobuf (upb) classes."""

from __future__ import annotations

import dataclasses
import itertools
import sys
import types
import warnings
from typing import Any

import betterproto2
from google.protobuf import (
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,  # noqa: F401  registers its file
    message_factory,
    timestamp_pb2,  # noqa: F401  registers its file
    wrappers_pb2,  # noqa: F401  registers its file
)

with warnings.catch_warnings():  # pydantic deprecates something that envoy_data_plane does at import
    warnings.simplefilter("ignore")
    from envoy_data_plane.google import protobuf as known

INTEGERS = ("int32", "int64", "uint32", "uint64", "sint32", "sint64", "fixed32", "fixed64", "sfixed32", "sfixed64")
SCALARS = (*INTEGERS, "bool", "float", "double", "string", "bytes", "enum")
KEYS = (*INTEGERS, "bool", "string")
WRAPPED = {
    "BoolValue": "bool",
    "Int32Value": "int",
    "Int64Value": "int",
    "UInt32Value": "int",
    "UInt64Value": "int",
    "FloatValue": "float",
    "DoubleValue": "float",
    "StringValue": "str",
    "BytesValue": "bytes",
    "Timestamp": "datetime.datetime",
    "Duration": "datetime.timedelta",
}
_PYTHON = {**dict.fromkeys(INTEGERS, "int"), "bool": "bool", "float": "float", "double": "float", "string": "str"}
_HINTS = {**_PYTHON, "bytes": "bytes", "enum": "Shade"}
_TYPE = descriptor_pb2.FieldDescriptorProto
_numbers = itertools.count()


@dataclasses.dataclass(frozen=True)
class FieldSpec:
    """``kind``: a scalar, ``M0`` (a message of the schema) or a name in `WRAPPED`.

    ``label``: "", optional, repeated, map or oneof.
    """

    number: int
    kind: str
    label: str = ""
    key: str = "string"

    @property
    def name(self) -> str:
        return f"f{self.number}"


class Shade(betterproto2.Enum):
    NONE = 0
    LIGHT = 1
    DARK = 2
    WRONG = -3


@dataclasses.dataclass
class Types:
    """The classes of one schema: ``mine[i]`` (betterproto2) and ``upb[i]`` are message ``M{i}``."""

    specs: tuple[tuple[FieldSpec, ...], ...]
    mine: list[Any]
    upb: list[Any]


def make_types(specs: tuple[tuple[FieldSpec, ...], ...]) -> Types:
    package = f"generated{next(_numbers)}"
    return Types(specs, _betterproto(package, specs), _protobuf(package, specs))


# -- betterproto2 ----------------------------------------------------------------------------------------------------


def _betterproto(package: str, specs: tuple[tuple[FieldSpec, ...], ...]) -> list[Any]:
    module = types.ModuleType(package)
    vars(module).update(Shade=Shade, datetime=__import__("datetime"))
    sys.modules[package] = module
    classes = []
    for index, spec in enumerate(specs):
        fields = [(field.name, _hint(field), _field(field)) for field in spec]
        cls = dataclasses.make_dataclass(f"M{index}", fields, bases=(betterproto2.Message,), eq=False, repr=False)
        cls.__module__ = package
        setattr(module, f"M{index}", cls)
        classes.append(cls)
    return classes


def _hint(field: FieldSpec) -> str:
    one = _HINTS.get(field.kind) or WRAPPED.get(field.kind) or field.kind
    if field.label == "repeated":
        return f"list[{one}]"
    if field.label == "map":
        return f"dict[{_HINTS[field.key]}, {one}]"
    is_message = field.kind not in SCALARS
    return f"{one} | None" if field.label or is_message else one


def _unwrap(kind: str) -> Any:
    return (lambda: getattr(known, kind)) if kind in WRAPPED else None


def _field(field: FieldSpec) -> Any:
    kind = field.kind if field.kind in SCALARS else "message"
    if field.label == "map":
        meta = betterproto2.map_meta(field.key, kind, unwrap_2=_unwrap(field.kind))
        return betterproto2.field(field.number, "map", map_meta=meta)
    return betterproto2.field(
        field.number,
        kind,
        default_factory=(lambda: Shade(0)) if kind == "enum" else None,
        repeated=field.label == "repeated",
        optional=field.label == "optional" or (kind == "message" and field.label == ""),
        group="choice" if field.label == "oneof" else None,
        unwrap=_unwrap(field.kind),
    )


# -- google.protobuf -------------------------------------------------------------------------------------------------


def _protobuf(package: str, specs: tuple[tuple[FieldSpec, ...], ...]) -> list[Any]:
    file = descriptor_pb2.FileDescriptorProto(name=f"{package}.proto", package=package, syntax="proto3")
    file.dependency.extend(f"google/protobuf/{name}.proto" for name in ("duration", "timestamp", "wrappers"))
    shade = file.enum_type.add(name="Shade")
    for member in Shade:
        shade.value.add(name=member.name, number=member.value)
    for index, spec in enumerate(specs):
        _message(package, file.message_type.add(name=f"M{index}"), spec)
    pool = descriptor_pool.Default()
    pool.Add(file)
    return [message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{package}.M{i}")) for i in range(len(specs))]


def _message(package: str, message: Any, spec: tuple[FieldSpec, ...]) -> None:
    if any(field.label == "oneof" for field in spec):
        message.oneof_decl.add(name="choice")
    for field in spec:
        made = message.field.add(name=field.name, number=field.number, label=_TYPE.LABEL_OPTIONAL)
        if field.label == "map":
            _entry(package, message, made, field)
            continue
        _type(package, made, field.kind)
        if field.label == "repeated":
            made.label = _TYPE.LABEL_REPEATED
        elif field.label == "oneof":
            made.oneof_index = 0
    for made, field in zip(message.field, spec, strict=True):  # synthetic oneofs come after the real one
        if field.label == "optional" and field.kind in SCALARS:
            made.proto3_optional = True
            made.oneof_index = len(message.oneof_decl)
            message.oneof_decl.add(name=f"_{field.name}")


def _type(package: str, made: Any, kind: str) -> None:
    if kind == "enum":
        made.type, made.type_name = _TYPE.TYPE_ENUM, f".{package}.Shade"
    elif kind in SCALARS:
        made.type = getattr(_TYPE, f"TYPE_{kind.upper()}")
    else:
        made.type = _TYPE.TYPE_MESSAGE
        made.type_name = f".google.protobuf.{kind}" if kind in WRAPPED else f".{package}.{kind}"


def _entry(package: str, message: Any, made: Any, field: FieldSpec) -> None:
    entry = message.nested_type.add(name=f"F{field.number}Entry")
    entry.options.map_entry = True
    _type(package, entry.field.add(name="key", number=1, label=_TYPE.LABEL_OPTIONAL), field.key)
    _type(package, entry.field.add(name="value", number=2, label=_TYPE.LABEL_OPTIONAL), field.kind)
    made.label, made.type = _TYPE.LABEL_REPEATED, _TYPE.TYPE_MESSAGE
    made.type_name = f".{package}.{message.name}.F{field.number}Entry"
