"""Bodies of plain HTTP over HTTP/2: who sends too slowly, HEAD, and what is left when a request ends early."""

from __future__ import annotations

import asyncio

import pytest

from tests.support import h2peer as h2
from tests.support.http1 import serving


def plain(method: bytes = b"POST", **more: bytes) -> bytes:
    """The header block of a request that is not gRPC's; underscores in names stand for dashes."""
    fields = {b":method": method, b":scheme": b"http", b":path": b"/a", b":authority": b"t"}
    fields |= {name.replace("_", "-").encode(): value for name, value in more.items()}
    return h2.block([*fields.items(), (b"content-type", b"application/json")])


@pytest.mark.parametrize(("options", "pause"), [({"write_timeout": 0.1}, 5.0), ({"body_timeout": 0.1}, 0.01)])
async def test_a_body_that_comes_too_slowly_is_told_so(options: dict[str, float], pause: float) -> None:
    async with serving(**options) as (answering, server, _, port):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, plain()), h2.data(1, b"half"))
        answered = asyncio.create_task(peer.until(h2.HEADERS, stream=1))
        while not answered.done():
            await asyncio.wait([answered], timeout=pause)
            peer.send(h2.data(1, b"x"))
        assert dict(answered.result().fields)[b":status"] == b"408"
        assert (await peer.until(h2.DATA, stream=1)).payload == b"the body came too slowly\n"
        assert (await peer.until(h2.RST_STREAM, stream=1)).payload == bytes(4)  # NO_ERROR: send no more of it
        assert answering.targets == []
        peer.send(h2.headers(3, plain()), h2.data(3, b"whole", end=True))
        assert (await peer.until(h2.DATA, stream=3)).payload == b"whole"
        assert [(one.streams, one.running) for one in server.statistics() if one.started == 2] == [(0, 0)]
        await peer.close()


async def test_head_is_answered_without_a_body() -> None:
    async with serving() as (answering, _, _, port):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, plain(b"HEAD")), h2.data(1, b"what HEAD does not show", end=True))
        answer = await peer.until(h2.HEADERS, stream=1)
        assert dict(answer.fields)[b":status"] == b"200" and answer.flags & h2.END_STREAM
        assert len(answering.targets) == 1
        await peer.close()


async def test_who_waits_to_be_told_so_sends_the_body() -> None:
    async with serving(max_receive_message=100) as (_, _, _, port):
        peer = await h2.Peer.connect(port)
        peer.send(h2.headers(1, plain(expect=b"100-continue", content_length=b"5")))
        interim = await peer.until(h2.HEADERS, stream=1)
        assert interim.fields == [(b":status", b"100")] and not interim.flags & h2.END_STREAM
        peer.send(h2.data(1, b"hello", end=True))
        assert dict((await peer.until(h2.HEADERS, stream=1)).fields)[b":status"] == b"200"
        assert (await peer.until(h2.DATA, stream=1)).payload == b"hello"
        peer.send(h2.headers(3, plain(expect=b"100-continue", content_length=b"101")), h2.data(3, b"x" * 101, end=True))
        assert dict((await peer.until(h2.HEADERS, stream=3)).fields)[b":status"] == b"200"
        assert (await peer.until(h2.DATA, stream=3)).payload == b"too large"
        await peer.close()
