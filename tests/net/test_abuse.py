"""Attacks on a running server: the attacker is cut off or throttled, others are served, memory stays bounded.

Each runs with the default limits beside a bystander on its own connection, whose every call must succeed; what the
server has allocated and the CPU it has used by the end are held against bounds.
"""

import asyncio
import time
import tracemalloc
import zlib
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace

import pytest

from meshkit.net import Server, ServerOptions
from meshkit.wire import Limits
from tests.support import h2peer as h2
from tests.support.calls import Service, connected, serving, unary
from tests.support.waiting import until

ENHANCE_YOUR_CALM, REFUSED_STREAM = 11, 7
MIB = 1 << 20
MOST_CPU = 20.0  # seconds of the process, attacker and tracemalloc included; the worst takes 3


@dataclass
class Scene:
    port: int
    service: Service
    server: Server
    served: int = 0

    async def attacker(self) -> h2.Peer:
        return await h2.Peer.connect(self.port)

    async def serves_more(self, calls: int = 3) -> None:
        goal = self.served + calls
        await until(lambda: self.served >= goal)


@asynccontextmanager
async def scene(options: ServerOptions | None = None, *, memory: int = 32 * MIB):
    async with serving(options) as (port, service, server), connected(port) as bystander:
        stage = Scene(port, service, server)
        busy = asyncio.ensure_future(_keep_calling(bystander, stage))
        await stage.serves_more(1)
        tracemalloc.start()
        used = time.process_time()
        try:
            yield stage
            used = time.process_time() - used
            peak = tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()
            await asyncio.sleep(0)
        await stage.serves_more()
        assert not busy.done(), busy.exception()
        busy.cancel()
        assert peak < memory, f"{peak / MIB:.1f} MiB"
        assert used < MOST_CPU, f"{used:.1f} s"


async def _keep_calling(connection, stage: Scene) -> None:
    while True:
        outcome = await unary(connection, b"bystander").outcome()
        assert outcome.status == 0, outcome
        stage.served += 1
        await asyncio.sleep(0.002)


async def cut_off(peer: h2.Peer, code: int | None = ENHANCE_YOUR_CALM) -> list[h2.Frame]:
    """Read until the server closes; what it said last is GOAWAY with ``code``."""
    async with asyncio.timeout(30):
        frames = await peer.rest()
    if code is not None:
        goaways = [frame for frame in frames if frame.kind == h2.GOAWAY]
        assert goaways or not frames
        if goaways:
            assert int.from_bytes(goaways[-1].payload[4:8], "big") == code
    await peer.close()
    return frames


async def flood_until_cut(peer: h2.Peer, chunk: bytes, times: int) -> None:
    """Send ``chunk`` again and again; the server must end it within ``times``."""
    reading = asyncio.ensure_future(peer.rest())
    for _ in range(times):
        if not await peer.flood(chunk) or reading.done():
            break
        await asyncio.sleep(0)
    async with asyncio.timeout(30):
        frames = await reading
    goaways = [frame for frame in frames if frame.kind == h2.GOAWAY]
    if goaways:
        assert int.from_bytes(goaways[-1].payload[4:8], "big") == ENHANCE_YOUR_CALM
    await peer.close()


# -- streams that come and go


async def test_rapid_reset():
    """CVE-2023-44487: handlers that start and are thrown away at once."""
    async with scene() as stage:
        peer = await stage.attacker()
        pair = [h2.headers(n, h2.request(b"/x/Hang"), end=True) + h2.reset(n) for n in range(1, 20_001, 2)]
        reading = asyncio.ensure_future(peer.rest())
        for start in range(0, len(pair), 100):
            if not await peer.flood(*pair[start : start + 100]):
                break
            await asyncio.sleep(0)
        async with asyncio.timeout(30):
            frames = await reading
        assert all(h.stream.path != "/x/Hang" for h in stage.service.handlers)
        assert not [f for f in frames if f.kind == h2.GOAWAY] or frames[-1].payload[4:8] == b"\0\0\0\x0b"
        await peer.close()


