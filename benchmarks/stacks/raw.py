"""The floor: 60 bytes there and back over a bare asyncio protocol."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable

SIZE = 60


class _Server(asyncio.Protocol):
    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport

    def data_received(self, data: bytes) -> None:
        self._transport.write(data)  # type: ignore[attr-defined]


async def serve(announce: Callable[[int], None]) -> None:
    server = await asyncio.get_running_loop().create_server(_Server, "127.0.0.1", 0)
    announce(server.sockets[0].getsockname()[1])
    await server.serve_forever()


class _Client(asyncio.Protocol):
    def __init__(self) -> None:
        self.waiting: deque[asyncio.Future[None]] = deque()
        self._got = 0

    def data_received(self, data: bytes) -> None:
        self._got += len(data)
        while self._got >= SIZE:
            self._got -= SIZE
            self.waiting.popleft().set_result(None)


class Client:
    """Only the unary shape exists here."""

    def __init__(self, port: int) -> None:
        self._port = port
        self._ready: tuple[asyncio.Transport, _Client] | None = None

    def unary(self, text: str) -> Callable[[], Awaitable[object]]:
        return self._echo

    async def _echo(self) -> None:
        loop = asyncio.get_running_loop()
        if self._ready is None:
            self._ready = await loop.create_connection(_Client, "127.0.0.1", self._port)  # type: ignore[assignment]
        transport, protocol = self._ready  # type: ignore[misc]
        future: asyncio.Future[None] = loop.create_future()
        protocol.waiting.append(future)
        transport.write(b"x" * SIZE)
        await future

    async def close(self) -> None:
        if self._ready is not None:
            self._ready[0].close()
