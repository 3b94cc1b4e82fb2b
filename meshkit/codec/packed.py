"""Packed repeated numbers: many numbers in one length-delimited field."""

from __future__ import annotations

import struct
from collections.abc import Callable, Sequence
from typing import Any, Final

from .varint import ONE, READERS, WRITERS, Malformed

__all__ = ["FORMATS", "pack", "unpack"]

#: Kind of fixed size -> struct format.
FORMATS: Final = {"double": "d", "float": "f", "fixed32": "I", "sfixed32": "i", "fixed64": "Q", "sfixed64": "q"}
_SIZES: Final = {"d": 8, "f": 4, "I": 4, "i": 4, "Q": 8, "q": 8}


def _unzigzag(value: int) -> int:
    return value >> 1 ^ -(value & 1)


_FINISH: Final[dict[str, Callable[[int], Any]]] = {"sint32": _unzigzag, "sint64": _unzigzag, "bool": bool}


def unpack(kind: str) -> Callable[[bytes], Sequence[Any]]:
    """A function from a packed field's content to its numbers."""
    return _fixed_reader(FORMATS[kind]) if kind in FORMATS else _varint_reader(kind)


def _fixed_reader(code: str) -> Callable[[bytes], Sequence[Any]]:
    size = _SIZES[code]

    def read(data: bytes) -> Sequence[Any]:
        count, rest = divmod(len(data), size)
        if rest:
            raise Malformed("truncated")
        return struct.unpack(f"<{count}{code}", data)

    return read


def _varint_reader(kind: str) -> Callable[[bytes], Sequence[Any]]:
    reader, finish = READERS[kind], _FINISH.get(kind)

    def read(data: bytes) -> Sequence[Any]:
        numbers = data if data.isascii() else _varints(data, reader)
        return [finish(number) for number in numbers] if finish else numbers

    return read


def _varints(data: bytes, reader: Callable[[bytes, int], tuple[int, int]]) -> Sequence[int]:
    numbers: list[int] = []
    pos, end = 0, len(data)
    while pos < end:
        number = data[pos]
        if number > 127:
            number, pos = reader(data, pos)
        else:
            pos += 1
        numbers.append(number)
    return numbers


def pack(kind: str) -> Callable[[Sequence[Any]], bytes]:
    """A function from numbers to a packed field's content."""
    return _fixed_writer(FORMATS[kind]) if kind in FORMATS else _varint_writer(kind)


def _fixed_writer(code: str) -> Callable[[Sequence[Any]], bytes]:
    def write(values: Sequence[Any]) -> bytes:
        return struct.pack(f"<{len(values)}{code}", *values)

    return write


def _varint_writer(kind: str) -> Callable[[Sequence[Any]], bytes]:
    writer = WRITERS[kind]
    if kind in ("sint32", "sint64", "bool"):
        return lambda values: b"".join([writer(value) for value in values])

    def write(values: Sequence[int]) -> bytes:
        return b"".join([ONE[value] if 0 <= value < 128 else writer(value) for value in values])

    return write
