"""What hostile bytes make of memory: a multiple of their size, whatever they hold (docs/codec.md tells the figures)."""

from __future__ import annotations

import gc
import tracemalloc
from typing import Any

import pytest

from meshkit.codec import DecodeError, codec_for
from tests.support.message_types import FieldSpec, make_types

F = FieldSpec
TYPES = make_types(
    (
        (
            F(1, "string"),
            F(2, "M1"),
            F(3, "M1", "repeated"),
            F(4, "int32", "repeated"),
            F(5, "double", "repeated"),
            F(6, "string", "repeated"),
            F(7, "int32", "map", "int32"),
            F(8, "M1", "map"),
        ),
        (F(1, "int32"), F(2, "string", "repeated"), F(3, "M0")),
    )
)
CODEC: Any = codec_for(TYPES.mine[0])
RECEIVE_LIMIT = 4 * 1024 * 1024
SAMPLE = 64 * 1024  # of messages by the ten thousand: under tracemalloc the limit's worth takes seconds


def sized(key: bytes, content: bytes) -> bytes:
    size, head = len(content), key
    while size > 127:
        head += bytes((size & 127 | 128,))
        size >>= 7
    return head + bytes((size,)) + content


def memory(data: bytes) -> float:
    """The most that decoding ``data`` takes at once, in bytes for each byte of it; the message counts too."""
    CODEC.decode(b"\x0a\x00\x12\x00\x42\x00")  # functions are made at first use
    gc.collect()
    tracemalloc.start()
    try:
        message = CODEC.decode(data)
        _, peak = tracemalloc.get_traced_memory()
        del message
    finally:
        tracemalloc.stop()
    return peak / len(data)


# Ceilings are a third above what CPython 3.11 takes, or more; 3.12 and 3.13 take as much, or a twentieth less.
@pytest.mark.parametrize(
    ("content", "ceiling"),
    [
        (sized(b"\x22", b"\x01" * RECEIVE_LIMIT), 12),
        (sized(b"\x22", b"\x80\x80\x04" * SAMPLE), 20),
        (sized(b"\x2a", b"\x01" * RECEIVE_LIMIT), 7),
        (b"".join(sized(b"\x3a", b"\x08" + bytes((n & 127 | 128, n >> 7))) for n in range(1 << 14)), 24),
        (b"".join(sized(b"\x42", b"\x0a\x04%04x" % n) for n in range(1 << 14)), 48),
    ],
    ids=["packed small", "packed large", "packed doubles", "map of numbers", "map of messages"],
)
def test_packed_fields_and_maps(content: bytes, ceiling: int) -> None:
    assert memory(content) <= ceiling


@pytest.mark.parametrize(
    ("unit", "ceiling"),
    [
        (b"\x1a\x00", 112),
        (b"\x12\x00", 60),
        (b"\x12\x02\x08\x01", 42),
        (b"\x32\x00", 6),
        (b"\x20\x01", 6),
        (b"\x42\x00", 1),
        (b"\x42\x02\x18\x01", 44),
        (b"\xa0\x06\x01", 56),
    ],
    ids=[
        "empty messages",
        "an empty message again and again",
        "a message again and again",
        "empty strings",
        "unpacked numbers",
        "one map entry again and again",
        "map entries of more than key and value",
        "unknown fields",
    ],
)
def test_what_is_repeated(unit: bytes, ceiling: int) -> None:
    once, four_times = (memory(unit * (size // len(unit))) for size in (SAMPLE // 4, SAMPLE))
    assert four_times <= ceiling
    assert four_times <= max(1.5 * once, 1)  # in proportion to the bytes, not to their square


def test_a_length_that_is_not_there_reserves_nothing() -> None:
    for key in (b"\x0a", b"\x12", b"\x1a", b"\x22", b"\x2a", b"\x42"):
        data = key + b"\xff\xff\xff\xff\x07" + b"\x00" * 64
        tracemalloc.start()
        try:
            with pytest.raises(DecodeError):
                CODEC.decode(data)
            assert tracemalloc.get_traced_memory()[1] < 1 << 20
        finally:
            tracemalloc.stop()
