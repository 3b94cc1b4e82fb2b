"""Per-interface caches: which resources each interface needs, and its snapshot, published whole. No I/O in here.

A resource is subscribed to while at least one interface needs it. While a new configuration is incomplete, or leads to
what had to be refused, the old one stays published, and what it was made from stays subscribed, so that it stays fresh.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

from meshkit.observe.log import event_logger
from meshkit.route import RouteTable
from meshkit.xds import ASSIGNMENTS, CLUSTERS, AdsMachine, Resource, ResourceType, WatchStatistics
from meshkit.xds.resources import Cluster, ClusterLoadAssignment

from .assembly import Assembly, Draft, Naming, Need, assemble
from .dns import DNS, HostNames
from .report import Report, unobeyed
from .snapshot import ClusterSnapshot, Snapshot, SnapshotState
from .strategy import Strategy
from .subscriptions import Subscriptions, User
from .watch import InterfaceWatch

__all__ = ["InterfaceCache"]

_LOG = event_logger("meshkit.discovery")


class InterfaceCache:
    """All watched interfaces over one ADS machine. ``changed`` is called when the machine has something to send."""

    def __init__(
        self,
        machine: AdsMachine,
        names: HostNames,
        strategies: Sequence[Strategy],
        naming: Naming,
        where: str,
        changed: Callable[[], object],
        condition: Callable[[], str] = lambda: "",
    ) -> None:
        self._machine = machine
        self._names = names
        self._strategies = tuple(strategies)
        self._naming = naming
        self._where = where
        self.watches: dict[str, InterfaceWatch] = {}
        self.condition = condition
        self.report = Report()
        self.subscriptions = Subscriptions(machine, names, naming, changed, self.report.forget)
        for strategy in self._strategies:
            strategy.listen(self.refresh)

    def __repr__(self) -> str:
        return f"InterfaceCache({len(self.watches)} interfaces, {len(self.subscriptions)} resources)"

    def watch(self, interface: str) -> InterfaceWatch:
        """Use ``interface``: its watch, new or shared. Call `InterfaceWatch.release` when done."""
        watch = self.watches.get(interface)
        if watch is None:
            watch = self.watches[interface] = InterfaceWatch(interface, self, self._release)
            watch.users = 1
            self._refresh(watch)
        else:
            watch.users += 1
        return watch

    def update(self, kind: ResourceType, names: Iterable[str]) -> None:
        """What ``names`` of ``kind`` stand for changed: the machine took in a response, or names were resolved."""
        if kind is CLUSTERS:
            self.subscriptions.follow(names)
        affected: dict[User, None] = self.subscriptions.users(kind, names)
        if kind is CLUSTERS:  # a whole answer also tells what does not exist
            affected.update({w: None for w in self.watches.values() if w.assembly is not None and w.assembly.missing})
        for user in affected:
            user.refresh()

    def refresh(self) -> None:
        """Look at every interface again: a strategy knows something new."""
        for watch in tuple(self.watches.values()):
            self._refresh(watch)

    def figures(self, need: Need) -> tuple[WatchStatistics, ...]:
        """The statistics of one resource, if it is held."""
        if need[0] is DNS:
            return self._names.figures(need[1])
        entry = self._machine.entry(*need)
        if entry is None:
            return ()
        figures = entry.statistics()
        return (figures if entry.resource is None else replace(figures, unobeyed=unobeyed(entry.resource)),)

    def renew(self, watch: InterfaceWatch) -> None:
        """Look at one interface again: something that it is made of changed."""
        self._refresh(watch)

    def _release(self, watch: InterfaceWatch) -> None:
        watch.users -= 1
        if not watch.users and self.watches.get(watch.interface) is watch:
            del self.watches[watch.interface]
            self.subscriptions.hold(watch, frozenset())

    def _refresh(self, watch: InterfaceWatch) -> None:
        if self.watches.get(watch.interface) is not watch:
            return  # released by a listener of another cell, a moment ago
        places = ((strategy.name, strategy.locate(watch.interface)) for strategy in self._strategies)  # asked in turn
        assembly = assemble(watch.interface, places, self._machine, self._names, self._naming, self._where)
        watch.assembly = assembly
        stays = assembly.refused and _works(watch.cell.value, self._machine, self._names)
        if assembly.draft is not None and not stays:
            watch.kept = assembly.needs
            self.subscriptions.hold(watch, assembly.needs)
            self._publish(watch, assembly, assembly.draft)
        else:
            self.subscriptions.hold(watch, assembly.needs | watch.kept)
            fresh = _freshened(watch.cell.value, self._machine, self._names)
            if fresh is not None:
                _set(watch, fresh)

    def _publish(self, watch: InterfaceWatch, assembly: Assembly, draft: Draft) -> None:
        old = watch.cell.value
        new = _absent(old, assembly.trail) if draft.host is None else _ready(old, draft)
        if new is not None:
            _set(watch, new)
        for kind, name in assembly.needs:
            if kind is not DNS:
                self.report.tell(kind, self._machine.entry(kind, name))


def _set(watch: InterfaceWatch, snapshot: Snapshot) -> None:
    """Publish. A listener that fails is a bug that must not take the other interfaces, or the stream, down with it."""
    try:
        watch.cell.set(snapshot)
    except Exception as error:
        _LOG.error("a listener of an interface failed", interface=watch.interface, exc_info=error)


def _absent(old: Snapshot, trail: tuple[str, ...]) -> Snapshot | None:
    reason = "; ".join(trail)
    if old.state is SnapshotState.ABSENT and old.reason == reason:
        return None
    return Snapshot(old.interface, SnapshotState.ABSENT, reason, version=old.version + 1)


def _ready(old: Snapshot, draft: Draft) -> Snapshot | None:
    """The snapshot of a draft, out of the parts of the old one where they are the same; None if all of it is."""
    clusters = {name: _same(old.clusters.get(name), new) for name, new in draft.clusters.items()}
    routes = old.routes
    assert draft.host is not None
    if routes is None or routes.virtual_host is not draft.host or old.authority != draft.authority:
        routes = RouteTable(draft.host, authority=draft.authority)
    unchanged = (
        routes is old.routes
        and clusters.keys() == old.clusters.keys()
        and all(cluster is old.clusters[name] for name, cluster in clusters.items())
        and draft.notes == old.notes
    )
    if unchanged:
        return None
    return Snapshot(
        old.interface,
        SnapshotState.READY,
        routes=routes,
        clusters=clusters,
        authority=draft.authority,
        notes=draft.notes,
        version=old.version + 1,
    )


def _works(old: Snapshot, machine: AdsMachine, names: HostNames) -> bool:
    """Whether calls still get anywhere by the old snapshot, as its endpoints are now."""
    return any(
        endpoint.usable
        for held in old.clusters.values()
        for locality in _current(held, machine, names).assignment.localities
        for endpoint in locality.endpoints
    )


def _freshened(old: Snapshot, machine: AdsMachine, names: HostNames) -> Snapshot | None:
    """The old snapshot with its clusters and endpoints as they are now, while a new one is not complete; None if they
    are the same. An endpoint that vanished is gone at once, whatever else is awaited."""
    clusters = {name: _same(held, _current(held, machine, names)) for name, held in old.clusters.items()}
    if all(cluster is old.clusters[name] for name, cluster in clusters.items()):
        return None
    return replace(old, clusters=clusters, version=old.version + 1)


def _current(held: ClusterSnapshot, machine: AdsMachine, names: HostNames) -> ClusterSnapshot:
    cluster = _resource(machine, CLUSTERS, held.cluster.name)
    if not isinstance(cluster, Cluster):
        cluster = held.cluster
    assignment: Resource | None
    if cluster.dns is not None:
        assignment = names.assignment(cluster)
    else:
        assignment = _resource(machine, ASSIGNMENTS, cluster.service_name or cluster.name) or cluster.assignment
    return ClusterSnapshot(cluster, assignment if isinstance(assignment, ClusterLoadAssignment) else held.assignment)


def _resource(machine: AdsMachine, kind: ResourceType, name: str) -> Resource | None:
    entry = machine.entry(kind, name)
    return None if entry is None else entry.resource


def _same(old: ClusterSnapshot | None, new: ClusterSnapshot) -> ClusterSnapshot:
    if old is None or old.cluster is not new.cluster:
        return new
    same = old.assignment is new.assignment or not (old.assignment.localities or new.assignment.localities)
    return old if same else new
