"""Reflection, in both versions."""

from __future__ import annotations

from typing import Any

import pytest
from google.protobuf import descriptor_pb2

from meshkit.rpc import BidiStream, Channel, Server
from meshkit.rpc.reflection import (
    ExtensionRequest,
    ServerReflectionRequest,
    ServerReflectionResponse,
    reflection_methods,
    reflection_services,
)
from tests.support.echo_service import EchoService, GrpclibEcho, serving

both = pytest.mark.parametrize("method", reflection_methods, ids=lambda method: method.service)


async def ask(address: str, method: Any, *requests: ServerReflectionRequest) -> list[ServerReflectionResponse]:
    async with Channel(address) as channel:
        return [reply async for reply in BidiStream(channel, method, requests)]


def names(response: ServerReflectionResponse) -> list[str]:
    files = response.file_descriptor_response
    assert files is not None, response.error_response
    return [descriptor_pb2.FileDescriptorProto.FromString(data).name for data in files.file_descriptor_proto]


@both
async def test_services_are_listed(method: Any) -> None:
    async with serving() as (_, address):
        (reply,) = await ask(address, method, ServerReflectionRequest(list_services="*"))
        assert reply.original_request == ServerReflectionRequest(list_services="*")
        assert reply.list_services_response is not None
        assert [service.name for service in reply.list_services_response.service] == [
            "echo.v1.Echo",
            "grpc.health.v1.Health",
            "grpc.reflection.v1.ServerReflection",
            "grpc.reflection.v1alpha.ServerReflection",
        ]


@both
@pytest.mark.parametrize(
    "symbol",
    ["echo.v1.Echo", "echo.v1.Echo.Chat", "echo.v1.EchoRequest", ".echo.v1.EchoReply", "echo.v1.EchoReply.text"],
)
async def test_symbols_are_found_with_what_they_need(method: Any, symbol: str) -> None:
    async with serving() as (_, address):
        (reply,) = await ask(address, method, ServerReflectionRequest(file_containing_symbol=symbol))
        assert names(reply) == ["echo/v1/echo.proto", "google/protobuf/empty.proto"]


@both
async def test_files_are_found_and_dependencies_sent_once(method: Any) -> None:
    async with serving() as (_, address):
        replies = await ask(
            address,
            method,
            ServerReflectionRequest(file_by_filename="google/protobuf/empty.proto"),
            ServerReflectionRequest(file_by_filename="echo/v1/echo.proto"),
            ServerReflectionRequest(file_by_filename="echo/v1/echo.proto"),
            ServerReflectionRequest(file_containing_symbol="grpc.health.v1.HealthCheckResponse.ServingStatus"),
            ServerReflectionRequest(file_containing_symbol="grpc.health.v1.HealthCheckResponse.SERVING"),
            ServerReflectionRequest(file_containing_symbol=method.service),
        )
        assert [names(reply) for reply in replies] == [
            ["google/protobuf/empty.proto"],
            ["echo/v1/echo.proto"],
            ["echo/v1/echo.proto"],
            ["grpc/health/v1/health.proto"],
            ["grpc/health/v1/health.proto"],
            [f"grpc/reflection/{method.service.split('.')[2]}/reflection.proto"],
        ]


@both
async def test_what_is_not_there(method: Any) -> None:
    async with serving() as (_, address):
        replies = await ask(
            address,
            method,
            ServerReflectionRequest(file_by_filename="no/such.proto"),
            ServerReflectionRequest(file_containing_symbol="no.Such"),
            ServerReflectionRequest(file_containing_extension=ExtensionRequest("echo.v1.EchoReply", 7)),
            ServerReflectionRequest(all_extension_numbers_of_type="no.Such"),
            ServerReflectionRequest(),
        )
        assert [reply.error_response and reply.error_response.error_code for reply in replies] == [5, 5, 5, 5, 3]
        (reply,) = await ask(
            address, method, ServerReflectionRequest(all_extension_numbers_of_type="echo.v1.EchoReply")
        )
        assert reply.all_extension_numbers_response is not None
        assert reply.all_extension_numbers_response.extension_number == ()


async def test_extensions_are_found() -> None:
    file = descriptor_pb2.FileDescriptorProto(name="e.proto", package="e", syntax="proto2")
    base = file.message_type.add(name="Base")
    base.extension_range.add(start=100, end=200)
    nested = base.nested_type.add(name="Inner")
    for scope, number in ((file, 101), (nested, 100)):
        scope.extension.add(name=f"x{number}", extendee=".e.Base", number=number)
    v1, _ = reflection_services([file.SerializeToString()], ["e.Service"])
    server = Server([v1], reflection=False)
    port = await server.listen()
    replies = await ask(
        f"127.0.0.1:{port}",
        reflection_methods[0],
        ServerReflectionRequest(all_extension_numbers_of_type="e.Base"),
        ServerReflectionRequest(file_containing_extension=ExtensionRequest("e.Base", 100)),
        ServerReflectionRequest(file_containing_symbol="e.Base.Inner.x100"),
        ServerReflectionRequest(file_containing_symbol="e.x101"),
    )
    assert replies[0].all_extension_numbers_response is not None
    assert replies[0].all_extension_numbers_response.extension_number == (100, 101)
    assert [names(reply) for reply in replies[1:]] == [["e.proto"]] * 3
    await server.close()


async def test_grpclibs_services_are_described_by_protobufs_own_pool() -> None:
    async with serving(GrpclibEcho()) as (_, address):
        (reply,) = await ask(
            address, reflection_methods[0], ServerReflectionRequest(file_containing_symbol="echo.v1.Echo")
        )
        assert names(reply) == ["tests/support/pb/echo/v1/echo.proto", "google/protobuf/empty.proto"]


async def test_reflection_can_be_left_out() -> None:
    assert "ServerReflection" not in " ".join(Server([EchoService()], reflection=False)._routes)
