"""Streaming calls over our client and server."""

from __future__ import annotations

import asyncio
import gc
import socket
import time
from collections.abc import AsyncIterator, Iterator

import pytest

from meshkit.errors import (
    Cancelled,
    DeadlineExceeded,
    NotFound,
    ResourceExhausted,
    Unavailable,
    Unimplemented,
)
from meshkit.rpc import BidiStream, CallOptions, Channel, Context
from tests.support import h2peer as h2
from tests.support.echo_service import EchoService, calling
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoClient
from tests.support.waiting import until


async def requests(*texts: str) -> AsyncIterator[EchoRequest]:
    for text in texts:
        yield EchoRequest(text=text)
        await asyncio.sleep(0)


class UsersOwn(Exception):
    """What a user's iterator raises."""


async def failing_requests() -> AsyncIterator[EchoRequest]:
    yield EchoRequest(text="a")
    await asyncio.sleep(0.2)  # else request and RST_STREAM are one piece of input, and no handler starts
    raise UsersOwn


async def test_server_stream() -> None:
    async with calling() as echo:
        assert [reply.number async for reply in echo.split(EchoRequest(count=100))] == list(range(100))
        assert [reply async for reply in echo.split(EchoRequest())] == []


async def test_server_stream_by_hand() -> None:
    async with calling() as echo, echo.split(EchoRequest(count=2), metadata={"echo-initial": "x"}) as call:
        assert (await call.initial_metadata())["echo-initial"] == "x"
        first, second, end = await call.recv(), await call.recv(), await call.recv()
        assert first is not None
        assert second is not None
        assert (first.number, second.number, end) == (0, 1, None)
        assert call.attempts == 1
        assert call.peer.startswith("127.0.0.1:")


async def test_replies_before_an_error_are_seen() -> None:
    async with calling() as echo:
        seen = []
        with pytest.raises(NotFound, match="gone"):
            async for reply in echo.split(EchoRequest(text="gone", count=3, fail=5)):
                seen.append(reply.number)
        assert seen == [0, 1, 2]


async def test_client_stream() -> None:
    async with calling() as echo:
        assert (await echo.join(requests("a", "b"))).text == "a,b"
        assert (await echo.join([EchoRequest(text="c"), EchoRequest(text="d")])).text == "c,d"
        assert (await echo.join([])).number == 0
        first, second = await asyncio.gather(echo.join(requests("a")), asyncio.wait_for(echo.join(requests("b")), 30))
        assert (first.text, second.text) == ("a", "b")


async def test_client_stream_by_hand() -> None:
    async with calling() as echo, echo.join(metadata={"echo-trailing-bin": b"t"}) as call:
        await call.send(EchoRequest(text="x"))
        await call.send(EchoRequest(text="y"))
        reply = await call.finish()
        assert reply == EchoReply(text="x,y", number=2)
        assert call.trailing_metadata()["echo-trailing-bin"] == b"t"


async def test_bidi_with_an_iterator() -> None:
    async with calling() as echo:
        assert [reply.text async for reply in echo.chat(requests("a", "b", "c"))] == ["a", "b", "c"]
        assert [reply.text async for reply in echo.chat([EchoRequest(text="d")])] == ["d"]


async def test_bidi_is_full_duplex() -> None:
    async with calling() as echo, echo.chat() as call:
        for number in range(50):
            await call.send(EchoRequest(text=str(number)))
            reply = await call.recv()
            assert reply is not None
            assert (reply.text, reply.number) == (str(number), number)
        await call.end()
        assert await call.recv() is None
        assert await call.recv() is None


async def test_both_directions_at_once_with_backpressure() -> None:
    async with calling() as echo, echo.chat() as call:
        payload = bytes(200_000)

        async def send() -> None:
            for number in range(40):
                await call.send(EchoRequest(text=str(number), payload=payload))
            await call.end()

        sender = asyncio.create_task(send())
        texts = [reply.text async for reply in call]
        await sender
        assert texts == [str(number) for number in range(40)]


async def test_a_sender_waits_for_a_reader() -> None:
    class Unread(EchoService):
        async def chat(self, requests: AsyncIterator[EchoRequest], ctx: Context, /) -> AsyncIterator[EchoReply]:
            await asyncio.Event().wait()
            yield EchoReply()

    async with calling(Unread()) as echo, echo.chat() as call:
        sent = 0

        async def send() -> None:
            nonlocal sent
            while True:
                await call.send(EchoRequest(payload=bytes(100_000)))
                sent += 1

        sender = asyncio.create_task(send())
        await until(lambda: sent)
        await asyncio.sleep(0.3)
        assert sent < 100 and not sender.done()
        sender.cancel()
        with pytest.raises(asyncio.CancelledError):
            await sender


