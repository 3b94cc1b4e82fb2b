"""Base-128 numbers and field skipping: what generated functions call when a byte is not the whole story.

https://protobuf.dev/programming-guides/encoding/. The readers take the data and the place of the first byte, and
return the value and the place after it; `read_uint64` and its kin are for varints of two bytes or more. Past the end of
the data they raise IndexError, which the generated function turns into a `DecodeError`.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

__all__ = [
    "ONE",
    "READERS",
    "WRITERS",
    "Malformed",
    "check_frames",
    "head",
    "payload",
    "read_int32",
    "read_int64",
    "read_size",
    "read_tag",
    "read_uint32",
    "read_uint64",
    "skip",
    "varint",
]


class Malformed(ValueError):
    """Bytes that are no message; the text is the reason."""


def read_uint64(data: bytes, pos: int) -> tuple[int, int]:
    """A varint of at most ten bytes; bits past the 64th are dropped."""
    value = data[pos] & 127
    shift = 7
    while shift < 70:
        pos += 1
        byte = data[pos]
        if byte < 128:
            return (value | byte << shift) & 0xFFFF_FFFF_FFFF_FFFF, pos + 1
        value |= (byte & 127) << shift
        shift += 7
    raise Malformed("number longer than ten bytes")


def read_int64(data: bytes, pos: int) -> tuple[int, int]:
    """The same as two's complement."""
    value, pos = read_uint64(data, pos)
    return (value - (1 << 64) if value >> 63 else value), pos


def read_uint32(data: bytes, pos: int) -> tuple[int, int]:
    """The low 32 bits."""
    value, pos = read_uint64(data, pos)
    return value & 0xFFFF_FFFF, pos


def read_int32(data: bytes, pos: int) -> tuple[int, int]:
    """The low 32 bits as two's complement."""
    value, pos = read_uint64(data, pos)
    value &= 0xFFFF_FFFF
    return (value - (1 << 32) if value >> 31 else value), pos


#: Kind -> reader of a varint longer than a byte. Zigzag kinds and bool are finished by the caller.
READERS: Final[dict[str, Callable[[bytes, int], tuple[int, int]]]] = {
    "int32": read_int32,
    "int64": read_int64,
    "uint32": read_uint32,
    "uint64": read_uint64,
    "sint32": read_uint32,
    "sint64": read_uint64,
    "bool": read_uint64,
    "enum": read_int32,
}


def _read_short(data: bytes, pos: int, what: str) -> tuple[int, int]:
    """A varint of at most five bytes."""
    value = shift = 0
    while shift < 35:
        byte = data[pos]
        pos += 1
        value |= (byte & 127) << shift
        if byte < 128:
            return value, pos
        shift += 7
    raise Malformed(f"{what} longer than five bytes")


def read_tag(data: bytes, pos: int) -> tuple[int, int]:
    """A field's key: number << 3 | wire type, at most 32 bits."""
    tag, pos = _read_short(data, pos, "field key")
    if tag > 0xFFFF_FFFF:
        raise Malformed("field number out of range")
    return tag, pos


def read_size(data: bytes, pos: int) -> tuple[int, int]:
    """The length of a length-delimited field: below 2 GiB."""
    size, pos = _read_short(data, pos, "length")
    if size > 0x7FFF_FFFF:
        raise Malformed("length out of range")
    return size, pos


def payload(data: bytes, pos: int) -> bytes:
    """The content of the length-delimited field whose key is at ``pos``."""
    _, pos = read_tag(data, pos)
    size, pos = read_size(data, pos)
    return data[pos : pos + size]


def check_frames(data: bytes, pos: int, end: int) -> None:
    """Raise unless whole fields lie between ``pos`` and ``end``: messages put together must not heal one another."""
    while pos < end:
        tag, pos = read_tag(data, pos)
        pos = skip(data, pos, end, tag, 100)


