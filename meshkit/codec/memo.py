"""Remembering decoded items by their bytes, so that a push with one change among thousands costs one change.

Items of a bulk field are remembered in runs of consecutive items. The bytes of a decode are compared with those of the
one before once, from both ends: runs that lie in what is the same there are taken without another look. A run that
moved is found by its first item and taken with one comparison. Only items in a run that changed are decoded.
"""

from __future__ import annotations

from bisect import bisect_left
from collections.abc import Generator, Iterable, Iterator, Sequence
from itertools import chain
from typing import Any, Final, TypeVar, overload

__all__ = ["RUN", "Memo", "Part", "Run", "Runs", "take"]

T = TypeVar("T")

#: Items in a run, and between two pauses of a sliced decode.
RUN: Final = 64

# Bytes compared at once; and how far apart two changes are where it pays to look for what moved between them.
_CHUNK: Final = 65_536
_APART: Final = 1_024


class Run:
    """Consecutive items, which nobody changes: the size of their bytes (field keys included) and of the first one's,
    and the names of unprojected fields in them."""

    __slots__ = ("first", "items", "notes", "size")

    def __init__(self, first: int, size: int, items: list[Any], notes: list[str]) -> None:
        self.first = first
        self.size = size
        self.items = items
        self.notes = notes


class Runs(Sequence[T]):
    """The items of a bulk field that was decoded with a memo: a tuple in all but name, in ``runs``.

    Versions share the runs that they have in common, so a new version does not touch the items of those: with ten
    thousand of them that would cost more than to read what changed.
    """

    __slots__ = ("_size", "runs")

    def __init__(self, runs: tuple[Run, ...]) -> None:
        self.runs = runs
        self._size = sum([len(run.items) for run in runs])

    def __repr__(self) -> str:
        return repr(tuple(self))

    def __len__(self) -> int:
        return self._size

    def __iter__(self) -> Iterator[T]:
        return chain.from_iterable([run.items for run in self.runs])

    def __eq__(self, other: object) -> bool:
        if isinstance(other, Runs):
            return self.runs == other.runs or [*self] == [*other]
        return tuple(self) == other

    def __hash__(self) -> int:
        return hash(tuple(self))

    @overload
    def __getitem__(self, index: int) -> T: ...
    @overload
    def __getitem__(self, index: slice) -> tuple[T, ...]: ...
    def __getitem__(self, index: int | slice) -> T | tuple[T, ...]:
        if isinstance(index, slice):
            start, stop, step = index.indices(self._size)
            return tuple(self._between(start, stop)) if step == 1 else tuple(self)[index]
        position = range(self._size)[index]
        return self._between(position, position + 1)[0]

    def _between(self, start: int, stop: int) -> list[T]:
        found: list[T] = []
        at = 0
        for run in self.runs:
            if at >= stop:
                break
            found += run.items[max(start - at, 0) : stop - at]
            at += len(run.items)
        return found


