"""The generator of decode functions: from a `Schema` to Python text that reads its bytes.

One function per message: ``decode(data, pos, end, depth, ...)`` keeps each field in a local variable ``_name``, reads keys
in a loop, and builds the object at the end. Rules carried here: the last value of a singular scalar wins, a repeated
singular message is merged, a member of a oneof clears the others, packed and unpacked numbers are both read, fields of
another wire type than the table's are unknown (https://protobuf.dev/programming-guides/encoding/).

Locals of the generated text: ``at`` start of the field under way; ``stop`` end of its content; ``again`` content of
singular messages that came more than once, merged after the loop (bounded work, whatever the input); ``found`` names
of unprojected fields for the caller, ``inner`` those of the sub-message just read; ``part`` see `Memo`.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from enum import Enum
from typing import Any, Final, cast

from .build import builder
from .faults import DECODE_FAULTS, MERGED, decode_fault, overrun
from .leaves import leaf_reader, leaf_schema
from .memo import RUN
from .packed import FORMATS, unpack
from .schema import PACKABLE, WIRE_TYPES, Field, Schema, zero
from .text import Text
from .varint import READERS, Malformed, payload, read_size, read_tag, skip

__all__ = ["Decoder", "is_bulk"]

# Branches tested one after the other; more are split by halves.
_CHAIN: Final = 5
_EMPTY: Final = 'b""'


class _Level:
    """The message itself, or an inline sub-message: its schema, the suffix of its locals, the path to it."""

    def __init__(self, schema: Schema, number: int, path: str) -> None:
        self.schema = schema
        self.number = number
        self.path = path
        self.suffix = f"_{number}" if number else ""

    def local(self, name: str) -> str:
        return name + self.suffix


class Decoder:
    """Writes the decode function of one schema; ``merge`` writes the variant that goes on with an existing object.

    ``link(kind, schema)`` gives the name in ``scope`` of another schema's function.
    """

    def __init__(self, schema: Schema, merge: bool, link: Callable[[str, Schema], str]) -> None:
        self.schema = schema
        self.merge = merge
        self.link = link
        self.text = Text()
        self.keeps = bool(schema.unknown)
        self.bulk = is_bulk(schema)
        self.constants = 0
        self.scope: dict[str, Any] = {
            "DECODE_FAULTS": DECODE_FAULTS,
            "Malformed": Malformed,
            "adopt": _adopt,
            "decode_fault": decode_fault,
            "note": _note,
            "overrun": overrun,
            "payload": payload,
            "places": self.text.place_of,
            "read_size": read_size,
            "read_tag": read_tag,
            "repeat": _repeat,
            "skip": skip,
        }

    def write(self) -> Text:
        """The whole function, named ``decode``."""
        arguments = "data, pos=0, end=-1, depth=100" if self.keeps else "data, pos, end, depth, found"
        arguments += ", memo" if self.bulk else ""
        arguments += ", obj=None" if self.merge else ""
        with self.text.block(f"def decode({arguments}):"):
            self._prologue()
            with self.text.block("try:"):
                self._body()
            with self.text.block("except DECODE_FAULTS as fault:"):
                self.text.add(f"raise decode_fault(fault, {self.schema.type_name!r}, places, at) from None")
        return self.text

    # -- around the loop ---------------------------------------------------------------------------------------------

    def _prologue(self) -> None:
        add = self.text.add
        if self.keeps:
            add("if end < 0:", "    data = bytes(data)", "    end = len(data)", "unknown = None")
        elif self._calls():
            add("inner = []" if self.bulk else "inner = None if found is None else []")
        add("at = pos", "again = None")
        for field in _read(self.schema):
            self._start(field)
        for field in self.schema.fields if self.bulk else ():
            if field.bulk:
                key = f"{self.schema.name}.{field.name}"
                add(f"part_{field.name} = None if memo is None else memo.part({key!r})", f"left = {RUN}")

    def _calls(self) -> bool:
        return any(field.kind == "message" or field.value == "message" for field in _read(self.schema))

    def _start(self, field: Field) -> None:
        """The value of a field's local before the first byte is read."""
        if self.merge:
            self.text.add(f"_{field.name} = obj.{field.name}")
            if self._is_spanned(field):
                self.text.add(f"_{field.name}_at = -1")
                with self.text.block(f"if _{field.name} is not None:"):
                    self._resume(field)
            return
        self.text.add(f"_{field.name} = {self._initial(field)}")
        if self._is_spanned(field):
            self.text.add(f"_{field.name}_at = -1")

    def _resume(self, field: Field) -> None:
        """A well-known value that is there already is merged by its bytes."""
        leaf = leaf_schema(field.kind, field.value)
        if leaf is not None:
            encode = self.link("encode", leaf)
            reader = self._constant("reader", leaf_reader(field.kind))
            self.text.add(
                f"again = again or {{}}; again[{field.tag}] = [{encode}({reader}(_{field.name}))]",
                f"_{field.name}_at = 0",
            )

    def _initial(self, field: Field) -> str:
        if field.kind == "map":
            return "{}"
        if field.repeated:
            return "[]" if self.schema.sequence is list else "()"
        missing = field.missing
        if missing is None or isinstance(missing, (str, bytes, bool)) or type(missing) in (int, float):
            return repr(missing)
        return self._constant("missing", missing)

    def _body(self) -> None:
        add = self.text.add
        add("if depth < 0:", '    raise Malformed("nested too deep")')
        self._loop(_Level(self.schema, 0, ""))
        for field in self.schema.fields if self.bulk else ():
            if field.bulk:
                add(f"if part_{field.name} is not None:", f"    part_{field.name}.flush(data)")
        self._merge_again()
        self._build()

    def _merge_again(self) -> None:
        fields = [field for field in _read(self.schema) if self._is_spanned(field) or self._is_merged(field)]
        if not fields:
            return
        with self.text.block("if again is not None:"):
            for field in fields:
                with self.text.about(field.name + MERGED), self.text.block(f"if {field.tag} in again:"):
                    self.text.add(f'piece = b"".join(again[{field.tag}])')
                    self._value_of_piece(field)

    def _value_of_piece(self, field: Field) -> None:
        name = f"_{field.name}"
        if field.kind == "raw":
            self.text.add(f"{name} = piece")
        elif self._is_merged(field):
            merge = self.link("merge", field.target)
            self.text.add(f"{name} = {merge}(piece, 0, len(piece), depth - 1, {name})")
        else:
            # The first occurrence is read twice: deeper levels get less depth, so that the doubling is bounded.
            self.text.add(f"{name} = {self._call(field, 'piece', '0', 'len(piece)', 'depth - 10')}")
        self._convert(field, name)

    def _build(self) -> None:
        add = self.text.add
        if not self.keeps:
            lines, scope = builder(self.schema, [(field.name, self._built(field)) for field in _read(self.schema)])
            self.scope.update(scope)
            add(*lines)
            return
        self.scope["CLS"] = self.schema.build
        self.scope["new"] = object.__new__
        if not self.merge:
            add("obj = new(CLS)")
        for field in _read(self.schema):
            add(f"obj.{field.name} = _{field.name}")
        unknown = f"obj.{self.schema.unknown}"
        if self.merge:
            add("if unknown is not None:", f'    {unknown} = b"".join(({unknown}, *unknown))')
        else:
            add(f'{unknown} = b"" if unknown is None else b"".join(unknown)')
        add("return obj")

    def _built(self, field: Field) -> str:
        return f"tuple(_{field.name})" if field.repeated and self.schema.sequence is tuple else f"_{field.name}"

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _loop(self, level: _Level) -> None:
        tag, end = level.local("tag"), level.local("end")
        with self.text.block(f"while pos < {end}:"):
            self.text.add("at = pos", f"{tag} = data[pos]", "pos += 1")
            self.text.add(f"if {tag} > 127:", f"    {tag}, pos = read_tag(data, at)")
            self._dispatch(level, self._branches(level))
            self._unknown(level)
        names = self._constant("names", _names(level))
        self.text.add(f"if pos != {end}:", f"    raise overrun({tag}, {names})")

    def _branches(self, level: _Level) -> list[tuple[int, Callable[[], None]]]:
        branches: list[tuple[int, Callable[[], None]]] = []
        for field in level.schema.fields:
            if field.kind == "ignore":
                continue
            branches.append((field.tag, self._branch(level, field, self._field)))
            if field.repeated and field.kind in PACKABLE:
                branches.append((field.number << 3 | 2, self._branch(level, field, self._packed)))
        return sorted(branches, key=lambda branch: branch[0])

    def _branch(self, level: _Level, field: Field, write: Callable[[_Level, Field], None]) -> Callable[[], None]:
        def branch() -> None:
            with self.text.about(level.path + (field.name or _inline_name(field))):
                write(level, field)

        return branch

    def _dispatch(self, level: _Level, branches: list[tuple[int, Callable[[], None]]]) -> None:
        """Find the branch of the key; every branch ends with ``continue``."""
        if len(branches) > _CHAIN:
            middle = len(branches) // 2
            with self.text.block(f"if {level.local('tag')} < {branches[middle][0]}:"):
                self._dispatch(level, branches[:middle])
            with self.text.block("else:"):
                self._dispatch(level, branches[middle:])
            return
        for tag, write in branches:
            with self.text.block(f"if {level.local('tag')} == {tag}:"):
                write()
                self.text.add("continue")

    def _unknown(self, level: _Level) -> None:
        tag, end = level.local("tag"), level.local("end")
        self.text.add(f"pos = skip(data, pos, {end}, {tag}, depth)")
        if self.keeps:
            self._keep()
            return
        for field in level.schema.fields:
            if field.kind == "ignore" and field.oneof:
                with self.text.block(f"if {tag} >> 3 == {field.number}:"):
                    self._clear_others(level, field)
        names = self._constant("others", _other_names(level))
        self.text.add("if found is not None:", f"    note(found, {names}, {level.path!r}, {tag})")

    def _keep(self) -> None:
        self.text.add("if unknown is None:", "    unknown = [data[at:pos]]")
        self.text.add("else:", "    unknown.append(data[at:pos])")

    # -- one field ---------------------------------------------------------------------------------------------------

    def _field(self, level: _Level, field: Field) -> None:
        if field.kind == "inline":
            self._inline(level, field)
        elif field.kind == "map":
            self._map(level, field)
        elif WIRE_TYPES[field.kind] == 2 and field.kind not in ("string", "bytes"):
            self._sub_message(level, field)
        else:
            self._scalar_field(level, field)

    def _scalar_field(self, level: _Level, field: Field) -> None:
        target = "value" if field.repeated else f"_{field.name}"
        self._scalar(field.kind, field, target)
        self._convert(field, target)
        if field.repeated:
            self._append(field)
        self._clear_others(level, field)

    def _scalar(self, kind: str, field: Field, target: str) -> None:
        """Read one number, text or bytes into ``target``."""
        add = self.text.add
        if kind in FORMATS:
            code = struct.Struct("<" + FORMATS[kind])
            self.scope[f"unpack_{kind}"] = code.unpack_from
            add(f"{target} = unpack_{kind}(data, pos)[0]", f"pos += {code.size}")
        elif kind in READERS:
            self.scope[f"read_{kind}"] = READERS[kind]
            add(f"{target} = data[pos]", "pos += 1")
            add(f"if {target} > 127:", f"    {target}, pos = read_{kind}(data, pos - 1)")
            self._finish(kind, field, target)
        else:
            self._size()
            add(f'{target} = str(data[pos:stop], "utf-8")' if kind == "string" else f"{target} = data[pos:stop]")
            add("pos = stop")

    def _finish(self, kind: str, field: Field, target: str) -> None:
        if kind in ("sint32", "sint64"):
            self.text.add(f"{target} = {target} >> 1 ^ -({target} & 1)")
        elif kind == "bool":
            self.text.add(f"{target} = {target} != 0")
        elif kind == "enum" and field.enum is not None:
            self.text.add(f"{target} = {self._members(field)}[{target}]")

    def _members(self, field: Field) -> str:
        name = f"members_{field.name}"
        if name not in self.scope and field.enum is not None:
            self.scope[name] = _Members(field.enum)
        return name

    def _size(self, end: str = "") -> None:
        """Read a length; ``stop`` is where the content ends, at most ``end`` where that is given."""
        add = self.text.add
        add("stop = data[pos]", "pos += 1", "if stop > 127:", "    stop, pos = read_size(data, pos - 1)", "stop += pos")
        if end:
            add(f"if stop > {end}:", '    raise Malformed("truncated")')

    def _convert(self, field: Field, target: str) -> None:
        if field.convert is not None:
            self.text.add(f"{target} = {self._constant('convert_' + field.name, field.convert)}({target})")

    def _append(self, field: Field) -> None:
        self._own_list(field)
        self.text.add(f"_{field.name}.append(value)")

    def _own_list(self, field: Field) -> None:
        """A tuple-valued field starts as the empty tuple and becomes a list with its first item."""
        if self.schema.sequence is tuple:
            self.text.add(f"if not _{field.name}:", f"    _{field.name} = []")

    def _packed(self, level: _Level, field: Field) -> None:
        self.scope[f"unpack_all_{field.kind}"] = unpack(field.kind)
        self._size(level.local("end"))
        values = f"unpack_all_{field.kind}(data[pos:stop])"
        if field.enum is not None:
            values = f"map({self._members(field)}.__getitem__, {values})"
        if field.convert is not None:
            values = f"map({self._constant('convert_' + field.name, field.convert)}, {values})"
        self._own_list(field)
        self.text.add(f"_{field.name}.extend({values})", "pos = stop")

    def _clear_others(self, level: _Level, field: Field) -> None:
        for other in level.schema.fields if field.oneof else ():
            if other.oneof == field.oneof and other is not field and other.kind != "ignore":
                self._clear(other)

    def _clear(self, field: Field) -> None:
        if field.kind == "inline":
            for lifted in _read(field.target):
                self._clear(lifted)
            if field.name:
                self.text.add(f"_{field.name} = False")
            return
        self.text.add(f"_{field.name} = {self._initial(field)}")
        if self._is_spanned(field):
            self.text.add(f"_{field.name}_at = -1")
        if self._is_spanned(field) or self._is_merged(field):
            self.text.add("if again is not None:", f"    again.pop({field.tag}, None)")

    # -- sub-messages ------------------------------------------------------------------------------------------------

    def _is_merged(self, field: Field) -> bool:
        """A singular message whose object can take more fields later."""
        return self.keeps and field.kind == "message" and not field.repeated

    def _is_spanned(self, field: Field) -> bool:
        """A singular message of which later occurrences are read together with the first one's bytes."""
        return _is_pieced(field) and not self._is_merged(field)

    def _call(self, field: Field, data: str = "data", pos: str = "pos", stop: str = "stop", depth: str = "depth - 1") -> str:
        """The expression that reads a sub-message."""
        if field.kind == "raw" or (field.kind == "map" and field.value == "raw"):
            return f"{data}[{pos}:{stop}]"
        leaf = leaf_schema(field.kind, field.value)
        if leaf is not None:
            return f"{self.link('decode', leaf)}({data}, {pos}, {stop}, {depth}, None)"
        name = self.link("decode", field.target)
        if self.keeps:
            return f"{name}({data}, {pos}, {stop}, {depth})"
        if is_bulk(field.target):
            return f"(yield from {name}({data}, {pos}, {stop}, {depth}, inner, memo))"
        return f"{name}({data}, {pos}, {stop}, {depth}, inner)"

    def _sub_message(self, level: _Level, field: Field) -> None:
        self._size(level.local("end"))
        if field.bulk:
            self._bulk(level, field)
        elif field.repeated:
            self._read_value(field, "value")
            self._append(field)
        else:
            self._singular(field)
        self.text.add("pos = stop")
        self._adopt(level, field)
        self._clear_others(level, field)

    def _singular(self, field: Field) -> None:
        name = f"_{field.name}"
        span = f"{name}_at" if self._is_spanned(field) else "-1"
        self.text.add(f"if {name}_at < 0:" if self._is_spanned(field) else f"if {name} is None:")
        if self._is_spanned(field):
            self.text.add(f"    {name}_at = at")
        if field.kind == "wrapper" and field.value in ("bool", "int32", "int64", "uint32", "uint64"):
            self._short_wrapper(field)
        else:
            with self.text.indented():
                self._read_value(field, name)
        with self.text.block("else:"):
            self.text.add(f"again = repeat(again, {field.tag}, data, {span}, pos, stop)")

    def _short_wrapper(self, field: Field) -> None:
        """A wrapper of a number below 128 is two bytes; anything else is a call."""
        name = f"_{field.name}"
        value = "data[pos + 1] != 0" if field.value == "bool" else "data[pos + 1]"
        with self.text.indented():
            with self.text.block("if stop - pos == 2 and data[pos] == 8 and data[pos + 1] < 128:"):
                self.text.add(f"{name} = {value}")
            with self.text.block("else:"):
                self.text.add(f"{name} = {self._call(field)}")
            self._convert(field, name)

    def _read_value(self, field: Field, target: str) -> None:
        self.text.add(f"{target} = {self._call(field)}")
        self._convert(field, target)

    def _adopt(self, level: _Level, field: Field) -> None:
        """Names of unprojected fields in the sub-message just read belong to this one, under its path."""
        if not self.keeps and (field.kind == "message" or (field.kind == "map" and field.value == "message")):
            self.text.add("if inner:", f"    adopt(found, inner, {level.path + field.name!r})")

    def _bulk(self, level: _Level, field: Field) -> None:
        add, name, part = self.text.add, f"_{field.name}", f"part_{field.name}"
        self._own_list(field)
        add(f"run = None if {part} is None else {part}.find(data, at, stop, {level.local('end')})")
        with self.text.block("if run is not None:"):
            add(f"{name} += run.items", "inner.extend(run.notes)", "stop = at + len(run.data)")
        with self.text.block("else:"):
            # A nested generator may pause, and read on in its own frame: only locals of this one are used after it.
            self._read_value(field, "value")
            add(f"{name}.append(value)", f"if {part} is not None:", f"    {part}.note(data, at, stop, value, inner)")
            add("left -= 1", "if not left:", f"    yield {RUN}", f"    left = {RUN}")

    def _inline(self, level: _Level, field: Field) -> None:
        self._size(level.local("end"))
        if field.name:
            self.text.add(f"_{field.name} = True")
        inner = _Level(field.target, level.number + 1, level.path + (field.name or _inline_name(field)) + ".")
        self.text.add(f"{inner.local('end')} = stop", f"{inner.local('tag')} = 0")
        self._loop(inner)
        self._clear_others(level, field)

    # -- maps --------------------------------------------------------------------------------------------------------

    def _map(self, level: _Level, field: Field) -> None:
        """An entry is a message of key (1) and value (2), either of which may be absent."""
        add = self.text.add
        key_tag, value_tag = 8 | WIRE_TYPES[field.key], 16 | WIRE_TYPES[field.value]
        self._size(level.local("end"))
        value = self._absent_value(field)
        add("end_entry = stop", "start = pos", f"key = {zero(field.key)!r}", f"value = {value}", "odd = False")
        if _is_message(field):
            add("seen = twice = False")
        with self.text.block("while pos < end_entry:"):
            add("tag_entry = data[pos]", "pos += 1")
            add("if tag_entry > 127:", "    tag_entry, pos = read_tag(data, pos - 1)")
            with self.text.block(f"if tag_entry == {key_tag}:"):
                self._scalar(field.key, field, "key")
            with self.text.block(f"elif tag_entry == {value_tag}:"):
                self._map_value(field)
            with self.text.block("else:"):
                add("pos = skip(data, pos, end_entry, tag_entry, depth)", "odd = True")
        add("if pos != end_entry:", '    raise Malformed("truncated")')
        if _is_message(field):
            self._late_map_value(field)
        self._convert(field, "value")
        if self.keeps:
            # As upb does: an entry with fields of its own that are not known is an unknown field of the message.
            with self.text.block("if odd:"):
                self._keep()
                add("continue")
        add(f"_{field.name}[key] = value")
        self._adopt(level, field)

    def _absent_value(self, field: Field) -> str:
        if _is_message(field):
            return "None"
        missing = zero(field.value, field.enum)
        return repr(missing) if field.enum is None else self._constant("zero", missing)

    def _map_value(self, field: Field) -> None:
        if not _is_message(field):
            self._scalar(field.value, field, "value")
            return
        self._size("end_entry")
        with self.text.block("if seen:"):
            self.text.add("twice = True")
        with self.text.block("else:"):
            self.text.add("seen = True", f"value = {self._map_call(field)}")
        self.text.add("pos = stop")

    def _map_call(self, field: Field, data: str = "data", pos: str = "pos", stop: str = "stop") -> str:
        # The entry is a message too: its value is two levels down.
        return self._call(_value_field(field), data, pos, stop, "depth - 2")

    def _late_map_value(self, field: Field) -> None:
        """A value that is absent is an empty message; one that comes more than once is merged."""
        inner = _value_field(field)
        with self.text.block("if not seen:"):
            self.text.add(f"value = {self._map_call(field, _EMPTY, '0', '0')}")
        with self.text.block("elif twice:"):
            merged = self._is_merged(inner)
            self.scope["gather"] = _gather
            self.text.add(f"piece = gather(data, start, end_entry, {16 | 2}, {merged})")
            if merged:
                merge = self.link("merge", inner.target)
                self.text.add(f"value = {merge}(piece, 0, len(piece), depth - 2, value)")
            else:
                self.text.add(f"value = {self._call(inner, 'piece', '0', 'len(piece)', 'depth - 10')}")

    # -- names -------------------------------------------------------------------------------------------------------

    def _constant(self, name: str, value: Any) -> str:
        """A name in the scope for ``value``."""
        for known, other in self.scope.items():
            if other is value and known.startswith(name):
                return known
        self.constants += 1
        unique = f"{name}_{self.constants}"
        self.scope[unique] = value
        return unique


