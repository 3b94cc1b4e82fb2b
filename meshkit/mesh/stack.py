"""The call path as one column: what a call passes through, from the proxy's method down to the wire.

    proxy method        generated; request and options become one call object
    interceptors        the user's own, outermost first
    interface           the view that is in force, read once: a call never sees half a config
    route               the first rule that matches path, headers and fraction; its cluster chosen by weight, once,
                        so that every attempt of a call stays in one cluster (gRFC A28)
    deadline            the rule's timeout shortens the caller's, never lengthens it (gRFC A31)
    attempts            what failed without reaching a server, or may be repeated, is tried again (gRFC A6, A44)
    pick                the cluster's balancer, over endpoints whose connections do not fail
    connection          a live one of the endpoint's pool; no await when there is one
    wire                one write per loop turn

Nothing here is rebuilt per call, and nothing awaits before the write when a connection is ready.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from meshkit.errors import Unavailable, error_for
from meshkit.guard import AttemptOutcome, RetryGuard, pushback_of
from meshkit.mesh.clusters import ClusterRuntime, Target
from meshkit.mesh.interfaces import Straight, View
from meshkit.net import ClientConnection, ConnectionFailed, ConnectionLost, Outcome, Pool
from meshkit.route import Decision
from meshkit.rpc import Exchange, UnaryCall, stream_attempt
from meshkit.status import Status, status_of
from meshkit.wire import http_to_grpc
from meshkit.xds.resources import DirectResponse, RetryPolicy

__all__ = ["AnyCall", "Stack"]

Rep = TypeVar("Rep")
AnyCall = UnaryCall[Any] | Exchange[Any, Any]

_REPICKS = 5  # Envoy's host_selection_retry_max_attempts, as Istio sets it


class Unreached(Outcome):
    """An attempt that found no connection: nothing was sent. The call's own deadline may have been the reason."""

    def __init__(self, call: AnyCall, error: Exception) -> None:
        late = call.deadline is not None and call.deadline <= time.monotonic()
        status = Status.DEADLINE_EXCEEDED if late else Status.UNAVAILABLE
        super().__init__(status.value, str(error), unprocessed=True)


class Way:
    """Where one call goes: the cluster that was drawn, how it is retried, and the endpoints already tried."""

    __slots__ = ("_tried", "cluster", "last", "per_try_timeout", "retry")

    def __init__(self, retry: RetryPolicy | None, cluster: ClusterRuntime) -> None:
        self.retry = retry
        self.cluster = cluster
        self.per_try_timeout = None if retry is None else retry.per_try_timeout
        self.last: Target | None = None
        self._tried: set[Target] | None = None

    def pick(self) -> Target | None:
        """An endpoint for the next attempt, rather one that was not tried yet (RetryPolicy.retry_host_predicate)."""
        self.last = target = self.cluster.pick()
        if self._tried is not None:
            for _ in range(_REPICKS - 1):
                if target not in self._tried:
                    break
                self.last = target = self.cluster.pick()
        return target

    def failed(self) -> None:
        """The last endpoint was of no use."""
        if self.last is not None:
            self._tried = self._tried or set()
            self._tried.add(self.last)