def skip(data: bytes, pos: int, end: int, tag: int, depth: int) -> int:
    """The place after the field of key ``tag`` whose content starts at ``pos``; groups are skipped whole."""
    if tag & 7 == 3:
        return _skip_group(data, pos, end, tag, depth)
    pos = _skip_value(data, pos, tag)
    if pos > end:
        raise Malformed("truncated")
    return pos


def _skip_value(data: bytes, pos: int, tag: int) -> int:
    if tag < 8:
        raise Malformed("field number 0")
    match tag & 7:
        case 0:
            return pos + 1 if data[pos] < 128 else read_uint64(data, pos)[1]
        case 1:
            return pos + 8
        case 2:
            size, pos = read_size(data, pos)
            return pos + size
        case 5:
            return pos + 4
        case 4:
            raise Malformed("end of a group that did not start")
        case wire_type:
            raise Malformed(f"wire type {wire_type} does not exist")


def _skip_group(data: bytes, pos: int, end: int, tag: int, depth: int) -> int:
    open_groups = [tag]
    while open_groups:
        if tag < 8:
            raise Malformed("field number 0")
        if len(open_groups) > depth:
            raise Malformed("nested too deep")
        if pos >= end:
            raise Malformed("truncated")
        tag, pos = read_tag(data, pos)
        if tag & 7 == 3:
            open_groups.append(tag)
        elif tag & 7 == 4:
            if open_groups.pop() != tag - 1:
                raise Malformed("end of a group that did not start")
        else:
            pos = skip(data, pos, end, tag, depth)
    return pos


# -- writing ---------------------------------------------------------------------------------------------------------

#: The bytes 0 to 127, each a varint of its own.
ONE: Final = tuple(bytes((value,)) for value in range(128))
_HEADS: Final[dict[bytes, tuple[bytes, ...]]] = {}


def head(key: bytes) -> tuple[bytes, ...]:
    """``key`` followed by each one-byte varint: one lookup writes a field's key and a short length or number."""
    table = _HEADS.get(key)
    if table is None:
        table = _HEADS[key] = tuple(key + one for one in ONE)
    return table


def varint(value: int) -> bytes:
    """``value`` (not negative, below 2**64) in base 128."""
    if value < 128:
        return ONE[value]
    if value < 16384:
        return bytes((value & 127 | 128, value >> 7))
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    out.append(value)
    return bytes(out)


def _ranged(kind: str, low: int, high: int) -> Callable[[int], bytes]:
    def write(value: int) -> bytes:
        if not low <= value <= high:
            raise ValueError(f"{value!r} is out of range for {kind}")
        return varint(value & 0xFFFF_FFFF_FFFF_FFFF)

    return write


def _zigzag(kind: str, bits: int) -> Callable[[int], bytes]:
    limit = 1 << bits - 1

    def write(value: int) -> bytes:
        if not -limit <= value < limit:
            raise ValueError(f"{value!r} is out of range for {kind}")
        return varint(value << 1 ^ value >> bits - 1)

    return write


def _truth(value: object) -> bytes:
    if value is True or (value == 1 and isinstance(value, int)):
        return b"\x01"
    if value is False or (value == 0 and isinstance(value, int)):
        return b"\x00"
    raise ValueError(f"{value!r} is not a bool")


#: Kind -> writer of a number as a varint; ValueError when out of range, TypeError when not an integer.
WRITERS: Final[dict[str, Callable[[int], bytes]]] = {
    "int32": _ranged("int32", -(1 << 31), (1 << 31) - 1),
    "int64": _ranged("int64", -(1 << 63), (1 << 63) - 1),
    "uint32": _ranged("uint32", 0, (1 << 32) - 1),
    "uint64": _ranged("uint64", 0, (1 << 64) - 1),
    "sint32": _zigzag("sint32", 32),
    "sint64": _zigzag("sint64", 64),
    "enum": _ranged("enum", -(1 << 31), (1 << 31) - 1),
    "bool": _truth,
}