async def test_a_server_waits_for_a_reader() -> None:
    produced = 0

    class Endless(EchoService):
        async def split(self, request: EchoRequest, ctx: Context, /) -> AsyncIterator[EchoReply]:
            nonlocal produced
            while True:
                produced += 1
                yield EchoReply(payload=bytes(100_000))

    async with calling(Endless()) as echo, echo.split(EchoRequest()) as call:
        await call.recv()
        await asyncio.sleep(0.2)
        assert produced < 100
        for _ in range(100):
            assert await call.recv() is not None


async def test_a_large_message_on_a_stream() -> None:
    async with calling() as echo, echo.chat(options=CallOptions(max_receive=8 << 20)) as call:
        await call.send(EchoRequest(payload=bytes(4_000_000)))
        reply = await call.recv()
        assert reply is not None
        assert len(reply.payload) == 4_000_000
        with pytest.raises(ResourceExhausted):
            await call.send(EchoRequest(payload=bytes(5 << 20)))
            await call.recv()


@pytest.mark.parametrize("compression", ["gzip", "deflate"])
async def test_compression(compression: str) -> None:
    class Compressing(EchoService):
        def chat(self, requests: AsyncIterator[EchoRequest], ctx: Context, /) -> AsyncIterator[EchoReply]:
            ctx.compression = compression
            return super().chat(requests, ctx)

    async with calling(Compressing()) as echo:
        given = [EchoRequest(payload=b"a" * 50_000)] * 3
        async for reply in echo.chat(given, options=CallOptions(compression=compression)):
            assert reply.payload == b"a" * 50_000


async def test_the_users_own_exception_comes_out() -> None:
    service = EchoService()
    async with calling(service) as echo:
        with pytest.raises(UsersOwn):
            await echo.join(failing_requests())
        await asyncio.wait_for(service.stopped.wait(), 30)
        with pytest.raises(UsersOwn):
            async for _ in echo.chat(failing_requests()):
                pass

        def failing() -> Iterator[EchoRequest]:
            raise UsersOwn
            yield

        with pytest.raises(UsersOwn):
            await echo.join(failing())


async def test_a_wrong_message_in_an_iterator_is_a_type_error() -> None:
    async with calling() as echo:
        with pytest.raises(TypeError, match="EchoRequest"):
            await echo.join([EchoReply()])  # type: ignore[list-item]  # the mistake under test
        with pytest.raises(TypeError, match="takes an iterable"):
            echo.join(7)  # type: ignore[arg-type]  # the mistake under test
        with pytest.raises(TypeError, match="EchoRequest"):
            echo.split(EchoReply())  # type: ignore[arg-type]  # the mistake under test
        async with echo.chat() as call:
            with pytest.raises(TypeError, match="EchoRequest"):
                await call.send(EchoReply())  # type: ignore[arg-type]  # the mistake under test


async def test_misuse_raises_where_it_happens() -> None:
    async with calling() as echo:
        async with echo.chat() as call:
            await call.end()
            await call.end()
            with pytest.raises(RuntimeError, match="send after end"):
                await call.send(EchoRequest())
        async with echo.chat([]) as call:
            with pytest.raises(RuntimeError, match="given as an iterable"):
                await call.send(EchoRequest())
        async with echo.chat() as call:
            reader = asyncio.create_task(call.recv())
            await asyncio.sleep(0.01)
            with pytest.raises(RuntimeError, match="another task"):
                await call.recv()
            reader.cancel()


async def test_an_early_answer_stops_the_sender() -> None:
    class Hasty(EchoService):
        async def join(self, requests: AsyncIterator[EchoRequest], ctx: Context, /) -> EchoReply:
            async for request in requests:
                return EchoReply(text=request.text)
            return EchoReply()

    closed = asyncio.Event()

    async def endless() -> AsyncIterator[EchoRequest]:
        try:
            while True:
                yield EchoRequest(text="first")
                await asyncio.sleep(0.001)
        finally:
            closed.set()

    async with calling(Hasty()) as echo:
        assert (await echo.join(endless())).text == "first"
        await asyncio.wait_for(closed.wait(), 30)


class Upload:
    """Two megabytes that are there at once; ``taken`` counts what was asked for."""

    def __init__(self) -> None:
        self.taken = 0

    def __iter__(self) -> Iterator[EchoRequest]:
        kilobyte = EchoRequest(payload=bytes(1000))
        for self.taken in range(1, 2001):
            yield kilobyte


async def test_an_upload_is_not_read_into_memory_before_there_is_a_connection() -> None:
    upload = Upload()
    with socket.create_server(("127.0.0.1", 0)) as silent:  # the kernel connects, nobody says SETTINGS
        async with Channel(f"127.0.0.1:{silent.getsockname()[1]}") as channel:
            with pytest.raises(DeadlineExceeded):
                await EchoClient(channel).join(upload, timeout=0.3)
    assert 0 < upload.taken <= 300  # 256 KiB are kept for another attempt


async def test_an_upload_that_begins_before_there_is_a_connection_goes_on_with_it() -> None:
    async with calling() as echo:
        assert (await echo.join(Upload(), timeout=30)).number == 2000


