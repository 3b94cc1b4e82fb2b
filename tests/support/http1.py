"""A client of HTTP/1.1 as plain as can be: bytes on a socket, so that what is tested is not read by its own library."""

from __future__ import annotations

import asyncio
import ssl
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass
from typing import Any

from meshkit.metadata import RawHeaders
from meshkit.net import HttpStream, Server, ServerOptions
from meshkit.wire import Limits

__all__ = ["Answer", "Answering", "Peer", "connected", "post", "serving"]


@dataclass
class Answer:
    """A response; names of ``headers`` in lower case."""

    status: int
    headers: dict[str, str]
    body: bytes


class Peer:
    """One connection."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def send(self, data: bytes) -> None:
        self.writer.write(data)
        await self.writer.drain()

    async def answer(self, *, interim: bool = True) -> Answer:
        """The next response; ``interim`` ones are passed over."""
        async with asyncio.timeout(30):
            while True:
                head = (await self.reader.readuntil(b"\r\n\r\n")).decode().splitlines()
                status = int(head[0].split()[1])
                if status >= 200 or not interim:
                    break
            headers = dict(line.split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers.get("content-length", "0")))
        return Answer(status, headers, body)

    async def ended(self) -> bool:
        """Whether the server closes the connection without another byte."""
        async with asyncio.timeout(30):
            try:
                return await self.reader.read(1) == b""
            except ConnectionResetError:
                return True


def post(path: str, body: bytes | str = b"{}", **headers: str) -> bytes:
    """A request; underscores in names of ``headers`` stand for dashes."""
    body = body.encode() if isinstance(body, str) else body
    fields = {"host": "t", "content-type": "application/json", "content-length": str(len(body))}
    fields |= {name.replace("_", "-"): value for name, value in headers.items()}
    head = "".join(f"{name}: {value}\r\n" for name, value in fields.items())
    return f"POST {path} HTTP/1.1\r\n{head}\r\n".encode() + body


@asynccontextmanager
async def connected(port: int, tls: ssl.SSLContext | None = None, **settings: Any) -> AsyncIterator[Peer]:
    """A connection to ``port``."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=tls, **settings)
    try:
        yield Peer(reader, writer)
    finally:
        writer.close()
        with suppress(OSError):
            await writer.wait_closed()


class Answering:
    """Answers each request with its body; ``held`` are those with the target ``/hold``, which it does not answer."""

    def __init__(self) -> None:
        self.targets: list[bytes] = []
        self.fields: list[RawHeaders] = []
        self.held: list[HttpStream] = []
        self.cancelled: list[str] = []
        self.holding = asyncio.Event()
        self.left = asyncio.Event()

    def accept(self, stream: HttpStream) -> None:
        self.targets.append(stream.target)
        self.fields.append(stream.fields)
        stream.sink = self
        if stream.target == b"/hold":
            self.held.append(stream)
            self.holding.set()
        else:
            stream.respond(
                200, [(b"content-type", b"text/plain")], b"too large" if stream.body is None else stream.body
            )
            stream.release()

    def on_cancel(self, reason: str) -> None:
        self.cancelled.append(reason)
        self.left.set()

    def finish(self, status: int, message: str = "") -> None: ...


@asynccontextmanager
async def serving(**settings: float) -> AsyncIterator[tuple[Answering, Server, Peer, int]]:
    """An `Answering` server with these `ServerOptions` and `Limits`, a connection to it, and its port."""
    answering = Answering()
    of_limits = {name: value for name, value in settings.items() if name in Limits.__dataclass_fields__}
    of_server = {name: value for name, value in settings.items() if name not in of_limits}
    options = ServerOptions(limits=Limits(**of_limits), **of_server)  # type: ignore[arg-type]
    server = Server(lambda stream: stream.release(), options=options, http=answering.accept)
    port = await server.listen()
    try:
        async with connected(port) as peer:
            yield answering, server, peer, port
    finally:
        await server.close()