async def test_rapid_reset_in_separate_reads_holds_the_places_of_handlers():
    options = ServerOptions(max_handlers=5)
    async with scene(options) as stage:
        stage.service.release_on_cancel = False
        peer = await stage.attacker()
        reading = asyncio.ensure_future(peer.rest())
        for number in range(1, 61, 2):
            await peer.flood(h2.headers(number, h2.request(b"/x/Hang"), end=True))
            await asyncio.sleep(0.001)
            await peer.flood(h2.reset(number))
            await asyncio.sleep(0.001)
        hanging = [h for h in stage.service.handlers if h.stream.path == "/x/Hang"]
        assert len(hanging) <= 5
        stage.service.release_on_cancel = True
        peer.writer.close()
        await reading
        for handler in hanging:
            handler.stream.release()


async def test_made_you_reset():
    """CVE-2025-8671: faults that make us reset streams whose handlers run on."""
    async with scene() as stage:
        peer = await stage.attacker()
        reading = asyncio.ensure_future(peer.rest())
        for number in range(1, 8001, 2):
            attack = h2.headers(number, h2.request(b"/x/Hang"), end=True) + h2.window_update(number, 0)
            if not await peer.flood(attack):
                break
            if number % 100 == 1:
                await asyncio.sleep(0)
        async with asyncio.timeout(30):
            await reading
        await peer.close()


async def test_more_streams_than_allowed_are_refused():
    async with scene(ServerOptions(limits=Limits(max_concurrent_streams=50))) as stage:
        peer = await stage.attacker()
        peer.send(*(h2.headers(n, h2.request(b"/x/Hang"), end=True) for n in range(1, 401, 2)))
        refused = [await peer.until(h2.RST_STREAM) for _ in range(150)]
        assert {int.from_bytes(frame.payload, "big") for frame in refused} == {REFUSED_STREAM}
        hanging = [h for h in stage.service.handlers if h.stream.path == "/x/Hang"]
        assert len(hanging) == 50
        await peer.close()


# -- headers


async def test_continuation_flood():
    async with scene() as stage:
        peer = await stage.attacker()
        peer.send(h2.frame(h2.HEADERS, 0, 1, h2.request()))
        await flood_until_cut(peer, h2.frame(h2.CONTINUATION, 0, 1, h2.block([(b"a", b"b" * 100)])), 1000)


async def test_empty_continuation_flood():
    async with scene() as stage:
        peer = await stage.attacker()
        peer.send(h2.frame(h2.HEADERS, 0, 1, h2.request()))
        await flood_until_cut(peer, h2.frame(h2.CONTINUATION, 0, 1) * 20, 100)


async def test_hpack_bomb():
    """A 4000 byte header in the table, then thousands of one-byte references to it."""
    async with scene() as stage:
        peer = await stage.attacker()
        bomb = b"\x40" + h2.string(b"x") + h2.string(b"y" * 4000) + b"\xbe" * 15_000
        peer.send(h2.headers(1, h2.request() + bomb, end=True))
        await peer.until(h2.GOAWAY)
        await cut_off(peer, None)


async def test_a_header_list_too_large_is_resource_exhausted():
    async with scene() as stage:
        peer = await stage.attacker()
        peer.send(h2.headers(1, h2.request(b"/x/Echo", (b"x-big", b"y" * 16_200)), end=True))
        while (got := await peer.next()) is not None and got.stream != 1:
            pass
        assert got is not None
        assert got.kind == h2.RST_STREAM or dict(got.fields)[b"grpc-status"] in (b"8", b"13")
        await peer.close()


async def test_slow_headers():
    options = ServerOptions(limits=Limits(header_timeout=0.1))
    async with scene(options) as stage:
        peer = await stage.attacker()
        peer.send(h2.frame(h2.HEADERS, 0, 1, h2.request()))
        await cut_off(peer, None)


async def test_half_open_connections():
    options = ServerOptions(limits=Limits(preface_timeout=1.0))  # the victim says its own in less
    async with scene(options) as stage:
        peers = [await h2.Peer.connect(stage.port, greet=False) for _ in range(50)]
        peers[0].send(h2.PREFACE[:10])
        for peer in peers:
            await cut_off(peer, None)
        await until(lambda: len(stage.server.statistics()) == 1)


# -- frames that carry nothing


@pytest.mark.parametrize(
    "flood",
    [
        pytest.param(h2.settings() * 200, id="settings"),
        pytest.param(h2.settings((1, 0), (1, 4096)) * 200, id="settings-tables"),
        pytest.param(h2.window_update(0, 1) * 200, id="window-update"),
        pytest.param(h2.frame(h2.PRIORITY, 0, 1, b"\0\0\0\0\x10") * 200, id="priority"),
        pytest.param(h2.frame(0x42, 0, 0, b"unknown") * 200, id="unknown"),
    ],
)
async def test_floods(flood):
    async with scene() as stage:
        await flood_until_cut(await stage.attacker(), flood, 500)


