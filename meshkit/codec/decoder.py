"""The generator of decode functions: from a `Schema` to Python text that reads its bytes.

One function per message: it keeps each field in a local variable ``_name``, reads keys in a loop, and builds the object
at the end. Rules carried here: the last value of a singular scalar wins, a repeated singular message is merged, a
member of a oneof clears the others, packed and unpacked numbers are both read, fields of another wire type than the
table's are unknown (https://protobuf.dev/programming-guides/encoding/).

Locals of the generated text: ``at`` start of the field under way; ``stop`` end of its content; ``again`` content of
singular messages that came more than once, merged after the loop (bounded work, whatever the input); ``found`` names
of unprojected fields for the caller, ``inner`` those of the sub-message just read; ``part_x`` see `meshkit.codec.memo`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from .build import builder
from .faults import DECODE_FAULTS, decode_fault, overrun
from .frame import Frame, Level, is_bulk, read_fields
from .leaves import leaf_reader, leaf_schema
from .maps import Maps
from .memo import RUN
from .scalars import Scalars
from .schema import PACKABLE, WIRE_TYPES, Field, Schema
from .submessages import SubMessages
from .tails import Tails, descent
from .varint import Malformed, read_tag, skip

__all__ = ["write_decoder"]

# Branches tested one after the other; more are split by halves.
_CHAIN: Final = 5


def write_decoder(schema: Schema, link: Callable[[str, Schema], str], merge: bool = False) -> Frame:
    """The function ``decode`` of ``schema``; ``merge`` writes the variant that goes on with an existing object."""
    return _Decoder(schema, link, merge).write()


class _Decoder:
    def __init__(self, schema: Schema, link: Callable[[str, Schema], str], merge: bool) -> None:
        self.schema = schema
        self.frame = Frame(schema, link)
        self.text = self.frame.text
        self.merge = merge
        self.fields = read_fields(schema)
        self.bulk_fields = [field for field in schema.fields if field.bulk]
        self.scalars = Scalars(self.frame)
        self.messages = SubMessages(self.frame, self.scalars)
        self.maps = Maps(self.frame, self.scalars, self.messages)
        self.tails = Tails(self.frame)
        self.frame.scope.update(
            DECODE_FAULTS=DECODE_FAULTS,
            Malformed=Malformed,
            decode_fault=decode_fault,
            keep=_keep,
            note=_note,
            overrun=overrun,
            read_tag=read_tag,
            skip=skip,
        )

    def write(self) -> Frame:
        with self.text.block(f"def decode({self._arguments()}):"):
            self._prologue()
            with self.text.block("try:"):
                self._body()
            with self.text.block("except DECODE_FAULTS as fault:"):
                self.text.add(f"raise decode_fault(fault, {self.schema.type_name!r}, places, at) from None")
        return self.frame

    def _arguments(self) -> str:
        arguments = "data, pos=0, end=-1, depth=100" if self.frame.keeps else "data, pos, end, depth, found"
        return arguments + (", memo" if is_bulk(self.schema) else "") + (", obj=None" if self.merge else "")

    # -- before the loop ---------------------------------------------------------------------------------------------

    def _prologue(self) -> None:
        add = self.text.add
        if self.frame.keeps:
            add(
                "if end < 0:",
                "    if data.__class__ is not bytes:",
                "        data = bytes(data)",
                "    end = len(data)",
            )
            add("unknown = None")
        elif any("message" in (field.kind, field.value) for field in self.fields):
            add("inner = []" if is_bulk(self.schema) else "inner = None if found is None else []")
        add("at = pos", "again = None")
        self.tails.start()
        for field in self.fields:
            self._start(field)
        for field in self.bulk_fields:
            key = f"{self.schema.name}.{field.name}"
            add(f"part_{field.name} = None if memo is None else memo.part({key!r}, data)", f"left = {RUN}")

    def _start(self, field: Field) -> None:
        """The value of a field's local before the first byte is read."""
        self.text.add(f"_{field.name} = {f'obj.{field.name}' if self.merge else self._initial(field)}")
        if self.frame.is_spanned(field):
            self.text.add(f"at_{field.name} = -1")
            if self.merge:
                self._resume(field)

    def _resume(self, field: Field) -> None:
        """A well-known value that is there already is merged by its bytes."""
        leaf = leaf_schema(field.kind, field.value)
        if leaf is not None:
            parts = f"{self.frame.constant('parts', leaf_reader(field.kind))}(_{field.name})"
            with self.text.block(f"if _{field.name} is not None:"):
                self.text.add("again = again or {}", f"at_{field.name} = 0")
                self.text.add(f"again[{field.name!r}] = [{self.frame.link('encode', leaf)}({parts})]")

    def _initial(self, field: Field) -> str:
        if field.kind == "map":
            return "{}"
        if field.repeated:
            return "[]" if self.schema.sequence is list else "()"
        missing = field.missing
        if missing is None or type(missing) in (str, bytes, bool, int, float):
            return repr(missing)
        return self.frame.constant("missing", missing)

    # -- the loop ----------------------------------------------------------------------------------------------------

    def _body(self) -> None:
        self.text.add("if depth < 0:", '    raise Malformed("nested too deep")')
        self._loop(Level(self.schema))
        for field in self.bulk_fields:
            part, name = f"part_{field.name}", f"_{field.name}"
            self.text.add(f"{name} = {self._built(field)} if {part} is None else {part}.runs()")
        self.tails.end()
        self.messages.again()
        self._build()

    def _loop(self, level: Level) -> None:
        with self.text.block(f"while pos < {level.end}:"):
            self.text.add("at = pos", f"{level.tag} = data[pos]", "pos += 1")
            self.text.add(f"if {level.tag} > 127:", f"    {level.tag}, pos = read_tag(data, at)")
            self._dispatch(level, self._branches(level))
            self._unknown(level)
        names = self.frame.constant("names", level.names())
        self.text.add(f"if pos != {level.end}:", f"    raise overrun({level.tag}, {names})")

    def _branches(self, level: Level) -> list[tuple[int, Field, Callable[[Level, Field], None]]]:
        """Keys, and what writes the reading of the field that they start."""
        branches: list[tuple[int, Field, Callable[[Level, Field], None]]] = []
        for field in level.schema.fields:
            if field.kind != "ignore":
                branches.append((field.tag, field, self._writer(field)))
            if field.repeated and field.kind in PACKABLE:
                branches.append((field.number << 3 | 2, field, self.scalars.packed))
        return sorted(branches, key=lambda branch: branch[0])

    def _writer(self, field: Field) -> Callable[[Level, Field], None]:
        if field.kind == "inline":
            return self._inline
        if field.kind == "map":
            return self.maps.field
        is_scalar = WIRE_TYPES[field.kind] != 2 or field.kind in ("string", "bytes")
        return self._scalar if is_scalar else self.messages.field

    def _dispatch(self, level: Level, branches: list[tuple[int, Field, Callable[[Level, Field], None]]]) -> None:
        """Find the branch of the key; every branch ends with ``continue``."""
        if len(branches) > _CHAIN:
            middle = len(branches) // 2
            with self.text.block(f"if {level.tag} < {branches[middle][0]}:"):
                self._dispatch(level, branches[:middle])
            with self.text.block("else:"):
                self._dispatch(level, branches[middle:])
            return
        for tag, field, write in branches:
            with (
                self.text.about(level.place(field)),
                self.text.block(f"if {level.tag} == {tag}:  # {level.place(field)}"),
            ):
                self.tails.before(level, field)
                write(level, field)
                self._clear_others(level, field)
                self.tails.after(level, field)
                self.text.add("continue")

    def _unknown(self, level: Level) -> None:
        self.text.add(f"pos = skip(data, pos, {level.end}, {level.tag}, depth)")
        if self.frame.keeps:
            self.text.add("unknown = keep(unknown, data[at:pos])")
            return
        self.tails.odd()
        for field in level.schema.fields:
            if field.kind == "ignore" and field.oneof:
                with self.text.block(f"if {level.tag} >> 3 == {field.number}:"):
                    self._clear_others(level, field)
                    self.text.add("continue")
        names = self.frame.constant("others", level.others())
        self.text.add("if found is not None:", f"    note(found, {names}, {level.path!r}, {level.tag})")

    # -- one field ---------------------------------------------------------------------------------------------------

    def _scalar(self, level: Level, field: Field) -> None:
        target = "value" if field.repeated else f"_{field.name}"
        self.scalars.read(field.kind, field, target)
        self.frame.convert(field, target)
        if field.repeated:
            self.frame.append(field)

    def _inline(self, level: Level, field: Field) -> None:
        """A sub-message read in place. One that holds nothing but another inline one is stepped over at once."""
        self.scalars.size(level.end)
        if field.name:
            self.text.add(f"_{field.name} = True")
        inner = level.inside(field)
        self.text.add(f"{inner.end} = stop", f"{inner.tag} = 0")
        deepest, tags = descent(inner)
        if not tags or level.number:
            self._loop(inner)
            return
        straight = self.frame.constant("straight", _straight(tags))
        self.text.add("n = stop - pos")
        with self.text.block(f"if {2 * len(tags)} <= n < 128 and data.startswith({straight}[n], pos):"):
            self.text.add(f"pos += {2 * len(tags)}", f"{deepest.end} = stop", f"{deepest.tag} = 0")
            self.tails.descend()
            self.tails.straight = True
            self._loop(deepest)
            self.tails.straight = False
        with self.text.block("else:"):
            self._loop(inner)

    def _clear_others(self, level: Level, field: Field) -> None:
        for other in level.schema.fields if field.oneof else ():
            if other.oneof == field.oneof and other is not field and other.kind != "ignore":
                self._clear(other)

    def _clear(self, field: Field) -> None:
        if field.kind == "inline":
            for lifted in read_fields(Schema("", (field,))):
                self._clear(lifted)
            return
        self.text.add(f"_{field.name} = {self._initial(field)}")
        if self.frame.is_spanned(field):
            self.text.add(f"at_{field.name} = -1")
        if self.frame.is_spanned(field) or self.frame.is_merged(field):
            self.text.add("if again is not None:", f"    forget(again, {field.name!r})")

    # -- after the loop ----------------------------------------------------------------------------------------------

    def _build(self) -> None:
        if not self.frame.keeps:
            values = [(field.name, f"_{field.name}" if field.bulk else self._built(field)) for field in self.fields]
            lines, scope = builder(self.schema, values)
            self.frame.scope.update(scope)
            self.text.add(*lines)
            return
        self.frame.scope.update(CLS=self.schema.build, new=object.__new__)
        if not self.merge:
            self.text.add("obj = new(CLS)")
        for field in self.fields:
            self.text.add(f"obj.{field.name} = _{field.name}")
        attribute = f"obj.{self.schema.unknown}"
        before = f"{attribute} + " if self.merge else ""
        self.text.add(f'{attribute} = {before}(b"" if unknown is None else b"".join(unknown))', "return obj")

    def _built(self, field: Field) -> str:
        return f"tuple(_{field.name})" if field.repeated and self.schema.sequence is tuple else f"_{field.name}"


def _straight(tags: list[int]) -> tuple[bytes, ...]:
    """By length: how a message starts that holds nothing but one message in the other, of the keys ``tags``."""
    depth = 2 * len(tags)
    starts = [bytes([x for n, tag in enumerate(tags) for x in (tag, size - 2 * n - 2)]) for size in range(depth, 128)]
    return (*[b""] * depth, *starts)


# -- what the text calls ---------------------------------------------------------------------------------------------


def _keep(unknown: list[bytes] | None, data: bytes) -> list[bytes]:
    """``data``, an unknown field, after the others."""
    if unknown is None:
        return [data]
    unknown.append(data)
    return unknown


def _note(found: list[str], names: dict[int, str], path: str, tag: int) -> None:
    """Count an unprojected field, unless its name is empty."""
    name = names.get(tag >> 3)
    if name != "":
        found.append(path + (name or f"#{tag >> 3}"))
