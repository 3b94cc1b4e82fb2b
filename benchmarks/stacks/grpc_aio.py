"""grpc.aio, as its documentation writes it, with upb messages."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import grpc
from grpc import aio

from benchmarks.stacks.messages import Note

SERVICE = "bench.Echo"


class _Echo(grpc.GenericRpcHandler):
    def service(self, details: Any) -> Any:
        return _SHAPES[details.method.rpartition("/")[2]]


async def _unary(request: Any, context: Any) -> Any:
    return Note(text=request.text, number=request.number)


async def _stream(request: Any, context: Any) -> Any:
    for number in range(request.number):
        yield Note(text=request.text, number=number)


async def _chat(requests: Any, context: Any) -> Any:
    async for request in requests:
        yield Note(text=request.text, number=request.number)


def _handler(kind: Any, function: Any) -> Any:
    return kind(function, request_deserializer=Note.FromString, response_serializer=Note.SerializeToString)


_SHAPES = {
    "Unary": _handler(grpc.unary_unary_rpc_method_handler, _unary),
    "Stream": _handler(grpc.unary_stream_rpc_method_handler, _stream),
    "Chat": _handler(grpc.stream_stream_rpc_method_handler, _chat),
}
_OPTIONS = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]


async def serve(announce: Callable[[int], None], tls: Path | None = None) -> None:
    server = aio.server(options=_OPTIONS)
    server.add_generic_rpc_handlers((_Echo(),))
    if tls is None:
        port = server.add_insecure_port("127.0.0.1:0")
    else:
        pair = (tls / "key.pem").read_bytes(), (tls / "cert.pem").read_bytes()
        port = server.add_secure_port("127.0.0.1:0", grpc.ssl_server_credentials([pair]))
    await server.start()
    announce(port)
    await server.wait_for_termination()


class Client:
    """Calls of the three shapes measured."""

    def __init__(self, port: int, tls: Path | None = None) -> None:
        address = f"127.0.0.1:{port}"
        if tls is None:
            self._channel = aio.insecure_channel(address, options=_OPTIONS)
        else:
            trusted = grpc.ssl_channel_credentials((tls / "ca.pem").read_bytes())
            self._channel = aio.secure_channel(address, trusted, options=_OPTIONS)
        form = {"request_serializer": Note.SerializeToString, "response_deserializer": Note.FromString}
        self._unary = self._channel.unary_unary(f"/{SERVICE}/Unary", **form)
        self._stream = self._channel.unary_stream(f"/{SERVICE}/Stream", **form)
        self._chat = self._channel.stream_stream(f"/{SERVICE}/Chat", **form)

    def unary(self, text: str) -> Callable[[], Awaitable[object]]:
        return lambda: self._unary(Note(text=text, number=1), timeout=20.0)

    async def stream(self, count: int) -> None:
        async for _ in self._stream(Note(text="x", number=count)):
            pass

    async def chat(self, count: int) -> None:
        call = self._chat()
        for _ in range(count):
            await call.write(Note(text="x", number=1))
            await call.read()
        await call.done_writing()

    async def close(self) -> None:
        await self._channel.close()
