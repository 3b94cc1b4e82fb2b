"""Decoders fed garbage and damaged pushes: `DecodeError` or a value, and memory in proportion to the input."""

from __future__ import annotations

import os
import tracemalloc
import warnings
from random import Random
from time import monotonic
from typing import Any

import pytest

from meshkit.codec import DecodeError, codec_for, compile_schema
from meshkit.codec.wellknown import STATUS
from meshkit.xds.cluster_tables import CLUSTER
from meshkit.xds.endpoint_tables import CLUSTER_LOAD_ASSIGNMENT
from meshkit.xds.route_tables import ROUTE_CONFIGURATION
from tests.support.message_types import FieldSpec, make_types
from tests.support.wire_cases import damage

with warnings.catch_warnings():  # pydantic deprecates something that envoy_data_plane does at import
    warnings.simplefilter("ignore")
    from envoy_data_plane.google.protobuf import FileDescriptorProto, Struct

SECONDS = float(os.environ.get("MESHKIT_FUZZ_SECONDS", "1"))
F = FieldSpec
EVERYTHING = make_types(
    (
        (
            *(F(number, kind) for number, kind in enumerate(("string", "bytes", "int64", "double", "M0", "M1"), 1)),
            *(F(number, kind, "repeated") for number, kind in enumerate(("sint64", "bool", "M0", "string"), 8)),
            *(F(number, kind, "map") for number, kind in enumerate(("M0", "M1", "fixed32"), 16)),
            *(F(number, kind, "oneof") for number, kind in enumerate(("M0", "M1", "string", "Timestamp"), 24)),
        ),
        (F(1, "M0"), F(2, "M1"), F(3, "float"), F(4, "Duration")),
    )
)


def _decoders() -> dict[str, Any]:
    tables = (STATUS, CLUSTER, CLUSTER_LOAD_ASSIGNMENT, ROUTE_CONFIGURATION)
    classes: tuple[Any, ...] = (EVERYTHING.mine[0], Struct, FileDescriptorProto)
    return {
        **{table.name: compile_schema(table).decode for table in tables},
        **{cls.__name__: codec_for(cls).decode for cls in classes},
    }


def _seed(random: Random, size: int) -> bytes:
    """Bytes that look like fields: small keys, small lengths."""
    small = (0, 1, 2, 8, 10, 16, 18, 24, 26, 34, 42, 50, 58, 66, 130, 194, 255)
    return bytes(random.choice(small) if random.random() < 0.8 else random.randrange(256) for _ in range(size))


@pytest.mark.parametrize("name", _decoders())
def test_garbage_is_refused_with_a_decode_error(name: str) -> None:
    decode, random, until = _decoders()[name], Random(name), monotonic() + SECONDS / len(_decoders())
    data = b""
    while monotonic() < until:
        data = damage(random, data, _seed(random, random.randrange(40)))[-4000:]
        try:
            decode(data)
        except DecodeError as error:
            assert 0 <= error.offset <= len(data)
            assert error.reason


@pytest.mark.parametrize(
    "data",
    [
        b"\x2a\x00" * 8_000,  # a message, again and again
        b"\x2a\x03\x98\x06\x01" * 4_000,  # with an unknown field in it
        b"\xc2\x01\x02\x2a\x00\xd2\x01\x00" * 3_000,  # a oneof that moves to and fro
        b"\x98\x06\x01" * 6_000,  # unknown fields
        b"\x42\x00" * 8_000,  # packed fields of nothing
        b"\x4a\x0a" + bytes(10),
        b"\x82\x01\x00" * 6_000,  # map entries of nothing
        b"\x82\x01\xc0\x3e" + b"\x12\x00" * 4_000,  # a map entry of many values
        b"\x0a\xff\xff\xff\xff\x07",
    ],
)
def test_memory_stays_in_proportion(data: bytes) -> None:
    decode: Any = codec_for(EVERYTHING.mine[0]).decode
    tracemalloc.start()
    try:
        decode(data)
    except DecodeError:
        pass
    finally:
        _, peak = tracemalloc.get_traced_memory()
        tracemalloc.stop()
    assert peak < 100 * len(data) + 300_000