class Part:
    """The runs of one bulk field, and where each starts: those of the last decode, and the new ones."""

    __slots__ = (
        *("_first", "_items", "_memo", "_moved", "_new", "_new_starts", "_notes", "_old"),
        *("_start", "_starts", "_stop", "_told"),
    )

    def __init__(self, memo: Memo) -> None:
        self._memo = memo
        self._old: list[Run] = []
        self._starts: list[int] = []
        self.begin()

    def begin(self) -> None:
        """A decode starts: nothing of it is known yet."""
        self._new: list[Run] = []
        self._new_starts: list[int] = []
        self._told = 0
        self._moved: dict[bytes, int] | None = None
        self._reset(0)

    def commit(self) -> None:
        """The decode succeeded: its runs are those to find next time."""
        self._old, self._starts = self._new, self._new_starts
        self.begin()

    def _reset(self, start: int) -> None:
        self._start = self._stop = start
        self._first = 0
        self._items: list[Any] = []
        self._notes: list[str] = []

    def find(self, data: bytes, start: int, stop: int, end: int) -> Sequence[Run]:
        """The remembered runs that come again from the item at ``start`` to ``stop`` on, before ``end``; empty for
        none."""
        memo = self._memo
        if start < memo.head:
            found = self._same(start, start, min(end, memo.head))
        elif start >= memo.tail:
            found = self._same(start, start - memo.shift, end)
        elif memo.tail - memo.head > _APART:
            found = self._elsewhere(data, start, stop, end)
        else:
            return ()
        if found:
            self.flush()
            for run in found:
                self._new.append(run)
                self._new_starts.append(start)
                start += run.size
        return found

    def _same(self, start: int, was: int, end: int) -> Sequence[Run]:
        """The runs from ``start`` to ``end``, which is the same as from ``was`` on, that follow one another."""
        starts, old = self._starts, self._old
        first = index = bisect_left(starts, was)
        shift = start - was
        while index < len(old) and starts[index] == start - shift and start + old[index].size <= end:
            start += old[index].size
            index += 1
        return old[first:index]

    def _elsewhere(self, data: bytes, start: int, stop: int, end: int) -> Sequence[Run]:
        """The run that begins with this item and was somewhere else."""
        before, starts, old = self._memo.data, self._starts, self._old
        if self._moved is None:
            self._moved = {before[at : at + run.first]: n for n, (at, run) in enumerate(zip(starts, old, strict=True))}
        index = self._moved.get(data[start:stop])
        if index is None:
            return ()
        run, at = old[index], starts[index]
        same = start + run.size <= end and data.startswith(before[at : at + run.size], start)
        return (run,) if same else ()

    def note(self, start: int, stop: int, item: Any, notes: Iterable[str]) -> None:
        """An item was decoded."""
        if start != self._stop or len(self._items) >= RUN:
            self.flush()
        if not self._items:
            self._reset(start)
            self._first = stop - start
        self._items.append(item)
        self._notes.extend(notes)
        self._stop = stop

    def flush(self) -> None:
        """The items noted since the last run are a run."""
        if self._items:
            self._new.append(Run(self._first, self._stop - self._start, self._items, self._notes))
            self._new_starts.append(self._start)
            self._reset(self._stop)

    def runs(self) -> Runs[Any]:
        """All that was taken or noted since the last call."""
        self.flush()
        made: Runs[Any] = Runs(tuple(self._new[self._told :]))
        self._told = len(self._new)
        return made


class Memo:
    """What the last decode of one resource left: pass it to every decode of that resource.

    Only for objects that nobody changes: an item that comes again is the same object. A decode that fails leaves the
    memo as it was.

    ``data`` are the bytes of the last decode. Those under way are the same up to ``head``; from ``tail`` on they are
    the same as what was ``shift`` bytes before.
    """

    __slots__ = ("_next", "_parts", "data", "head", "shift", "tail")

    def __init__(self) -> None:
        self._parts: dict[str, Part] = {}
        self.data = self._next = b""
        self.head = self.tail = self.shift = 0

    def part(self, key: str, data: bytes) -> Part | None:
        """The part of the bulk field ``key``; None where not the bytes of the decode are read, but a copy of some."""
        if data is not self._next:
            return None
        part = self._parts.get(key)
        if part is None:
            part = self._parts[key] = Part(self)
        return part

    def compare(self, data: bytes) -> Generator[int, None, bool]:
        """Find where ``data`` differ from the bytes of the last decode, in slices; True if nowhere."""
        was, most = self.data, min(len(data), len(self.data))
        head = yield from _common(was, data, most, from_end=False)
        tail = yield from _common(was, data, most - head, from_end=True)
        self.head, self.tail, self.shift, self._next = head, len(data) - tail, len(data) - len(was), data
        return head == len(data) == len(was)

    def begin(self, data: bytes) -> Generator[int, None, None]:
        """A decode of ``data`` starts."""
        if self._next is not data:
            yield from self.compare(data)
        for part in self._parts.values():
            part.begin()

    def commit(self) -> None:
        """The decode succeeded: its runs are those to find next time."""
        self.data, self._next = self._next, b""
        for part in self._parts.values():
            part.commit()


def _common(was: bytes, now: bytes, most: int, *, from_end: bool) -> Generator[int, None, int]:
    """How many bytes, ``most`` at most, are the same from the start or from the end."""
    done, size, view = 0, _CHUNK, memoryview(was)
    while size and done < most:
        size = min(size, most - done)
        one, other = (len(was) - done - size, len(now) - done - size) if from_end else (done, done)
        if now.startswith(view[one : one + size], other):
            done += size
            if size == _CHUNK:
                yield 1
        else:
            size //= 2
    return done


def take(runs: Sequence[Run], notes: list[str], at: int) -> int:
    """Add what the ``runs`` found ``at`` there note; where they end."""
    for run in runs:
        notes += run.notes
        at += run.size
    return at
