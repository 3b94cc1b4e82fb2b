"""Remembering decoded items by their bytes, so that a push with one change among thousands costs one change.

Items of a bulk field are remembered in runs of consecutive items. A run whose bytes come again, wherever that is, is
taken whole with one comparison in C; only items in a run that changed are decoded.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

__all__ = ["RUN", "Memo", "Part", "Run"]

#: Items in a run, and between two pauses of a sliced decode.
RUN: Final = 64


class Run:
    """Consecutive items: their bytes (field keys included), and the names of unprojected fields in them."""

    __slots__ = ("data", "items", "notes")

    def __init__(self, data: bytes, items: list[Any], notes: list[str]) -> None:
        self.data = data
        self.items = items
        self.notes = notes


class Part:
    """The runs of one bulk field: those of the last decode, by the bytes of their first item, and the new ones."""

    __slots__ = ("_by_first", "_first", "_items", "_notes", "_start", "_stop", "new")

    def __init__(self) -> None:
        self._by_first: dict[bytes, Run] = {}
        self.begin()

    def begin(self) -> None:
        """A decode starts: nothing of it is known yet."""
        self.new: list[tuple[bytes, Run]] = []
        self._reset(0)

    def commit(self) -> None:
        """The decode succeeded: its runs are those to find next time."""
        self._by_first = dict(self.new)

    def _reset(self, start: int) -> None:
        self._start = self._stop = start
        self._first = b""
        self._items: list[Any] = []
        self._notes: list[str] = []

    def find(self, data: bytes, start: int, stop: int, end: int) -> Run | None:
        """The remembered run that starts with the item at ``start`` to ``stop`` and comes again, before ``end``."""
        first = data[start:stop]
        run = self._by_first.get(first)
        if run is None or start + len(run.data) > end or not data.startswith(run.data, start):
            return None
        self.flush(data)
        self.new.append((first, run))
        return run

    def note(self, data: bytes, start: int, stop: int, item: Any, notes: Sequence[str]) -> None:
        """An item was decoded."""
        if start != self._stop or len(self._items) >= RUN:
            self.flush(data)
        if not self._items:
            self._reset(start)
            self._first = data[start:stop]
        self._items.append(item)
        self._notes.extend(notes)
        self._stop = stop

    def flush(self, data: bytes) -> None:
        """The items noted since the last run are a run."""
        if self._items:
            self.new.append((self._first, Run(data[self._start : self._stop], self._items, self._notes)))
            self._reset(self._stop)


class Memo:
    """What the last decode of one resource left: pass it to every decode of that resource.

    Only for objects that nobody changes: an item that comes again is the same object. A decode that fails leaves the
    memo as it was.
    """

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}

    def part(self, key: str) -> Part:
        """The part of the bulk field ``key``."""
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = Part()
        return part

    def begin(self) -> None:
        """A decode starts."""
        for part in self._parts.values():
            part.begin()

    def commit(self) -> None:
        """The decode succeeded: its runs are those to compare with next time."""
        for part in self._parts.values():
            part.commit()
