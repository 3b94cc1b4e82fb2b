"""Calls on `meshkit.net` without an rpc layer: a sink that can be awaited, and a server of scripted methods."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from meshkit.net import (
    ClientConnection,
    ClientOptions,
    ClientStream,
    Outcome,
    Pool,
    Server,
    ServerOptions,
    ServerStream,
    TlsSettings,
)


class Call:
    """A client's sink. `outcome` waits for the end; `next` for a message, giving its credit back."""

    def __init__(self) -> None:
        self.headers: Any = None
        self.messages: list[bytes] = []
        self.stream: ClientStream
        self.writable = asyncio.Event()
        self.heard = asyncio.Event()
        self.ended: asyncio.Future[Outcome] = asyncio.get_running_loop().create_future()
        self.read = 0
        self.over = False

    def on_headers(self, fields: Any) -> None:
        assert self.headers is None
        self.headers = fields
        self.heard.set()

    def on_message(self, data: bytes) -> None:
        assert not self.ended.done()
        self.messages.append(data)
        self.heard.set()

    def on_unary(self, fields: Any, data: bytes, outcome: Outcome) -> None:
        self.on_headers(fields)
        self.on_message(data)
        self.on_end(outcome)

    def on_end(self, outcome: Outcome) -> None:
        assert not self.over
        self.over = True
        if not self.ended.done():  # who waited may be gone
            self.ended.set_result(outcome)
        self.heard.set()

    def on_deadline(self) -> None:
        self.stream.cancel()

    def on_writable(self) -> None:
        self.writable.set()

    async def outcome(self) -> Outcome:
        async with asyncio.timeout(30):
            return await self.ended

    async def next(self) -> bytes:
        async with asyncio.timeout(30):
            while self.read == len(self.messages):
                assert not self.ended.done(), self.ended.result()
                self.heard.clear()
                await self.heard.wait()
        self.read += 1
        found = self.messages[self.read - 1]
        self.stream.acknowledge(len(found))
        return found

    async def drain(self) -> None:
        while not self.stream.writable and not self.ended.done():
            self.writable.clear()
            await self.writable.wait()


def start(connection: ClientConnection, path: bytes = b"/test.Echo/Echo", fields: Any = (), **more: Any) -> Call:
    call = Call()
    call.stream = connection.open(path, fields, call, **more)
    return call


def unary(connection: ClientConnection, message: bytes = b"hello", fields: Any = (), **more: Any) -> Call:
    return start(connection, fields=fields, message=message, end=True, **more)


@dataclass
class Handler:
    """A server's sink: does what the method named in the path says."""

    stream: ServerStream
    service: Service
    messages: list[bytes] = field(default_factory=list)
    cancelled: str | None = None

    def on_message(self, data: bytes) -> None:
        self.messages.append(data)
        if self.method == "Chat":
            self.stream.send(data)
        if not self.service.hoard:
            self.stream.acknowledge(len(data))

    def on_unary(self, data: bytes) -> None:
        self.on_message(data)
        self.on_half_close()

    def on_half_close(self) -> None:
        action = self.service.methods.get(self.method)
        if action is None:
            self.stream.finish(12, f"no method {self.stream.path}")
            self.stream.release()
        elif action(self) is not False:
            self.stream.release()

    def on_cancel(self, reason: Any) -> None:
        self.cancelled = reason
        if self.service.release_on_cancel:
            self.stream.release()

    def on_writable(self) -> None:
        self.service.writable.append(self)

    @property
    def method(self) -> str:
        return self.stream.path.rpartition("/")[2]


def _echo(handler: Handler) -> None:
    handler.stream.reply(b"".join(handler.messages))


def _chat(handler: Handler) -> None:
    handler.stream.finish(0)


def _hang(_: Handler) -> bool:
    return False


def _big(handler: Handler) -> None:
    handler.stream.reply(bytes(int(handler.messages[0])))


def _fail(handler: Handler) -> None:
    handler.stream.finish(9, "not now: 100 % \u00e9", ((b"x-why", b"because"),), b"\x08\x09")


class Service:
    """Methods by name, and every handler that was made."""

    def __init__(self) -> None:
        self.methods: dict[str, Callable[[Handler], Any]] = {
            "Echo": _echo, "Chat": _chat, "Hang": _hang, "Big": _big, "Fail": _fail,
        }  # fmt: skip
        self.handlers: list[Handler] = []
        self.writable: list[Handler] = []
        self.hoard = False
        self.release_on_cancel = True

    def accept(self, stream: ServerStream) -> None:
        stream.sink = handler = Handler(stream, self)
        self.handlers.append(handler)


@asynccontextmanager
async def serving(
    options: ServerOptions | None = None, *, service: Service | None = None, tls: TlsSettings | None = None
) -> AsyncIterator[tuple[int, Service, Server]]:
    service = service or Service()
    server = Server(service.accept, options=options, tls=tls)
    port = await server.listen()
    try:
        yield port, service, server
    finally:
        await server.close()


@asynccontextmanager
async def connected(
    port: int | str, options: ClientOptions | None = None, *, tls: TlsSettings | None = None, size: int = 1
) -> AsyncIterator[ClientConnection]:
    address = port if isinstance(port, str) else f"127.0.0.1:{port}"
    pool = Pool(address, options=options, tls=tls, size=size)
    try:
        yield await pool.connect(asyncio.get_running_loop().time() + 10)
    finally:
        await pool.close()
