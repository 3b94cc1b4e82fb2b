"""A client's way to one address, without a mesh."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Sequence
from functools import partial
from types import TracebackType
from typing import Any, Self

from meshkit.errors import RpcError, Unavailable
from meshkit.net import ClientConnection, ClientOptions, ConnectionFailed, ConnectionLost, Outcome, Pool, TlsSettings
from meshkit.tasks import Scope

from .attempts import stream_attempt
from .compat.client import GrpclibCompat
from .exchange import Exchange
from .interceptor import Interceptor
from .invocation import Invocation, deadline_outcome, error_of
from .method import Rep
from .unary import UnaryCall

__all__ = ["Channel", "connection_for", "try_again"]


class Channel(GrpclibCompat):
    """Connections to ``address`` ("host:port", "[v6]:port", "unix:/path"), made when the first call needs one.

    ``options`` and ``tls`` are those of `meshkit.net`; ``size`` connections share the calls; ``interceptors`` apply to
    all clients of the channel, outside of their own. A call that the server surely never saw is made again once, one
    that was never sent as often as it takes (gRFC A6). Accepted where a stub of grpclib or betterproto2 wants a
    ``grpclib.client.Channel``.
    """

    def __init__(
        self,
        address: str,
        *,
        options: ClientOptions | None = None,
        tls: TlsSettings | None = None,
        interceptors: Sequence[Interceptor] = (),
        size: int = 1,
    ) -> None:
        super().__init__()
        self.address = address
        self.mesh_interceptors = tuple(interceptors)
        self._pool = Pool(address, options=options, tls=tls, size=size)
        self._scope = Scope(f"channel {address}")

    def __repr__(self) -> str:
        return f"Channel({self.address!r}, {self._pool.state.value})"

    async def mesh_unary(self, call: UnaryCall[Rep], /) -> Rep:
        """Run ``call`` on a connection of this channel; see `meshkit.rpc.Caller`."""
        while True:
            connection = self._pool.ready_nowait() or await connection_for(self._pool, call)
            try:
                outcome = await call.start(connection)
            except ConnectionLost:  # it closed between the choice and the call: nothing was sent
                await asyncio.sleep(0)
                continue
            except BaseException:
                call.abandon()
                raise
            if not outcome.status or try_again(call, outcome) is None:
                return call.reply(outcome)

    async def mesh_open(self, call: Exchange[Any, Any], /) -> None:
        """Start ``call`` on a connection of this channel; see `meshkit.rpc.Caller`."""
        while True:
            connection = self._pool.ready_nowait() or await connection_for(self._pool, call)
            try:
                return stream_attempt(connection, call, partial(try_again, call))
            except ConnectionLost:
                await asyncio.sleep(0)

    def close(self, grace: float = 0.0) -> Awaitable[None]:
        """Close: running calls have ``grace`` seconds to end. Closing starts at once, awaiting it is optional."""
        return self._scope.start(self._pool.close(grace), name="close")

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()


async def connection_for(pool: Pool, call: Invocation) -> ClientConnection:
    """A connection of ``pool`` for ``call``, waited for. Raises `Unavailable` or `DeadlineExceeded`."""
    try:
        return await pool.connect(call.deadline, wait_for_ready=call.options.wait_for_ready)
    except ConnectionFailed as error:
        raise _failure(call, error) from error


def _failure(call: Invocation, error: ConnectionFailed) -> RpcError:
    if call.deadline is not None and call.deadline <= time.monotonic():
        late = deadline_outcome(call.method)
        late.message += f" while it waited for a connection: {error}"
        return error_of(late)
    return Unavailable(str(error))


def try_again(call: Invocation, outcome: Outcome) -> float | None:
    """At once, if the server surely never saw the call and this was the first attempt (gRFC A6); else None."""
    return 0.0 if outcome.unprocessed and call.attempts == 1 else None
