"""betterproto2 classes: what their own library says, made stricter."""

from __future__ import annotations

import copy
import math
import pickle
import warnings
from datetime import UTC, datetime, timedelta
from typing import Any

import betterproto2
import pytest

from meshkit.codec import DecodeError, EncodeError, codec_for
from meshkit.codec.betterproto import schema_of
from tests.support.message_types import INTEGERS, FieldSpec, make_types

with warnings.catch_warnings():  # pydantic deprecates something that envoy_data_plane does at import
    warnings.simplefilter("ignore")
    from envoy_data_plane.envoy.config.cluster.v3 import Cluster
    from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment, LocalityLbEndpoints
    from envoy_data_plane.google.protobuf import Struct, Value

F = FieldSpec
TYPES = make_types(
    (
        (
            F(1, "string"),
            F(2, "M1"),
            F(3, "M1", "repeated"),
            F(4, "string", "oneof"),
            F(5, "M1", "oneof"),
            F(6, "Timestamp"),
            F(7, "Duration"),
            F(8, "M1", "map"),
            F(9, "enum"),
            F(10, "int32", "optional"),
            F(11, "UInt32Value", "oneof"),
        ),
        (F(1, "int32"), F(2, "string", "repeated"), F(3, "M0")),
    )
)
M0, M1 = TYPES.mine
CODEC: Any = codec_for(M0)


def test_a_decoded_message_is_a_whole_message() -> None:
    message = CODEC.decode(b"\x0a\x01x\x12\x02\x08\x05\x7a\x01u")
    assert message == M0(f1="x", f2=M1(f1=5))
    assert repr(message) == repr(M0(f1="x", f2=M1(f1=5)))
    assert vars(M0()).keys() == vars(message).keys()
    assert bytes(message) == b"\x0a\x01x\x12\x02\x08\x05\x7a\x01u"
    assert copy.deepcopy(message) == pickle.loads(pickle.dumps(message)) == message
    assert betterproto2.which_one_of(message, "choice") == ("", None)
    message.f3.append(M1())
    assert CODEC.decode(b"").f3 == []


def test_unknown_fields_are_kept_in_order() -> None:
    data = b"\x7a\x01a\x0a\x01x\xa0\x06\x05\x0b\x08\x01\x0c"
    assert CODEC.encode(CODEC.decode(data)) == b"\x0a\x01x\x7a\x01a\xa0\x06\x05\x0b\x08\x01\x0c"


def test_another_wire_type_is_an_unknown_field() -> None:
    message = CODEC.decode(b"\x08\x01")
    assert (message.f1, message._unknown_fields) == ("", b"\x08\x01")


def test_the_last_member_of_a_oneof_clears_the_others() -> None:
    message = CODEC.decode(b"\x22\x01a\x2a\x02\x08\x01\x5a\x02\x08\x07")
    assert (message.f4, message.f5, message.f11) == (None, None, 7)
    message = CODEC.decode(b"\x2a\x02\x08\x01\x22\x01a\x2a\x00")
    assert (message.f4, message.f5) == (None, M1())


def test_messages_that_come_twice_are_merged() -> None:
    message = CODEC.decode(b"\x12\x05\x08\x01\x12\x01a\x12\x03\x12\x01b\x12\x02\x08\x00")
    assert message.f2 == M1(f1=0, f2=["a", "b"])
    deep = CODEC.decode(b"\x12\x05\x1a\x03\x0a\x01x\x12\x06\x1a\x04\x12\x02\x08\x09\x12\x02\x1a\x00")
    assert deep.f2.f3 == M0(f1="x", f2=M1(f1=9))
    assert CODEC.decode(b"\x32\x02\x08\x01\x32\x03\x10\xe8\x07").f6 == datetime(1970, 1, 1, 0, 0, 1, 1, UTC)


