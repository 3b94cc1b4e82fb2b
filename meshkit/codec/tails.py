"""Remembering the rest of a message by its bytes, where one text at its start tells one message from the next.

The endpoints of a service differ in their host; what follows it (port, health, metadata, weight) is the same for most.
A message that starts with inline messages in one another, the innermost with a text, and that holds nothing mutable
looks the bytes after that text up before reading them. The values are then shared, too: 10,000 endpoints hold one copy
of their metadata.

Locals of the generated text: ``tail`` those bytes (b"" as long as the text may still come first, None before);
``known`` what is remembered of them; ``odd`` that something happened which the values do not tell.
"""

from __future__ import annotations

from typing import Any, Final

from .frame import Frame, Level, read_fields
from .schema import Field, Schema

__all__ = ["Tails", "descent"]

_LONGEST: Final = 1024
_MOST: Final = 256


class Tails:
    """Writes the look-up into a `Frame`; does nothing for a schema that it does not fit."""

    def __init__(self, frame: Frame) -> None:
        self.text = frame.text
        self.key = None if frame.keeps else _key(frame.schema)
        #: Whether what is being written is the loop of the innermost message, straight at the start.
        self.straight = False
        if self.key is not None:
            rest = [field for field in read_fields(frame.schema) if field is not self.key]
            self.locals = "".join(f"_{field.name}, " for field in rest)
            frame.scope.update(tails={}, remember=_remember)

    def start(self) -> None:
        """Before the loop."""
        if self.key is not None:
            self.text.add("start = pos", "tail = known = None", "odd = False")

    def before(self, level: Level, field: Field) -> None:
        """Before the first field of the message is read."""
        if self.key is not None and not level.number and field is level.schema.fields[0]:
            self.text.add("if at == start:", "    tail = b''", "elif tail is not None:", "    odd = True")

    def descend(self) -> None:
        """The innermost message starts here."""
        if self.key is not None:
            self.text.add("first = pos")

    def after(self, level: Level, field: Field) -> None:
        """After the text was read."""
        if field is not self.key or not self.straight:
            return
        with self.text.block("if tail == b'' and at == first:"):
            self.text.add("tail = data[pos:end]", f"rest = {level.end} - pos", "known = tails.get(tail)")
            with self.text.block("if known is not None and known[0] == rest:"):
                self.text.add(f"rest, {self.locals}= known", f"pos = {level.end} = end", "break")
        self.text.add("elif tail:", "    odd = True")

    def odd(self) -> None:
        """An unknown field was met: its name must be noted each time."""
        if self.key is not None:
            self.text.add("odd = True")

    def end(self) -> None:
        """After the loop, when the whole message was read."""
        if self.key is not None:
            with self.text.block("if tail and known is None and not odd and again is None:"):
                self.text.add(f"remember(tails, tail, (rest, {self.locals}))")


def descent(level: Level) -> tuple[Level, list[int]]:
    """The inline message that ``level`` leads to when each holds one inline field, and the keys on the way."""
    tags: list[int] = []
    while True:
        below = [field for field in level.schema.fields if field.kind == "inline"]
        if len(below) != 1 or below[0].name or below[0].oneof or below[0].tag > 127:
            return level, tags
        tags.append(below[0].tag)
        level = level.inside(below[0])


def _key(schema: Schema) -> Field | None:
    """The text that tells messages of ``schema`` apart, if that is how it is made."""
    first = schema.fields[0] if schema.fields else None
    if first is None or first.kind != "inline" or first.name or first.oneof:
        return None
    innermost, tags = descent(Level(schema).inside(first))
    fields = [field for field in innermost.schema.fields if field.kind != "ignore"]
    if not tags or not fields or fields[0].kind not in ("string", "bytes") or fields[0].oneof:
        return None
    return None if any(_is_mutable(field) for field in read_fields(schema)) else fields[0]


def _is_mutable(field: Field) -> bool:
    return field.repeated or field.kind in ("message", "map")


def _remember(tails: dict[bytes, Any], tail: bytes, values: Any) -> None:
    if len(tail) <= _LONGEST:
        if len(tails) >= _MOST:
            tails.clear()
        tails[tail] = values
