"""Text of a generated function, and which field each line of it is about."""

from __future__ import annotations

import linecache
from collections.abc import Callable, Generator
from contextlib import contextmanager
from types import CodeType
from typing import Final, cast

__all__ = ["Text"]

_INDENT: Final = "    "


class Text:
    """Lines of Python under way. ``place`` is the field that lines added now are about; errors look it up by line."""

    def __init__(self) -> None:
        self.lines: list[str] = []
        self.places: list[str] = []
        self.place = ""
        self._depth = 0

    def add(self, *lines: str) -> None:
        """Add lines at the present indentation."""
        for line in lines:
            self.lines.append(_INDENT * self._depth + line if line else "")
            self.places.append(self.place)

    @contextmanager
    def block(self, head: str) -> Generator[None]:
        """Add ``head``, and indent what is added inside."""
        self.add(head)
        with self.indented():
            yield

    @contextmanager
    def indented(self) -> Generator[None]:
        """Indent what is added inside: the rest of a block whose head is there."""
        self._depth += 1
        yield
        self._depth -= 1

    @contextmanager
    def about(self, place: str) -> Generator[None]:
        """Lines added inside are about the field ``place``."""
        before, self.place = self.place, place
        yield
        self.place = before

    def place_of(self, line: int) -> str:
        """The field that line number ``line`` (from 1) is about."""
        return self.places[line - 1]

    def __str__(self) -> str:
        return "\n".join(self.lines) + "\n"

    def compile(self, filename: str, again: Callable[[], str]) -> CodeType:
        """Compile and forget the lines, but let tracebacks, `inspect` and debuggers find them under ``filename``.

        ``again`` gives the text when somebody asks: a process keeps hundreds of functions and hardly ever shows one.
        """
        code = compile(str(self), filename, "exec")
        cast("dict[str, object]", linecache.cache)[filename] = (again,)
        self.lines.clear()
        return code