def test_what_is_merged_must_be_whole_each_for_itself() -> None:
    with pytest.raises(DecodeError, match="f2"):
        CODEC.decode(b"\x12\x00\x12\x01\x08\x12\x01\x05")
    with pytest.raises(DecodeError, match="f5"):
        CODEC.decode(b"\x2a\x00\x2a\x01\x08\x22\x01a")


def test_map_entries_without_key_or_value_or_with_more() -> None:
    assert CODEC.decode(b"\x42\x00").f8 == {"": M1()}
    assert CODEC.decode(b"\x42\x0b\x12\x02\x08\x01\x0a\x01k\x12\x02\x08\x02").f8 == {"k": M1(f1=2)}
    more = CODEC.decode(b"\x42\x05\x0a\x01k\x18\x01")
    assert (more.f8, more._unknown_fields) == ({}, b"\x42\x05\x0a\x01k\x18\x01")


def test_enums_are_open() -> None:
    message = CODEC.decode(b"\x48\x4d")
    assert (message.f9, type(message.f9).__name__) == (77, "Shade")
    assert CODEC.encode(message) == b"\x48\x4d"
    assert CODEC.decode(b"\x48\x02").f9.name == "DARK"


def test_times() -> None:
    when, span = datetime(2024, 2, 29, 1, 2, 3, 4, UTC), timedelta(days=-1, microseconds=-1)
    message = CODEC.decode(CODEC.encode(M0(f6=when, f7=span)))
    assert (message.f6, message.f7) == (when, span)
    assert TYPES.upb[0].FromString(CODEC.encode(message)).f7.ToTimedelta() == span
    with pytest.raises(EncodeError, match=r"M0\.f6: datetime must be timezone aware"):
        CODEC.encode(M0(f6=datetime(2024, 1, 1)))  # noqa: DTZ001  that is the point
    with pytest.raises(DecodeError, match=r"M0\.f6: out of range"):
        CODEC.decode(b"\x32\x0a\x08" + b"\x80" * 8 + b"\x40")


@pytest.mark.parametrize(
    ("data", "words"),
    [
        (b"\x0a\x05ab", "M0.f1: truncated at byte 0"),
        (b"\x0a\x01x\x0a\x02\xff\xfe", "M0.f1: invalid UTF-8 at byte 3"),
        (b"\x12\x06\x12\x02\xff\xfe\x12", "M0.f2: truncated at byte 0"),
        (b"\x1a\x04\x12\x02\xff\xfe", "M0.f3.f2: invalid UTF-8 at byte 2"),
        (b"\x42\x06\x0a\x00\x12\x02\x12\x01", "M0.f8.f2: truncated at byte 6"),
        (b"\x48\x80", "M0.f9: truncated at byte 0"),
        (b"\x7f", "M0: wire type 7 does not exist at byte 0"),
        (b"\x80", "M0: truncated at byte 0"),
    ],
)
def test_errors_say_where(data: bytes, words: str) -> None:
    with pytest.raises(DecodeError) as caught:
        CODEC.decode(data)
    assert str(caught.value) == words


def test_nesting_is_limited_to_a_hundred() -> None:
    data = b""
    for _ in range(50):
        data = b"\x12" + _sized(b"\x1a" + _sized(data))
    message = CODEC.decode(data)
    assert CODEC.encode(message) == data
    with pytest.raises(DecodeError, match="nested too deep"):
        CODEC.decode(b"\x12" + _sized(b"\x1a" + _sized(data)))


def _sized(data: bytes) -> bytes:
    size = len(data)
    return (bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))) + data


