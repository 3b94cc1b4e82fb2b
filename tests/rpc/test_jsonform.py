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
    "int32": [1, -1, "7", "x", 2**31, None, 1e2, {}, []],
    "int64": [2**62, str(2**62), "x", 2**63],
    "uint64": ["18446744073709551615", -1],
    "double": [1.5, "NaN", "Infinity", "-Infinity", "1.5"],
    "float": [1.5, 1e39],
    "bool": [True, False],
    "string": ["x", "ü", "", 5, ["x"]],
    "bytes": ["AAE=", "", 5],
    "Timestamp": ["2020-01-02T03:04:05.123456Z", "2020-01-02T03:04:05+01:00", "x", "1970-01-01T00:00:00Z"],
    "Duration": ["1.5s", "x", "3s"],
    "StringValue": ["x", None],
    "BoolValue": [False],
}
# In short: fractions are cut off, base64 must be padded and standard, nanoseconds are rounded to what Python keeps,
# negative durations are refused.
GAPS: dict[str, list[Any]] = {
    "int32": [1.5, True],
    "bytes": ["-_8", "AAE"],
    "Timestamp": ["2020-01-02T03:04:05.123456789Z"],
    "Duration": ["-0.5s", "-3s"],
    "BytesValue": ["AAE="],
}


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


@pytest.mark.parametrize(("kind", "value"), [(kind, value) for kind, values in GAPS.items() for value in values])
def test_the_gaps_are_known(kind: str, value: Any) -> None:
    mine, theirs = both(kind, value)
    assert mine != theirs, "no gap any more: move it to VALUES"


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
@pytest.mark.parametrize("data", [b"{", b"[]", b"5", b'"x"', b"\xff", b"[" * 100_000, b'{"text": 5, "service": 5}'])
def test_what_is_not_a_message_is_refused(kind: Any, data: bytes) -> None:
    codec = json_codec(kind)
    assert codec is not None
    with pytest.raises(DecodeError, match="not its JSON"):
        codec.decode(data)


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
