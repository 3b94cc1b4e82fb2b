"""One interface as calls see it: the last whole snapshot, compiled, and the clusters it names."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Coroutine, Generator, Mapping
from dataclasses import dataclass
from typing import Any

from meshkit.cell import Cell
from meshkit.codec import finish
from meshkit.discovery import Discovery, InterfaceWatch, Snapshot, SnapshotState
from meshkit.mesh.clusters import ClusterRuntime, Plan, Pools
from meshkit.route import RouteTable
from meshkit.tasks import Scope
from meshkit.xds.resources import RetryPolicy

__all__ = ["Clusters", "Interface", "Straight", "View"]

_PATHS = 4096  # a client's are its methods; the bound is for callers who make paths up
_AT_ONCE = 1_000  # endpoints that may be looked at without a pause; each takes about a microsecond


class Clusters:
    """The clusters in use, by name, shared by the interfaces that route to them.

    ``weigh_localities``: localities share the calls by their weights, whether or not a cluster says so. Istio's grpc
    generator never says it, since gRPC's own clients always do it (gRFC A27).
    """

    __slots__ = ("_pools", "_runtimes", "_scope", "_users", "_weigh_localities")

    def __init__(self, pools: Pools, scope: Scope, *, weigh_localities: bool = False) -> None:
        self._pools = pools
        self._scope = scope
        self._weigh_localities = weigh_localities
        self._runtimes: dict[str, ClusterRuntime] = {}
        self._users: dict[str, int] = {}

    def acquire(self, name: str) -> ClusterRuntime:
        """The cluster called ``name``, with one user more."""
        if (runtime := self._runtimes.get(name)) is None:
            runtime = ClusterRuntime(self._pools, random.random, weigh_localities=self._weigh_localities)
            self._runtimes[name] = runtime
        self._users[name] = self._users.get(name, 0) + 1
        return runtime

    def release(self, name: str) -> None:
        """One user less; the last one's going closes the cluster."""
        self._users[name] -= 1
        if not self._users[name]:
            del self._users[name]
            self._runtimes.pop(name).close()

    def unseen(self, snapshot: Snapshot) -> int:
        """How many endpoints are in those clusters of ``snapshot`` that differ from what is in force."""
        return sum(
            len(locality.endpoints)
            for name, cluster in snapshot.clusters.items()
            if (runtime := self._runtimes.get(name)) is None or not runtime.holds(cluster)
            for locality in cluster.assignment.localities
        )

    def start(self, work: Coroutine[Any, Any, None], name: str) -> asyncio.Task[None]:
        """Work beside the calls."""
        return self._scope.start(work, name=name)


@dataclass(frozen=True, slots=True)
class Straight:
    """Where all calls of a path go, and how they are tried again."""

    retry: RetryPolicy | None
    cluster: ClusterRuntime


class View:
    """What a call reads, once: where its interface's calls go now. Never changed, only replaced."""

    __slots__ = ("clusters", "straight", "table")

    def __init__(self, table: RouteTable, clusters: Mapping[str, ClusterRuntime]) -> None:
        self.table = table
        self.clusters = clusters
        self.straight: dict[str, Straight | None] = {}
        """By path, as `learn` finds them: where every call goes that no rule concerns unless it fails; else None."""

    def learn(self, path: str) -> None:
        """Fill in `straight` for ``path``."""
        decision = self.table.always(path)
        name = None if decision is None else decision.straight
        cluster = None if name is None else self.clusters.get(name)
        if len(self.straight) < _PATHS:
            self.straight[path] = None if decision is None or cluster is None else Straight(decision.retry, cluster)

    def __repr__(self) -> str:
        return f"View({self.table!r}, clusters={list(self.clusters)})"


class Interface:
    """Keeps ``views[name]`` equal to the interface's last whole snapshot; no entry while nobody provides it.

    A snapshot with many new endpoints is worked out in slices beside the calls, which go by the last view meanwhile.
    """

    __slots__ = ("_cell", "_clusters", "_held", "_name", "_next", "_slicer", "_stop", "_views", "_work", "watch")

    def __init__(self, name: str, discovery: Discovery, clusters: Clusters, views: dict[str, View]) -> None:
        self._name = name
        self._clusters = clusters
        self._views = views
        self._held: tuple[str, ...] = ()
        self._next: Snapshot | None = None
        self._work: asyncio.Task[None] | None = None
        self._slicer = discovery.slicer
        self._cell: Cell[View | None] = Cell(None)
        self.watch: InterfaceWatch = discovery.watch(name)
        self._stop = self.watch.cell.listen(self._take)
        self._take(self.watch.cell.value)

    def __repr__(self) -> str:
        return f"Interface({self._name!r}, {self._cell.value!r})"

    def _take(self, snapshot: Snapshot) -> None:
        if snapshot.state is SnapshotState.PENDING:
            return  # what is in force stays in force
        self._next = snapshot
        if self._work is not None:
            return  # whoever works on the one before takes this one next
        if self._clusters.unseen(snapshot) <= _AT_ONCE:
            finish(self._adopt())
        else:
            self._work = self._clusters.start(self._adopt_all(), f"adopt {self._name}")

    async def _adopt_all(self) -> None:
        """Put snapshots in force until there is no newer one. Those that were overtaken are never seen."""
        try:
            while self._next is not None:
                await self._slicer.run(self._adopt())
        finally:
            self._work = None

    def _adopt(self) -> Generator[int, None, None]:
        """Work the next snapshot out in slices, and publish it in one."""
        snapshot, self._next = self._next, None
        assert snapshot is not None
        released, names = self._held, tuple(snapshot.clusters)
        runtimes = {name: self._clusters.acquire(name) for name in names}
        self._held += names  # held from here on, whatever ends this
        plans: list[tuple[ClusterRuntime, Plan]] = []
        for name, runtime in runtimes.items():
            plans.append((runtime, (yield from runtime.prepare(snapshot.clusters[name]))))
        for runtime, plan in plans:
            runtime.commit(plan)
        self._publish(None if snapshot.routes is None else View(snapshot.routes, runtimes))
        self._held = names
        for name in released:  # after the new ones are held: what stays is never closed in between
            self._clusters.release(name)

    def _publish(self, view: View | None) -> None:
        if view is None:
            self._views.pop(self._name, None)
        else:
            self._views[self._name] = view
        self._cell.set(view)

    async def changed(self, seen: View | None) -> View:
        """The view, once it is another one than ``seen``."""
        view = await self._cell.wait(lambda view: view is not None and view is not seen)
        assert view is not None
        return view

    def close(self) -> None:
        """Stop watching and let go of the clusters."""
        self._stop()
        self.watch.release()
        if self._work is not None:
            self._work.cancel()
        for name in self._held:
            self._clusters.release(name)
        self._held = ()
