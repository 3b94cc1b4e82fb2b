"""Text that reads a map entry: a message of key (1) and value (2), either of which may be absent."""

from __future__ import annotations

from typing import Final

from .frame import Frame, Level, is_message_map, value_field
from .scalars import Scalars
from .schema import WIRE_TYPES, Field, zero
from .submessages import AGAIN, SubMessages
from .varint import check_frames, payload, read_tag, skip

__all__ = ["Maps"]

_NOTHING: Final = 'b""'


class Maps:
    """Writes the reading of map fields into a `Frame`."""

    def __init__(self, frame: Frame, scalars: Scalars, messages: SubMessages) -> None:
        self.frame = frame
        self.text = frame.text
        self.scalars = scalars
        self.messages = messages

    def field(self, level: Level, field: Field) -> None:
        """One entry; ``odd`` says that it has fields which are neither key nor value."""
        add = self.text.add
        self.scalars.size(level.end)
        add("end_entry = stop", "start = pos", f"key = {zero(field.key)!r}", f"value = {self._absent(field)}")
        add("odd = False")
        if is_message_map(field):
            add("seen = twice = False")
        self._loop(field)
        add("if pos != end_entry:", '    raise Malformed("truncated")')
        if is_message_map(field):
            self._complete(field)
        self.frame.convert(field, "value")
        self._store(field)
        self.frame.adopt(level, field)

    def _loop(self, field: Field) -> None:
        add = self.text.add
        with self.text.block("while pos < end_entry:"):
            add("tag_entry = data[pos]", "pos += 1")
            add("if tag_entry > 127:", "    tag_entry, pos = read_tag(data, pos - 1)")
            with self.text.block(f"if tag_entry == {8 | WIRE_TYPES[field.key]}:"):
                self.scalars.read(field.key, field, "key")
            with self.text.block(f"elif tag_entry == {16 | WIRE_TYPES[field.value]}:"):
                self._value(field)
            add("else:", "    pos = skip(data, pos, end_entry, tag_entry, depth)", "    odd = True")

    def _absent(self, field: Field) -> str:
        if is_message_map(field):
            return "None"
        missing = zero(field.value, field.enum)
        return repr(missing) if field.enum is None else self.frame.constant("zero", missing)

    def _value(self, field: Field) -> None:
        if not is_message_map(field):
            self.scalars.read(field.value if field.value != "raw" else "bytes", field, "value")
            return
        self.scalars.size("end_entry")
        self.text.add("if seen:", "    twice = True")
        self.text.add("else:", "    seen = True", f"    value = {self._call(field, 'data', 'pos', 'stop')}")
        self.text.add("pos = stop")

    def _call(self, field: Field, data: str, pos: str, stop: str, levels: int = 2) -> str:
        # The entry is a message too: its value is two levels down.
        return self.messages.call(value_field(field), data, pos, stop, f"depth - {levels}")

    def _complete(self, field: Field) -> None:
        """A value that is absent is an empty message; one that comes more than once is merged."""
        inner = value_field(field)
        self.text.add("if not seen:", f"    value = {self._call(field, _NOTHING, '0', '0')}")
        merged = self.frame.is_merged(inner)
        self.frame.scope["gather"] = gather
        again = (
            self.messages.merge(inner, "value", 2) if merged else self._call(field, "piece", "0", "len(piece)", AGAIN)
        )
        self.text.add("elif twice:", f"    piece = gather(data, start, end_entry, {merged})", f"    value = {again}")

    def _store(self, field: Field) -> None:
        if not self.frame.keeps:
            self.text.add(f"_{field.name}[key] = value")
            return
        # As upb does: an entry that has more than key and value is an unknown field of the message.
        self.text.add("if odd:", "    unknown = keep(unknown, data[at:pos])")
        self.text.add("else:", f"    _{field.name}[key] = value")


def gather(data: bytes, pos: int, end: int, later: bool) -> bytes:
    """The values of the entry between ``pos`` and ``end``, put together; ``later``: all but the first."""
    pieces: list[bytes] = []
    while pos < end:
        start = pos
        tag, pos = read_tag(data, pos)
        pos = skip(data, pos, end, tag, 100)
        if tag == 2 << 3 | 2:
            pieces.append(payload(data, start))
            check_frames(pieces[-1], 0, len(pieces[-1]))
    return b"".join(pieces[later:])
