"""The first bytes of a connection tell its protocol; until then it is next to nothing."""

from __future__ import annotations

import gc
import tracemalloc
from contextlib import AsyncExitStack

import pytest

from tests.support import h2peer as h2
from tests.support.http1 import connected, post, serving
from tests.support.waiting import until

OURS = [tracemalloc.Filter(True, pattern) for pattern in ("*/meshkit/*", "*/h11/*")]


async def test_a_connection_is_known_by_its_first_bytes_however_they_come() -> None:
    async with serving() as (_, server, peer, port):
        await peer.send(b"P")
        await until(lambda: [one.unread for one in server.statistics()] == [1])
        assert server.statistics()[0].peer.startswith("127.0.0.1:")
        await peer.send(post("/a", "x")[1:])
        assert (await peer.answer()).body == b"x"
        http2 = await h2.Peer.connect(port)
        assert (await http2.until(h2.SETTINGS)).stream == 0
        await http2.close()


@pytest.mark.parametrize(("sent", "most"), [(b"", 3_000), (post("/a"), 8_000)])
async def test_a_connection_takes_memory_for_its_own_protocol_only(sent: bytes, most: int) -> None:
    async with serving() as (_, server, first, port), AsyncExitStack() as up:
        await first.send(post("/a"))  # imports and caches
        await first.answer()
        tracemalloc.start()
        try:
            for _ in range(50):
                peer = await up.enter_async_context(connected(port))
                if sent:
                    await peer.send(sent)
                    await peer.answer()
            await until(lambda: len(server.statistics()) == 51)
            gc.collect()
            found = tracemalloc.take_snapshot().filter_traces(OURS).statistics("filename")
        finally:
            tracemalloc.stop()
        assert sum(one.size for one in found) / 50 < most
