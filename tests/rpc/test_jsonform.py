"""JSON of betterproto2 messages against google.protobuf's own: the same, but for the gaps named here."""

from __future__ import annotations

import json
from typing import Any

import pytest
from google.protobuf import json_format

from meshkit.codec import DecodeError, EncodeError, codec_for
from meshkit.rpc.health import HealthCheckRequest, HealthCheckResponse, ServingStatus
from meshkit.rpc.jsonform import json_codec
from tests.support.gen.echo.v1 import EchoRequest
from tests.support.message_types import FieldSpec, make_types
from tests.support.pb.echo.v1 import echo_pb2

VALUES: dict[str, list[Any]] = {
    "int32": [1, -1, "7", "x", 2**31, None, 1e2, {}, [], 1.5, True, " 1", "1.0", "1e2", "1.5"],
    "int64": [2**62, str(2**62), "x", 2**63, 2**53 + 1, str(-(2**63))],
    "uint64": ["18446744073709551615", -1],
    "fixed64": [7],
    "sint64": [-7],
    "double": [1.5, "NaN", "Infinity", "-Infinity", "1.5", 1, "x", "nan", 1e308, -0.0, "-0", 0, "1e-400"],
    "float": [1.5, 1e39, 0.1, 16777217, 3.4e38, 1e-45, "NaN", -0.0],
    "bool": [True, False, "true", 1],
    "string": ["x", "ü", "", 5, ["x"]],
    "bytes": ["AAE=", "", 5, "-_8", "AAE", "+/8=", "-_8=", "A"],
    "enum": ["LIGHT", "DARK", 1, 2, 99, "NONE", 0, -3, 1.0, "1", "-3", "99", 2**31, "2147483648"],
    "Timestamp": [
        "2020-01-02T03:04:05.123456Z",
        "2020-01-02T03:04:05+01:00",
        "x",
        "1970-01-01T00:00:00Z",
        "2020-01-02T03:04:05Z ",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999Z",
        "1969-12-31T23:59:59.5Z",
        "2020-01-02 03:04:05Z",
        5,
        "2020-01-02T03:04:05",
        "10000-01-01T00:00:00Z",
        "2020-13-02T03:04:05Z",
        "1960-01-01T00:00:00-08:00",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
    ],
    "Duration": ["1.5s", "x", "3s", "-0.5s", "-3s", "0s", "1s ", "1", 1, "315576000000s", "315576000001s", "0.000001s"],
    "StringValue": ["x", None, ""],
    "BoolValue": [False, True, "x"],
    "BytesValue": ["AAE=", "-_8"],
    "Int64Value": [5, "5", 2**62],
    "UInt32Value": [5, -1],
    "DoubleValue": ["NaN", 0, -0.0],
    "FloatValue": [0.1],
}
LAXER: dict[str, list[Any]] = {"int32": ["1_0"], "double": [True, "inf"], "bytes": ["ü", "AA!!"]}  # at google.protobuf


def both(kind: str, value: Any) -> tuple[object, object]:
    """What the value becomes as bytes, by us and by google.protobuf; "refused" where it is."""
    types = make_types(((FieldSpec(1, kind),),))
    ours = json_codec(types.mine[0])
    text = json.dumps({"f1": value})
    try:
        mine: object = codec_for(types.mine[0]).encode(ours.decode(text.encode())) if ours is not None else None
    except DecodeError:
        mine = "refused"
    try:
        theirs: object = json_format.Parse(text, types.upb[0]()).SerializeToString()
    except json_format.Error:
        theirs = "refused"
    return mine, theirs


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in VALUES.items() for value in values])
def test_values_mean_the_same(kind: str, value: Any) -> None:
    mine, theirs = both(kind, value)
    assert mine == theirs
    if mine != "refused":
        types = make_types(((FieldSpec(1, kind),),))
        ours = json_codec(types.mine[0])
        assert ours is not None
        shown = json_format.MessageToDict(types.upb[0].FromString(theirs))
        assert json.loads(ours.encode(codec_for(types.mine[0]).decode(theirs))) == shown  # type: ignore[arg-type]


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in LAXER.items() for value in values])
def test_what_the_standard_does_not_know_is_refused(kind: str, value: Any) -> None:
    assert both(kind, value)[0] == "refused" != both(kind, value)[1]


