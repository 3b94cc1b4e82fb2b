"""Our clients and servers with grpc.aio's and grpclib's: four shapes, metadata, errors, deadlines, cancellation."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager
from typing import Any

import grpc
import grpclib.client
import pytest
from grpclib.exceptions import GRPCError

from meshkit.errors import DeadlineExceeded, NotFound, ResourceExhausted
from meshkit.rpc import CallOptions, Channel, Context
from tests.support.echo_service import (
    EchoService,
    GrpcioEcho,
    GrpclibEcho,
    grpcio_serving,
    grpclib_serving,
    serving,
)
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoClient
from tests.support.gen.google.protobuf import Empty
from tests.support.pb.echo.v1 import echo_grpc, echo_pb2, echo_pb2_grpc

Serving = Callable[[], AbstractAsyncContextManager[str]]
peers = pytest.mark.parametrize("peer", [grpcio_serving, grpclib_serving], ids=["grpc.aio", "grpclib"])


# Our client, their server.


@peers
async def test_four_shapes_of_their_servers(peer: Serving) -> None:
    async with peer() as address, Channel(address) as channel:
        echo = EchoClient(channel)
        assert await echo.unary(EchoRequest(text="hi", payload=b"\0\xff")) == EchoReply(text="hi", payload=b"\0\xff")
        assert await echo.nothing(Empty()) == Empty()
        assert [reply.number async for reply in echo.split(EchoRequest(count=50))] == list(range(50))
        assert (await echo.join([EchoRequest(text="a"), EchoRequest(text="b")])).text == "a,b"
        async with echo.chat() as call:
            for text in ("x", "y"):
                await call.send(EchoRequest(text=text))
                reply = await call.recv()
                assert reply is not None
                assert reply.text == text
            await call.end()
            assert await call.recv() is None


@peers
async def test_metadata_of_their_servers(peer: Serving) -> None:
    async with peer() as address, Channel(address) as channel:
        call = EchoClient(channel).unary(EchoRequest(), metadata={"echo-initial": "i", "echo-trailing-bin": b"\0\1\2"})
        await call
        assert call.initial_metadata()["echo-initial"] == "i"
        assert call.trailing_metadata()["echo-trailing-bin"] == b"\0\1\2"


@peers
async def test_errors_of_their_servers(peer: Serving) -> None:
    async with peer() as address, Channel(address) as channel:
        echo = EchoClient(channel)
        with pytest.raises(NotFound) as caught:
            await echo.unary(EchoRequest(text="ü % \t", fail=5))
        assert caught.value.message == "ü % \t"
        with pytest.raises(NotFound):
            async for _ in echo.split(EchoRequest(text="x", count=2, fail=5)):
                pass
        with pytest.raises(NotFound):
            await echo.join([EchoRequest(text="x", fail=5)])


@peers
async def test_deadlines_and_cancellation_at_their_servers(peer: Serving) -> None:
    async with peer() as address, Channel(address) as channel:
        echo = EchoClient(channel)
        with pytest.raises(DeadlineExceeded):
            await echo.unary(EchoRequest(sleep_ms=5000), timeout=0.1)
        task = asyncio.create_task(echo.unary(EchoRequest(text="cancel me", sleep_ms=5000)))
        await asyncio.sleep(0.1)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        assert (await echo.unary(EchoRequest(text="alive"))).text == "alive"


async def test_our_cancellation_reaches_their_handler() -> None:
    service = GrpcioEcho()
    async with grpcio_serving(service) as address, Channel(address) as channel:
        task = asyncio.create_task(EchoClient(channel).unary(EchoRequest(text="cancel me", sleep_ms=5000)))
        await asyncio.wait_for(service.started.wait(), 30)
        task.cancel()
        await asyncio.wait_for(service.stopped.wait(), 30)
        assert service.cancelled == ["cancel me"]


@peers
async def test_large_messages_of_their_servers(peer: Serving) -> None:
    async with peer() as address, Channel(address) as channel:
        echo = EchoClient(channel)
        assert len((await echo.unary(EchoRequest(count=4_000_000))).payload) == 4_000_000
        payload = bytes(range(256)) * 15_000
        assert (await echo.unary(EchoRequest(payload=payload))).payload == payload
        with pytest.raises(ResourceExhausted):
            await echo.unary(EchoRequest(count=5_000_000))


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
async def test_compression_with_their_server(compression: str) -> None:
    async with (
        grpcio_serving(compression=grpc.Compression.Gzip) as address,
        Channel(address) as channel,
    ):
        options = CallOptions(compression=compression)
        reply = await EchoClient(channel).unary(EchoRequest(payload=b"a" * 50_000), options=options)
        assert reply.payload == b"a" * 50_000


@peers
async def test_many_calls_to_their_servers(peer: Serving) -> None:
    async with peer() as address, Channel(address) as channel:
        echo = EchoClient(channel)
        replies = await asyncio.gather(*(echo.unary(EchoRequest(text=str(n))) for n in range(200)))
        assert [reply.text for reply in replies] == [str(n) for n in range(200)]


# Their client, our server.


async def test_grpcio_calls_our_server() -> None:
    service = EchoService()
    async with serving(service) as (_, address), grpc.aio.insecure_channel(address) as channel:
        stub = echo_pb2_grpc.EchoStub(channel)
        reply = await stub.Unary(echo_pb2.EchoRequest(text="hi", payload=b"\0\xff"))
        assert (reply.text, reply.payload) == ("hi", b"\0\xff")
        assert [reply.number async for reply in stub.Split(echo_pb2.EchoRequest(count=50))] == list(range(50))
        assert (await stub.Join(iter([echo_pb2.EchoRequest(text="a"), echo_pb2.EchoRequest(text="b")]))).text == "a,b"
        call = stub.Chat()
        for text in ("x", "y"):
            await call.write(echo_pb2.EchoRequest(text=text))
            assert (await call.read()).text == text
        await call.done_writing()
        assert await call.read() == grpc.aio.EOF
        assert await call.code() is grpc.StatusCode.OK


async def test_grpcio_sees_our_metadata_and_errors() -> None:
    async with serving() as (_, address), grpc.aio.insecure_channel(address) as channel:
        stub = echo_pb2_grpc.EchoStub(channel)
        call = stub.Unary(echo_pb2.EchoRequest(), metadata=(("echo-initial", "i"), ("echo-trailing-bin", b"\0\1\2")))
        assert dict(await call.initial_metadata())["echo-initial"] == "i"
        assert dict(await call.trailing_metadata())["echo-trailing-bin"] == b"\0\1\2"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Unary(echo_pb2.EchoRequest(text="ü % \t", fail=5))
        assert caught.value.code() is grpc.StatusCode.NOT_FOUND
        assert caught.value.details() == "ü % \t"
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/no.Such/Thing")(b"")
        assert caught.value.code() is grpc.StatusCode.UNIMPLEMENTED
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await channel.unary_unary("/echo.v1.Echo/Unary")(b"\x0a\xff")
        assert caught.value.code() is grpc.StatusCode.INTERNAL


async def test_grpcio_deadline_and_cancellation_reach_our_handler() -> None:
    service = EchoService()
    async with serving(service) as (_, address), grpc.aio.insecure_channel(address) as channel:
        stub = echo_pb2_grpc.EchoStub(channel)
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Unary(echo_pb2.EchoRequest(text="late", sleep_ms=5000), timeout=1)
        assert caught.value.code() is grpc.StatusCode.DEADLINE_EXCEEDED
        await asyncio.wait_for(service.stopped.wait(), 30)
        service.started.clear()
        service.stopped.clear()
        call = stub.Unary(echo_pb2.EchoRequest(text="cut", sleep_ms=5000))
        await asyncio.wait_for(service.started.wait(), 30)
        call.cancel()
        await asyncio.wait_for(service.stopped.wait(), 30)
        assert service.cancelled == ["late", "cut"]


@pytest.mark.parametrize("compression", [grpc.Compression.Gzip, grpc.Compression.Deflate])
async def test_grpcio_with_compression(compression: grpc.Compression) -> None:
    class Compressing(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            ctx.compression = "gzip"
            return await super().unary(request, ctx)

    async with (
        serving(Compressing()) as (_, address),
        grpc.aio.insecure_channel(address, compression=compression) as channel,
    ):
        stub = echo_pb2_grpc.EchoStub(channel)
        reply = await stub.Unary(echo_pb2.EchoRequest(payload=b"a" * 100_000))
        assert reply.payload == b"a" * 100_000


async def test_grpcio_sends_large_messages() -> None:
    async with serving() as (_, address), grpc.aio.insecure_channel(address) as channel:
        stub = echo_pb2_grpc.EchoStub(channel)
        reply = await stub.Unary(echo_pb2.EchoRequest(payload=bytes(4_000_000)))
        assert len(reply.payload) == 4_000_000
        with pytest.raises(grpc.aio.AioRpcError) as caught:
            await stub.Unary(echo_pb2.EchoRequest(payload=bytes(5_000_000)))
        assert caught.value.code() is grpc.StatusCode.RESOURCE_EXHAUSTED


async def test_grpcio_sees_a_graceful_close_as_nothing() -> None:
    service = EchoService()
    async with serving(service) as (server, address), grpc.aio.insecure_channel(address) as channel:
        call = echo_pb2_grpc.EchoStub(channel).Unary(echo_pb2.EchoRequest(text="x", sleep_ms=200))
        await asyncio.wait_for(service.started.wait(), 30)
        await server.close(grace=5)
        assert (await call).text == "x"


async def test_grpclib_calls_our_server() -> None:
    async with serving() as (_, address):
        host, port = address.split(":")
        async with grpclib.client.Channel(host, int(port)) as channel:
            stub = echo_grpc.EchoStub(channel)
            assert (await stub.Unary(echo_pb2.EchoRequest(text="hi"))).text == "hi"
            replies = await stub.Split(echo_pb2.EchoRequest(count=3))
            assert [reply.number for reply in replies] == [0, 1, 2]
            assert (await stub.Join([echo_pb2.EchoRequest(text="a"), echo_pb2.EchoRequest(text="b")])).text == "a,b"
            async with stub.Chat.open(metadata={"echo-initial": "i"}) as stream:
                await stream.send_message(echo_pb2.EchoRequest(text="x"), end=True)
                reply = await stream.recv_message()
                assert reply is not None
                assert reply.text == "x"
                await stream.recv_trailing_metadata()
                assert stream.initial_metadata is not None
                assert stream.initial_metadata["echo-initial"] == "i"
            with pytest.raises(GRPCError) as caught:
                await stub.Unary(echo_pb2.EchoRequest(text="no", fail=5))
            assert (caught.value.status.value, caught.value.message) == (5, "no")
            with pytest.raises((asyncio.TimeoutError, GRPCError)):  # whose timer is first?
                await stub.Unary(echo_pb2.EchoRequest(sleep_ms=5000), timeout=0.05)


async def test_grpclib_is_no_special_case() -> None:
    assert GrpclibEcho().__mapping__().keys() == EchoService().__mapping__().keys()


async def test_iterating_requests_of_a_slow_user() -> None:
    async def slow() -> AsyncIterator[EchoRequest]:
        for text in "abc":
            await asyncio.sleep(0.01)
            yield EchoRequest(text=text)

    async with grpcio_serving() as address, Channel(address) as channel:
        replies: list[Any] = [reply.text async for reply in EchoClient(channel).chat(slow())]
        assert replies == ["a", "b", "c"]
