"""All connections to one endpoint address: connecting, backing off, replacing what goes away, resting when unused."""

from __future__ import annotations

import random as _random
from collections.abc import Callable

from ..clock import SYSTEM, Clock
from .client import ClientConnection
from .connectivity import ConnectivityState
from .options import ClientOptions
from .tls import TlsSettings

__all__ = ["Pool"]


class Pool:
    """Up to ``size`` connections to ``address``: "host:port", "[v6]:port", "unix:/path" or "unix-abstract:name".

    Nothing is connected until `connect` is called; from then on lost connections come back by themselves, until the
    pool has been unused for ``options.idle_timeout`` or is closed.
    """

    def __init__(
        self,
        address: str,
        *,
        options: ClientOptions | None = None,
        tls: TlsSettings | None = None,
        size: int = 1,
        clock: Clock = SYSTEM,
        random: Callable[[], float] = _random.random,
    ) -> None:
        self.address = address
        self.state = ConnectivityState.IDLE
        self.last_error = ""
        self.in_flight = 0

    def ready_nowait(self) -> ClientConnection | None:
        """A connection that takes calls now, the least loaded of several; None: ask `connect`."""
        raise NotImplementedError

    async def connect(self, deadline: float | None = None, *, wait_for_ready: bool = False) -> ClientConnection:
        """A connection that takes calls, made if need be.

        Raises `ConnectionFailed`, at once while the pool waits to try again (TRANSIENT_FAILURE) unless
        ``wait_for_ready``, else when the attempt fails, the pool is closed, or ``deadline`` (loop time) passes.
        """
        raise NotImplementedError

    def listen(self, callback: Callable[[ConnectivityState], object]) -> Callable[[], None]:
        """Tell ``callback`` of each change of `state`; the returned function ends that."""
        raise NotImplementedError

    async def close(self, grace: float = 0.0) -> None:
        """No new calls; running ones have ``grace`` seconds to end, then they end with UNAVAILABLE."""
        raise NotImplementedError
