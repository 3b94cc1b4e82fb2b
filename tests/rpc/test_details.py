"""Typed details of errors, over the wire and with grpcio's rich status."""

from __future__ import annotations

from typing import Any

import grpc
import pytest
from google.rpc import error_details_pb2, status_pb2
from grpc_status import rpc_status

from meshkit.errors import NotFound, RpcError
from meshkit.rpc import Channel, Context, error_details
from meshkit.rpc.details import encode_details, type_url
from tests.support.echo_service import EchoService, calling, serving
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoClient
from tests.support.pb.echo.v1 import echo_pb2, echo_pb2_grpc


class Failing(EchoService):
    def __init__(self, details: Any) -> None:
        super().__init__()
        self.details = details

    async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
        raise NotFound("gone", details=self.details)


DETAILS = [EchoReply(text="one"), error_details_pb2.ErrorInfo(reason="two"), EchoReply(text="three")]


async def test_messages_of_both_kinds_travel() -> None:
    async with calling(Failing(DETAILS)) as echo:
        with pytest.raises(NotFound) as caught:
            await echo.unary(EchoRequest())
        assert isinstance(caught.value.details, bytes)
        assert error_details(caught.value, EchoReply) == [EchoReply(text="one"), EchoReply(text="three")]
        assert error_details(caught.value, error_details_pb2.ErrorInfo)[0].reason == "two"
        assert error_details(caught.value, EchoRequest) == []


async def test_grpcio_reads_them() -> None:
    async with serving(Failing(DETAILS)) as (_, address), grpc.aio.insecure_channel(address) as channel:
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await echo_pb2_grpc.EchoStub(channel).Unary(echo_pb2.EchoRequest())
        status: Any = await rpc_status.aio.from_call(_call_of(caught.value))
        assert (status.code, status.message) == (5, "gone")
        assert [each.type_url.rpartition("/")[2] for each in status.details] == [
            "echo.v1.EchoReply",
            "google.rpc.ErrorInfo",
            "echo.v1.EchoReply",
        ]


def _call_of(error: grpc.aio.AioRpcError) -> Any:
    class Call:
        async def code(self) -> Any:
            return error.code()

        async def details(self) -> Any:
            return error.details()

        async def trailing_metadata(self) -> Any:
            return error.trailing_metadata()

    return Call()


async def test_grpcios_are_read() -> None:
    class Server(echo_pb2_grpc.EchoServicer):
        async def Unary(self, request: Any, context: Any) -> Any:
            status = status_pb2.Status(code=5, message="gone")
            status.details.add().Pack(echo_pb2.EchoReply(text="x"))
            await context.abort_with_status(rpc_status.to_status(status))

    server = grpc.aio.server()
    echo_pb2_grpc.add_EchoServicer_to_server(Server(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    async with Channel(f"127.0.0.1:{port}") as channel:
        with pytest.raises(NotFound, match="gone") as caught:
            await EchoClient(channel).unary(EchoRequest())
        assert error_details(caught.value, EchoReply) == [EchoReply(text="x")]
    await server.stop(0)


def test_bytes_pass_as_they_are() -> None:
    assert encode_details(NotFound("x", b"\x08\x05")) == b"\x08\x05"
    assert encode_details(NotFound("x")) is None
    assert error_details(NotFound("x"), EchoReply) == []
    assert error_details(NotFound("x", DETAILS), EchoReply) == [DETAILS[0], DETAILS[2]]


def test_what_is_no_message_is_refused() -> None:
    with pytest.raises(TypeError, match="is not a message class"):
        type_url(int)
    error: RpcError = NotFound("x", [object()])
    with pytest.raises(TypeError):
        encode_details(error)