class Stack:
    """Carries the calls of one `Mesh` down the column.

    ``views`` maps an interface to what is in force for it. ``find(call, seen)`` waits for a view other than ``seen``
    and raises Unavailable when none comes in time. ``warm`` connects a pool in the background.
    """

    __slots__ = ("_find", "_views", "_warm")

    def __init__(
        self,
        views: dict[str, View],
        find: Callable[[AnyCall, View | None], Awaitable[View]],
        warm: Callable[[Pool], None],
    ) -> None:
        self._views = views
        self._find = find
        self._warm = warm

    async def unary(self, call: UnaryCall[Rep]) -> Rep:
        """One unary call with all its attempts: its reply, or the RpcError it ended with."""
        way: Way | None = None
        guard: RetryGuard | None = None
        view = self._views.get(call.method.service)
        straight = None if view is None else view.straight.get(call.method.path)  # most calls: no rule concerns them
        target = None if straight is None else straight.cluster.pick()
        if straight is None or target is None:
            way = self._way_nowait(call) or await self._way(call)
            target = way.pick()
        while True:
            try:
                if (
                    target is not None
                    and target.pool is not None
                    and (way is None or way.per_try_timeout is None)
                    and (connection := target.pool.ready_nowait()) is not None
                ):
                    outcome = await call.start(connection, target)
                else:
                    way = way or _along(straight, target)
                    outcome = await self._attempt(way, call, target)
            except (ConnectionFailed, ConnectionLost) as error:
                outcome = Unreached(call, error)
            except BaseException:
                call.abandon()
                raise
            if outcome.status == 0:
                return call.reply(outcome)
            way = way or _along(straight, target)
            guard = guard or RetryGuard(way.retry, random.random)
            delay = guard.next_delay(_ended(outcome))
            if delay is None or not await _pause(delay, call.deadline):
                return call.reply(outcome)
            call.previous = guard.previous
            way.failed()
            if way.cluster.empty:  # its interface has moved: nobody is left in the cluster that was drawn
                way = await self._way(call)
            target = way.pick()

    async def open(self, call: Exchange[Any, Any]) -> None:
        """Open one attempt of a streaming call; asked again when `stream_attempt` wants the next one."""
        if call.carried is None:
            way = self._way_nowait(call) or await self._way(call)
            call.carried = (way, RetryGuard(way.retry, random.random))
        way, guard = call.carried
        while True:
            if way.cluster.empty:
                way = await self._way(call)
            try:
                return self._start(call, guard, *await self._reach(way, call, way.pick()))
            except (ConnectionFailed, ConnectionLost) as error:
                outcome = Unreached(call, error)
            way.failed()
            delay = guard.next_delay(_ended(outcome))
            call.previous = guard.previous
            if delay is None or not await _pause(delay, call.deadline):
                raise error_for(status_of(outcome.status), outcome.message)

    # -- interface and route -----------------------------------------------------------------------------------------

    def _way_nowait(self, call: AnyCall) -> Way | None:
        """The way in force; None where the interface has no view, or the cluster no endpoints: `_way` then waits."""
        view = self._views.get(call.method.service)
        return None if view is None else _decide(view, call)

    async def _way(self, call: AnyCall) -> Way:
        while (way := self._way_nowait(call)) is None:
            await self._find(call, self._views.get(call.method.service))
        return way

    # -- attempts ----------------------------------------------------------------------------------------------------

    async def _attempt(self, way: Way, call: UnaryCall[Any], first: Target | None) -> Outcome:
        """One attempt. Raises ConnectionFailed and ConnectionLost where it could not be made."""
        target, connection = await self._reach(way, call, first)
        if way.per_try_timeout is None:
            return await call.attempt(connection, target)
        return await _within(way.per_try_timeout, call, connection, target)

    def _start(self, call: Exchange[Any, Any], guard: RetryGuard, target: Target, connection: ClientConnection) -> None:
        def ended(outcome: Outcome) -> float | None:
            target.in_flight -= 1
            delay = None if outcome.status == 0 else guard.next_delay(_ended(outcome))
            call.previous = guard.previous
            return delay

        stream_attempt(connection, call, ended)
        target.in_flight += 1

    # -- pick and connection -----------------------------------------------------------------------------------------

    async def _reach(self, way: Way, call: AnyCall, first: Target | None) -> tuple[Target, ClientConnection]:
        """An endpoint and a live connection to it: ``first``, which was picked, if it is connected. If not it is
        connected in the background while another one takes the call; only when none of a few picks is ready does the
        call wait.

        Raises ConnectionFailed with the reason when the endpoint that it waited for cannot be reached."""
        target = first
        for turn in range(_REPICKS):
            if first is None or target is None:
                raise ConnectionFailed(way.cluster.name, "the cluster has no endpoints")
            pool = target.pool or way.cluster.open(target)
            if (connection := pool.ready_nowait()) is not None:
                return target, connection
            if not turn:
                self._warm(pool)
            target = way.pick()
        assert first is not None and first.pool is not None
        way.last = first
        connection = await first.pool.connect(call.deadline, wait_for_ready=call.options.wait_for_ready)
        return first, connection


def _along(straight: Straight | None, target: Target | None) -> Way:
    """The way of a call that went straight to ``target``, once it needs one."""
    assert straight is not None
    way = Way(straight.retry, straight.cluster)
    way.last = target
    return way


def _decide(view: View, call: AnyCall) -> Way | None:
    if call.method.path not in view.straight:
        view.learn(call.method.path)  # for the calls after this one
    decision = view.table.select(call.method.path, call.headers())
    if decision is None or decision.direct is not None:
        raise _refusal(view, decision, call.method.path)
    if decision.timeout is not None:
        call.limit_to(decision.timeout)
    cluster = view.clusters.get(decision.cluster())
    return None if cluster is None or cluster.empty else Way(decision.retry, cluster)


def _refusal(view: View, decision: Decision | None, path: str) -> Exception:
    """What a call gets whose route leads to no cluster (gRFC A28: UNAVAILABLE; a direct response: its status)."""
    if decision is None:
        return Unavailable(f"no route of {view.table.virtual_host.name!r} matches {path}")
    if isinstance(decision.direct, DirectResponse):
        status = status_of(http_to_grpc(decision.direct.status))
        return error_for(status, decision.direct.body or f"direct response {decision.direct.status} of the route")
    return Unavailable(f"route {decision.route.name!r} redirects {path}; gRPC calls cannot follow a redirect")


def _ended(outcome: Outcome) -> AttemptOutcome:
    """What a guard needs to know of an outcome."""
    return AttemptOutcome(
        outcome.status,
        connect_failure=isinstance(outcome, Unreached),
        unprocessed=outcome.unprocessed,
        committed=outcome.headers_received,
        reset=not outcome.trailers,
        pushback=pushback_of(outcome.trailers),
    )


async def _within(seconds: float, call: UnaryCall[Any], connection: ClientConnection, target: Target) -> Outcome:
    """One attempt with a time of its own (RetryPolicy.per_try_timeout)."""
    try:
        async with asyncio.timeout(seconds):
            return await call.attempt(connection, target)
    except TimeoutError:
        return Outcome(Status.DEADLINE_EXCEEDED.value, f"attempt took longer than the route's {seconds:g} s per try")


async def _pause(seconds: float, deadline: float | None) -> bool:
    """Wait before the next attempt; False, at once, if the call's deadline would come first."""
    if deadline is not None and time.monotonic() + seconds >= deadline:
        return False
    if seconds:
        await asyncio.sleep(seconds)
    return True
