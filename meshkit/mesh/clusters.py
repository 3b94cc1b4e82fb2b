"""What of a cluster outlives its config: connections and counters, keyed by endpoint, reconciled by set difference.

A `Target` is one endpoint in one cluster: its weight and its calls in flight. The connections behind it are one `Pool`
per address, shared by every cluster that names the address (a subset and its whole, for one).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import partial

from meshkit.balance import Picker, build_locality_picker, known_policies
from meshkit.discovery import ClusterSnapshot
from meshkit.net import ConnectivityState, Pool
from meshkit.observe import event_logger
from meshkit.tasks import Scope
from meshkit.xds.resources import Cluster, ClusterLoadAssignment, Endpoint, LbPolicy

__all__ = ["ClusterRuntime", "ClusterStatistics", "Pools", "Target"]

_LOG = event_logger("meshkit.mesh")


class Pools:
    """One `Pool` per address, opened for its first user and closed when the last one lets go."""

    __slots__ = ("_grace", "_open", "_pools", "_scope", "_users")

    def __init__(self, open_pool: Callable[[str], Pool], scope: Scope, grace: float) -> None:
        self._open = open_pool
        self._scope = scope
        self._grace = grace
        self._pools: dict[str, Pool] = {}
        self._users: dict[str, int] = {}

    def acquire(self, address: str) -> Pool:
        """The pool of ``address``, with one user more."""
        if (pool := self._pools.get(address)) is None:
            pool = self._pools[address] = self._open(address)
        self._users[address] = self._users.get(address, 0) + 1
        return pool

    def release(self, address: str) -> None:
        """One user less; the last one's going closes the pool once its running calls are over."""
        self._users[address] -= 1
        if not self._users[address]:
            del self._users[address]
            self._scope.start(self._pools.pop(address).close(self._grace), name=f"close {address}")

    async def close(self) -> None:
        """Close every pool now."""
        pools, self._pools, self._users = list(self._pools.values()), {}, {}
        await asyncio.gather(*(pool.close() for pool in pools))


class Target:
    """One endpoint in one cluster, as pickers see it. ``pool`` is None until the first call is about to go there."""

    __slots__ = ("endpoint", "failing", "in_flight", "pool", "stop_listening", "weight")

    def __init__(self, endpoint: Endpoint) -> None:
        self.endpoint = endpoint
        self.weight = endpoint.weight
        self.in_flight = 0
        self.failing = False
        self.pool: Pool | None = None
        self.stop_listening: Callable[[], None] = _nothing

    def __repr__(self) -> str:
        state = "unused" if self.pool is None else self.pool.state.name
        return f"Target({self.endpoint.address}, {state}, in_flight={self.in_flight})"


@dataclass(frozen=True, slots=True)
class ClusterStatistics:
    """What a `ClusterRuntime` stands at."""

    name: str
    endpoints: int
    failing: int
    in_flight: int


