"""What a channel does when connections and streams end before their calls: nothing is lost, nothing is done twice."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest

from meshkit.errors import Unavailable
from meshkit.net import ServerOptions
from meshkit.rpc import CallOptions, Channel, Context, Server
from meshkit.wire import Limits
from tests.support import h2peer
from tests.support.echo_service import EchoService, serving
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoClient
from tests.support.waiting import until

REPLY = bytes(EchoReply(text="done"))


def answer(stream: int) -> list[bytes]:
    return [
        h2peer.headers(stream, h2peer.RESPONSE),
        h2peer.data(stream, h2peer.message(REPLY)),
        h2peer.headers(stream, h2peer.OK, end=True),
    ]


async def request_of(peer: h2peer.Peer) -> int:
    """The next request's stream."""
    return (await peer.until(h2peer.HEADERS)).stream


async def test_a_refused_call_is_made_again_once() -> None:
    async def play(peer: h2peer.Peer) -> None:
        peer.send(h2peer.reset(await request_of(peer), 7))
        peer.send(*answer(await request_of(peer)))
        peer.send(h2peer.reset(await request_of(peer), 7))
        peer.send(h2peer.reset(await request_of(peer), 7))
        await peer.rest()

    async with h2peer.scripted(play) as port, Channel(f"127.0.0.1:{port}") as channel:
        echo = EchoClient(channel)
        call = echo.unary(EchoRequest())
        assert (await call).text == "done"
        assert call.attempts == 2
        with pytest.raises(Unavailable):
            await echo.unary(EchoRequest())


async def test_a_refused_stream_is_made_again_with_its_messages() -> None:
    bodies: list[bytes] = []

    async def play(peer: h2peer.Peer) -> None:
        first = await request_of(peer)
        await peer.until(h2peer.DATA, stream=first)
        peer.send(h2peer.reset(first, 7))
        second = await request_of(peer)
        while (got := await peer.until(h2peer.DATA, stream=second)).flags & h2peer.END_STREAM == 0:
            bodies.append(got.payload)
        bodies.append(got.payload)
        peer.send(*answer(second))
        await peer.rest()

    async def requests() -> AsyncIterator[EchoRequest]:
        for text in ("a", "b"):
            yield EchoRequest(text=text)
            await asyncio.sleep(0.05)

    async with h2peer.scripted(play) as port, Channel(f"127.0.0.1:{port}") as channel:
        call = EchoClient(channel).join(requests())
        assert (await call).text == "done"
        assert call.attempts == 2
    sent = [h2peer.message(bytes(EchoRequest(text=text))) for text in ("a", "b")]
    assert b"".join(bodies) == b"".join(sent)


async def test_a_call_that_may_have_been_seen_is_not_made_again() -> None:
    async def play(peer: h2peer.Peer) -> None:
        peer.send(h2peer.reset(await request_of(peer), 2))
        stream = await request_of(peer)
        peer.send(h2peer.headers(stream, h2peer.RESPONSE), h2peer.reset(stream, 7))
        await peer.rest()

    async with h2peer.scripted(play) as port, Channel(f"127.0.0.1:{port}") as channel:
        echo = EchoClient(channel)
        with pytest.raises(Exception, match="INTERNAL"):
            await echo.unary(EchoRequest())
        async with echo.split(EchoRequest()) as call:
            with pytest.raises(Unavailable):
                await call.recv()
            assert call.attempts == 1


async def test_calls_above_a_goaway_move_to_a_new_connection() -> None:
    connections = 0

    async def play(peer: h2peer.Peer) -> None:
        nonlocal connections
        connections += 1
        first = await request_of(peer)
        if connections == 1:
            peer.send(h2peer.goaway(0))
        else:
            peer.send(*answer(first))
        await peer.rest()

    async with h2peer.scripted(play) as port, Channel(f"127.0.0.1:{port}") as channel:
        call = EchoClient(channel).unary(EchoRequest(), timeout=5)
        assert (await call).text == "done"
        assert call.attempts == 2
    assert connections == 2


