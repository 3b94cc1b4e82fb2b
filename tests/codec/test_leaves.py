"""Golden bytes of the well-known types, as google.protobuf writes them."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from meshkit.codec import Any as AnyMessage
from meshkit.codec import EncodeError, Field, Schema, Status, codec_for, compile_schema
from meshkit.codec.wellknown import ANY, EMPTY, STATUS, Empty
from tests.support.message_types import WRAPPED, FieldSpec, make_types

GOLDEN: list[tuple[str, Any, bytes]] = [
    ("BoolValue", True, b"\x0a\x02\x08\x01"),
    ("BoolValue", False, b"\x0a\x00"),
    ("Int32Value", -1, b"\x0a\x0b\x08" + b"\xff" * 9 + b"\x01"),
    ("Int64Value", 150, b"\x0a\x03\x08\x96\x01"),
    ("UInt32Value", 2**32 - 1, b"\x0a\x06\x08\xff\xff\xff\xff\x0f"),
    ("UInt64Value", 0, b"\x0a\x00"),
    ("FloatValue", 1.5, b"\x0a\x05\x0d\x00\x00\xc0\x3f"),
    ("DoubleValue", -2.0, b"\x0a\x09\x09\x00\x00\x00\x00\x00\x00\x00\xc0"),
    ("StringValue", "é", b"\x0a\x04\x0a\x02\xc3\xa9"),
    ("BytesValue", b"\0", b"\x0a\x03\x0a\x01\x00"),
    ("Timestamp", datetime(1970, 1, 1, tzinfo=UTC), b"\x0a\x00"),
    ("Timestamp", datetime(1970, 1, 1, 0, 0, 1, 5, UTC), b"\x0a\x05\x08\x01\x10\x88\x27"),
    (
        "Timestamp",
        datetime(1969, 12, 31, 23, 59, 59, 999999, UTC),
        b"\x0a\x11\x08" + b"\xff" * 9 + b"\x01\x10\x98\x8c\xeb\xdc\x03",
    ),
    ("Duration", timedelta(seconds=90), b"\x0a\x02\x08\x5a"),
    ("Duration", timedelta(milliseconds=-500), b"\x0a\x0b\x10\x80\xb6\xca\x91\xfe\xff\xff\xff\xff\x01"),
    ("Duration", timedelta(), b"\x0a\x00"),
]


@pytest.mark.parametrize("kind", WRAPPED)
def test_every_kind_has_golden_bytes(kind: str) -> None:
    assert any(kind == name for name, _, _ in GOLDEN)


@pytest.mark.parametrize(("kind", "value", "data"), GOLDEN)
def test_golden_bytes(kind: str, value: Any, data: bytes) -> None:
    types = make_types(((FieldSpec(1, kind),),))
    codec: Any = codec_for(types.mine[0])
    encoded = codec.encode(types.mine[0](f1=value))
    assert encoded == data == types.upb[0].FromString(data).SerializeToString()
    assert codec.decode(encoded).f1 == value


TIMES = compile_schema(Schema("t.Times", (Field("span", 1, "duration"), Field("at", 2, "timestamp"))))


@pytest.mark.parametrize("span", [0.0, 1.5, -1.5, 0.25, -0.001, 1e9, None, 0.9999999999])
def test_seconds_as_floats(span: float | None) -> None:
    made = TIMES.decode(TIMES.encode(type(TIMES.decode(b""))(span, None)))
    assert made.span == (pytest.approx(span, abs=1e-9) if span is not None else None)


def test_timestamps_before_the_epoch_count_nanos_forward() -> None:
    made = TIMES.decode(TIMES.encode(type(TIMES.decode(b""))(None, -0.25)))
    assert made.at == -0.25


def test_ready_made_tables() -> None:
    status = Status(5, "gone", (AnyMessage("type.googleapis.com/x", b"\x01"),))
    golden = b"\x08\x05\x12\x04gone\x1a\x1a\x0a\x15type.googleapis.com/x\x12\x01\x01"
    assert compile_schema(STATUS).encode(status) == golden
    assert compile_schema(STATUS).decode(golden) == status
    assert compile_schema(ANY).decode(b"") == AnyMessage()
    assert compile_schema(EMPTY).decode(b"\x08\x01") == Empty()
    assert compile_schema(EMPTY).encode(Empty()) == b""
    with pytest.raises(EncodeError, match=r"Status\.details\.value"):
        compile_schema(STATUS).encode(Status(0, "", (AnyMessage("x", "text"),)))  # type: ignore[arg-type]  # the point
