"""meshkit, the whole stack: a mesh that routes, balances, guards and keeps deadlines on every call."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import betterproto2

from meshkit import rpc
from meshkit.mesh import Mesh
from meshkit.net import ServerOptions, TlsSettings, client_context, server_context
from meshkit.rpc import CallOptions, Channel, Context, Method, Server, Servicer
from meshkit.wire import Limits

SERVICE = "bench.Echo"
_LARGE = 8 << 20


@dataclass(eq=False, repr=False)
class Note(betterproto2.Message):
    text: str = betterproto2.field(1, betterproto2.TYPE_STRING)
    number: int = betterproto2.field(2, betterproto2.TYPE_INT32)


UNARY = Method(f"/{SERVICE}/Unary", Note, Note, name="unary")
STREAM = Method(f"/{SERVICE}/Stream", Note, Note, server_streaming=True, name="stream")
CHAT = Method(f"/{SERVICE}/Chat", Note, Note, client_streaming=True, server_streaming=True, name="chat")
METHODS = (UNARY, STREAM, CHAT)


class Echo(Servicer):
    __service_name__ = SERVICE
    __methods__ = METHODS

    async def unary(self, request: Note, ctx: Context, /) -> Note:
        return Note(text=request.text, number=request.number)

    async def stream(self, request: Note, ctx: Context, /) -> AsyncIterator[Note]:
        for number in range(request.number):
            yield Note(text=request.text, number=number)

    async def chat(self, requests: AsyncIterator[Note], ctx: Context, /) -> AsyncIterator[Note]:
        async for request in requests:
            yield Note(text=request.text, number=request.number)


async def serve(announce: Callable[[int], None], tls: Path | None = None) -> None:
    options = ServerOptions(limits=Limits(max_receive_message=_LARGE))
    secured = tls and TlsSettings(server_context(cert=tls / "cert.pem", key=tls / "key.pem"))
    async with Server([Echo()], options=options, tls=secured) as server:
        announce(await server.listen("127.0.0.1", 0))
        await asyncio.get_running_loop().create_future()


class EchoClient(rpc.Client):
    __service_name__ = SERVICE
    __methods__ = METHODS

    def unary(self, request: Note, timeout: float | None, options: CallOptions | None = None) -> Any:
        return self._mesh_unary(UNARY, request, timeout, None, options)

    def stream(self, request: Note) -> Any:
        return self._mesh_server_stream(STREAM, request, None, None, None)

    def chat(self) -> Any:
        return self._mesh_bidi(CHAT, None, None, None, None)


class Client:
    """Calls of the three shapes measured: through a mesh, or with ``tls`` on a channel."""

    def __init__(self, port: int, tls: Path | None = None) -> None:
        if tls is None:
            mesh = Mesh(interfaces={SERVICE: f"static:127.0.0.1:{port}"})
            self._client, self.close = EchoClient(mesh), mesh.aclose
        else:
            channel = Channel(f"127.0.0.1:{port}", tls=TlsSettings(client_context(ca=tls / "ca.pem")))
            self._client, self.close = EchoClient(channel), channel.close

    def unary(self, text: str) -> Callable[[], Awaitable[object]]:
        client = self._client
        options = CallOptions(max_receive=_LARGE) if len(text) > 1 << 20 else None
        return lambda: client.unary(Note(text=text, number=1), 20.0, options)

    async def stream(self, count: int) -> None:
        async for _ in self._client.stream(Note(text="x", number=count)):
            pass

    async def chat(self, count: int) -> None:
        async with self._client.chat() as call:
            for _ in range(count):
                await call.send(Note(text="x", number=1))
                await call.recv()
            await call.end()