@pytest.mark.parametrize(
    ("values", "path"),
    [
        ({"f1": 5}, "f1"),
        ({"f1": b"x"}, "f1"),
        ({"f1": "\ud800"}, "f1"),
        ({"f2": "text"}, "f2"),
        ({"f2": "M0()"}, "f2"),
        ({"f3": [None]}, "f3"),
        ({"f6": 1.0}, "f6"),
        ({"f8": {1: "M1()"}}, "f8"),
        ({"f8": {"k": None}}, "f8"),
        ({"f9": 2**31}, "f9"),
        ({"f10": -(2**31) - 1}, "f10"),
        ({"f10": 1.5}, "f10"),
        ({"f10": "1"}, "f10"),
        ({"f11": -1}, "f11.value"),
    ],
)
def test_values_that_cannot_be_written_are_named(values: dict[str, Any], path: str) -> None:
    with pytest.raises(EncodeError) as caught:
        CODEC.encode(M0(**values))
    assert (caught.value.message, caught.value.path) == ("M0", path)


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"f1": 5}, "M0.f1: expected str, got int"),
        ({"f1": b"x"}, "M0.f1: expected str, got bytes"),
        ({"f2": "text"}, "M0.f2: expected M1, got str"),
        ({"f2": M1(f1="7")}, "M0.f2.f1: expected int, got str"),
        ({"f2": M1(f2="abc")}, "M0.f2.f2: expected list, got str"),
        ({"f2": M1(f2={"a": 1})}, "M0.f2.f2: expected list, got dict"),
        ({"f2": M1(f2=7)}, "M0.f2.f2: expected list, got int"),
        ({"f2": M1(f2=["a", None])}, "M0.f2.f2: expected str, got NoneType"),
        ({"f3": M1(f1=1)}, "M0.f3: expected list, got M1"),
        ({"f3": [M1(), "x"]}, "M0.f3: expected M1, got str"),
        ({"f6": 1.0}, "M0.f6: expected datetime, got float"),
        ({"f7": 1.0}, "M0.f7: expected timedelta, got float"),
        ({"f8": [M1()]}, "M0.f8: expected dict, got list"),
        ({"f8": {1: M1()}}, "M0.f8: expected str, got int"),
        ({"f8": {"k": None}}, "M0.f8: expected M1, got NoneType"),
        ({"f9": "DARK"}, "M0.f9: expected Shade, got str"),
        ({"f10": 1.5}, "M0.f10: expected int, got float"),
        ({"f11": "1"}, "M0.f11.value: expected int, got str"),
        ({"f10": 2**31}, "M0.f10: 2147483648 is out of range for int32"),
    ],
)
def test_values_of_a_wrong_type_are_told_by_both_types(values: dict[str, Any], words: str) -> None:
    with pytest.raises(EncodeError) as caught:
        CODEC.encode(M0(**values))
    assert str(caught.value) == words


@pytest.mark.parametrize(
    ("kind", "expected", "wrong"),
    [("float", "float", "1"), ("bool", "bool", "yes"), ("bytes", "bytes", "x"), ("fixed64", "int", "1")],
)
def test_scalars_and_their_lists_of_a_wrong_type(kind: str, expected: str, wrong: str) -> None:
    types = make_types(((F(1, kind), F(2, kind, "repeated")),))
    codec: Any = codec_for(types.mine[0])
    for values in ({"f1": wrong}, {"f2": [wrong]}):
        with pytest.raises(EncodeError, match=rf"^M0\.f[12]: expected {expected}, got str$"):
            codec.encode(types.mine[0](**values))
    for whole in ("12", b"12", {1: 2}):  # bytes are numbers one by one, and a dict is its keys
        with pytest.raises(EncodeError, match=rf"^M0\.f2: expected list, got {type(whole).__name__}$"):
            codec.encode(types.mine[0](f2=whole))


@pytest.mark.parametrize(
    ("kind", "whole"),
    [("bytes", {b"k": 1}), ("bytes", b"a"), ("StringValue", "a"), ("Int32Value", b"a"), ("string", memoryview(b"a"))],
)
def test_what_python_takes_apart_is_no_list(kind: str, whole: Any) -> None:
    cls = make_types(((F(1, kind, "repeated"),),)).mine[0]
    codec: Any = codec_for(cls)
    with pytest.raises(EncodeError, match=rf"^M0\.f1: expected list, got {type(whole).__name__}$"):
        codec.encode(cls(f1=whole))


