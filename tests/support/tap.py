"""A relay in front of a server that counts what passes: how large messages were on the wire, whoever the peer is."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress

__all__ = ["Tap", "tapped"]


class Tap:
    """``address``: where to connect. ``up`` and ``down``: bytes so far to the server and back from it."""

    def __init__(self) -> None:
        self.address = ""
        self.up = self.down = 0
        self._writers: list[asyncio.StreamWriter] = []

    def _count_up(self, size: int) -> None:
        self.up += size

    def _count_down(self, size: int) -> None:
        self.down += size

    async def relay(self, upstream: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Carry one connection to ``upstream`` until both directions have ended."""
        host, _, port = upstream.rpartition(":")
        back_reader, back_writer = await asyncio.open_connection(host, int(port))
        self._writers.append(back_writer)
        await asyncio.gather(
            _copy(reader, back_writer, self._count_up),
            _copy(back_reader, writer, self._count_down),
        )

    def begin(self, upstream: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> asyncio.Task[None]:
        """Start to `relay` a new connection."""
        self._writers.append(writer)
        return asyncio.ensure_future(self.relay(upstream, reader, writer))

    async def close(self) -> None:
        """Cut what is still open."""
        for writer in self._writers:
            writer.transport.abort()
            with suppress(ConnectionError):
                await writer.wait_closed()


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, count: Callable[[int], None]) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            count(len(data))
            writer.write(data)
            await writer.drain()
    writer.close()


@asynccontextmanager
async def tapped(upstream: str) -> AsyncIterator[Tap]:
    """A tap in front of ``upstream`` ("host:port")."""
    tap, running = Tap(), set[asyncio.Task[None]]()

    def begin(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        running.add(tap.begin(upstream, reader, writer))

    server = await asyncio.start_server(begin, "127.0.0.1", 0)
    tap.address = f"127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield tap
    finally:
        server.close()
        for task in running:
            task.cancel()
        await asyncio.gather(*running, return_exceptions=True)
        await tap.close()
