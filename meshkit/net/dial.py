"""Making one connection: resolve, race the addresses, TLS, and wait for the server's SETTINGS.

Happy eyeballs (RFC 8305) is done here rather than by ``loop.create_connection``: uvloop's has no such parameter.
"""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Callable, Sequence
from contextlib import suppress
from itertools import chain, zip_longest
from typing import Any

from .address import Address, is_ip
from .client import ClientConnection
from .failures import ConnectionFailed, reason_of
from .options import ClientOptions
from .tls import TlsSettings

__all__ = ["dial"]

_Target = tuple[socket.AddressFamily, Any]


async def dial(
    address: Address, options: ClientOptions, tls: TlsSettings | None, keepalive_time: float
) -> ClientConnection:
    """A connection to ``address`` that is ready for calls.

    Raises `ConnectionFailed` with the reason, after ``options.connect_timeout`` seconds at the latest.
    """
    loop = asyncio.get_running_loop()
    connection = ClientConnection(loop, address, options, tls, keepalive_time)
    try:
        async with asyncio.timeout(options.connect_timeout):
            sock = await _connected(loop, address, options)
            await _attach(loop, sock, lambda: connection, address, tls)
            settled = await connection.settled
    except TimeoutError:
        _give_up(connection, "timed out")
        raise ConnectionFailed(address.text, f"no answer within {options.connect_timeout:g} s") from None
    except Exception as error:  # the network's, and what a settings' function for the TLS context may raise
        _give_up(connection, "failed")
        raise ConnectionFailed(address.text, reason_of(error)) from error
    except asyncio.CancelledError:
        _give_up(connection, "not wanted any more")
        raise
    if not settled:
        raise ConnectionFailed(address.text, connection.ending)
    return connection


def _give_up(connection: ClientConnection, reason: str) -> None:
    """uvloop closes the transport of a connect that is cancelled when it is made, and never calls connection_lost."""
    connection.abort(reason)
    connection.connection_lost(None)


async def _attach(
    loop: asyncio.AbstractEventLoop,
    sock: socket.socket,
    factory: Callable[[], ClientConnection],
    address: Address,
    tls: TlsSettings | None,
) -> None:
    try:
        if tls is None:
            await loop.create_connection(factory, sock=sock)
        else:
            name = address.host if tls.server_name is None else tls.server_name
            await loop.create_connection(factory, sock=sock, ssl=tls.current(), server_hostname=name)
    except BaseException:
        sock.close()
        raise


async def _connected(loop: asyncio.AbstractEventLoop, address: Address, options: ClientOptions) -> socket.socket:
    if address.path is not None:
        return await _try(loop, (socket.AF_UNIX, address.path))
    found = [address.host] if is_ip(address.host) else await options.resolver(address.host)
    targets = [_target(host, address.port) for host in _alternating(found)]
    if not targets:
        raise OSError(f"{address.host} has no addresses")
    return await _try(loop, targets[0]) if len(targets) == 1 else await _race(loop, targets, options)


def _alternating(hosts: Sequence[str]) -> list[str]:
    """Both families by turns, the first one's first (RFC 8305 section 4)."""
    first = [host for host in hosts if (":" in host) is (":" in hosts[0])]
    other = [host for host in hosts if (":" in host) is not (":" in hosts[0])]
    return [host for host in chain.from_iterable(zip_longest(first, other)) if host is not None]


def _target(host: str, port: int) -> _Target:
    return socket.AF_INET6 if ":" in host else socket.AF_INET, (host, port)


async def _try(loop: asyncio.AbstractEventLoop, target: _Target) -> socket.socket:
    family, name = target
    sock = socket.socket(family, socket.SOCK_STREAM)
    try:
        sock.setblocking(False)
        if family != socket.AF_UNIX:
            sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        await loop.sock_connect(sock, name)
    except BaseException:
        sock.close()
        raise
    return sock


async def _race(loop: asyncio.AbstractEventLoop, targets: Sequence[_Target], options: ClientOptions) -> socket.socket:
    """The first of ``targets`` to connect; each gets a moment before the next is tried beside it."""
    attempts: list[asyncio.Task[socket.socket]] = []
    failures: list[BaseException] = []
    rest = iter(targets)
    try:
        while True:
            target = next(rest, None)
            if target is not None:
                attempts.append(loop.create_task(_try(loop, target)))
            elif not attempts:
                raise failures[0]
            delay = options.happy_eyeballs_delay if target is not None else None
            done, _ = await asyncio.wait(attempts, timeout=delay, return_when=asyncio.FIRST_COMPLETED)
            for attempt in done:
                attempts.remove(attempt)
                if (failure := attempt.exception()) is None:
                    return attempt.result()
                failures.append(failure)
    finally:
        await _abandon(attempts)


async def _abandon(attempts: Sequence[asyncio.Task[socket.socket]]) -> None:
    for attempt in attempts:
        attempt.cancel()
    for attempt in attempts:
        with suppress(OSError, asyncio.CancelledError):
            (await attempt).close()