# -- what a field is ------------------------------------------------------------------------------------------------------


def is_bulk(schema: Schema, above: tuple[Schema, ...] = ()) -> bool:
    """Whether the message, or one inside it, has a bulk field: its decoder can pause."""
    if schema in above:
        return False
    return any(
        field.bulk or (isinstance(field.schema, Schema) and is_bulk(field.schema, (*above, schema)))
        for field in schema.fields
    )


def _read(schema: Schema) -> list[Field]:
    """The fields that become values, in table order: inline ones are replaced by what they lift."""
    fields: list[Field] = []
    for field in schema.fields:
        if field.kind == "inline":
            if field.name:
                fields.append(Field(field.name, field.number, "bool"))
            fields.extend(_read(field.target))
        elif field.kind != "ignore":
            fields.append(field)
    return fields


def _is_pieced(field: Field) -> bool:
    """A singular length-delimited value that is merged when it comes more than once."""
    return not field.repeated and (field.kind in ("message", "raw") or leaf_schema(field.kind, field.value) is not None)


def _is_message(field: Field) -> bool:
    """Of a map: whether its values are messages of some kind."""
    return WIRE_TYPES[field.value] == 2 and field.value not in ("string", "bytes", "raw")


def _value_field(field: Field) -> Field:
    """The values of a map as a field of the entry."""
    return Field(field.name, 2, field.value, schema=field.schema, value=field.wraps)


