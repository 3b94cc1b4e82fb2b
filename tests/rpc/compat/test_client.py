"""Stubs of grpclib and betterproto2 over our channel."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any, cast

import pytest
from google.rpc import error_details_pb2, status_pb2
from grpclib.client import Channel as GrpclibChannel
from grpclib.const import Cardinality
from grpclib.exceptions import GRPCError, ProtocolError
from grpclib.metadata import Deadline

from meshkit.errors import NotFound
from meshkit.rpc import Call, Channel, Context, Proceed
from tests.support.echo_service import EchoService, grpcio_serving, grpclib_serving, serving
from tests.support.gen.echo.v1 import EchoReply, EchoRequest, EchoStub
from tests.support.pb.echo.v1 import echo_grpc, echo_pb2


def as_grpclib(channel: Channel) -> GrpclibChannel:
    """Stubs are typed for grpclib's own class; ours offers what they use of it."""
    return cast(GrpclibChannel, channel)


async def use_grpclib_stub(channel: Channel) -> None:
    stub = echo_grpc.EchoStub(as_grpclib(channel))
    assert (await stub.Unary(echo_pb2.EchoRequest(text="hi"))).text == "hi"
    assert [reply.number for reply in await stub.Split(echo_pb2.EchoRequest(count=3))] == [0, 1, 2]
    assert (await stub.Join([echo_pb2.EchoRequest(text="a"), echo_pb2.EchoRequest(text="b")])).text == "a,b"
    assert (await stub.Join([])).text == ""
    assert [reply.text for reply in await stub.Chat([echo_pb2.EchoRequest(text="x")])] == ["x"]
    with pytest.raises(GRPCError) as caught:
        await stub.Unary(echo_pb2.EchoRequest(text="no", fail=5))
    assert (caught.value.status.value, caught.value.message) == (5, "no")
    with pytest.raises(GRPCError):
        await stub.Split(echo_pb2.EchoRequest(text="no", count=2, fail=5))


async def use_betterproto2_stub(channel: Channel) -> None:
    async def requests() -> AsyncIterator[EchoRequest]:
        yield EchoRequest(text="a")
        yield EchoRequest(text="b")

    stub = EchoStub(as_grpclib(channel))
    assert await stub.unary(EchoRequest(text="hi")) == EchoReply(text="hi")
    assert [reply.number async for reply in stub.split(EchoRequest(count=3))] == [0, 1, 2]
    assert (await stub.join(requests())).text == "a,b"
    assert [reply.text async for reply in stub.chat(requests())] == ["a", "b"]
    with pytest.raises(GRPCError) as caught:
        await stub.unary(EchoRequest(text="no", fail=5))
    assert (caught.value.status.value, caught.value.message) == (5, "no")
    with pytest.raises(asyncio.TimeoutError):
        await stub.unary(EchoRequest(sleep_ms=5000), timeout=0.05)
    with pytest.raises(asyncio.TimeoutError):
        await stub.unary(EchoRequest(sleep_ms=5000), deadline=Deadline.from_timeout(0.05))


@pytest.mark.parametrize("use", [use_grpclib_stub, use_betterproto2_stub])
async def test_stubs_work_on_every_server(use: Any) -> None:
    async with serving() as (_, address), Channel(address) as channel:
        await use(channel)
    for peer in (grpcio_serving, grpclib_serving):
        async with peer() as address, Channel(address) as channel:
            await use(channel)


@pytest.mark.parametrize("use", [use_grpclib_stub, use_betterproto2_stub])
async def test_stubs_pass_through_the_channels_interceptors(use: Any) -> None:
    seen: list[str] = []

    async def note(call: Call, proceed: Proceed) -> Any:
        seen.append(call.method.rpc)
        return await proceed(call)

    async with serving() as (_, address), Channel(address, interceptors=[note]) as channel:
        await use(channel)
    assert {"Unary", "Split", "Join", "Chat"} <= set(seen)


