"""Well-known types as ProtoJSON has them, against google.protobuf: the bytes and the JSON are the same both ways."""

from __future__ import annotations

import dataclasses
import json
from typing import Any

import betterproto2
import pytest
from betterproto2_compiler.lib.google import protobuf as ours
from google.protobuf import (
    any_pb2,
    descriptor_pb2,
    descriptor_pool,
    duration_pb2,
    empty_pb2,
    field_mask_pb2,
    json_format,
    struct_pb2,
    timestamp_pb2,
    wrappers_pb2,
)

from meshkit.rpc.protojson import from_json, to_json
from tests.support.gen.echo.v1 import EchoRequest
from tests.support.message_types import FieldSpec, make_types

THEIRS: dict[str, Any] = {
    name: getattr(module, name)
    for module, names in {
        any_pb2: "Any",
        duration_pb2: "Duration",
        empty_pb2: "Empty",
        field_mask_pb2: "FieldMask",
        struct_pb2: "Struct Value ListValue",
        timestamp_pb2: "Timestamp",
        wrappers_pb2: "BoolValue BytesValue DoubleValue FloatValue Int32Value Int64Value StringValue UInt64Value",
    }.items()
    for name in names.split()
}
URL = "type.googleapis.com/google.protobuf."
VALUES: dict[str, list[Any]] = {
    "Struct": [{}, {"a": None, "b": [1, "x", {"c": True}], "d": {}}, [], None, {"a": {"b": {"c": [[]]}}}],
    "Value": [None, 1.5, "", False, [], {}, 7],
    "ListValue": [[], [None, 1, [2]], {}],
    "FieldMask": ["", "a,b.cD", "userName", "a_b", 5],
    "Timestamp": [
        "2020-01-02T03:04:05.123456789Z",
        "0001-01-01T00:00:00Z",
        "9999-12-31T23:59:59.999999999Z",
        "0001-01-01T00:00:00+00:01",
        "9999-12-31T23:59:59-00:01",
        "x",
    ],
    "Duration": ["-0.000000001s", "5s", "1.5"],
    "Empty": [{}, {"unknown": 1}],
    "Any": [
        {},
        {"@type": URL + "Duration", "value": "1.5s"},
        {"@type": URL + "Struct", "value": {"a": [1]}},
        {"@type": URL + "Int64Value", "value": "7"},
        {"@type": URL + "Empty"},
        {"@type": URL + "Any", "value": {"@type": URL + "FieldMask", "value": "a"}},
        {"@type": URL + "Nobody", "value": "x"},
        {"value": "x"},
        [],
    ],
    "BoolValue": [True, "x"],
    "BytesValue": ["-_8", 5],
    "DoubleValue": ["NaN", 0.5],
    "FloatValue": [0.1],
    "Int32Value": [5],
    "Int64Value": ["5", 5],
    "StringValue": ["x", {}],
    "UInt64Value": ["18446744073709551615"],
}


@pytest.mark.parametrize(("name", "value"), [(name, value) for name, values in VALUES.items() for value in values])
def test_known_types_mean_the_same(name: str, value: Any) -> None:
    kind = getattr(ours, name)
    try:
        theirs = json_format.ParseDict(value, THEIRS[name](), ignore_unknown_fields=True)
    except (json_format.Error, TypeError, AttributeError):
        with pytest.raises(ValueError, match="."):
            from_json(kind, value)
        return
    mine = from_json(kind, value)
    assert THEIRS[name].FromString(bytes(mine)) == theirs
    assert to_json(mine) == json_format.MessageToDict(theirs)
    assert from_json(kind, json.loads(json.dumps(to_json(mine)))) == mine


@pytest.mark.parametrize(
    "message",
    [
        ours.Value(number_value=float("nan")),
        ours.Value(),
        ours.FieldMask(paths=["aB"]),
        ours.FieldMask(paths=["a__b"]),
        ours.Any(type_url="type.googleapis.com/no.Body", value=b""),
        *(ours.Timestamp(seconds=seconds) for seconds in (-62_135_596_801, 253_402_300_800, 2**63 - 1)),
        *(ours.Timestamp(nanos=nanos) for nanos in (-1, 10**9)),
        *(ours.Duration(seconds=seconds) for seconds in (315_576_000_001, -315_576_000_001)),
        *(ours.Duration(seconds=seconds, nanos=nanos) for seconds, nanos in ((1, -1), (-1, 1), (0, 10**9))),
    ],
)
def test_what_has_no_json_is_refused(message: betterproto2.Message) -> None:
    with pytest.raises(ValueError, match="."):
        to_json(message)


def test_of_a_oneof_there_is_one() -> None:
    types = make_types(((FieldSpec(1, "string", "oneof"), FieldSpec(2, "int32", "oneof")),))
    with pytest.raises(ValueError, match="f2: f1 is given already, of the same oneof"):
        from_json(types.mine[0], {"f1": "x", "f2": 5})
    assert to_json(from_json(types.mine[0], {"f1": None, "f2": 0})) == {"f2": 0}


def test_a_fault_is_found_by_its_path() -> None:
    types = make_types(((FieldSpec(1, "M1"),), (FieldSpec(1, "bytes", "repeated"),)))
    with pytest.raises(ValueError, match="f1: f1: not base64"):
        from_json(types.mine[0], {"f1": {"f1": ["AAE=", "!"]}})


@pytest.mark.parametrize("name", ["k8s_name", "sha256sum", "a1b2", "foo_1_bar", "ipv4_address", "v1beta1_x", "class_"])
def test_names_are_those_of_protoc(name: str) -> None:
    proto = name.rstrip("_")
    file = descriptor_pb2.FileDescriptorProto(name=f"{name}.proto", syntax="proto3")
    file.message_type.add(name="M").field.add(name=proto, number=1, type="TYPE_INT32", label="LABEL_OPTIONAL")
    field = (
        descriptor_pool.DescriptorPool()
        .AddSerializedFile(file.SerializeToString())
        .message_types_by_name["M"]
        .fields[0]
    )
    cls: Any = dataclasses.make_dataclass(
        "M", [(name, int, betterproto2.field(1, "int32"))], bases=(betterproto2.Message,), eq=False, repr=False
    )
    cls.__module__ = __name__
    shown = to_json(cls(**{name: 5}))
    assert shown == {field.json_name: 5}
    assert getattr(from_json(cls, shown), name) == getattr(from_json(cls, {proto: 5}), name) == 5


def test_numbers_of_32_bits_are_shown_as_such() -> None:
    cls = make_types(((FieldSpec(1, "float"),),)).mine[0]
    assert to_json(cls(f1=16777217)) == {"f1": 16777216.0}
    assert to_json(cls(f1=-0.0)) == {"f1": -0.0}


def test_names_as_people_write_them() -> None:
    for name in ("sleepMs", "sleep_ms", "SleepMs"):
        assert from_json(EchoRequest, {name: 5}) == EchoRequest(sleep_ms=5)
    assert from_json(EchoRequest, {"x" * 100_000: 5}) == EchoRequest()
