"""What the control plane knows of this process's own ports: the services that lead there, and what callers must show.

Istio's default generator sends a cluster ``inbound|<port>||`` for each port, whose metadata names the services; which
of a service's own ports leads here is found among its outbound clusters: the only one, or the one whose endpoints hold
this address. What is demanded of callers is a listener of Istio's grpc generator; the default one would send it among
the listeners of the whole mesh, so it is not asked for there.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from meshkit.cell import Cell
from meshkit.net.address import join_host_port
from meshkit.trust import Inbound, read_inbound
from meshkit.xds import ASSIGNMENTS, CLUSTERS, LISTENERS, AdsMachine, EntryState, Listener
from meshkit.xds.naming import INBOUND, ClusterName
from meshkit.xds.resources import Cluster, ClusterLoadAssignment

from .assembly import Naming, Need
from .strategy import HostPort
from .subscriptions import Subscriptions

__all__ = ["LocalPort", "LocalPorts", "LocalWatch"]

_ISTIO_LISTENERS = INBOUND + "%s"
_NO_SERVICES = "Istio's grpc generator does not tell a server its services: set service (MESHKIT_SERVICE)"
_NO_LISTENER = "asked for with Istio's grpc generator only: set generator to grpc (MESHKIT_GENERATOR)"
_UNSELECTED = "no service selects {}, says the control plane; Istio knows a pod by POD_NAME and POD_NAMESPACE"
_WAITING = "no answer yet"


@dataclass(frozen=True, slots=True)
class LocalPort:
    """``hosts``: the services that lead to this port, each with its own port. ``unplaced``: those that select it by a
    port that is not known (yet): none of its endpoints is this process. ``note``: why there are no hosts. ``answered``:
    the control plane has said all that it has to say.
    """

    inbound: Inbound
    hosts: tuple[HostPort, ...] = ()
    unplaced: tuple[str, ...] = ()
    note: str = ""
    answered: bool = True


class LocalWatch:
    """One port of this process. ``cell`` holds what is known of it; `release` ends the watch."""

    __slots__ = ("_owner", "address", "cell", "needs", "port")

    def __init__(self, owner: LocalPorts, address: str, port: int) -> None:
        self._owner = owner
        self.address = address
        self.port = port
        self.needs: frozenset[Need] = frozenset()
        self.cell = Cell(_waiting(Inbound(port, note=_WAITING)))

    def __repr__(self) -> str:
        return f"LocalWatch({self.address}, {self.cell.value!r})"

    def refresh(self) -> None:
        """Look again."""
        self._owner.renew(self)

    def release(self) -> None:
        """Ask for nothing on behalf of this port any more."""
        self._owner.release(self)


class LocalPorts:
    """The ports that this process serves on. ``template`` makes the name of a listener, ``%s`` its address; "" is
    Istio's."""

    def __init__(self, machine: AdsMachine, subscriptions: Subscriptions, naming: Naming, template: str) -> None:
        self._machine = machine
        self._subscriptions = subscriptions
        self._naming = naming
        self._template = template or _ISTIO_LISTENERS
        self._watches: list[LocalWatch] = []

    def watch(self, ip: str, port: int) -> LocalWatch:
        """Follow what is known of ``port`` at ``ip``, the address that others call."""
        watch = LocalWatch(self, join_host_port(ip, port), port)
        self._watches.append(watch)
        self.renew(watch)
        return watch

    def release(self, watch: LocalWatch) -> None:
        """End a watch."""
        self._watches.remove(watch)
        self._subscriptions.hold(watch, frozenset())

    def update(self, clusters: Iterable[str]) -> None:
        """These clusters changed: services may have come, gone, or got other ports."""
        if self._watches:
            hosts = {name.rpartition("|")[2] for name in clusters}  # "" for an inbound cluster
            for watch in tuple(self._watches):
                value = watch.cell.value
                if value.note or not hosts.isdisjoint(("", *value.unplaced, *(one.host for one in value.hosts))):
                    self.renew(watch)

    def renew(self, watch: LocalWatch) -> None:
        """Put together again what is known of a port."""
        search = _Search(self._machine, watch)
        found = search.port(self._naming.all_clusters, self._template)
        self._subscriptions.hold(watch, frozenset(search.needs))
        if found != watch.cell.value:
            watch.cell.set(found)


class _Search:
    """One look at what is held; collects what it needs."""

    def __init__(self, machine: AdsMachine, watch: LocalWatch) -> None:
        self._machine = machine
        self._watch = watch
        self.needs: set[Need] = set()
        self.waiting = False

    def port(self, all_clusters: bool, template: str) -> LocalPort:
        if not all_clusters:
            inbound = self.inbound(template)
            return LocalPort(inbound, note=_NO_SERVICES, answered=not self.waiting)
        return self.services(Inbound(self._watch.port, note=_NO_LISTENER))

    def services(self, inbound: Inbound) -> LocalPort:
        name = f"inbound|{self._watch.port}||"
        self.needs.add((CLUSTERS, name))
        if not self._machine.complete(CLUSTERS):
            return _waiting(inbound)
        entry = self._machine.entry(CLUSTERS, name)
        if entry is None or not isinstance(entry.resource, Cluster) or not entry.resource.hosts:
            return LocalPort(inbound, note=_UNSELECTED.format(self._watch.address))
        ports = self.ports(entry.resource.hosts)
        if self.waiting:
            return _waiting(inbound)
        placed = tuple(HostPort(host, port) for host in sorted(ports) for port in ports[host])
        return LocalPort(inbound, placed, tuple(host for host in sorted(ports) if not ports[host]))

    def ports(self, hosts: Iterable[str]) -> dict[str, list[int]]:
        """The own ports of each of these services that lead here."""
        offered: defaultdict[str, list[int]] = defaultdict(list)
        for entry in self._machine.entries(CLUSTERS):
            name = ClusterName.parse(entry.name)
            if name is not None and not name.subset:
                offered[name.host].append(name.port)
        return {host: self.leading_here(host, sorted(offered[host])) for host in hosts}

    def leading_here(self, host: str, ports: list[int]) -> list[int]:
        return ports if len(ports) < 2 else [port for port in ports if self.holds(str(ClusterName(port, "", host)))]

    def holds(self, cluster: str) -> bool:
        """Whether the endpoints of ``cluster`` are this port, among others."""
        self.needs.add((ASSIGNMENTS, cluster))
        entry = self._machine.entry(ASSIGNMENTS, cluster)
        self.waiting |= entry is None or entry.state is EntryState.REQUESTED
        assignment = entry.resource if entry is not None else None
        groups = assignment.localities if isinstance(assignment, ClusterLoadAssignment) else ()
        return any(self._watch.address == endpoint.address for group in groups for endpoint in group.endpoints)

    def inbound(self, template: str) -> Inbound:
        name = template % self._watch.address if "%s" in template else template
        self.needs.add((LISTENERS, name))
        entry = self._machine.entry(LISTENERS, name)
        if entry is not None and isinstance(entry.resource, Listener):
            return read_inbound(entry.resource, self._watch.port)
        self.waiting = entry is None or entry.state is EntryState.REQUESTED
        note = _WAITING if self.waiting or entry is None else entry.error or "the control plane does not have it"
        return Inbound(self._watch.port, note=f"{name}: {note}")


def _waiting(inbound: Inbound) -> LocalPort:
    return LocalPort(inbound, note=_WAITING, answered=False)
