"""Client and server connection back to back on transports turned by hand: whatever order things happen in, each call
ends once, and every count returns to nothing."""

import asyncio
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from meshkit.net import ClientOptions, ConnectionLost, ServerOptions
from meshkit.net.address import parse_address
from meshkit.net.client import ClientConnection
from meshkit.net.serving import ServerConnection
from meshkit.wire import Limits
from tests.support.calls import Call, Service


class Pipe(asyncio.Transport):
    """A transport that keeps what is written until `carry` gives it to the other end's protocol."""

    def __init__(self, protocol: Any) -> None:
        super().__init__()
        self.protocol = protocol
        self.other: Pipe
        self.written = bytearray()
        self.high = 1 << 20
        self.full = self.paused = self.closing = self.gone = False

    def write(self, data: Any) -> None:
        assert not self.gone
        self.written += data
        if not self.full and len(self.written) > self.high:
            self.full = True
            self.protocol.pause_writing()

    def carry(self, size: int) -> None:
        if self.gone or self.other.gone or self.other.paused or self.other.closing:
            return
        chunk = bytes(self.written[:size])
        del self.written[:size]
        if chunk:
            self.other.protocol.data_received(chunk)
        if self.full and len(self.written) <= self.high // 4 and not self.gone:
            self.full = False
            self.protocol.resume_writing()
        if self.closing and not self.written:
            self.lose()

    def lose(self) -> None:
        for end in (self, self.other):
            if not end.gone:
                end.gone = end.closing = True
                end.protocol.connection_lost(None)

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        self.high = 4096

    def get_write_buffer_size(self) -> int:
        return len(self.written)

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return ("127.0.0.1", 1) if name == "peername" else default

    def pause_reading(self) -> None:
        assert not self.paused
        self.paused = True

    def resume_reading(self) -> None:
        assert self.paused
        self.paused = False

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True

    def abort(self) -> None:
        self.closing = True
        asyncio.get_running_loop().call_soon(self.lose)


class World:
    def __init__(self) -> None:
        loop = asyncio.get_running_loop()
        limits = Limits(max_concurrent_streams=4, stream_window=20_000, connection_window=65_535)
        self.service = Service()
        self.client = ClientConnection(
            loop, parse_address("test:1"), ClientOptions(limits=limits, max_unread=30_000), None, 1e9
        )
        self.server = ServerConnection(
            loop, ServerOptions(limits=limits, max_unread=30_000), None, self.service.accept, 1.0
        )
        self.near, self.far = Pipe(self.client), Pipe(self.server)
        self.near.other, self.far.other = self.far, self.near
        self.client.connection_made(self.near)
        self.server.connection_made(self.far)
        self.calls: list[Call] = []
        self.cancelled: set[int] = set()

    async def settle(self, chunk: int = 1 << 16) -> None:
        """Carry everything both ways until nothing moves."""
        for _ in range(400):
            await asyncio.sleep(0)
            before = (len(self.near.written), len(self.far.written), self.client.engine.output_size)
            self.near.carry(chunk)
            self.far.carry(chunk)
            for call in self.calls:
                while call.read < len(call.messages):
                    call.read += 1
                    call.stream.acknowledge(len(call.messages[call.read - 1]))
            if before == (0, 0, 0) and not self.near.written and not self.far.written:
                return

    def open(self, path: bytes, **more: Any) -> None:
        call = Call()
        try:
            call.stream = self.client.open(path, (), call, **more)
        except ConnectionLost:
            return
        self.calls.append(call)

    async def act(self, action: str, size: int, which: int) -> None:
        call = self.calls[which % len(self.calls)] if self.calls else None
        match action:
            case "unary":
                self.open(b"/x/Echo", message=bytes(size), end=True)
            case "big":
                self.open(b"/x/Big", message=b"%d" % size, end=True)
            case "hang":
                self.open(b"/x/Hang", message=b"", end=True)
            case "chat":
                self.open(b"/x/Chat")
            case "send" if call is not None:
                call.stream.send(bytes(size))
            case "end" if call is not None:
                call.stream.end()
            case "cancel" if call is not None:
                if not call.over:
                    self.cancelled.add(which % len(self.calls))
                call.stream.cancel()
            case "near":
                self.near.carry(size)
            case "far":
                self.far.carry(size)
            case "turn":
                await asyncio.sleep(0)
            case "drain":
                self.server.drain("a test")
            case "retire":
                self.client.retire("a test")
            case "lose":
                self.near.lose()
            case "settle":
                await self.settle(max(size, 1))
            case _:
                pass


ACTIONS = ["unary", "big", "hang", "chat", "send", "end", "cancel", "near", "far", "turn", "settle"] * 4
STEP = st.tuples(st.sampled_from([*ACTIONS, "drain", "retire", "lose"]), st.integers(0, 60_000), st.integers(0, 20))


@settings(max_examples=150, deadline=None)
@given(st.lists(STEP, max_size=50))
def test_every_call_ends_once_and_nothing_is_left(steps):
    asyncio.run(_play(steps))


async def _play(steps: list[tuple[str, int, int]]) -> None:
    world = World()
    await world.settle()
    assert world.client.ready
    for action, size, which in steps:
        await world.act(action, size, which)
    for call in world.calls:
        call.stream.end()
    await world.settle()
    while hanging := [h for h in world.service.handlers if h.method == "Hang" and not h.stream.over]:
        for handler in hanging:
            handler.stream.finish(0)
            handler.stream.release()
        await world.settle()  # those that waited for a place begin
    _check_ends(world)
    world.near.lose()
    await asyncio.sleep(0)
    _check_counts(world)


def _check_ends(world: World) -> None:
    """While the connection lives nothing may be stuck: each call has its answer, right or reset."""
    for number, call in enumerate(world.calls):
        assert call.over != (number in world.cancelled), (number, call.stream, call.messages and len(call.messages))
        if call.over:
            outcome = call.ended.result()
            assert outcome.status in (0, 14) or outcome.trailers, outcome


def _check_counts(world: World) -> None:
    assert world.client.in_flight == 0
    assert world.client.statistics().waiting == 0
    assert world.client.reading.unread == 0
    assert world.server.reading.unread == 0
    assert world.server.running == 0
    assert world.client.engine.queued == 0 or world.client.ending
    assert world.client.closed.done()
    assert world.server.closed.done()
