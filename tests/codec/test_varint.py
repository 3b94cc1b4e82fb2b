"""Numbers and skipping, against the encoding guide."""

from __future__ import annotations

import pytest

from meshkit.codec.varint import (
    WRITERS,
    Malformed,
    payload,
    read_int32,
    read_int64,
    read_size,
    read_tag,
    read_uint32,
    read_uint64,
    skip,
    varint,
)


@pytest.mark.parametrize(
    ("number", "data"),
    [
        (0, b"\x00"),
        (127, b"\x7f"),
        (128, b"\x80\x01"),
        (150, b"\x96\x01"),
        (2**32, b"\x80\x80\x80\x80\x10"),
        (2**64 - 1, b"\xff" * 9 + b"\x01"),
    ],
)
def test_numbers_in_base_128(number: int, data: bytes) -> None:
    assert varint(number) == data
    if number > 127:
        assert read_uint64(data + b"\x55", 0) == (number, len(data))


def test_readers_cut_to_their_width_and_sign() -> None:
    minus_one = b"\xff" * 9 + b"\x01"
    assert read_int64(minus_one, 0) == (-1, 10)
    assert read_int32(minus_one, 0) == (-1, 10)
    assert read_uint32(minus_one, 0) == (2**32 - 1, 10)
    assert read_int32(varint(2**31), 0)[0] == -(2**31)
    assert read_int64(varint(2**63), 0)[0] == -(2**63)
    assert read_uint64(b"\xff" * 9 + b"\x7f", 0)[0] == 2**64 - 1


def test_long_numbers_are_refused() -> None:
    with pytest.raises(Malformed, match="ten bytes"):
        read_uint64(b"\x80" * 10 + b"\x01", 0)
    with pytest.raises(Malformed, match="five bytes"):
        read_tag(b"\x88\x80\x80\x80\x80\x00", 0)
    with pytest.raises(Malformed, match="out of range"):
        read_tag(b"\xf8\xff\xff\xff\x1f", 0)
    with pytest.raises(Malformed, match="out of range"):
        read_size(b"\xff\xff\xff\xff\x0f", 0)
    with pytest.raises(IndexError):
        read_uint64(b"\x80\x80", 0)


@pytest.mark.parametrize(
    ("data", "after"),
    [
        (b"\x08\x01", 2),
        (b"\x08\x80\x01", 3),
        (b"\x09" + bytes(8), 9),
        (b"\x0a\x02ab", 4),
        (b"\x0d" + bytes(4), 5),
        (b"\x0b\x08\x01\x0c", 4),
        (b"\x0b\x13\x14\x12\x01x\x0c", 7),
    ],
)
def test_skipping_every_wire_type(data: bytes, after: int) -> None:
    assert skip(data, 1, len(data), data[0], 100) == after


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"\x00\x01", "field number 0"),
        (b"\x0c", "did not start"),
        (b"\x0e", "wire type 6"),
        (b"\x0f", "wire type 7"),
        (b"\x0a\x05ab", "truncated"),
        (b"\x09\x00", "truncated"),
        (b"\x0b\x08\x01", "truncated"),
        (b"\x0b\x14", "did not start"),
        (b"\x0b\x03\x04\x0c", "field number 0"),
    ],
)
def test_fields_that_cannot_be_skipped(data: bytes, reason: str) -> None:
    with pytest.raises(Malformed, match=reason):
        skip(data, 1, len(data), data[0], 100)


def test_groups_nest_as_deep_as_is_left() -> None:
    data = b"\x0b" * 5 + b"\x0c" * 5
    assert skip(data, 1, len(data), data[0], 5) == 10
    with pytest.raises(Malformed, match="too deep"):
        skip(data, 1, len(data), data[0], 4)


def test_the_content_of_a_field_by_the_place_of_its_key() -> None:
    assert payload(b"..\x82\x01\x03abcdef", 2) == b"abc"


@pytest.mark.parametrize("kind", ["int32", "sint32", "enum"])
@pytest.mark.parametrize("number", [2**31, -(2**31) - 1])
def test_writers_check_ranges(kind: str, number: int) -> None:
    with pytest.raises(ValueError, match="out of range"):
        WRITERS[kind](number)


def test_writers_of_unsigned_zigzag_and_bool() -> None:
    assert WRITERS["sint32"](-1) == b"\x01"
    assert WRITERS["sint64"](-(2**63)) == b"\xff" * 9 + b"\x01"
    assert WRITERS["int32"](-1) == b"\xff" * 9 + b"\x01"
    assert (WRITERS["bool"](1), WRITERS["bool"](0)) == (b"\x01", b"\x00")
    for kind, number in (("uint32", -1), ("uint64", 2**64), ("bool", 2)):
        with pytest.raises(ValueError, match=r"out of range|not a bool"):
            WRITERS[kind](number)
