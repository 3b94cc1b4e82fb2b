"""One question for every kind of message class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import pytest
from google.protobuf import timestamp_pb2, wrappers_pb2

from meshkit.codec import DecodeError, EncodeError, Field, Schema, codec_for, compile_schema, register
from tests.support.message_types import FieldSpec, make_types


def test_bytes_stay_bytes() -> None:
    codec = codec_for(bytes)
    assert codec.decode(codec.encode(b"abc")) == b"abc"
    assert codec.type is bytes
    with pytest.raises(EncodeError, match="expected bytes, got str"):
        codec.encode("abc")  # type: ignore[arg-type]  # that is the point


def test_google_protobuf() -> None:
    codec: Any = codec_for(timestamp_pb2.Timestamp)
    message = timestamp_pb2.Timestamp(seconds=5)
    assert codec.decode(codec.encode(message)) == message
    with pytest.raises(DecodeError, match="Timestamp"):
        codec.decode(b"\x08")
    with pytest.raises(EncodeError, match="Timestamp"):
        codec.encode(wrappers_pb2.BoolValue())


def test_betterproto2_codecs_are_made_once_and_functions_may_be_kept() -> None:
    cls = make_types(((FieldSpec(1, "string"),),)).mine[0]
    codec: Any = codec_for(cls)
    assert codec is codec_for(cls)
    assert codec.encode is codec.encode
    assert codec.decode(codec.encode(cls(f1="x"))) == cls(f1="x")
    assert not hasattr(codec, "other")


def test_registered_tables() -> None:
    @dataclass(frozen=True, slots=True)
    class Mine:
        name: str

    register(compile_schema(Schema("pkg.Mine", (Field("name", 1, "string"),), Mine)))
    codec = codec_for(Mine)
    assert codec.decode(codec.encode(Mine("x"))) == Mine("x")


@pytest.mark.parametrize("cls", [str, int, object, "text"])
def test_other_classes_are_refused(cls: Any) -> None:
    with pytest.raises(TypeError, match="no codec for"):
        codec_for(cls)
