"""What two ends agreed on in TLS, whatever libraries they are: read from the ServerHello that passes a relay."""

from __future__ import annotations

import asyncio
import struct
from collections.abc import Awaitable, Callable
from contextlib import suppress

_VERSIONS = {0x0303: "TLS 1.2", 0x0304: "TLS 1.3"}
_CIPHERS = {
    0x1301: "AES-128-GCM",
    0x1302: "AES-256-GCM",
    0x1303: "ChaCha20-Poly1305",
    0xC02B: "ECDHE-ECDSA-AES-128-GCM",
    0xC02C: "ECDHE-ECDSA-AES-256-GCM",
}
_GROUPS = {0x0017: "P-256", 0x0018: "P-384", 0x001D: "X25519", 0x11EC: "X25519MLKEM768"}
_SUPPORTED_VERSIONS, _KEY_SHARE = 43, 51  # extensions, RFC 8446 section 4.2


async def agreed(port: int, connect: Callable[[int], Awaitable[object]]) -> str:
    """Version, cipher and key exchange of the connection that ``connect(relay)`` makes to ``port`` via the relay."""
    heard = bytearray()

    async def relay(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        back_reader, back_writer = await asyncio.open_connection("127.0.0.1", port)
        await asyncio.gather(_copy(reader, back_writer, bytearray()), _copy(back_reader, writer, heard))

    async with await asyncio.start_server(relay, "127.0.0.1", 0) as server, asyncio.timeout(30):
        await connect(server.sockets[0].getsockname()[1])
    return server_hello(bytes(heard))


async def _copy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, heard: bytearray) -> None:
    with suppress(ConnectionError):
        while data := await reader.read(1 << 16):
            heard += data
            writer.write(data)
            await writer.drain()
    writer.close()


def server_hello(data: bytes) -> str:
    """A ServerHello in words: what a server's first bytes say (RFC 8446 section 4.1.3)."""
    version, session = struct.unpack_from("!H32xB", data, 9)  # after the headers of the record and of the message
    at = 44 + session
    cipher, extensions = struct.unpack_from("!HxH", data, at)
    found = _extensions(data[at + 5 : at + 5 + extensions])
    version = _number(found.get(_SUPPORTED_VERSIONS), version)
    group = _number(found.get(_KEY_SHARE), 0)
    words = [_VERSIONS.get(version, hex(version)), _CIPHERS.get(cipher, hex(cipher)), _GROUPS.get(group, hex(group))]
    return ", ".join(words if group else words[:2])


def _extensions(data: bytes) -> dict[int, bytes]:
    found: dict[int, bytes] = {}
    while data:
        kind, size = struct.unpack_from("!HH", data)
        found[kind], data = data[4 : 4 + size], data[4 + size :]
    return found


def _number(data: bytes | None, default: int) -> int:
    return int.from_bytes(data[:2], "big") if data else default
