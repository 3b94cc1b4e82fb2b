"""Listening sockets, and what is done to a socket before HTTP/2 begins: options, TLS or not."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from .link import LOG

__all__ = ["accepted", "bind", "bind_unix", "starts_tls"]

_TLS_HANDSHAKE = 0x16  # the first byte of a TLS record that carries a ClientHello (RFC 8446 section 5.1)
_GONE_ALREADY = {errno.ECONNABORTED, errno.EPROTO, errno.ENETDOWN, errno.EHOSTUNREACH, errno.ENETUNREACH}  # accept(2)
_REST = 0.2  # seconds until accepting is tried again


async def bind(host: str | None, port: int, backlog: int) -> list[socket.socket]:
    """Listening sockets for every address of ``host``; a free port, chosen once, is the same for all of them."""
    loop = asyncio.get_running_loop()
    found = await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)
    sockets: list[socket.socket] = []
    try:
        for family, _, _, _, name in dict.fromkeys(found):
            sockets.append(_listening(family, (name[0], port, *name[2:]), backlog))
            port = sockets[0].getsockname()[1]
    except OSError as error:
        for sock in sockets:
            sock.close()
        raise OSError(error.errno, f"cannot listen on {host or '*'}:{port}: {error.strerror}") from None
    return sockets


def _listening(family: int, name: tuple[object, ...], backlog: int) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, 1)
        sock.bind(name)
        sock.listen(backlog)
        sock.setblocking(False)
    except BaseException:
        sock.close()
        raise
    return sock


def bind_unix(path: str, backlog: int) -> socket.socket:
    """A listening unix socket at ``path``; one that a dead process left there is replaced."""
    sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        if not path.startswith("\0") and Path(path).is_socket() and not _answers(path):
            Path(path).unlink()
        sock.bind(path)
        sock.listen(backlog)
        sock.setblocking(False)
    except OSError as error:
        sock.close()
        raise OSError(error.errno, f"cannot listen on unix:{path}: {error.strerror}") from None
    return sock


def _answers(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        return probe.connect_ex(path) != errno.ECONNREFUSED


async def accepted(
    listening: socket.socket,
    welcome: Callable[[socket.socket], object],
    room: Callable[[], asyncio.Future[None] | None],
) -> None:
    """Give each connection made to ``listening`` to ``welcome``, while there is ``room``; never returns."""
    loop = asyncio.get_running_loop()
    while True:
        while (wait := room()) is not None:
            await wait
        try:
            sock, _ = await loop.sock_accept(listening)
        except OSError as error:
            if error.errno not in _GONE_ALREADY:  # no descriptor left, or worse: not without a rest
                LOG.error("cannot accept connections: %s", error.strerror)
                await asyncio.sleep(_REST)
            continue
        sock.setblocking(False)
        if sock.family != socket.AF_UNIX:
            with suppress(OSError):
                sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        welcome(sock)


async def starts_tls(sock: socket.socket) -> bool:
    """Whether the client's first byte is one of TLS; the byte stays in the socket."""
    loop = asyncio.get_running_loop()
    readable: asyncio.Future[None] = loop.create_future()
    loop.add_reader(sock.fileno(), _resolve, readable)
    try:
        await readable
    finally:
        loop.remove_reader(sock.fileno())
    return sock.recv(1, socket.MSG_PEEK)[:1] == bytes((_TLS_HANDSHAKE,))


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)
