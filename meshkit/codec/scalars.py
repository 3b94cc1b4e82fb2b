"""Text that reads one number, string or length, and packed numbers."""

from __future__ import annotations

import struct
from enum import Enum
from typing import Any, Final, cast

from .frame import Frame, Level
from .packed import FORMATS, unpack
from .schema import Field
from .varint import READERS, read_size

__all__ = ["Scalars"]

# Kinds whose varints of two bytes are read in place: no sign, no zigzag in so few bits.
_PLAIN: Final = ("int32", "int64", "uint32", "uint64", "enum")


class Scalars:
    """Writes the reading of values without structure into a `Frame`."""

    def __init__(self, frame: Frame) -> None:
        self.frame = frame
        self.text = frame.text
        frame.scope["read_size"] = read_size

    def size(self, end: str = "") -> None:
        """Read a length; ``stop`` is where the content ends, at most ``end`` where that is given."""
        self._varint("stop", "read_size", True)
        self.text.add("stop += pos")
        if end:
            self.text.add(f"if stop > {end}:", '    raise Malformed("truncated")')

    def _varint(self, target: str, reader: str, plain: bool) -> None:
        """One byte is the common case, two the next."""
        add = self.text.add
        add(f"{target} = data[pos]", "pos += 1")
        with self.text.block(f"if {target} > 127:"):
            if not plain:
                add(f"{target}, pos = {reader}(data, pos - 1)")
                return
            add("high = data[pos]")
            add("if high < 128:", f"    {target} += (high << 7) - 128", "    pos += 1")
            add("else:", f"    {target}, pos = {reader}(data, pos - 1)")

    def read(self, kind: str, field: Field, target: str) -> None:
        """Read a value of ``kind`` into the local ``target``."""
        add = self.text.add
        if kind in FORMATS:
            code = struct.Struct("<" + FORMATS[kind])
            self.frame.scope[f"unpack_{kind}"] = code.unpack_from
            add(f"{target} = unpack_{kind}(data, pos)[0]", f"pos += {code.size}")
        elif kind in READERS:
            self.frame.scope[f"read_{kind}"] = READERS[kind]
            self._varint(target, f"read_{kind}", kind in _PLAIN)
            self._finish(kind, field, target)
        else:
            self.size()
            add(f"{target} = data[pos:stop]" + (".decode()" if kind == "string" else ""))
            add("pos = stop")

    def _finish(self, kind: str, field: Field, target: str) -> None:
        if kind in ("sint32", "sint64"):
            self.text.add(f"{target} = {target} >> 1 ^ -({target} & 1)")
        elif kind == "bool":
            self.text.add(f"{target} = {target} != 0")
        elif kind == "enum" and field.enum is not None:
            self.text.add(f"{target} = {self._members(field, field.enum)}[{target}]")

    def _members(self, field: Field, enum: type[Enum]) -> str:
        name = f"members_{field.name}"
        if name not in self.frame.scope:
            self.frame.scope[name] = _Members(enum)
        return name

    def packed(self, level: Level, field: Field) -> None:
        """Many numbers in one field."""
        self.frame.scope[f"unpack_all_{field.kind}"] = unpack(field.kind)
        self.size(level.end)
        values = f"unpack_all_{field.kind}(data[pos:stop])"
        if field.enum is not None:
            values = f"map({self._members(field, field.enum)}.__getitem__, {values})"
        if field.convert is not None:
            values = f"map({self.frame.constant('convert_' + field.name, field.convert)}, {values})"
        self.frame.own_list(field)
        self.text.add(f"_{field.name}.extend({values})", "pos = stop")


class _Members(dict[int, Any]):
    """Numbers to members of an open enum. One that is not known is made by the enum, or stays a number."""

    def __init__(self, enum: type[Enum]) -> None:
        super().__init__(cast("dict[int, Any]", enum._value2member_map_))
        self._enum = enum

    def __missing__(self, number: int) -> Any:
        try:
            return self._enum(number)
        except ValueError:
            return number