@pytest.mark.parametrize(
    ("field", "value"),
    [
        (FieldSpec(1, "int64", "repeated"), [1, "2"]),
        (FieldSpec(1, "int64", "repeated"), [1, None]),
        (FieldSpec(1, "int64", "repeated"), 5),
        (FieldSpec(1, "enum", "repeated"), ["LIGHT", 2, "NOBODY"]),
        (FieldSpec(1, "bytes", "map"), {"a": "-_8"}),
        (FieldSpec(1, "string", "map", "bool"), {"true": "x", "false": "y"}),
        (FieldSpec(1, "string", "map", "bool"), {"yes": "x"}),
        (FieldSpec(1, "double", "map", "int64"), {"-5": "NaN"}),
        (FieldSpec(1, "double", "map", "int64"), []),
        (FieldSpec(1, "Timestamp", "repeated"), ["1970-01-01T00:00:00.5Z"]),
        (FieldSpec(1, "Duration", "map"), {"x": "-1.250s"}),
        (FieldSpec(1, "Int64Value", "map"), {"x": "5"}),
        (FieldSpec(1, "int32", "optional"), 0),
        (FieldSpec(1, "enum", "optional"), "NONE"),
        (FieldSpec(1, "enum", "optional"), "NOBODY"),
        (FieldSpec(1, "string", "oneof"), ""),
    ],
)
def test_lists_maps_and_presence_mean_the_same(field: FieldSpec, value: Any) -> None:
    types = make_types(((field,),))
    ours, text = json_codec(types.mine[0]), json.dumps({"f1": value})
    assert ours is not None
    try:
        theirs = json_format.Parse(text, types.upb[0](), ignore_unknown_fields=True)
    except json_format.Error:
        with pytest.raises(DecodeError, match=r"f1: "):
            ours.decode(text.encode())
        return
    mine = ours.decode(text.encode())
    data = codec_for(types.mine[0]).encode(mine)
    assert types.upb[0].FromString(data) == theirs
    assert json.loads(ours.encode(mine)) == json_format.MessageToDict(theirs)


@pytest.mark.parametrize("kind", [EchoRequest, echo_pb2.EchoRequest])
def test_names_in_both_cases_and_unknown_ones(kind: Any) -> None:
    codec = json_codec(kind)
    assert codec is not None
    for text in (b'{"sleepMs": 5, "nope": [1]}', b'{"sleep_ms": 5}'):
        message = codec.decode(text)
        assert message.sleep_ms == 5
        assert codec.encode(message) == b'{"sleepMs":5}'
    assert codec.decode(b"") == kind() == codec.decode(b"{}")


@pytest.mark.parametrize("kind", [EchoRequest, echo_pb2.EchoRequest, HealthCheckRequest])
@pytest.mark.parametrize(
    "data",
    [
        b"{",
        b"[]",
        b"5",
        b'"x"',
        b"\xff",
        b"[" * 100_000,
        b'{"text": 5, "service": 5}',
        b'{"sleepMs": NaN, "service": 5}',
    ],
)
def test_what_is_not_a_message_is_refused(kind: Any, data: bytes) -> None:
    codec = json_codec(kind)
    assert codec is not None
    with pytest.raises(DecodeError, match="not its JSON"):
        codec.decode(data)


@pytest.mark.parametrize("number", ["1e400", "-1e400", '"1e400"', "1" + "0" * 400])
def test_numbers_beyond_a_double_are_refused_by_field(number: str) -> None:
    codec = json_codec(make_types(((FieldSpec(1, "double"),),)).mine[0])
    assert codec is not None
    with pytest.raises(DecodeError, match="f1: a number of at most 1.8e308 is expected"):
        codec.decode(b'{"f1": %s}' % number.encode())


def test_what_cannot_be_sent_is_refused() -> None:
    codec = json_codec(EchoRequest)
    assert codec is not None
    with pytest.raises(EncodeError):
        codec.encode(EchoRequest(sleep_ms=2**40))


def test_our_own_messages_and_bytes() -> None:
    codec = json_codec(HealthCheckResponse)
    assert codec is not None
    assert codec.encode(HealthCheckResponse(ServingStatus.SERVING)) == b'{"status":"SERVING"}'
    assert codec.encode(HealthCheckResponse()) == b"{}"
    request = json_codec(HealthCheckRequest)
    assert request is not None and request.decode(b'{"service": "x"}') == HealthCheckRequest("x")
    assert json_codec(bytes) is None
