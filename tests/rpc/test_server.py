"""What a server does with calls, good and bad, and how it goes."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
from grpclib.exceptions import GRPCError
from structlog.testing import capture_logs

from meshkit.errors import (
    Cancelled,
    Internal,
    NotFound,
    RpcError,
    Unavailable,
    Unimplemented,
    Unknown,
)
from meshkit.rpc import (
    BidiStream,
    Channel,
    Client,
    Context,
    Method,
    Server,
    ServerStream,
    Servicer,
    UnaryCall,
    current_context,
)
from meshkit.status import Status
from tests.support import h2peer as h2
from tests.support.echo_service import EchoService, calling, serving
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoBase, EchoClient
from tests.support.waiting import until


def raw(path: str) -> Method[bytes, bytes]:
    return Method(path, bytes, bytes)


async def test_unknown_services_and_methods_are_named() -> None:
    async with serving() as (_, address), Channel(address) as channel:
        with pytest.raises(Unimplemented, match=r"unknown service no.Such; served here: echo.v1.Echo"):
            await UnaryCall(channel, raw("/no.Such/Thing"), b"")
        with pytest.raises(
            Unimplemented, match=r"unknown method /echo.v1.Echo/Unari; did you mean /echo.v1.Echo/Unary"
        ):
            await UnaryCall(channel, raw("/echo.v1.Echo/Unari"), b"")


async def test_what_is_not_implemented_says_so() -> None:
    async with calling(EchoBase()) as echo:
        with pytest.raises(Unimplemented, match="/echo.v1.Echo/Unary is not implemented"):
            await echo.unary(EchoRequest())
        with pytest.raises(Unimplemented, match="/echo.v1.Echo/Split is not implemented"):
            async for _ in echo.split(EchoRequest()):
                pass
        with pytest.raises(Unimplemented, match="Join"):
            await echo.join([])
        with pytest.raises(Unimplemented, match="Chat"):
            async for _ in echo.chat([]):
                pass


async def test_a_bug_stays_at_the_server() -> None:
    class Buggy(EchoBase):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            raise ValueError("secret")

        async def split(self, request: EchoRequest, ctx: Context, /) -> AsyncIterator[EchoReply]:
            yield EchoReply()
            raise ValueError("secret")

    async with calling(Buggy()) as echo:
        with capture_logs() as logs, pytest.raises(Unknown) as caught:
            await echo.unary(EchoRequest())
        assert caught.value.message is not None
        assert "secret" not in caught.value.message
        assert logs[0]["event"] == "handler failed"
        assert logs[0]["incident"] in caught.value.message
        assert logs[0]["method"] == "/echo.v1.Echo/Unary"
        assert isinstance(logs[0]["exc_info"], ValueError)
        with capture_logs() as logs, pytest.raises(Unknown):
            async for _ in echo.split(EchoRequest()):
                pass
        assert len(logs) == 1


async def test_a_reply_of_the_wrong_class_is_a_bug() -> None:
    class Wrong(EchoBase):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            return request  # type: ignore[return-value]  # the mistake under test

        async def split(self, request: EchoRequest, ctx: Context, /) -> AsyncIterator[EchoReply]:
            return None  # type: ignore[return-value]  # the mistake under test

    async with calling(Wrong()) as echo:
        with capture_logs() as logs, pytest.raises(Unknown):
            await echo.unary(EchoRequest())
        assert "answers" in str(logs[0]["exc_info"])
        with capture_logs() as logs, pytest.raises(Unknown):
            async for _ in echo.split(EchoRequest()):
                pass
        assert len(logs) == 1


async def test_a_stream_handler_may_be_a_coroutine() -> None:
    class Coroutine(EchoBase):
        async def split(self, request: EchoRequest, ctx: Context, /) -> AsyncIterator[EchoReply]:  # type: ignore[override]  # a coroutine that gives an iterator
            async def replies() -> AsyncIterator[EchoReply]:
                yield EchoReply(text="x")

            return replies()

    async with calling(Coroutine()) as echo:
        assert [reply.text async for reply in echo.split(EchoRequest())] == ["x"]


async def test_a_handler_that_cancels_itself_is_cancelled() -> None:
    class Quitting(EchoBase):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            raise asyncio.CancelledError

    async with calling(Quitting()) as echo:
        with pytest.raises(Cancelled):
            await echo.unary(EchoRequest())


async def test_errors_of_nested_calls_pass_through() -> None:
    class Front(EchoBase):
        def __init__(self, back: EchoClient) -> None:
            self.back = back

        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            return await self.back.unary(request)

    async with calling() as back, calling(Front(back)) as front:
        with pytest.raises(NotFound, match="deep"):
            await front.unary(EchoRequest(text="deep", fail=5))


async def test_an_error_out_of_a_task_group_passes_through() -> None:
    class Front(EchoBase):
        def __init__(self, back: EchoClient) -> None:
            self.back = back

        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            async with asyncio.TaskGroup() as group:
                group.create_task(self.back.unary(EchoRequest(sleep_ms=5000)))
                group.create_task(self.back.unary(request))
            return EchoReply()

    async with calling() as back, calling(Front(back)) as front:
        with pytest.raises(NotFound, match="deep"):
            await front.unary(EchoRequest(text="deep", fail=5))


@pytest.mark.parametrize(
    "error",
    [Unavailable(OSError("gone")), RpcError(Status.NOT_FOUND, "gone"), GRPCError(14, "gone")],  # type: ignore[arg-type]  # the mistakes under test
    ids=["an exception as message", "grpclib's order of arguments", "a number as status"],
)
async def test_an_error_that_cannot_be_sent_is_a_bug(error: GRPCError) -> None:
    """Its caller does not wait for the answer in vain."""

    class Wrong(EchoBase):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            raise error

        async def split(self, request: EchoRequest, ctx: Context, /) -> AsyncIterator[EchoReply]:
            yield EchoReply()
            raise error

    async with calling(Wrong()) as echo:
        with capture_logs() as logs:
            with pytest.raises(Unknown, match="the handler failed, incident"):
                await echo.unary(EchoRequest(), timeout=30)
            with pytest.raises(Unknown, match="the handler failed, incident"):
                async for _ in echo.split(EchoRequest(), timeout=30):
                    pass
        assert [log["event"] for log in logs] == ["handler failed"] * 2
        assert "its message text, not" in error.__notes__[0]


async def test_details_that_cannot_be_sent_are_left_out() -> None:
    class Wrong(EchoBase):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            raise NotFound("gone", details=[object()])

    async with calling(Wrong()) as echo:
        with capture_logs() as logs, pytest.raises(NotFound, match="gone"):
            await echo.unary(EchoRequest())
        assert logs[0]["event"] == "details of an error cannot be sent"


async def test_deadline_and_trace_headers_travel_into_nested_calls() -> None:
    service = EchoService()

    class Front(EchoBase):
        def __init__(self, back: EchoClient) -> None:
            self.back = back

        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            assert current_context() is ctx
            return await asyncio.create_task(self._nested(request))

        async def _nested(self, request: EchoRequest) -> EchoReply:
            await self.back.join([request])
            return await self.back.unary(request, timeout=100)

    async with calling(service) as back, calling(Front(back)) as front:
        trace = {
            "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            "x-request-id": "7",
            "other": "x",
        }
        await front.unary(EchoRequest(), timeout=5, metadata=trace)
        for context in service.contexts:
            left = context.time_remaining()
            assert left is not None
            assert left <= 5
            assert context.metadata["traceparent"] == trace["traceparent"]
            assert context.metadata["x-request-id"] == "7"
            assert "other" not in context.metadata
    assert current_context() is None


async def test_a_call_without_its_request_is_refused() -> None:
    async with serving() as (_, address), Channel(address) as channel:
        none: ServerStream[Any] = ServerStream(channel, raw("/echo.v1.Echo/Unary"), b"")
        none._source._replay = []  # type: ignore[union-attr]  # no message at all, as no client of ours would send
        with pytest.raises(Unimplemented, match="none came"):
            async for _ in none:
                pass
        async with BidiStream(channel, Method("/echo.v1.Echo/Unary", bytes, bytes, True, True)) as two:
            await two.send(b"")
            await two.send(b"")
            await two.end()
            with pytest.raises(Unimplemented, match="more came"):
                await two.recv()


async def test_a_streamed_request_that_does_not_decode_is_internal() -> None:
    async with (
        serving() as (_, address),
        Channel(address) as channel,
        BidiStream(channel, Method("/echo.v1.Echo/Chat", bytes, bytes, True, True)) as call,
    ):
        await call.send(b"\x0a\xff")
        with pytest.raises(Internal, match="does not decode"):
            await call.recv()


async def test_messages_of_another_codec_are_named() -> None:
    fields = {b":method": b"POST", b":scheme": b"http", b":authority": b"t", b"content-type": b"application/grpc+json"}
    async with serving() as (_, address):
        peer = await h2.Peer.connect(int(address.rpartition(":")[2]))
        for stream, path in ((1, b"/echo.v1.Echo/Unary"), (3, b"/echo.v1.Echo/Chat")):
            block = h2.block([(b":path", path), *fields.items()])
            peer.send(h2.headers(stream, block), h2.data(stream, h2.message(b'{"text": "x"}'), end=True))
            answer = dict((await peer.until(h2.HEADERS, stream=stream)).fields)
            assert answer[b"grpc-status"] == b"13"
            assert b"does not decode as protobuf, but is application/grpc+json: EchoRequest" in answer[b"grpc-message"]
        await peer.close()


@pytest.mark.parametrize("error", [NotFound("no"), ValueError("a bug")])
async def test_initial_metadata_comes_before_an_error(error: Exception) -> None:
    class Failing(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            ctx.set_initial_metadata({"first": "yes"})
            ctx.set_trailing_metadata({"last": "yes"})
            raise error

    async with calling(Failing()) as echo:
        call = echo.unary(EchoRequest())
        with pytest.raises(RpcError):
            await call
        assert call.initial_metadata()["first"] == "yes"
        assert call.trailing_metadata()["last"] == "yes"


async def test_initial_metadata_can_be_sent_early() -> None:
    proceed = asyncio.Event()

    class Early(EchoBase):
        async def split(self, request: EchoRequest, ctx: Context, /) -> AsyncIterator[EchoReply]:
            await ctx.send_initial_metadata({"early": "yes"})
            with pytest.raises(RuntimeError):
                ctx.set_initial_metadata({})
            with pytest.raises(RuntimeError):
                await ctx.send_initial_metadata()
            await proceed.wait()
            ctx.set_trailing_metadata({"late": "yes"})
            for reply in ():
                yield reply

    async with calling(Early()) as echo, echo.split(EchoRequest()) as call:
        assert (await call.initial_metadata())["early"] == "yes"
        proceed.set()
        assert await call.recv() is None
        assert call.trailing_metadata()["late"] == "yes"


async def test_bad_binary_metadata_is_internal() -> None:
    async with serving() as (_, address), Channel(address) as channel:
        call = EchoClient(channel).unary(EchoRequest())
        call.fields = ((b"x-bin", b"\xff!"),)
        with pytest.raises(RpcError):
            await call


async def test_the_observer_hears_of_each_call() -> None:
    heard: list[tuple[str, Status]] = []

    def observe(method: Method[Any, Any], status: Status, seconds: float) -> None:
        assert seconds >= 0
        heard.append((method.rpc, status))

    async with serving(observer=observe) as (_, address), Channel(address) as channel:
        echo = EchoClient(channel)
        await echo.unary(EchoRequest())
        with pytest.raises(NotFound):
            await echo.unary(EchoRequest(fail=5))
        with pytest.raises(TimeoutError):
            await echo.unary(EchoRequest(sleep_ms=5000), timeout=0.5)
        [_ async for _ in echo.chat([EchoRequest()])]
        await until(lambda: len(heard) == 4)
    assert heard == [
        ("Unary", Status.OK),
        ("Unary", Status.NOT_FOUND),
        ("Unary", Status.DEADLINE_EXCEEDED),
        ("Chat", Status.OK),
    ]


async def test_closing_waits_for_calls() -> None:
    service = EchoService()
    server = Server([service])
    port = await server.listen()
    async with Channel(f"127.0.0.1:{port}") as channel:
        task = asyncio.create_task(EchoClient(channel).unary(EchoRequest(text="x", sleep_ms=100)))
        await asyncio.wait_for(service.started.wait(), 30)
        await server.close(grace=5)
        assert (await task).text == "x"


async def test_closing_cancels_what_does_not_end() -> None:
    service = EchoService()
    server = Server([service])
    port = await server.listen()
    async with Channel(f"127.0.0.1:{port}") as channel:
        task = asyncio.create_task(EchoClient(channel).unary(EchoRequest(text="x", sleep_ms=60_000)))
        await asyncio.wait_for(service.started.wait(), 30)
        await server.close(grace=0.05)
        with pytest.raises(Unavailable):
            await task
    assert service.cancelled == ["x"]
    assert "calls=0" in repr(server)


def test_servicers_are_checked() -> None:
    with pytest.raises(ValueError, match="another servicer serves already"):
        Server([EchoService(), EchoService()])
    with pytest.raises(TypeError, match="is no servicer"):
        Server([object()])

    class Lacking(Servicer):
        __methods__ = (raw("/a.B/C"),)

    with pytest.raises(TypeError, match="no method 'C' to serve /a.B/C"):
        Server([Lacking()])


class _Big(Servicer):
    __service_name__ = "big.v1.Big"
    __methods__ = (ASK := Method("/big.v1.Big/Ask", bytes, bytes, name="ask"),)

    async def ask(self, request: bytes, ctx: Context, /) -> bytes:
        return bytes(3 << 20)


async def test_large_replies_hold_their_handlers_places_until_they_left() -> None:
    async with serving(_Big()) as (server, address), Channel(address) as channel:
        client = Client(channel)
        await client._mesh_unary(_Big.ASK, b"", None, None, None)
        connection = channel._pool.ready_nowait()
        assert connection is not None and connection._transport is not None
        connection._transport.pause_reading()
        calls = [asyncio.ensure_future(client._mesh_unary(_Big.ASK, b"", None, None, None)) for _ in range(12)]
        await until(lambda: server._listener.statistics()[0].started == 13)
        await asyncio.sleep(0.3)
        (seen,) = server._listener.statistics()
        assert (seen.started, seen.running) == (13, 12), seen
        connection._transport.resume_reading()
        async with asyncio.timeout(30):
            assert {len(await call) for call in calls} == {3 << 20}
