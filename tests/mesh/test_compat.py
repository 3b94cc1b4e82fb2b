"""Stubs of other generators over a `Mesh`, and other people's clients on a mesh's server."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import grpc
import grpclib.client

from meshkit.mesh import Mesh
from tests.support.echo_service import EchoService
from tests.support.gen.echo.v1 import EchoRequest
from tests.support.gen.echo.v1 import EchoStub as BetterprotoStub
from tests.support.pb.echo.v1 import echo_grpc, echo_pb2, echo_pb2_grpc
from tests.support.world import control_plane


@asynccontextmanager
async def _mesh(tmp_path: Path) -> AsyncIterator[tuple[Mesh, str]]:
    async with (
        control_plane(tmp_path) as plane,
        Mesh(f"127.0.0.1:{plane.port}", service="echo") as mesh,
        mesh.serving(EchoService()) as server,
    ):
        yield mesh, server.address


async def test_a_stub_of_grpclib_works_over_a_mesh(tmp_path: Path) -> None:
    async with _mesh(tmp_path) as (mesh, _):
        stub = echo_grpc.EchoStub(mesh)  # type: ignore[arg-type]
        assert (await stub.Unary(echo_pb2.EchoRequest(text="x"), timeout=5)).text == "x"
        replies = await stub.Split(echo_pb2.EchoRequest(text="x", count=3))
        assert [reply.number for reply in replies] == [0, 1, 2]
        async with stub.Chat.open() as stream:
            await stream.send_message(echo_pb2.EchoRequest(text="y"))
            assert (await stream.recv_message()).text == "y"
            await stream.end()


async def test_a_stock_grpclib_client_calls_a_mesh_server(tmp_path: Path) -> None:
    async with _mesh(tmp_path) as (_, address):
        host, _, port = address.partition(":")
        channel = grpclib.client.Channel(host, int(port))
        try:
            assert (await echo_grpc.EchoStub(channel).Unary(echo_pb2.EchoRequest(text="x"))).text == "x"
        finally:
            channel.close()


async def test_a_grpc_aio_client_calls_a_mesh_server(tmp_path: Path) -> None:
    async with _mesh(tmp_path) as (_, address), grpc.aio.insecure_channel(address) as channel:
        stub = echo_pb2_grpc.EchoStub(channel)
        assert (await stub.Unary(echo_pb2.EchoRequest(text="x"))).text == "x"


async def test_a_stub_of_betterproto2_works_over_a_mesh(tmp_path: Path) -> None:
    async with _mesh(tmp_path) as (mesh, _):
        stub = BetterprotoStub(mesh)  # type: ignore[arg-type]
        assert (await stub.unary(EchoRequest(text="x"), timeout=5)).text == "x"
        assert [reply.number async for reply in stub.split(EchoRequest(text="x", count=3))] == [0, 1, 2]