async def test_a_closing_server_loses_no_call() -> None:
    class Slow(EchoService):
        async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
            await asyncio.sleep(0.001)
            return EchoReply(text=request.text)

    async with serving(Slow()) as (server, address), Channel(address) as channel:
        echo = EchoClient(channel)
        done = 0

        async def work() -> None:
            nonlocal done
            try:
                while True:
                    await echo.unary(EchoRequest())
                    done += 1
            except Unavailable as error:
                assert "cannot connect" in str(error)  # refused by the closed port, not cut off in between

        workers = [asyncio.create_task(work()) for _ in range(8)]
        await until(lambda: done > 8)
        await server.close(grace=30)
        await asyncio.gather(*workers)


async def test_waiting_for_ready() -> None:
    async with serving() as (server, address), Channel(address) as channel:
        port = int(address.rpartition(":")[2])
        await server.close()
        echo = EchoClient(channel)
        with pytest.raises(Unavailable, match="cannot connect"):
            await echo.unary(EchoRequest())
        waiting = asyncio.create_task(echo.unary(EchoRequest(text="x"), options=CallOptions(wait_for_ready=True)))
        await asyncio.sleep(0.05)

        again = Server([EchoService()])
        await again.listen(port=port)
        assert (await asyncio.wait_for(waiting, 30)).text == "x"
        await again.close()


async def test_unix_sockets(tmp_path: object) -> None:
    server = Server([EchoService()])
    assert await server.listen(path=f"{tmp_path}/echo.sock") == 0
    async with Channel(f"unix:{tmp_path}/echo.sock") as channel:
        assert (await EchoClient(channel).unary(EchoRequest(text="x"))).text == "x"
        assert repr(channel) == f"Channel('unix:{tmp_path}/echo.sock', ready)"
    await server.close()


async def test_a_closed_channel_makes_no_calls() -> None:
    async with serving() as (_, address):
        channel = Channel(address)
        await channel.close()
        with pytest.raises(Unavailable):
            await EchoClient(channel).unary(EchoRequest())


async def test_calls_over_the_servers_limit_wait_their_turn() -> None:
    options = ServerOptions(limits=Limits(max_concurrent_streams=2))
    async with serving(options=options) as (_, address), Channel(address) as channel:
        echo = EchoClient(channel)
        async with echo.chat() as one, echo.chat() as two, echo.chat() as waiting:
            sending = asyncio.create_task(waiting.send(EchoRequest(text="late")))
            unary = asyncio.create_task(echo.unary(EchoRequest(text="later")))
            for call in (one, two):
                await call.send(EchoRequest(text="first"))
                reply = await call.recv()
                assert reply is not None
                assert reply.text == "first"
            assert not unary.done()
            one.cancel()
            await asyncio.wait_for(sending, 30)
            reply = await asyncio.wait_for(waiting.recv(), 30)
            assert reply is not None
            assert reply.text == "late"
            two.cancel()
            assert (await asyncio.wait_for(unary, 30)).text == "later"
        replies = await asyncio.gather(*(echo.unary(EchoRequest(text=str(n), sleep_ms=1)) for n in range(50)))
        assert [reply.text for reply in replies] == [str(n) for n in range(50)]


async def test_a_call_reset_with_its_request_starts_no_handler() -> None:
    service = EchoService()
    async with serving(service) as (server, address):
        peer = await h2peer.Peer.connect(int(address.rpartition(":")[2]))
        for stream in range(1, 41, 2):
            peer.send(
                h2peer.headers(stream, h2peer.request(b"/echo.v1.Echo/Unary")),
                h2peer.data(stream, h2peer.message(b""), end=True),
                h2peer.reset(stream),
            )
        peer.send(
            h2peer.headers(99, h2peer.request(b"/echo.v1.Echo/Unary")),
            h2peer.data(99, h2peer.message(b""), end=True),
        )
        await peer.until(h2peer.HEADERS, stream=99, flags=h2peer.END_STREAM)
        assert "calls=0" in repr(server)
        assert len(service.contexts) == 1
        await peer.close()