async def test_ping_flood():
    async with scene() as stage:
        peer = await stage.attacker()
        peer.send(h2.frame(h2.PING, 0, 0, b"12345678") * 200)
        await cut_off(peer)


async def test_ping_flood_where_pings_are_permitted():
    options = ServerOptions(permit_keepalive_time=0.0, permit_keepalive_without_calls=True)
    async with scene(options) as stage:
        await flood_until_cut(await stage.attacker(), h2.frame(h2.PING, 0, 0, b"12345678") * 200, 500)


async def test_empty_data_flood():
    async with scene() as stage:
        peer = await stage.attacker()
        peer.send(h2.headers(1, h2.request(b"/x/Chat")))
        await flood_until_cut(peer, h2.data(1, b"") * 100, 100)


async def test_answers_to_a_peer_that_does_not_read_pause_reading():
    """Every PING wants an answer; a peer that reads none of them is not read from either."""
    options = ServerOptions(
        permit_keepalive_time=0.0, permit_keepalive_without_calls=True,
        limits=Limits(overhead_burst=1 << 40, max_queued_answers=1 << 40),
    )  # fmt: skip
    async with scene(options) as stage:
        peer = await h2.Peer.connect(stage.port, deaf=True)
        pings = h2.frame(h2.PING, 0, 0, b"12345678") * 1000
        await peer.flood(pings)
        connection = next(c for c in stage.server._connections if c.statistics().started == 0)
        for _ in range(4000):
            if connection.reading.paused:
                break
            peer.send(pings)
            await asyncio.sleep(0)
        assert connection.reading.paused
        assert connection.engine.output_size < 4 * MIB
        peer.writer.transport.abort()


# -- peers that do not read


async def test_zero_window_holds_nothing_but_the_reply_and_times_out():
    options = ServerOptions(stream_write_timeout=0.1)
    async with scene(options, memory=64 * MIB) as stage:
        peer = await stage.attacker()
        peer.send(h2.settings((4, 0)))
        peer.send(h2.headers(1, h2.request(b"/x/Big")), h2.data(1, h2.message(b"1000000"), end=True))
        reset = await peer.until(h2.RST_STREAM, stream=1)
        assert int.from_bytes(reset.payload, "big") == 8
        await peer.close()


async def test_zero_window_with_many_replies_is_refused_more():
    options = ServerOptions(max_buffered=4 * MIB)
    async with scene(options, memory=64 * MIB) as stage:
        peer = await stage.attacker()
        peer.send(h2.settings((4, 0)))
        for number in range(1, 61, 2):
            peer.send(h2.headers(number, h2.request(b"/x/Big")), h2.data(number, h2.message(b"1000000"), end=True))
            await asyncio.sleep(0.002)
        refused = await peer.until(h2.RST_STREAM)
        assert int.from_bytes(refused.payload, "big") == REFUSED_STREAM
        connection = next(c for c in stage.server._connections if c.statistics().refused)
        assert connection.engine.queued < 8 * MIB
        await peer.close()


async def test_a_thousand_streams_of_small_replies_without_a_window():
    """95 KiB of requests: handlers that send while they may must soon be held back, all of them together."""
    sent = 0

    def drip(handler):
        nonlocal sent
        while handler.stream.writable:
            handler.stream.send(b"tiny")
            sent += 1
        return False

    async with scene() as stage:
        stage.service.methods["Drip"] = drip
        peer = await stage.attacker()
        peer.send(h2.settings((4, 0)))
        peer.send(*(h2.headers(number, h2.request(b"/x/Drip"), end=True) for number in range(1, 2001, 2)))
        await until(lambda: sum(handler.method == "Drip" for handler in stage.service.handlers) == 1000)
        await stage.serves_more()
        assert sent < 2 * Limits().max_queued // len(h2.message(b"tiny"))
        peer.writer.transport.abort()


