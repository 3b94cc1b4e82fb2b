"""What of a cluster outlives its config: connections and counters, keyed by endpoint, reconciled by set difference.

A `Target` is one endpoint in one cluster: its weight and its calls in flight. The connections behind it are one `Pool`
per address, shared by every cluster that names the address (a subset and its whole, for one).
"""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Generator
from dataclasses import dataclass
from functools import partial
from typing import NamedTuple

from meshkit.balance import Picker, build_locality_picker, known_policies
from meshkit.codec import finish
from meshkit.discovery import ClusterSnapshot
from meshkit.mesh.members import Group, Merge, Target, merge
from meshkit.net import ConnectivityState, Pool
from meshkit.tasks import Scope
from meshkit.xds.resources import Cluster, LbPolicy

__all__ = ["ClusterRuntime", "ClusterStatistics", "Plan", "Pools", "Target"]


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


@dataclass(frozen=True, slots=True)
class ClusterStatistics:
    """What a `ClusterRuntime` stands at."""

    name: str
    endpoints: int
    failing: int
    in_flight: int


class Plan(NamedTuple):
    """New config of a cluster, worked out from what was in force as ``base``."""

    snapshot: ClusterSnapshot
    base: ClusterSnapshot | None
    merge: Merge


class ClusterRuntime:
    """The endpoints of one cluster and the picker over those that may be called.

    An endpoint whose connections fail (TRANSIENT_FAILURE) is passed over while others are left. When all fail, all
    are picked from: the caller then learns the connection's error instead of an empty answer. ``weigh_localities``:
    localities share the calls by their weights also where the cluster does not say so.

    ``pick()`` is the endpoint for one call, None where the cluster has none. It is the picker's own method, once there
    is a picker for the endpoints of now.
    """

    __slots__ = (
        *("_even", "_failing", "_groups", "_pools", "_random", "_source", "_targets", "_weigh_localities"),
        *("cluster", "pick"),
    )

    def __init__(
        self, pools: Pools, uniform: Callable[[], float] = random.random, *, weigh_localities: bool = False
    ) -> None:
        self._pools = pools
        self._random = uniform
        self._weigh_localities = weigh_localities
        self._source: ClusterSnapshot | None = None
        self._groups: tuple[Group, ...] = ()
        self._targets: dict[str, Target] = {}
        self._failing = 0
        self._even = 0  # the weight that all targets are known to have, 0 where it is not known
        self.pick: Callable[[], Target | None] = _nobody
        self.cluster: Cluster | None = None

    def __repr__(self) -> str:
        return repr(self.statistics())

    def apply(self, snapshot: ClusterSnapshot) -> None:
        """Take over new config at once; endpoints that stay keep their connections and counters."""
        self.commit(finish(self.prepare(snapshot)))

    def holds(self, snapshot: ClusterSnapshot) -> bool:
        """Whether this is the config in force."""
        source = self._source
        return source is not None and snapshot.cluster is source.cluster and snapshot.assignment is source.assignment

    def prepare(self, snapshot: ClusterSnapshot) -> Generator[int, None, Plan]:
        """What `commit` needs to take over new config, worked out in slices; calls see nothing of it yet."""
        return Plan(snapshot, self._source, (yield from merge(self._groups, snapshot.assignment, self._targets)))

    def commit(self, plan: Plan) -> None:
        """Put a plan in force; one that was made for what is no longer in force is made again."""
        if self.holds(plan.snapshot):
            return
        if self._source is not plan.base:
            plan = finish(self.prepare(plan.snapshot))
        self.cluster, self._source, self._groups = plan.snapshot.cluster, plan.snapshot, plan.merge.groups
        self._move(plan.merge)
        self.pick = self._pick_anew

    def _move(self, merge: Merge) -> None:
        if self._even and any(endpoint.weight != self._even for _, endpoint in merge.gained):
            self._even = 0
        for target, endpoint in merge.gained:
            target.places += 1
            target.be(endpoint)
            self._targets[endpoint.address] = target
        for target, endpoint in merge.lost:
            target.places -= 1
            if not target.places:
                self._drop(endpoint.address)
        for target, endpoint in merge.lost:
            if target.places and target.endpoint == endpoint:  # listed twice: what another place says counts now
                target.be(next(other for group in self._groups for other in group.endpoints_of(target)))
                self._even = self._even if target.weight == self._even else 0

    def open(self, target: Target) -> Pool:
        """The pool of a target that has none yet."""
        pool = target.pool = self._pools.acquire(target.endpoint.address)
        target.stop_listening = pool.listen(partial(self._changed, target))
        self._changed(target, pool.state)
        return pool

    def _drop(self, address: str) -> None:
        target = self._targets.pop(address)
        self._failing -= target.failing
        if target.pool is not None:
            target.stop_listening()
            self._pools.release(address)

    def _changed(self, target: Target, state: ConnectivityState) -> None:
        failing = state is ConnectivityState.TRANSIENT_FAILURE or (
            target.failing and state is ConnectivityState.CONNECTING
        )
        if failing is not target.failing:  # other changes leave the pickers as they are: connecting costs nothing here
            target.failing, self.pick = failing, self._pick_anew
            self._failing += 1 if failing else -1

    @property
    def name(self) -> str:
        """The cluster's name; empty before config came."""
        return self.cluster.name if self.cluster else ""

    @property
    def empty(self) -> bool:
        """Whether it has no endpoint that may be called."""
        return not self._targets

    def _pick_anew(self) -> Target | None:
        """The first pick since endpoints changed, or whether they may be called."""
        picker = self._build(healthy=True) or self._build(healthy=False)
        self.pick = _nobody if picker is None else picker.pick
        return self.pick()

    def _build(self, *, healthy: bool) -> Picker[Target] | None:
        assert self.cluster is not None
        # Not weighted: the endpoints of a priority are one pool, as in Envoy.
        weighted = self._weigh_localities or self.cluster.locality_weighted
        localities = [
            (group.source.weight if weighted else None, group.source.priority, self._of(group, healthy=healthy))
            for group in self._groups
        ]
        return build_locality_picker(localities, _known(self.cluster), self._random, even=self._weigh_alike())

    def _weigh_alike(self) -> bool:
        """Whether all targets have one weight. What was found stays found: most pushes change few of many endpoints."""
        if not self._even and self._targets:
            weights = {target.weight for target in self._targets.values()}
            self._even = weights.pop() if len(weights) == 1 else 0
        return bool(self._even)

    def _of(self, group: Group, *, healthy: bool) -> list[Target]:
        targets = group.callable
        return [target for target in targets if not target.failing] if healthy and self._failing else targets

    def statistics(self) -> ClusterStatistics:
        """Name, and counts of endpoints, of failing ones, of calls in flight."""
        targets = self._targets.values()
        return ClusterStatistics(
            self.name,
            len(targets),
            self._failing,
            sum(target.in_flight for target in targets),
        )

    def close(self) -> None:
        """Let go of every endpoint."""
        for address in list(self._targets):
            self._drop(address)
        self.pick = _nobody


def _nobody() -> None:
    """The pick of a cluster without endpoints."""


def _known(cluster: Cluster) -> LbPolicy:
    """The cluster's policy; round robin for one we do not have, which discovery's report names."""
    return cluster.lb if cluster.lb.name in known_policies() else LbPolicy()