def test_any_sequence_is_a_list() -> None:
    assert CODEC.encode(M0(f2=M1(f2=("a", "b")), f3=(M1(),))) == CODEC.encode(M0(f2=M1(f2=["a", "b"]), f3=[M1()]))


def test_none_for_many_is_none_of_them_as_in_betterproto2() -> None:
    message = M0(f3=None, f8=None)
    assert CODEC.encode(message) == bytes(message) == b""


def test_two_members_of_a_oneof_are_both_written_as_in_betterproto2() -> None:
    message = M0(f4="a", f5=M1(f1=1))
    data = CODEC.encode(message)
    assert data == bytes(message) == b"\x22\x01a\x2a\x02\x08\x01"
    assert (CODEC.decode(data).f4, CODEC.decode(data).f5) == (None, M1(f1=1))


def test_another_class_is_refused() -> None:
    with pytest.raises(EncodeError, match="expected M0, got M1"):
        CODEC.encode(M1())


def test_a_message_that_contains_itself_is_refused() -> None:
    message = M0(f2=M1())
    message.f2.f3 = message
    with pytest.raises(EncodeError, match="contains itself"):
        CODEC.encode(message)


@pytest.mark.parametrize("kind", INTEGERS)
def test_numbers_out_of_range(kind: str) -> None:
    types = make_types(((F(1, kind), F(2, kind, "repeated")),))
    codec: Any = codec_for(types.mine[0])
    low, high = (0, 2 ** (64 if "64" in kind else 32)) if "u" in kind or kind.startswith("fixed") else _signed(kind)
    for value in (low, high - 1):
        assert codec.decode(codec.encode(types.mine[0](f1=value, f2=[value]))) == types.mine[0](f1=value, f2=[value])
    for value in (low - 1, high):
        for values in ({"f1": value}, {"f2": [value]}):
            with pytest.raises(EncodeError, match="out of range"):
                codec.encode(types.mine[0](**values))


def _signed(kind: str) -> tuple[int, int]:
    half = 2 ** (63 if "64" in kind else 31)
    return -half, half


def test_floats_keep_minus_zero_and_nan() -> None:
    types = make_types(((F(1, "float"), F(2, "double"), F(3, "double", "repeated")),))
    codec: Any = codec_for(types.mine[0])
    message = codec.decode(codec.encode(types.mine[0](f1=-0.0, f2=-0.0, f3=[math.nan, -0.0])))
    assert [math.copysign(1, value) for value in (message.f1, message.f2, message.f3[1])] == [-1, -1, -1]
    assert math.isnan(message.f3[0])
    with pytest.raises(EncodeError, match="out of range"):
        codec.encode(types.mine[0](f1=1e300))


def test_packed_and_unpacked_are_both_read() -> None:
    types = make_types(((F(1, "sint32", "repeated"), F(2, "fixed32", "repeated"), F(3, "enum", "repeated")),))
    codec: Any = codec_for(types.mine[0])
    one = codec.decode(b"\x08\x01\x0a\x02\x02\x03\x08\x04\x15\x01\0\0\0\x12\x04\x02\0\0\0\x18\x01\x1a\x02\x02\x4d")
    assert (one.f1, one.f2, one.f3) == ([-1, 1, -2, 2], [1, 2], [1, 2, 77])


def test_envoys_messages_with_pydantic() -> None:
    cluster = Cluster(name="c", connect_timeout=timedelta(seconds=1), alt_stat_name="a")
    assignment = ClusterLoadAssignment(cluster_name="x", endpoints=[LocalityLbEndpoints(priority=3)])
    nested = Value(struct_value=Struct(fields={"a": Value(number_value=1.5), "b": Value(string_value="x")}))
    for message in (cluster, assignment, nested):
        codec: Any = codec_for(type(message))
        assert codec.encode(message) == bytes(message)
        assert codec.decode(bytes(message)) == message


def test_tables_are_read_lazily() -> None:
    schema = schema_of(M0)
    assert schema.fields[1].target is schema_of(M1)
    assert schema.fields[1].target.fields[2].target is schema
