"""A server: listening, the connections it has, and letting go of them gracefully."""

from __future__ import annotations

import asyncio
import random
import socket
import ssl
from collections.abc import Callable
from contextlib import suppress
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from meshkit.tasks import Scope

from .http import HttpAccept
from .link import LOG
from .listener import accepted, bind, bind_unix, starts_tls
from .options import ServerOptions
from .server_stream import ServerStream
from .serving import ServerConnection, ServerStatistics
from .tls import TlsSettings, offer_http1

if TYPE_CHECKING:
    from .doorway import Doorway

__all__ = ["Server"]


class Server:
    """Serves gRPC over HTTP/2: ``accept`` is called with each new stream, on the loop; it must not block or raise.

    With ``http``, requests that are not gRPC's go there, over HTTP/2 and HTTP/1.1 on the same port; contexts of ``tls``
    offer both from then on.
    """

    def __init__(
        self,
        accept: Callable[[ServerStream], None],
        *,
        options: ServerOptions | None = None,
        tls: TlsSettings | None = None,
        http: HttpAccept | None = None,
    ) -> None:
        self._accept = accept
        self._http = http
        self._options = options or ServerOptions()
        self._tls = tls
        self._scope = Scope("server")
        self._listening: list[socket.socket] = []
        self._connections: set[ServerConnection | Doorway] = set()
        self._arriving = 0
        self._room: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        return f"Server(listening={len(self._listening)}, connections={len(self._connections)})"

    async def listen(self, host: str | None = "127.0.0.1", port: int = 0, *, path: str | None = None) -> int:
        """Listen on ``host`` (None: all interfaces) and ``port`` (0: a free one), or on the unix socket ``path``.

        Returns the port (0 for a unix socket). May be called several times. Raises OSError with the address.
        """
        backlog = self._options.backlog
        sockets = [bind_unix(path, backlog)] if path is not None else await bind(host, port, backlog)
        for sock in sockets:
            self._listening.append(sock)
            self._scope.start(accepted(sock, self._welcome, self._wait_for_room), name="accept")
        return 0 if path is not None else int(sockets[0].getsockname()[1])

    async def close(self, grace: float = 0.0) -> None:
        """No new connections, a double GOAWAY to the present ones, ``grace`` seconds for their calls, then cut."""
        await self._scope.close()
        for sock in self._listening:
            _unlisten(sock)
        self._listening.clear()
        connections = tuple(self._connections)
        if grace > 0 and connections:
            for connection in connections:
                connection.drain("the server shuts down")
            await asyncio.wait([connection.closed for connection in connections], timeout=grace)
        for connection in connections:
            connection.cut("the server shut down")
        await asyncio.gather(*(connection.closed for connection in connections))

    def statistics(self) -> tuple[ServerStatistics, ...]:
        """Every connection at this moment."""
        return tuple(connection.statistics() for connection in self._connections)

    # -- connections

    def _wait_for_room(self) -> asyncio.Future[None] | None:
        if len(self._connections) + self._arriving < self._options.max_connections:
            return None
        if self._room is None or self._room.done():
            self._room = asyncio.get_running_loop().create_future()
        return self._room

    def _make_room(self) -> None:
        if self._room is not None and not self._room.done():
            self._room.set_result(None)

    def _welcome(self, sock: socket.socket) -> None:
        self._arriving += 1
        self._scope.start(self._begin(sock), name="handshake")

    async def _begin(self, sock: socket.socket) -> None:
        """Bring a new socket to HTTP/2. A client that fails at it, or takes too long, is dropped."""
        try:
            async with asyncio.timeout(self._options.handshake_timeout):
                await self._attach(sock)
        except TimeoutError:
            LOG.debug("a client took too long for the TLS handshake")
        except (OSError, ssl.SSLError) as error:  # a port scan, a probe, plaintext to a TLS port: quiet
            LOG.debug("a client failed at the TLS handshake: %s", error)
        finally:
            self._arriving -= 1
            self._make_room()

    async def _attach(self, sock: socket.socket) -> None:
        loop = asyncio.get_running_loop()
        connection = self._connection(loop)
        connection.closed.add_done_callback(lambda _: self._forget(connection))
        try:
            tls = self._tls
            context = None
            if tls is not None and (not tls.permissive or await starts_tls(sock)):
                context = tls.current() if self._http is None else offer_http1(tls.current())
            self._connections.add(connection)
            await loop.connect_accepted_socket(lambda: connection, sock, ssl=context)
        except BaseException:
            self._forget(connection)
            sock.close()
            raise

    def _connection(self, loop: asyncio.AbstractEventLoop) -> ServerConnection | Doorway:
        """What speaks with a new client; which protocol, where plain HTTP is served too, its first bytes tell."""
        options, tls, http = self._options, self._tls, self._http
        age_factor = 1.0 + options.age_jitter * (2.0 * random.random() - 1.0)
        make_http2 = partial(ServerConnection, loop, options, tls, self._accept, age_factor, http)
        if http is None:
            return make_http2()
        from .doorway import Doorway  # needs h11

        return Doorway(loop, make_http2, options, tls, http, age_factor)

    def _forget(self, connection: ServerConnection | Doorway) -> None:
        self._connections.discard(connection)
        self._make_room()


def _unlisten(sock: socket.socket) -> None:
    name = sock.getsockname() if sock.family == socket.AF_UNIX else ""
    sock.close()
    if isinstance(name, str) and name:
        with suppress(OSError):
            Path(name).unlink()
