"""grpclib, as its documentation writes it, with upb messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

from grpclib.client import Channel, StreamStreamMethod, UnaryStreamMethod, UnaryUnaryMethod
from grpclib.config import Configuration
from grpclib.const import Cardinality, Handler
from grpclib.server import Server

from benchmarks.stacks.messages import Note

SERVICE = "bench.Echo"
_CONFIG = Configuration(http2_stream_window_size=2**22, http2_connection_window_size=2**24)


class Echo:
    """The three shapes, as grpclib has handlers."""

    async def unary(self, stream: Any) -> None:
        request = await stream.recv_message()
        await stream.send_message(Note(text=request.text, number=request.number))

    async def stream(self, stream: Any) -> None:
        request = await stream.recv_message()
        for number in range(request.number):
            await stream.send_message(Note(text=request.text, number=number))

    async def chat(self, stream: Any) -> None:
        async for request in stream:
            await stream.send_message(Note(text=request.text, number=request.number))

    def __mapping__(self) -> dict[str, Handler]:
        return {
            f"/{SERVICE}/Unary": Handler(self.unary, Cardinality.UNARY_UNARY, Note, Note),
            f"/{SERVICE}/Stream": Handler(self.stream, Cardinality.UNARY_STREAM, Note, Note),
            f"/{SERVICE}/Chat": Handler(self.chat, Cardinality.STREAM_STREAM, Note, Note),
        }


async def serve(announce: Callable[[int], None]) -> None:
    server = Server([Echo()], config=_CONFIG)
    await server.start("127.0.0.1", 0)
    announce(server._server.sockets[0].getsockname()[1])  # type: ignore[union-attr]
    await server.wait_closed()


class Client:
    """Calls of the three shapes measured."""

    def __init__(self, port: int, channel: Any = None) -> None:
        self._channel = channel or Channel("127.0.0.1", port, config=_CONFIG)
        self._unary = UnaryUnaryMethod(self._channel, f"/{SERVICE}/Unary", Note, Note)
        self._stream = UnaryStreamMethod(self._channel, f"/{SERVICE}/Stream", Note, Note)
        self._chat = StreamStreamMethod(self._channel, f"/{SERVICE}/Chat", Note, Note)

    def unary(self, text: str) -> Callable[[], Awaitable[object]]:
        return lambda: self._unary(Note(text=text, number=1), timeout=20.0)

    async def stream(self, count: int) -> None:
        async with self._stream.open() as stream:
            await stream.send_message(Note(text="x", number=count), end=True)
            async for _ in stream:
                pass

    async def chat(self, count: int) -> None:
        async with self._chat.open() as stream:
            for _ in range(count):
                await stream.send_message(Note(text="x", number=1))
                await stream.recv_message()
            await stream.end()

    async def close(self) -> None:
        self._channel.close()