async def test_a_peer_that_never_reads_is_cut_off():
    options = ServerOptions(write_timeout=0.2, max_buffered=4 * MIB)
    async with scene(options, memory=128 * MIB) as stage:
        peer = await h2.Peer.connect(stage.port, deaf=True)
        peer.send(h2.settings((4, 2**31 - 1)), h2.window_update(0, 2**31 - 1 - 65_535))
        for number in range(1, 2001, 2):
            peer.send(h2.headers(number, h2.request(b"/x/Big")), h2.data(number, h2.message(b"1000000"), end=True))
        await until(lambda: len(stage.server.statistics()) == 1, 10)
        peer.writer.transport.abort()


async def test_a_handler_that_streams_to_a_slow_reader_is_held_back():
    sent = 0

    def pour(handler):
        nonlocal sent
        while handler.stream.writable and sent < 100 * MIB:
            handler.stream.send(bytes(64 << 10))
            sent += 64 << 10
        return False

    async with scene(memory=64 * MIB) as stage:
        stage.service.methods["Pour"] = pour
        peer = await h2.Peer.connect(stage.port, deaf=True)
        peer.send(h2.settings((4, 2**31 - 1)), h2.window_update(0, 2**31 - 1 - 65_535))
        peer.send(h2.headers(1, h2.request(b"/x/Pour"), end=True))
        for _ in range(50):
            for handler in stage.service.writable:
                pour(handler)
            stage.service.writable.clear()
            await asyncio.sleep(0.001)
        assert 0 < sent < 20 * MIB
        peer.writer.transport.abort()


# -- messages


async def test_gzip_bomb():
    packer = zlib.compressobj(9, zlib.DEFLATED, 31)
    bomb = packer.compress(bytes(64 * MIB)) + packer.flush()
    async with scene(memory=16 * MIB) as stage:
        peer = await stage.attacker()
        peer.send(h2.headers(1, h2.request(b"/x/Echo", (b"grpc-encoding", b"gzip"))))
        body = h2.message(bomb, compressed=True)
        for start in range(0, len(body), 16_384):
            peer.send(h2.data(1, body[start : start + 16_384], end=start + 16_384 >= len(body)))
        got = await peer.until(h2.HEADERS, stream=1)
        assert dict(got.fields)[b"grpc-status"] == b"8"
        await peer.close()


async def test_an_announced_giant_is_refused_before_it_comes():
    async with scene(memory=16 * MIB) as stage:
        peer = await stage.attacker()
        peer.send(h2.headers(1, h2.request(b"/x/Echo")), h2.data(1, b"\0\xff\xff\xff\xff"))
        got = await peer.until(h2.HEADERS, stream=1)
        assert dict(got.fields)[b"grpc-status"] == b"8"
        await peer.close()


async def test_more_data_than_the_window():
    async with scene() as stage:
        peer = await stage.attacker()
        stage.service.hoard = True
        peer.send(h2.headers(1, h2.request(b"/x/Hang")))
        chunk = h2.data(1, h2.message(bytes(16_000)))
        reading = asyncio.ensure_future(peer.rest())
        for _ in range(2000):
            if not await peer.flood(chunk) or reading.done():
                break
            await asyncio.sleep(0)
        peer.writer.close()
        frames = await asyncio.wait_for(reading, 30)
        assert any(f.kind in (h2.RST_STREAM, h2.GOAWAY) for f in frames)
        stage.service.hoard = False


# -- connections


async def test_many_idle_connections_cost_little():
    async with scene(memory=64 * MIB) as stage:
        peers = [await stage.attacker() for _ in range(200)]
        await until(lambda: len(stage.server.statistics()) == 201)
        used = tracemalloc.get_traced_memory()[0]
        assert used / 200 < 100 << 10  # both ends, the peers' streams and parsers with them
        await stage.serves_more(10)
        await asyncio.gather(*(peer.close() for peer in peers))
        await until(lambda: len(stage.server.statistics()) == 1)


async def test_connections_over_the_maximum_wait_outside():
    async with scene(replace(ServerOptions(), max_connections=20)) as stage:
        peers = [await h2.Peer.connect(stage.port, greet=False) for _ in range(60)]
        await asyncio.sleep(0.05)
        assert len(stage.server.statistics()) <= 20
        await asyncio.gather(*(peer.close() for peer in peers))


async def test_garbage_instead_of_http2():
    async with scene() as stage:
        for garbage in (b"GET / HTTP/1.1\r\n\r\n", bytes(1000), b"\xff" * 1000):
            peer = await h2.Peer.connect(stage.port, greet=False)
            peer.send(garbage)
            await cut_off(peer, None)
