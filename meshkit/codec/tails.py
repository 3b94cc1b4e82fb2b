"""Remembering the rest of a message by its bytes, where only the first field tells one message from the next.

The endpoints of a service differ in their address; what follows it (health, metadata, weight) is the same for most. A
message that starts with an inline field and holds nothing mutable looks the bytes after that field up before reading
them. The values are then shared, too: 10,000 endpoints hold one copy of their metadata.
"""

from __future__ import annotations

from typing import Any, Final

from .frame import Frame, Level, read_fields
from .schema import Field, Schema

__all__ = ["Tails"]

_LONGEST: Final = 1024
_MOST: Final = 256


class Tails:
    """Writes the look-up into a `Frame`; does nothing for a schema that it does not fit."""

    def __init__(self, frame: Frame) -> None:
        schema = frame.schema
        self.text = frame.text
        self.fits = not frame.keeps and _fits(schema)
        if self.fits:
            self.locals = ", ".join(f"_{field.name}" for field in read_fields(Schema("", schema.fields[1:]))) + ","
            frame.scope.update(tails={}, remember=_remember)

    def start(self) -> None:
        """Before the loop. ``odd``: something happened that is not in the values."""
        if self.fits:
            self.text.add("start = pos", "tail = known = None", "odd = False")

    def before(self, level: Level, field: Field) -> None:
        """Before the first field is read."""
        if self._is_first(level, field):
            self.text.add("if at == start:", "    tail = b''", "elif tail is not None:", "    odd = True")

    def after(self, level: Level, field: Field) -> None:
        """After the first field was read, if nothing came before it."""
        if self._is_first(level, field):
            with self.text.block("if tail == b'':"):
                self.text.add("tail = data[pos:end]", "known = tails.get(tail)")
                self.text.add("if known is not None:", f"    {self.locals} = known", "    pos = end", "    break")

    def odd(self) -> None:
        """An unknown field was met: its name must be noted each time."""
        if self.fits:
            self.text.add("odd = True")

    def end(self) -> None:
        """After the loop, when the whole message was read."""
        if self.fits:
            with self.text.block("if known is None and tail and not odd and again is None:"):
                self.text.add(f"remember(tails, tail, ({self.locals}))")

    def _is_first(self, level: Level, field: Field) -> bool:
        return self.fits and not level.number and field is level.schema.fields[0]


def _fits(schema: Schema) -> bool:
    first, *rest = schema.fields or (None,)
    if first is None or first.kind != "inline" or any(_is_mutable(field) for field in rest):
        return False
    return any(field.kind != "ignore" for field in rest)


def _is_mutable(field: Field) -> bool:
    return field.repeated or bool(field.oneof) or field.kind in ("message", "map", "inline")


def _remember(tails: dict[bytes, Any], tail: bytes, values: Any) -> None:
    if len(tail) <= _LONGEST:
        if len(tails) >= _MOST:
            tails.clear()
        tails[tail] = values
