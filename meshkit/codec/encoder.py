"""The generator of encode functions: from a `Schema` to Python text that writes an object's bytes.

Fields are written in table order, defaults without presence are left out, numbers are packed: what betterproto2 writes.
A negative zero is not a default (https://protobuf.dev/programming-guides/proto3/#default).
"""

from __future__ import annotations

import math
import struct
from collections.abc import Callable
from enum import Enum

from .faults import ENCODE_FAULTS, encode_fault
from .frame import Frame
from .leaves import leaf_reader, leaf_schema
from .mismatch import one_by_one
from .packed import FORMATS, pack
from .schema import ABSENT, PACKABLE, WIRE_TYPES, Field, Schema
from .varint import WRITERS, head, varint

__all__ = ["write_encoder"]


def write_encoder(schema: Schema, link: Callable[[str, Schema], str]) -> Frame:
    """The function ``encode`` of ``schema``. TypeError for a table with fields that can only be read."""
    return _Encoder(schema, link).write()


class _Encoder:
    def __init__(self, schema: Schema, link: Callable[[str, Schema], str]) -> None:
        self.schema = schema
        self.link = link
        self.frame = Frame(schema, link)
        self.text = self.frame.text
        self.scope = self.frame.scope
        self.scope.update(
            ENCODE_FAULTS=ENCODE_FAULTS,
            SCHEMA=schema,
            encode_fault=encode_fault,
            join=b"".join,
            one_by_one=one_by_one,
            refuse=_refuse,
            size=_size,
        )

    def write(self) -> Frame:
        with self.text.block("def encode(m):"):
            with self.text.block("try:"):
                self._body()
            with self.text.block("except ENCODE_FAULTS as fault:"):
                self.text.add("raise encode_fault(fault, SCHEMA, places, m) from None")
        return self.frame

    def _body(self) -> None:
        add = self.text.add
        if self.schema.unknown:
            self.scope["CLS"] = self.schema.build
            add("if m.__class__ is not CLS:", "    refuse(m, CLS)")
        add("out = []")
        for field in self.schema.fields:
            if field.kind != "ignore":
                with self.text.about(field.name):
                    self._field(field)
        if self.schema.unknown:
            add(f"if m.{self.schema.unknown}:", f"    out.append(m.{self.schema.unknown})")
        add("return join(out)")

    def _field(self, field: Field) -> None:
        if field.convert is not None or field.kind == "inline":
            raise TypeError(f"{self.schema.name}.{field.name} is read only: it has no way back to bytes")
        self.text.add(f"v = m.{field.name}  # {field.number}")
        if field.kind == "map":
            self._map(field)
        elif field.repeated:
            self._repeated(field)
        else:
            self._singular(field)

    # -- singular ----------------------------------------------------------------------------------------------------

    def _singular(self, field: Field) -> None:
        with self.text.block(f"if {self._wanted(field)}:"):
            if field.kind == "bool" and not field.present and field.default is ABSENT:
                self._true(field)
            else:
                self._value(field.kind, field, field.number, "v")

    def _wanted(self, field: Field) -> str:
        if field.present:
            return "v is not None"
        if field.default is not ABSENT and field.default != 0 and field.default not in ("", b""):
            self.scope[f"default_{field.name}"] = field.default
            return f"v is not None and v != default_{field.name}"
        if field.kind in ("float", "double"):
            self.scope["is_set"] = _is_set
            return "v or is_set(v)"
        if field.enum is not None and not issubclass(field.enum, int):
            self.scope["number"] = _number
            return "v is not None and number(v)"
        return "v"

    def _true(self, field: Field) -> None:
        self.scope["write_bool"] = WRITERS["bool"]
        key = _key(field.number, 0)
        self.text.add(f"out.append({key + bytes((1,))!r} if v is True else {key!r} + write_bool(v))")

    def _value(self, kind: str, field: Field, number: int, v: str) -> None:
        """Append the value ``v`` of ``kind`` with the key of ``number``."""
        key = _key(number, WIRE_TYPES[kind])
        if kind in FORMATS:
            self.scope[f"pack_{kind}"] = struct.Struct("<" + FORMATS[kind]).pack
            self.text.add(f"out.append({key!r} + pack_{kind}({v}))")
        elif kind in WRITERS:
            self._number(kind, field, key, v)
        else:
            self._content(kind, field, v)
            self._sized(key, "b")

    def _number(self, kind: str, field: Field, key: bytes, v: str) -> None:
        self.scope[f"write_{kind}"] = WRITERS[kind]
        if kind == "enum" and field.enum is not None and not issubclass(field.enum, int):
            self.scope["number"] = _number
            self.text.add(f"{v} = number({v})")
        slow = f"{key!r} + write_{kind}({v})"
        if kind in ("bool", "sint32", "sint64") or len(key) > 1:
            self.text.add(f"out.append({slow})")
        else:
            self.text.add(f"out.append({self._head(key)}[{v}] if 0 <= {v} < 128 else {slow})")

    def _content(self, kind: str, field: Field, v: str) -> None:
        """``b`` becomes the content of a length-delimited value."""
        if kind == "string":
            self.text.add(f"b = {v}.encode()")
        elif kind in ("bytes", "raw"):
            self.scope["as_bytes"] = _as_bytes
            self.text.add(f"b = {v} if {v}.__class__ is bytes else as_bytes({v})")
        else:
            self._message(kind, field, v)

    def _message(self, kind: str, field: Field, v: str) -> None:
        leaf = leaf_schema(kind, field.wraps if field.kind == "map" else field.value)
        if leaf is None:
            self.text.add(f"b = {self.link('encode', field.target)}({v})")
            return
        reader = f"reader_{kind}"
        self.scope[reader] = leaf_reader(kind)
        self.text.add(f"b = {self.link('encode', leaf)}({reader}({v}))")

    def _sized(self, key: bytes, b: str) -> None:
        """Append ``b`` with its key and length."""
        self.text.add(f"n = len({b})")
        short = f"{self._head(key)}[n] if n < 128 else " if len(key) == 1 else ""
        self.text.add(f"out.append({short}size({key!r}, n))", f"out.append({b})")

    def _head(self, key: bytes) -> str:
        name = f"HEAD_{key[0]}"
        self.scope[name] = head(key)
        return name

    # -- many --------------------------------------------------------------------------------------------------------

    def _repeated(self, field: Field) -> None:
        with self.text.block("if v:"):
            if field.kind != "message":  # which characters, bytes and keys are not; type(v): cheaper than v.__class__
                self.text.add(f"if type(v) is not {self.schema.sequence.__name__}:", "    one_by_one(v)")
            if field.kind in PACKABLE:
                self.scope[f"pack_all_{field.kind}"] = pack(field.kind)
                self.text.add(f"b = pack_all_{field.kind}({self._numbers(field)})")
                self._sized(_key(field.number, 2), "b")
                return
            with self.text.block("for item in v:"):
                self._value(field.kind, field, field.number, "item")

    def _numbers(self, field: Field) -> str:
        if field.enum is None or issubclass(field.enum, int):
            return "v"
        self.scope["number"] = _number
        return "[number(item) for item in v]"

    def _map(self, field: Field) -> None:
        """Entries hold key and value always, defaults too."""
        with self.text.block("if v:"):
            self.text.add("outer = out")
            with self.text.block("for k, item in v.items():"):
                self.text.add("out = []")
                self._value(field.key, field, 1, "k")
                self._value(field.value, field, 2, "item")
                self.text.add("b = join(out)", "out = outer")
                self._sized(_key(field.number, 2), "b")


def _key(number: int, wire_type: int) -> bytes:
    return varint(number << 3 | wire_type)


def _size(key: bytes, size: int) -> bytes:
    return key + varint(size)


def _is_set(value: float | None) -> bool:
    """Whether a number that is false must be written: negative zero must, None must not."""
    return value is not None and math.copysign(1.0, value) < 0


def _number(value: object) -> object:
    return value.value if isinstance(value, Enum) else value


def _as_bytes(value: object) -> bytes:
    if not isinstance(value, bytes | bytearray):
        raise TypeError(f"expected bytes, got {type(value).__name__}")
    return bytes(value)


def _refuse(value: object, cls: type) -> None:
    if not isinstance(value, cls):
        raise TypeError(f"expected {cls.__name__}, got {type(value).__name__}")