async def test_an_early_error_stops_a_blocked_iterator() -> None:
    class Refusing(EchoService):
        async def join(self, requests: AsyncIterator[EchoRequest], ctx: Context, /) -> EchoReply:
            raise NotFound("no")

    async def stuck() -> AsyncIterator[EchoRequest]:
        await asyncio.Event().wait()
        yield EchoRequest()

    async with calling(Refusing()) as echo:
        with pytest.raises(NotFound):
            await echo.join(stuck())
        async with echo.join() as call:
            with pytest.raises(NotFound):
                while True:
                    await call.send(EchoRequest())
                    await asyncio.sleep(0.01)


async def test_leaving_the_block_cancels() -> None:
    service = EchoService()
    async with calling(service) as echo:
        async with echo.split(EchoRequest(text="left", count=10, sleep_ms=5000)) as call:
            await call.recv()
        await asyncio.wait_for(service.stopped.wait(), 30)
        assert service.cancelled == ["left"]
        with pytest.raises(Cancelled):
            await call.recv()


async def test_letting_go_cancels() -> None:
    service = EchoService()
    async with calling(service) as echo:
        async for _ in echo.split(EchoRequest(text="dropped", count=10, sleep_ms=5000)):
            break
        gc.collect()
        await asyncio.wait_for(service.stopped.wait(), 30)
        assert service.cancelled == ["dropped"]


async def test_cancelling_the_reader_cancels_the_call() -> None:
    service = EchoService()
    async with calling(service) as echo:
        call = echo.split(EchoRequest(text="cut", count=10, sleep_ms=5000))

        async def read() -> None:
            async for _ in call:
                pass

        task = asyncio.create_task(read())
        await asyncio.wait_for(service.started.wait(), 30)
        await asyncio.sleep(0.01)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task
        await asyncio.wait_for(service.stopped.wait(), 30)


async def test_recv_may_be_given_up_without_loss() -> None:
    async with calling() as echo, echo.chat() as call:
        with pytest.raises(TimeoutError):
            await asyncio.wait_for(call.recv(), 0.02)
        await call.send(EchoRequest(text="x"))
        reply = await asyncio.wait_for(call.recv(), 30)
        assert reply is not None
        assert reply.text == "x"


async def test_deadlines() -> None:
    service = EchoService()
    async with calling(service) as echo:
        with pytest.raises(DeadlineExceeded):
            async for _ in echo.split(EchoRequest(text="s", count=100, sleep_ms=5000), timeout=1):
                pass
        await asyncio.wait_for(service.stopped.wait(), 30)
        with pytest.raises(DeadlineExceeded):
            async with echo.chat(timeout=0.05) as call:
                await call.recv()
        with pytest.raises(DeadlineExceeded):
            await echo.join([], timeout=0)


async def test_nobody_listens() -> None:
    async with Channel("127.0.0.1:1") as channel:
        echo = EchoClient(channel)
        with pytest.raises(Unavailable):
            await echo.join(requests("a"))
        with pytest.raises(Unavailable):
            async for _ in echo.split(EchoRequest()):
                pass
        async with echo.chat() as call:
            with pytest.raises(Unavailable):
                await call.recv()
            with pytest.raises(Unavailable):
                await call.send(EchoRequest())


async def test_two_replies_to_a_client_stream_are_an_error() -> None:
    class Both(EchoService):
        async def join(self, requests: AsyncIterator[EchoRequest], ctx: Context, /) -> EchoReply:
            ctx._stream.send(b"")
            return EchoReply()

    async with calling(Both()) as echo:
        with pytest.raises(Unimplemented, match="more than one"):
            await echo.join([])


async def test_cancelling_drops_replies_that_nobody_has_read() -> None:
    async with calling() as echo, echo.split(EchoRequest(count=3)) as call:
        assert await call.recv() is not None
        await until(lambda: call._source.over)
        call.cancel()
        with pytest.raises(Cancelled):
            await call.recv()


async def test_a_server_that_cancels_at_the_deadline_was_late() -> None:
    async def play(peer: h2.Peer) -> None:
        for _ in range(2):
            stream = (await peer.until(h2.HEADERS)).stream
            time.sleep(0.1)  # noqa: ASYNC251 - the reset is there before any timer of this loop can run
            peer.send(h2.reset(stream))
        await peer.rest()

    async with h2.scripted(play) as port, Channel(f"127.0.0.1:{port}") as channel:
        echo = EchoClient(channel)
        with pytest.raises(DeadlineExceeded):
            await echo.unary(EchoRequest(), timeout=0.1)
        with pytest.raises(DeadlineExceeded):
            await echo.join([], timeout=0.1)


async def test_no_tasks_or_streams_are_left() -> None:
    async with calling() as echo:
        await echo.join(requests("a"))
        before = asyncio.all_tasks()
        for _ in range(5):
            await echo.join(requests("a", "b"))
            async for _ in echo.chat(requests("a")):
                pass
        await until(lambda: asyncio.all_tasks() == before)
        assert isinstance(echo.chat(), BidiStream)
