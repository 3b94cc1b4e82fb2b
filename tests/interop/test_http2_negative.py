"""The six negative HTTP/2 cases of gRPC's interop tests: our client and a server that misbehaves frame by frame.

What the server does and what the client must make of it is in grpc/doc/negative-http2-interop-test-descriptions.md.
"""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from meshkit.errors import Internal
from meshkit.rpc import Channel
from tests.support import h2peer as h2
from tests.support.gen.grpc.testing import Payload, SimpleRequest, SimpleResponse
from tests.support.gen.grpc.testing.test_mesh import TestServiceClient as Client
from tests.support.interop_cases import LARGE_REPLY, LARGE_REQUEST
from tests.support.waiting import until

Cell = Callable[[str, str], None]
Play = Callable[[h2.Peer], Awaitable[None]]

PAIR = "meshkit -> scripted"
WINDOW, FRAME = 65_535, 16_384
MAX_CONCURRENT_STREAMS = 3
NO_ERROR = 0
REPLY = h2.message(bytes(SimpleResponse(payload=Payload(body=bytes(LARGE_REPLY)))))
REPLY_FRAMES = [REPLY[at : at + FRAME] for at in range(0, len(REPLY), FRAME)]


async def large_call(client: Client) -> None:
    request = SimpleRequest(response_size=LARGE_REPLY, payload=Payload(body=bytes(LARGE_REQUEST)))
    reply = await client.unary_call(request, timeout=60)
    assert reply.payload == Payload(body=bytes(LARGE_REPLY))


async def request_of(peer: h2.Peer) -> int:
    """Read one large request whole, giving windows back as it comes; its stream."""
    while (got := await peer.next()) is not None:
        if got.kind == h2.DATA and got.payload:
            peer.send(h2.window_update(0, len(got.payload)), h2.window_update(got.stream, len(got.payload)))
        if got.kind in (h2.DATA, h2.HEADERS) and got.flags & h2.END_STREAM:
            return got.stream
    raise AssertionError("the client closed before its request had ended")


async def test_goaway(cell: Cell) -> None:
    """GOAWAY after the first answer: the second call takes a connection of its own."""
    cell("http2: goaway", PAIR)
    connections: list[list[int]] = []
    peers: list[h2.Peer] = []

    async def play(peer: h2.Peer) -> None:
        peers.append(peer)
        streams: list[int] = []
        connections.append(streams)
        while True:
            streams.append(stream := await request_of(peer))
            answer(peer, stream)
            peer.send(h2.goaway(stream))

    async with h2.scripted(endless(play)) as port, Channel(f"127.0.0.1:{port}") as channel:
        await large_call(Client(channel))
        await until(lambda: peers[0].closed)  # the client has learned of it
        await large_call(Client(channel))
    assert connections == [[1], [1]]


async def test_rst_after_header(cell: Cell) -> None:
    cell("http2: rst_after_header", PAIR)
    with pytest.raises(Internal, match="NO_ERROR"):
        await broken(h2.headers(1, h2.RESPONSE))


async def test_rst_during_data(cell: Cell) -> None:
    """Cut off in the midst of a message, by a code that says nothing was wrong."""
    cell("http2: rst_during_data", PAIR)
    with pytest.raises(Internal, match="NO_ERROR"):
        await broken(h2.headers(1, h2.RESPONSE), *(h2.data(1, part) for part in REPLY_FRAMES[: len(REPLY_FRAMES) // 2]))


async def test_rst_after_data(cell: Cell) -> None:
    """The whole reply came and no status: it must not pass for a reply."""
    cell("http2: rst_after_data", PAIR)
    with pytest.raises(Internal, match="NO_ERROR"):
        await broken(h2.headers(1, h2.RESPONSE), *(h2.data(1, part) for part in REPLY_FRAMES))


async def test_ping(cell: Cell) -> None:
    """A PING before and after every frame: each is answered, and the call knows nothing of it."""
    cell("http2: ping", PAIR)
    sent: list[bytes] = []
    all_answered = asyncio.Event()

    def ping(peer: h2.Peer) -> None:
        sent.append(len(sent).to_bytes(8, "big"))
        peer.send(h2.frame(h2.PING, payload=sent[-1]))

    async def play(peer: h2.Peer) -> None:
        ping(peer)
        stream = await request_of(peer)
        for one in frames_of_answer(stream):
            ping(peer)
            peer.send(one)
            ping(peer)
        while len(answered := [got.payload for got in peer.seen if got.kind == h2.PING]) < len(sent):
            await peer.until(h2.PING, flags=h2.ACK)
        assert answered == sent
        all_answered.set()
        await peer.rest()

    async with h2.scripted(play) as port, Channel(f"127.0.0.1:{port}") as channel:
        await large_call(Client(channel))
        await asyncio.wait_for(all_answered.wait(), 60)
    assert len(sent) == 2 * (len(REPLY_FRAMES) + 2) + 1


async def test_max_streams(cell: Cell) -> None:
    """SETTINGS allows three streams: of 15 calls at once, three are open and the others wait their turn."""
    cell("http2: max_streams", PAIR)
    open_at_once: list[int] = []

    async def play(peer: h2.Peer) -> None:
        answer(peer, await request_of(peer))
        for done in range(1, 16, MAX_CONCURRENT_STREAMS):
            streams = [await request_of(peer) for _ in range(MAX_CONCURRENT_STREAMS)]
            opened = {got.stream for got in peer.seen if got.kind == h2.HEADERS}
            open_at_once.append(len(opened) - done)
            for stream in streams:
                answer(peer, stream)
        await peer.rest()

    limit = (3, MAX_CONCURRENT_STREAMS)  # SETTINGS_MAX_CONCURRENT_STREAMS
    async with h2.scripted(play, limit) as port, Channel(f"127.0.0.1:{port}") as channel:
        client = Client(channel)
        await large_call(client)
        await asyncio.gather(*(large_call(client) for _ in range(15)))
    assert open_at_once == [MAX_CONCURRENT_STREAMS] * 5


def frames_of_answer(stream: int) -> list[bytes]:
    body = [h2.data(stream, part) for part in REPLY_FRAMES]
    return [h2.headers(stream, h2.RESPONSE), *body, h2.headers(stream, h2.OK, end=True)]


def answer(peer: h2.Peer, stream: int) -> None:
    peer.send(*frames_of_answer(stream))


def endless(play: Play) -> Play:
    """``play`` until the client leaves: that is its end, not a failure."""

    async def perform(peer: h2.Peer) -> None:
        try:
            await play(peer)
        except AssertionError:
            if not peer.closed:
                raise

    return perform


async def broken(*frames: bytes) -> None:
    """One call, answered by ``frames`` and RST_STREAM with NO_ERROR."""

    async def play(peer: h2.Peer) -> None:
        stream = await request_of(peer)
        peer.send(*frames, h2.reset(stream, NO_ERROR))
        await peer.rest()

    async with h2.scripted(play) as port, Channel(f"127.0.0.1:{port}") as channel:
        await large_call(Client(channel))
