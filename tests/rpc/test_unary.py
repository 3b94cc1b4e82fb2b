"""Unary calls over our client and server: what comes back, and what may go wrong, at either end."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from datetime import timedelta
from typing import Any

import pytest

from meshkit.errors import Cancelled, DeadlineExceeded, Internal, NotFound, ResourceExhausted, RpcError, Unavailable
from meshkit.metadata import Metadata
from meshkit.net import ClientOptions, ServerOptions
from meshkit.rpc import CallOptions, Channel, Context, Method, UnaryCall
from meshkit.status import Status
from meshkit.wire import Limits
from tests.support.echo_service import EchoService, calling, serving
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoBase, EchoClient
from tests.support.gen.google.protobuf import Empty
from tests.support.gen.helloworld.v1 import HelloRequest


async def test_a_reply_comes_back() -> None:
    async with calling() as echo:
        assert await echo.unary(EchoRequest(text="hi", payload=b"\0\xff")) == EchoReply(text="hi", payload=b"\0\xff")
        assert await echo.nothing(Empty()) == Empty()


async def test_a_call_is_a_coroutine_for_everything_that_wants_one() -> None:
    async with calling() as echo:
        call = echo.unary(EchoRequest(text="a"))
        assert isinstance(call, Coroutine)
        task = asyncio.create_task(call)
        gathered = await asyncio.gather(echo.unary(EchoRequest(text="b")), echo.unary(EchoRequest(text="c")))
        async with asyncio.TaskGroup() as group:
            grouped = group.create_task(echo.unary(EchoRequest(text="d")))
        waited = await asyncio.wait_for(echo.unary(EchoRequest(text="e")), 30)
        assert [each.text for each in (await task, *gathered, grouped.result(), waited)] == ["a", "b", "c", "d", "e"]


@pytest.mark.filterwarnings("ignore:coroutine .* was never awaited:RuntimeWarning")
async def test_a_call_can_be_closed_unawaited() -> None:
    async with calling() as echo:
        call = echo.unary(EchoRequest())
        call.close()
        with pytest.raises(RuntimeError, match="already awaited"):
            await call


async def test_a_request_of_the_wrong_class_is_refused_where_it_is_made() -> None:
    async with calling() as echo:
        with pytest.raises(TypeError, match=r"/echo.v1.Echo/Unary takes .*EchoRequest, not .*HelloRequest"):
            echo.unary(HelloRequest(name="Ada"))  # type: ignore[arg-type]  # the mistake under test
        with pytest.raises(TypeError, match="the class itself"):
            echo.unary(EchoRequest)  # type: ignore[arg-type]  # the mistake under test


async def test_errors_keep_status_text_and_class() -> None:
    async with calling() as echo:
        with pytest.raises(NotFound) as caught:
            await echo.unary(EchoRequest(text="nö 100% \n", fail=Status.NOT_FOUND.value))
        assert (caught.value.status, caught.value.message) == (Status.NOT_FOUND, "nö 100% \n")


@pytest.mark.parametrize("code", [status.value for status in Status if status is not Status.OK])
async def test_every_status_arrives(code: int) -> None:
    async with calling() as echo:
        with pytest.raises(RpcError) as caught:
            await echo.unary(EchoRequest(text="x", fail=code))
        assert caught.value.status.value == code
        assert type(caught.value).code is caught.value.status


async def test_metadata_travels_both_ways() -> None:
    async with calling() as echo:
        sent = [("echo-initial", "one"), ("echo-initial", "two"), ("echo-trailing-bin", b"\0\1\xff")]
        call = echo.unary(EchoRequest(text="x"), metadata=sent)
        await call
        assert call.initial_metadata().getall("echo-initial") == ["one", "two"]
        assert call.trailing_metadata()["echo-trailing-bin"] == b"\0\1\xff"
        assert call.attempts == 1
        assert call.peer.startswith("127.0.0.1:")


async def test_errors_carry_metadata() -> None:
    async with calling() as echo:
        with pytest.raises(NotFound) as caught:
            await echo.unary(EchoRequest(fail=5), metadata={"echo-trailing-bin": b"x"})
        assert list(caught.value.trailing_metadata) == [("echo-trailing-bin", b"x")]


async def test_bad_metadata_is_refused_where_it_is_made() -> None:
    async with calling() as echo:
        for bad in ({"grpc-timeout": "1S"}, {"a b": "x"}, {"x": "ü"}):
            with pytest.raises(ValueError, match="metadata"):
                echo.unary(EchoRequest(), metadata=bad)
        with pytest.raises(TypeError, match="must be bytes"):
            echo.unary(EchoRequest(), metadata={"x-bin": "text"})


async def test_a_deadline_ends_both_ends() -> None:
    service = EchoService()
    async with calling(service) as echo:
        with pytest.raises(DeadlineExceeded) as caught:
            await echo.unary(EchoRequest(text="slow", sleep_ms=5000), timeout=timedelta(milliseconds=50))
        assert isinstance(caught.value, TimeoutError)
        await asyncio.wait_for(service.stopped.wait(), 30)
        assert service.cancelled == ["slow"]


async def test_a_deadline_that_passed_sends_nothing() -> None:
    service = EchoService()
    async with calling(service) as echo:
        with pytest.raises(DeadlineExceeded):
            await echo.unary(EchoRequest(), timeout=0)
        with pytest.raises(DeadlineExceeded):
            await echo.unary(EchoRequest(), timeout=-1.0)
        await echo.nothing(Empty())
        assert service.contexts == []


async def test_timeouts_are_numbers() -> None:
    async with calling() as echo:
        call = echo.unary(EchoRequest(), timeout=float("inf"))
        assert call.deadline is None
        await call
        with pytest.raises(ValueError, match="not a number"):
            echo.unary(EchoRequest(), timeout=float("nan"))


async def test_the_handler_knows_its_deadline() -> None:
    service = EchoService()
    async with calling(service) as echo:
        await echo.unary(EchoRequest(), timeout=5)
        left = service.contexts[0].time_remaining()
        assert left is not None
        assert 0 < left <= 5
        await echo.unary(EchoRequest())
        assert service.contexts[1].time_remaining() is None


async def test_a_call_that_had_to_wait_sends_the_time_that_is_left() -> None:
    service = EchoService()
    async with calling(service) as echo:
        call = echo.unary(EchoRequest(), timeout=60)
        await asyncio.sleep(0.2)
        await call
        left = service.contexts[0].time_remaining()
        assert left is not None
        assert left <= 59.8


async def test_cancelling_the_task_cancels_the_handler() -> None:
    service = EchoService()
    async with calling(service) as echo:
        task = asyncio.create_task(echo.unary(EchoRequest(text="x", sleep_ms=5000)))
        await asyncio.wait_for(service.started.wait(), 30)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(service.stopped.wait(), 30)
        assert service.contexts[0].cancelled


async def test_cancel_ends_a_call_with_an_error() -> None:
    service = EchoService()
    async with calling(service) as echo:
        call = echo.unary(EchoRequest(text="x", sleep_ms=5000))
        task = asyncio.create_task(call)
        await asyncio.wait_for(service.started.wait(), 30)
        call.cancel()
        with pytest.raises(Cancelled):
            await task
        await asyncio.wait_for(service.stopped.wait(), 30)


async def test_cancelled_before_it_began() -> None:
    async with calling() as echo:
        call = echo.unary(EchoRequest())
        call.cancel()
        with pytest.raises(Cancelled):
            await call


@pytest.mark.parametrize("size", [0, 1, 16_384, 65_535, 65_536, 1 << 20, (4 << 20) - 64])
async def test_sizes(size: int) -> None:
    async with calling() as echo:
        payload = bytes(range(256)) * (size // 256 + 1)
        reply = await echo.unary(EchoRequest(payload=payload[:size]))
        assert reply.payload == payload[:size]


async def test_a_reply_over_the_limit_is_refused() -> None:
    async with calling() as echo:
        with pytest.raises(ResourceExhausted, match="4194304"):
            await echo.unary(EchoRequest(count=5 << 20))
        with pytest.raises(ResourceExhausted):
            await echo.unary(EchoRequest(count=2000), options=CallOptions(max_receive=1000))
        reply = await echo.unary(EchoRequest(count=5 << 20), options=CallOptions(max_receive=6 << 20))
        assert len(reply.payload) == 5 << 20


async def test_a_request_over_the_limit_is_refused() -> None:
    async with calling() as echo:
        with pytest.raises(ResourceExhausted):
            await echo.unary(EchoRequest(payload=bytes(5 << 20)))
        assert (await echo.unary(EchoRequest(text="still there"))).text == "still there"


async def test_very_large_messages_when_allowed() -> None:
    size = 32 << 20
    limits = Limits(max_receive_message=size + 100)
    async with (
        serving(options=ServerOptions(limits=limits)) as (_, address),
        Channel(address, options=ClientOptions(limits=limits)) as channel,
    ):
        reply = await EchoClient(channel).unary(EchoRequest(payload=bytes(size)))
        assert len(reply.payload) == size


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
async def test_compressed_requests(compression: str) -> None:
    async with calling() as echo:
        options = CallOptions(compression=compression)
        reply = await echo.unary(EchoRequest(payload=b"a" * 100_000), options=options)
        assert reply.payload == b"a" * 100_000


async def test_compressed_replies() -> None:
    class Compressing(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            ctx.compression = request.text
            return EchoReply(payload=b"a" * 100_000)

    async with calling(Compressing()) as echo:
        for compression in ("gzip", "deflate", "unheard-of"):
            for accepted in (True, False):
                options = CallOptions(accept_compression=accepted)
                reply = await echo.unary(EchoRequest(text=compression), options=options)
                assert reply.payload == b"a" * 100_000


async def test_a_reply_that_does_not_decode_is_internal() -> None:
    class Raw(EchoBase):
        __methods__ = (Method("/echo.v1.Echo/Unary", bytes, bytes, name="unary"),)

        async def unary(self, request: bytes, ctx: Context, /) -> bytes:  # type: ignore[override]  # raw bytes
            return b"" if request else b"\x0a\xff"

    async with serving(Raw()) as (_, address), Channel(address) as channel:
        echo = EchoClient(channel)
        assert await echo.unary(EchoRequest(text="good")) == EchoReply()
        connection = channel._pool.ready_nowait()
        text = r"the reply of /echo.v1.Echo/Unary does not decode: EchoReply\.text: truncated at byte 0$"
        with pytest.raises(Internal, match=text):
            await echo.unary(EchoRequest())
        assert await echo.unary(EchoRequest(text="good")) == EchoReply()
        assert channel._pool.ready_nowait() is connection is not None


async def test_a_request_that_does_not_decode_is_internal() -> None:
    async with serving() as (_, address), Channel(address) as channel:
        method = Method("/echo.v1.Echo/Unary", bytes, bytes)
        await UnaryCall(channel, method, b"")
        connection = channel._pool.ready_nowait()
        text = r"the request of /echo.v1.Echo/Unary does not decode: EchoRequest\.text: truncated at byte 0$"
        with pytest.raises(Internal, match=text):
            await UnaryCall(channel, method, b"\x0a\xff")
        await UnaryCall(channel, method, b"")
        assert channel._pool.ready_nowait() is connection is not None


async def test_nobody_listens() -> None:
    async with Channel("127.0.0.1:1") as channel:
        echo = EchoClient(channel)
        with pytest.raises(Unavailable, match="127.0.0.1:1"):
            await echo.unary(EchoRequest())
        with pytest.raises(DeadlineExceeded, match="127.0.0.1:1"):
            await echo.unary(EchoRequest(), timeout=0.05, options=CallOptions(wait_for_ready=True))


async def test_many_at_once() -> None:
    async with calling() as echo:
        replies = await asyncio.gather(*(echo.unary(EchoRequest(text=str(n), sleep_ms=n % 3)) for n in range(500)))
        assert [reply.text for reply in replies] == [str(n) for n in range(500)]


async def test_repr_says_what_it_is() -> None:
    async with calling() as echo:
        call = echo.unary(EchoRequest())
        assert repr(call) == "UnaryCall('/echo.v1.Echo/Unary', attempts=0, peer='')"
        await call


async def test_headers_for_routing() -> None:
    async with calling() as echo:
        plain, marked = echo.unary(EchoRequest()), echo.unary(EchoRequest(), metadata={"User": "admin"})
        assert plain.headers() is None
        assert marked.headers() == Metadata([("user", "admin")])
        await asyncio.gather(plain, marked)


def test_a_client_shows_where_it_is_bound() -> None:
    caller: Any = "somewhere"
    assert repr(EchoClient(caller)) == "EchoClient('somewhere')"


async def test_headers_larger_than_the_server_takes_fail_here() -> None:
    small = ServerOptions(limits=Limits(max_header_list_size=600))
    async with calling(options=small) as echo:
        assert await echo.unary(EchoRequest(text="a")) == EchoReply(text="a")
        much = {"x-much": "y" * 500}
        with pytest.raises(ResourceExhausted, match=r"headers are \d+ bytes, and the server takes 600 at most"):
            await echo.unary(EchoRequest(text="b"), metadata=much)
        with pytest.raises(ResourceExhausted, match="the server takes 600 at most"):
            async for _ in echo.split(EchoRequest(text="c"), metadata=much):
                pass
        assert await echo.unary(EchoRequest(text="d")) == EchoReply(text="d")
