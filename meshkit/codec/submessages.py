"""Text that reads sub-messages: by a call of their own function, once, many times, or in bulk."""

from __future__ import annotations

from typing import Final

from .faults import MERGED
from .frame import Frame, Level, is_bulk, read_fields
from .leaves import leaf_schema
from .memo import RUN, take
from .scalars import Scalars
from .schema import Field
from .varint import check_frames, payload

__all__ = ["AGAIN", "SubMessages"]

# Levels of nesting that reading a message once more costs. Objects of tables cannot be merged into, so their first
# bytes are read twice; messages that double at every level would double the work at each, if they could be deep.
AGAIN: Final = 12
# After the name of a field in ``again``: contents that are only to be checked.
CLEARED: Final = "!"


class SubMessages:
    """Writes the reading of length-delimited values with structure into a `Frame`."""

    def __init__(self, frame: Frame, scalars: Scalars) -> None:
        self.frame = frame
        self.text = frame.text
        self.scalars = scalars
        frame.scope.update(adopt=adopt, forget=forget, repeat=repeat, take=take)

    def call(
        self, field: Field, data: str = "data", pos: str = "pos", stop: str = "stop", depth: str = "depth - 1"
    ) -> str:
        """The expression that reads a sub-message."""
        if field.kind == "raw":
            return f"{data}[{pos}:{stop}]"
        leaf = leaf_schema(field.kind, field.value)
        if leaf is not None:
            return f"{self.frame.link('decode', leaf)}({data}, {pos}, {stop}, {depth}, None)"
        name = self.frame.link("decode", field.target)
        if self.frame.keeps:
            return f"{name}({data}, {pos}, {stop}, {depth})"
        if is_bulk(field.target):
            return f"(yield from {name}({data}, {pos}, {stop}, {depth}, inner, memo))"
        return f"{name}({data}, {pos}, {stop}, {depth}, inner)"

    def field(self, level: Level, field: Field) -> None:
        """One occurrence of the field."""
        self.scalars.size(level.end)
        if field.bulk:
            self._bulk(level, field)
        elif field.repeated:
            self._value(field, "value")
            self.frame.append(field)
        else:
            self._singular(field)
        self.text.add("pos = stop")
        self.frame.adopt(level, field)

    def _value(self, field: Field, target: str) -> None:
        self.text.add(f"{target} = {self.call(field)}")
        self.frame.convert(field, target)

    def _singular(self, field: Field) -> None:
        """The first occurrence is read at once; later ones are remembered for `again`."""
        name, spanned = f"_{field.name}", self.frame.is_spanned(field)
        with self.text.block(f"if at_{field.name} < 0:" if spanned else f"if {name} is None:"):
            if spanned:
                self.text.add(f"at_{field.name} = at")
            if field.kind == "wrapper" and field.value in ("bool", "int32", "int64", "uint32", "uint64"):
                self._short_wrapper(field, name)
            else:
                self._value(field, name)
        first = f"at_{field.name}" if spanned else "-1"
        self.text.add("else:", f"    again = repeat(again, {field.name!r}, data, {first}, pos, stop)")

    def _short_wrapper(self, field: Field, name: str) -> None:
        """A wrapper of a number below 128 is two bytes; anything else is a call."""
        with self.text.block("if stop - pos == 2 and data[pos] == 8 and (value := data[pos + 1]) < 128:"):
            self.text.add(f"{name} = value{' != 0' if field.value == 'bool' else ''}")
        self.text.add("else:", f"    {name} = {self.call(field)}")
        self.frame.convert(field, name)

    def _bulk(self, level: Level, field: Field) -> None:
        """An item of a bulk field: with a memo it is there that the items are kept."""
        add, part = self.text.add, f"part_{field.name}"
        add(f"runs = () if {part} is None else {part}.find(data, at, stop, {level.end})")
        with self.text.block("if not runs:"):
            self._value(field, "value")
            with self.text.block(f"if {part} is None:"):
                self.frame.append(field)
            add("else:", f"    {part}.note(at, stop, value, inner)")
            add("left -= 1", "if not left:", f"    yield {RUN}", f"    left = {RUN}")
        add("else:", "    stop = take(runs, inner, at)")

    def again(self) -> None:
        """After the loop: merge what came more than once."""
        frame = self.frame
        fields = [item for item in read_fields(frame.schema) if frame.is_spanned(item) or frame.is_merged(item)]
        if not fields:
            return
        with self.text.block("if again is not None:"):
            for field in fields:
                with self.text.about(field.name + MERGED), self.text.block(f"if {field.name!r} in again:"):
                    self.text.add(f'piece = b"".join(again[{field.name!r}])')
                    self._piece(field, f"_{field.name}")
                if field.oneof and field.kind != "raw":
                    self._cleared(field)

    def _piece(self, field: Field, name: str) -> None:
        if self.frame.is_merged(field):
            self.text.add(f"{name} = {self.merge(field, name, 1)}")
        else:
            levels = AGAIN if field.kind == "message" else 1
            self.text.add(f"{name} = {self.call(field, 'piece', '0', 'len(piece)', f'depth - {levels}')}")
        self.frame.convert(field, name)

    def _cleared(self, field: Field) -> None:
        with self.text.about(field.name + MERGED):
            self.text.add(f"for piece in again.get({field.name + CLEARED!r}, ()):")
            self.text.add(f"    {self.call(field, 'piece', '0', 'len(piece)')}")

    def merge(self, field: Field, name: str, levels: int) -> str:
        """The expression that reads ``piece`` into the object ``name``."""
        return f"{self.frame.link('merge', field.target)}(piece, 0, len(piece), depth - {levels}, {name})"


def adopt(found: list[str] | None, inner: list[str], path: str) -> None:
    """Move the names in ``inner`` to ``found``, below ``path``."""
    if found is not None:
        found.extend([f"{path}.{name}" for name in inner])
    inner.clear()


def repeat(
    again: dict[str, list[bytes]] | None, name: str, data: bytes, first: int, pos: int, stop: int
) -> dict[str, list[bytes]]:
    """Remember another occurrence of a singular message, and the first one (whose key is at ``first``) with it."""
    if again is None:
        again = {}
    pieces = again.get(name)
    if pieces is None:
        pieces = again[name] = [] if first < 0 else [payload(data, first)]
    check_frames(data, pos, stop)
    pieces.append(data[pos:stop])
    return again


def forget(again: dict[str, list[bytes]], name: str) -> None:
    """A oneof moved on: what was remembered of ``name`` is no value any more, but must be well-formed all the same."""
    pieces = again.pop(name, None)
    if pieces is not None:
        again.setdefault(name + CLEARED, []).append(b"".join(pieces))
