"""The index of descriptor files, on those of protobuf itself."""

from __future__ import annotations

import pytest
from google.protobuf import any_pb2, api_pb2, descriptor_pb2, struct_pb2, timestamp_pb2, wrappers_pb2
from google.rpc import error_details_pb2

from meshkit.codec import DecodeError
from meshkit.rpc import DescriptorIndex

MODULES = [any_pb2, api_pb2, descriptor_pb2, struct_pb2, timestamp_pb2, wrappers_pb2, error_details_pb2]


def files(descriptor: object) -> dict[str, bytes]:
    found = {descriptor.name: descriptor.serialized_pb}  # type: ignore[attr-defined]  # untyped upb
    for dependency in descriptor.dependencies:  # type: ignore[attr-defined]
        found |= files(dependency)
    return found


@pytest.fixture(name="known")
def _known() -> dict[str, bytes]:
    known: dict[str, bytes] = {}
    for module in MODULES:
        known |= files(module.DESCRIPTOR)
    return known


def symbols(message: descriptor_pb2.DescriptorProto, prefix: str) -> list[str]:
    name = prefix + message.name
    found = [name, *(f"{name}.{each.name}" for each in (*message.field, *message.oneof_decl, *message.enum_type))]
    found += [f"{name}.{value.name}" for enum in message.enum_type for value in enum.value]
    for nested in message.nested_type:
        found += symbols(nested, f"{name}.")
    return found


def test_every_symbol_is_found(known: dict[str, bytes]) -> None:
    index = DescriptorIndex()
    index.add(known.values())
    for name, data in known.items():
        file = descriptor_pb2.FileDescriptorProto.FromString(data)
        for message in file.message_type:
            for symbol in symbols(message, f"{file.package}."):
                assert index.file_of(symbol) == name, symbol


def test_a_closure_has_all_that_is_imported_once(known: dict[str, bytes]) -> None:
    index = DescriptorIndex()
    index.add(known.values())
    closure = index.closure("google/protobuf/api.proto")
    assert closure is not None
    assert next(iter(closure)) == "google/protobuf/api.proto"
    assert set(closure) == set(files(api_pb2.DESCRIPTOR))
    assert closure["google/protobuf/any.proto"] == any_pb2.DESCRIPTOR.serialized_pb
    assert index.closure("no/such.proto") is None


def test_the_first_file_of_a_name_counts() -> None:
    first = descriptor_pb2.FileDescriptorProto(name="a.proto", package="one")
    second = descriptor_pb2.FileDescriptorProto(name="a.proto", package="two")
    second.message_type.add(name="M")
    index = DescriptorIndex()
    index.add([first.SerializeToString(), second.SerializeToString()])
    assert index.file_of("two.M") is None
    assert repr(index) == "DescriptorIndex(files=1, symbols=0)"


def test_what_is_no_descriptor_is_refused() -> None:
    with pytest.raises(DecodeError):
        DescriptorIndex().add([b"\x0a\xff"])