def _inline_name(field: Field) -> str:
    return field.target.type_name


def _names(level: _Level) -> dict[int, str]:
    return {field.number: level.path + (field.name or _inline_name(field)) for field in level.schema.fields if field.kind != "ignore"}


def _other_names(level: _Level) -> dict[int, str]:
    """What to call a field that is not projected; "" for one that is not to be counted."""
    return {**level.schema.others, **{field.number: "" for field in level.schema.fields if field.kind == "ignore"}}


# -- what the text calls --------------------------------------------------------------------------------------------------


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


def _note(found: list[str], names: dict[int, str], path: str, tag: int) -> None:
    name = names.get(tag >> 3)
    if name != "":
        found.append(path + (name or f"#{tag >> 3}"))


def _adopt(found: list[str] | None, inner: list[str], path: str) -> None:
    if found is not None:
        found.extend([f"{path}.{name}" for name in inner])
    inner.clear()


def _repeat(again: dict[int, list[bytes]] | None, tag: int, data: bytes, first: int, pos: int, stop: int) -> dict[int, list[bytes]]:
    """Remember another occurrence of a singular message, and the first one (whose key is at ``first``) with it."""
    if again is None:
        again = {}
    pieces = again.get(tag)
    if pieces is None:
        pieces = again[tag] = [] if first < 0 else [payload(data, first)]
    pieces.append(data[pos:stop])
    return again


def _gather(data: bytes, pos: int, end: int, wanted: int, later: bool) -> bytes:
    """The contents of all fields of key ``wanted`` between ``pos`` and ``end``, put together; ``later``: but the first."""
    pieces: list[bytes] = []
    while pos < end:
        start = pos
        tag, pos = read_tag(data, pos)
        pos = skip(data, pos, end, tag, 100)
        if tag == wanted:
            pieces.append(payload(data, start))
    return b"".join(pieces[later:])