async def test_the_stream_interface() -> None:
    async with serving() as (_, address), Channel(address) as channel:
        stub = echo_grpc.EchoStub(as_grpclib(channel))
        metadata = {"echo-initial": "i", "echo-trailing-bin": b"\0t"}
        async with stub.Chat.open(metadata=metadata, timeout=5) as stream:
            assert stream.initial_metadata is None
            await stream.send_request()
            await stream.send_message(echo_pb2.EchoRequest(text="first"))
            await stream.recv_initial_metadata()
            assert dict(cast(Any, stream.initial_metadata)) == {"echo-initial": "i"}
            assert cast(Any, await stream.recv_message()).text == "first"
            for text in ("a", "b"):
                await stream.send_message(echo_pb2.EchoRequest(text=text))
                reply = await stream.recv_message()
                assert reply is not None
                assert reply.text == text
            await stream.end()
            assert await stream.recv_message() is None
            await stream.recv_trailing_metadata()
            assert cast(Any, stream.trailing_metadata)["echo-trailing-bin"] == b"\0t"
            assert cast(Any, stream.peer).addr()[0] == "127.0.0.1"
            assert cast(Any, stream.peer).cert() is None


async def test_misuse_is_a_protocol_error() -> None:
    async with serving() as (_, address), Channel(address) as channel:
        stub = echo_grpc.EchoStub(as_grpclib(channel))
        async with stub.Unary.open() as stream:
            for early in (stream.recv_initial_metadata(), stream.cancel(), stream.end()):
                with pytest.raises(ProtocolError):
                    await early
            with pytest.raises(ProtocolError):
                await stream.send_request(end=True)
            with pytest.raises(ProtocolError):
                await stream.recv_trailing_metadata()
            await stream.send_message(echo_pb2.EchoRequest(text="x"))
            for late in (stream.send_request(), stream.send_message(echo_pb2.EchoRequest())):
                with pytest.raises(ProtocolError):
                    await late
            await stream.recv_message()
            with pytest.raises(ProtocolError):
                await stream.recv_initial_metadata()
        with pytest.raises(ProtocolError):
            async with stub.Chat.open() as stream:
                await stream.send_message(echo_pb2.EchoRequest())
        async with stub.Chat.open() as stream:
            await stream.send_request(end=True)
            with pytest.raises(ProtocolError):
                await stream.end()
        async with stub.Chat.open():
            pass  # nothing was sent, so nothing is received


async def test_cancel() -> None:
    service = EchoService()
    async with serving(service) as (_, address), Channel(address) as channel:
        stub = echo_grpc.EchoStub(as_grpclib(channel))
        async with stub.Split.open() as stream:
            await stream.send_message(echo_pb2.EchoRequest(text="cut", count=3, sleep_ms=5000), end=True)
            await stream.recv_message()
            await stream.cancel()
            with pytest.raises(ProtocolError):
                await stream.cancel()
        await asyncio.wait_for(service.stopped.wait(), 30)
        with pytest.raises(ValueError, match="mine"):
            async with stub.Split.open() as stream:
                await stream.send_message(echo_pb2.EchoRequest(text="cut", count=3, sleep_ms=5000))
                await stream.recv_message()
                raise ValueError("mine")


async def test_details_of_errors_are_decoded_as_grpclib_does() -> None:
    class Detailed(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            status = status_pb2.Status(code=5, message="gone")
            status.details.add().Pack(error_details_pb2.ErrorInfo(reason="moved"))
            raise NotFound("gone", status.SerializeToString())

    async with serving(Detailed()) as (_, address), Channel(address) as channel:
        with pytest.raises(GRPCError) as caught:
            await echo_grpc.EchoStub(as_grpclib(channel)).Unary(echo_pb2.EchoRequest())
        assert caught.value.details == [error_details_pb2.ErrorInfo(reason="moved")]


async def test_methods_are_made_once() -> None:
    channel = Channel("127.0.0.1:1")
    first, second = (
        channel.request("/a.B/C", Cardinality.UNARY_UNARY, bytes, bytes, timeout=1, deadline=Deadline.from_timeout(2))
        for _ in range(2)
    )
    assert first._method is second._method
    await channel.close()


async def test_closing_need_not_be_awaited() -> None:
    async with serving() as (_, address):
        channel = Channel(address)
        await use_grpclib_stub(channel)
        as_grpclib(channel).close()
        await asyncio.sleep(0.01)
