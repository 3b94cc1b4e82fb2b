"""One interface as calls see it: the last whole snapshot, compiled, and the clusters it names."""

from __future__ import annotations

import random
from collections.abc import Mapping

from meshkit.cell import Cell
from meshkit.discovery import Discovery, InterfaceWatch, Snapshot, SnapshotState
from meshkit.mesh.clusters import ClusterRuntime, Pools
from meshkit.route import RouteTable

__all__ = ["Clusters", "Interface", "View"]


class Clusters:
    """The clusters in use, by name, shared by the interfaces that route to them."""

    __slots__ = ("_pools", "_runtimes", "_users")

    def __init__(self, pools: Pools) -> None:
        self._pools = pools
        self._runtimes: dict[str, ClusterRuntime] = {}
        self._users: dict[str, int] = {}

    def acquire(self, name: str) -> ClusterRuntime:
        """The cluster called ``name``, with one user more."""
        if (runtime := self._runtimes.get(name)) is None:
            runtime = self._runtimes[name] = ClusterRuntime(self._pools, random.random)
        self._users[name] = self._users.get(name, 0) + 1
        return runtime

    def release(self, name: str) -> None:
        """One user less; the last one's going closes the cluster."""
        self._users[name] -= 1
        if not self._users[name]:
            del self._users[name]
            self._runtimes.pop(name).close()


class View:
    """What a call reads, once: where its interface's calls go now. Never changed, only replaced."""

    __slots__ = ("clusters", "table")

    def __init__(self, table: RouteTable, clusters: Mapping[str, ClusterRuntime]) -> None:
        self.table = table
        self.clusters = clusters

    def __repr__(self) -> str:
        return f"View({self.table!r}, clusters={list(self.clusters)})"


class Interface:
    """Keeps ``views[name]`` equal to the interface's last whole snapshot; no entry while nobody provides it."""

    __slots__ = ("_cell", "_clusters", "_held", "_name", "_stop", "_views", "watch")

    def __init__(self, name: str, discovery: Discovery, clusters: Clusters, views: dict[str, View]) -> None:
        self._name = name
        self._clusters = clusters
        self._views = views
        self._held: tuple[str, ...] = ()
        self._cell: Cell[View | None] = Cell(None)
        self.watch: InterfaceWatch = discovery.watch(name)
        self._stop = self.watch.cell.listen(self._take)
        self._take(self.watch.cell.value)

    def __repr__(self) -> str:
        return f"Interface({self._name!r}, {self._cell.value!r})"

    def _take(self, snapshot: Snapshot) -> None:
        if snapshot.state is SnapshotState.PENDING:
            return  # what is in force stays in force
        released, self._held = self._held, tuple(snapshot.clusters)
        runtimes = {name: self._clusters.acquire(name) for name in self._held}
        for name, runtime in runtimes.items():
            runtime.apply(snapshot.clusters[name])
        self._publish(None if snapshot.routes is None else View(snapshot.routes, runtimes))
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
        for name in self._held:
            self._clusters.release(name)
        self._held = ()
