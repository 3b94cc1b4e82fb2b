"""How HEADERS frames lie in a buffer, by the length of their blocks, so that one is read or written in one step.

Nearly always the DATA frame of a message is behind one, and the head of that is read and written with it.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from struct import Struct
from typing import Final

from .codes import END_HEADERS, END_STREAM, HEADERS

__all__ = ["FIRST", "LAST", "Layout", "lay_out", "layout_of"]

_LONGEST: Final = 1024  # of a block; few are longer, and those are not remembered either
_HEAD: Final = Struct(">LB")  # length (24 bits) and type, flags


class Layout:
    """HEADERS (and END_HEADERS) with a block of ``length`` bytes.

    ``open`` and ``ending`` are length, type and flags, without and with END_STREAM. ``pack`` and ``unpack``: one of
    those, the stream, the block; ``pack_message`` and ``unpack_message``: the same, then of the DATA frame its length
    (24 bits) and type, flags and stream, then of the message its flag and length. ``size`` and ``message_at`` are how
    many bytes they take.
    """

    __slots__ = ("ending", "message_at", "open", "pack", "pack_message", "size", "unpack", "unpack_message")

    def __init__(self, length: int) -> None:
        head = length << 8 | HEADERS
        self.open = _HEAD.pack(head, END_HEADERS)
        self.ending = _HEAD.pack(head, END_HEADERS | END_STREAM)
        alone = Struct(f">5sL{length}s")
        self.size = alone.size
        self.pack = alone.pack
        self.unpack = alone.unpack_from
        followed = Struct(f">5sL{length}sLBLBL")
        self.message_at = followed.size
        self.pack_message = followed.pack
        self.unpack_message = followed.unpack_from


layout_of: Final[Callable[[int], Layout]] = lru_cache(_LONGEST)(Layout)
"""The layout for a length; each is made once."""

FIRST: Final[list[Layout]] = [layout_of(0)] * 256
LAST: Final[list[Layout]] = FIRST.copy()
"""By the last octet of a length: the layout of the length like that which came last, of the first HEADERS of a stream
and of its trailers. Whoever finds that a frame does not begin as it says has `lay_out` put the right one in its place.
"""


def lay_out(table: list[Layout], buffer: bytes, at: int) -> bool:
    """Put the layout of the HEADERS frame that begins at ``at`` in its place in ``table``. False where it was there, or
    it is no such frame: to try again would be in vain."""
    head, flags = _HEAD.unpack_from(buffer, at)
    length = head >> 8
    if head & 255 != HEADERS or flags & ~END_STREAM != END_HEADERS or length > _LONGEST:
        return False
    layout = layout_of(length)
    if table[length & 255] is layout:
        return False
    table[length & 255] = layout
    return True
