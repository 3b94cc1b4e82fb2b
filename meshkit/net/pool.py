"""All connections to one endpoint address: connecting, backing off, replacing what goes away, resting when unused.

Carries: grpc/doc/connection-backoff.md, connectivity-semantics-and-api.md, GOAWAY replacement (PROTOCOL-HTTP2.md).
Each place for a connection is a coroutine (`_keep`), and where it stands is its state.
"""

from __future__ import annotations

import asyncio
import random as _random
from collections.abc import Callable
from dataclasses import dataclass

from meshkit.clock import SYSTEM, Clock
from meshkit.tasks import Scope

from .address import parse_address
from .backoff import Backoff
from .client import REST, ClientConnection, ClientStatistics
from .connectivity import ConnectivityState
from .dial import dial
from .failures import ConnectionFailed
from .link import LOG
from .options import ClientOptions
from .tls import TlsSettings

__all__ = ["Pool", "PoolStatistics"]

_GOOD_AFTER = 1.0  # a connection that lived so long was good: its end starts no backoff


@dataclass(frozen=True, slots=True)
class PoolStatistics:
    """A pool at one moment."""

    address: str
    state: ConnectivityState
    last_error: str
    attempts: int
    failures: int
    connections: tuple[ClientStatistics, ...]


class Pool:
    """Up to ``size`` connections to ``address``: "host:port", "[v6]:port", "unix:/path" or "unix-abstract:name".

    Nothing is connected until `connect` is called; from then on lost connections come back by themselves, until the
    pool has been unused for ``options.idle_timeout`` or is closed.  After a failure the state stays
    TRANSIENT_FAILURE until a connection is ready again (gRFC A62), so that calls fail fast meanwhile.
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
        self.attempts = 0
        self.keepalive_time = (options or ClientOptions()).keepalive_time
        self._target = parse_address(address)
        self._options = options or ClientOptions()
        self._tls = tls
        self._size = size
        self._clock = clock
        self._random = random
        self._scope = Scope(f"pool {address}")
        self._ready: list[ClientConnection] = []
        self._open: set[ClientConnection] = set()
        self._keepers = 0
        self._failing = 0
        self._waiters: dict[asyncio.Future[ClientConnection], bool] = {}
        self._listeners: list[Callable[[ConnectivityState], object]] = []

    def __repr__(self) -> str:
        return f"Pool({self.address}, {self.state.value}, connections={len(self._open)}, in_flight={self.in_flight})"

    @property
    def in_flight(self) -> int:
        """Calls opened or queued on all connections, and not over."""
        return sum(connection.in_flight for connection in self._open)

    def ready_nowait(self) -> ClientConnection | None:
        """A connection that takes calls now, the least loaded of several; None: ask `connect`."""
        best: ClientConnection | None = None
        for connection in self._ready:
            if best is None or connection.in_flight < best.in_flight:
                best = connection
        return best

    async def connect(self, deadline: float | None = None, *, wait_for_ready: bool = False) -> ClientConnection:
        """A connection that takes calls, made if need be.

        Raises `ConnectionFailed`, at once while the pool waits to try again (TRANSIENT_FAILURE) unless
        ``wait_for_ready``, else when the attempt fails, the pool is closed, or ``deadline`` (loop time) passes.
        """
        ready = self.ready_nowait()
        if ready is not None:
            return ready
        if self.state is ConnectivityState.SHUTDOWN:
            raise ConnectionFailed(self.address, "the pool is closed")
        if self.state is ConnectivityState.TRANSIENT_FAILURE and not wait_for_ready:
            raise ConnectionFailed(self.address, self.last_error)
        self._begin()
        return await self._wait(deadline, wait_for_ready)

    async def _wait(self, deadline: float | None, wait_for_ready: bool) -> ClientConnection:
        waiter: asyncio.Future[ClientConnection] = asyncio.get_running_loop().create_future()
        self._waiters[waiter] = wait_for_ready
        try:
            async with asyncio.timeout_at(deadline):
                return await waiter
        except TimeoutError:
            reason = f"not ready before the deadline; last failure: {self.last_error or 'none'}"
            raise ConnectionFailed(self.address, reason) from None
        finally:
            self._waiters.pop(waiter, None)

    def listen(self, callback: Callable[[ConnectivityState], object]) -> Callable[[], None]:
        """Tell ``callback`` of each change of `state`; the returned function ends that."""
        self._listeners.append(callback)
        return lambda: self._listeners.remove(callback)

    async def close(self, grace: float = 0.0) -> None:
        """No new calls; running ones have ``grace`` seconds to end, then they end with UNAVAILABLE."""
        self._change(ConnectivityState.SHUTDOWN)
        await self._scope.close()
        self._fail_waiters("the pool is closed", all_of_them=True)
        connections = tuple(self._open)
        for connection in connections:
            connection.retire("closed here")
        if grace > 0 and connections:
            await asyncio.wait([connection.closed for connection in connections], timeout=grace)
        for connection in connections:
            connection.close("closed here")
        await asyncio.gather(*(connection.closed for connection in connections))

    def statistics(self) -> PoolStatistics:
        """Counters and connections of this pool, as a frozen value."""
        connections = tuple(connection.statistics() for connection in self._open)
        return PoolStatistics(self.address, self.state, self.last_error, self.attempts, self._failing, connections)

    # -- the places for connections

    def _begin(self) -> None:
        while self._keepers < self._size:
            self._keepers += 1
            self._scope.start(self._keep(), name=str(self._keepers))

    async def _keep(self) -> None:
        """One place: a connection, and another when it goes, until nobody has used it for long."""
        backoff = Backoff(self._options.backoff, self._random)
        try:
            while True:
                started = self._clock.now()
                connection = await self._attempt()
                if connection is not None:
                    if await self._serve(connection) == REST and not self._waiters:
                        return
                    if self._again(connection, started, backoff):
                        continue
                    self._failed(connection.ending)
                await self._clock.sleep(started + backoff.next() - self._clock.now())
        finally:
            self._keepers -= 1
            self._settle()

    async def _attempt(self) -> ClientConnection | None:
        self.attempts += 1
        self._settle()
        try:
            return await dial(self._target, self._options, self._tls, self.keepalive_time)
        except ConnectionFailed as error:
            self._failed(error.reason)
            return None

    async def _serve(self, connection: ClientConnection) -> str:
        """Offer ``connection`` until it takes no more calls; why it does not is the result."""
        self._open.add(connection)
        connection.closed.add_done_callback(lambda _: self._open.discard(connection))
        if connection.ready:
            self._offer(connection)
        await connection.retired
        LOG.info("connection to %s ends: %s", self.address, connection.ending)
        if connection.too_many_pings:
            self.keepalive_time *= 2
            LOG.warning("%s: too many keepalive pings, now one per %g s", self.address, self.keepalive_time)
        return connection.ending

    def _offer(self, connection: ClientConnection) -> None:
        self._ready.append(connection)
        connection.on_change = self._withdraw
        self._failing = 0
        self.last_error = ""
        self._settle()
        for waiter in tuple(self._waiters):
            if not waiter.done():
                waiter.set_result(connection)

    def _withdraw(self, connection: ClientConnection) -> None:
        self._ready.remove(connection)
        self._settle()

    def _again(self, connection: ClientConnection, started: float, backoff: Backoff) -> bool:
        """Whether to reconnect at once: after a connection that was good, and once after one that was not.

        Good is one that answered a call, or still has calls to answer when it takes no more (a server that sends
        GOAWAY after so many requests does so before it answers them), or lived for a while.
        """
        if connection.answered or connection.in_flight or self._clock.now() - started >= _GOOD_AFTER:
            backoff.reset()
            return True
        if backoff.failures:
            return False
        backoff.next()
        return True

    def _failed(self, reason: str) -> None:
        self._failing += 1
        self.last_error = reason
        LOG.info("cannot connect to %s: %s", self.address, reason)
        self._settle()
        if not self._ready:
            self._fail_waiters(reason, all_of_them=False)

    # -- state and who waits for it

    def _settle(self) -> None:
        """The state that follows from the connections there are."""
        if self._ready:
            self._change(ConnectivityState.READY)
        elif self._failing:
            self._change(ConnectivityState.TRANSIENT_FAILURE)
        else:
            self._change(ConnectivityState.CONNECTING if self._keepers else ConnectivityState.IDLE)

    def _change(self, state: ConnectivityState) -> None:
        if state is self.state or self.state is ConnectivityState.SHUTDOWN:
            return
        self.state = state
        for listener in tuple(self._listeners):
            listener(state)

    def _fail_waiters(self, reason: str, *, all_of_them: bool) -> None:
        for waiter, wait_for_ready in tuple(self._waiters.items()):
            if (all_of_them or not wait_for_ready) and not waiter.done():
                waiter.set_exception(ConnectionFailed(self.address, reason))
