"""Packed numbers: every kind there and back, and what is cut."""

from __future__ import annotations

from typing import Any

import pytest

from meshkit.codec.packed import pack, unpack
from meshkit.codec.varint import Malformed

VALUES: dict[str, list[Any]] = {
    "int32": [0, 1, 127, 128, -1, -(2**31), 2**31 - 1],
    "int64": [0, -1, 2**63 - 1, -(2**63)],
    "uint32": [0, 2**32 - 1],
    "uint64": [5, 2**64 - 1],
    "sint32": [0, -1, 1, -(2**31), 2**31 - 1],
    "sint64": [0, -1, -(2**63)],
    "bool": [True, False, True],
    "enum": [0, 1, -3, 77],
    "double": [0.5, -0.0, float("inf")],
    "float": [0.5, 2.0],
    "fixed32": [0, 2**32 - 1],
    "sfixed32": [-1, 5],
    "fixed64": [2**64 - 1],
    "sfixed64": [-(2**63)],
}


@pytest.mark.parametrize("kind", VALUES)
def test_there_and_back(kind: str) -> None:
    assert list(unpack(kind)(pack(kind)(VALUES[kind]))) == VALUES[kind]


def test_small_numbers_are_single_bytes() -> None:
    assert pack("int32")([1, 2, 3]) == b"\x01\x02\x03"
    assert list(unpack("int32")(b"\x01\x02\x03")) == [1, 2, 3]
    assert unpack("bool")(b"\x00\x05") == [False, True]


@pytest.mark.parametrize(("kind", "data"), [("double", bytes(9)), ("fixed32", bytes(3))])
def test_cut_numbers_of_fixed_size(kind: str, data: bytes) -> None:
    with pytest.raises(Malformed, match="truncated"):
        unpack(kind)(data)


def test_cut_varints() -> None:
    with pytest.raises(IndexError):
        unpack("int64")(b"\x01\x80")