class ClusterRuntime:
    """The endpoints of one cluster and the picker over those that may be called.

    An endpoint whose connections fail (TRANSIENT_FAILURE) is passed over while others are left. When all fail, all
    are picked from: the caller then learns the connection's error instead of an empty answer.
    """

    __slots__ = ("_assignment", "_known", "_picker", "_pools", "_random", "_stale", "_targets", "cluster")

    def __init__(self, pools: Pools, uniform: Callable[[], float] = random.random) -> None:
        self._pools = pools
        self._random = uniform
        self._targets: dict[str, Target] = {}
        self._known: dict[int, Endpoint] = {}  # by identity; the values keep the identities from being used again
        self._picker: Picker[Target] | None = None
        self._stale = False
        self._assignment: ClusterLoadAssignment | None = None
        self.cluster: Cluster | None = None

    def __repr__(self) -> str:
        return repr(self.statistics())

    def apply(self, snapshot: ClusterSnapshot) -> None:
        """Take over new config; endpoints that stay keep their connections and counters."""
        if snapshot.cluster is self.cluster and snapshot.assignment is self._assignment:
            return
        self.cluster, self._assignment = snapshot.cluster, snapshot.assignment
        self._reconcile({id(endpoint): endpoint for endpoint in _usable(snapshot.assignment)})
        self._stale = True

    def _reconcile(self, wanted: dict[int, Endpoint]) -> None:
        """An endpoint that did not change is the same object as before: only the others are looked at."""
        known, self._known = self._known, wanted
        arriving = {wanted[key].address: wanted[key] for key in wanted.keys() - known.keys()}
        if leaving := {known[key].address for key in known.keys() - wanted.keys()}:
            for address in leaving.difference(endpoint.address for endpoint in wanted.values()):
                self._drop(address)
        for address, endpoint in arriving.items():
            if (target := self._targets.get(address)) is None:
                self._targets[address] = Target(endpoint)
            else:
                target.endpoint, target.weight = endpoint, endpoint.weight

    def open(self, target: Target) -> Pool:
        """The pool of a target that has none yet."""
        pool = target.pool = self._pools.acquire(target.endpoint.address)
        target.stop_listening = pool.listen(partial(self._changed, target))
        self._changed(target, pool.state)
        return pool

    def _drop(self, address: str) -> None:
        target = self._targets.pop(address)
        if target.pool is not None:
            target.stop_listening()
            self._pools.release(address)

    def _changed(self, target: Target, state: ConnectivityState) -> None:
        failing = state is ConnectivityState.TRANSIENT_FAILURE or (
            target.failing and state is ConnectivityState.CONNECTING
        )
        if failing is not target.failing:  # other changes leave the pickers as they are: connecting costs nothing here
            target.failing, self._stale = failing, True

    @property
    def name(self) -> str:
        """The cluster's name; empty before config came."""
        return self.cluster.name if self.cluster else ""

    @property
    def empty(self) -> bool:
        """Whether it has no endpoint that may be called."""
        return not self._targets

    def pick(self) -> Target | None:
        """The endpoint for one call; None where the cluster has none."""
        if self._stale:
            self._rebuild()
        return None if self._picker is None else self._picker.pick()

    def _rebuild(self) -> None:
        self._stale = False
        self._picker = self._build(healthy=True) or self._build(healthy=False)

    def _build(self, *, healthy: bool) -> Picker[Target] | None:
        assert self.cluster is not None and self._assignment is not None
        weighted = self.cluster.locality_weighted  # without it the endpoints of a priority are one pool, as in Envoy
        groups = [
            (group.weight if weighted else None, group.priority, self._of(group.endpoints, healthy=healthy))
            for group in self._assignment.localities
        ]
        return build_locality_picker(groups, _known(self.cluster), self._random)

    def _of(self, endpoints: Iterable[Endpoint], *, healthy: bool) -> list[Target]:
        targets = [self._targets.get(endpoint.address) for endpoint in endpoints]
        return [target for target in targets if target is not None and not (healthy and target.failing)]

    def statistics(self) -> ClusterStatistics:
        """Name, and counts of endpoints, of failing ones, of calls in flight."""
        targets = self._targets.values()
        return ClusterStatistics(
            self.name,
            len(targets),
            sum(target.failing for target in targets),
            sum(target.in_flight for target in targets),
        )

    def close(self) -> None:
        """Let go of every endpoint."""
        for address in list(self._targets):
            self._drop(address)
        self._picker = None


def _usable(assignment: ClusterLoadAssignment) -> Iterable[Endpoint]:
    return (endpoint for group in assignment.localities for endpoint in group.endpoints if endpoint.usable)


def _known(cluster: Cluster) -> LbPolicy:
    """The cluster's policy; round robin for one we do not have, and a word about it."""
    if cluster.lb.name in known_policies():
        return cluster.lb
    _LOG.warning("balancing policy not obeyed", cluster=cluster.name, policy=cluster.lb.name, used="ROUND_ROBIN")
    return LbPolicy()


def _nothing() -> None:
    """What stops listening before there is anything to listen to."""
