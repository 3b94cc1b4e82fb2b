"""From resources to the configuration of one interface: a pure function (gRFC A74 without listeners).

    location -> RDS -> virtual host -> clusters (CDS) -> endpoints (EDS, or DNS)

Strategies are tried in order: the first whose routes exist is taken, and later ones are not even asked. What is absent
on the way from a route to endpoints only fails calls that are sent there (`Draft.notes`), and so does what was refused
unless a configuration is in force that works; what is not answered yet keeps the whole assembly waiting, so that nobody
ever sees a route without its endpoints.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Protocol

from meshkit.guard import DEFAULT_POLICY
from meshkit.route import find_virtual_host
from meshkit.xds import ASSIGNMENTS, CLUSTERS, ROUTES, Entry, EntryState, ResourceType
from meshkit.xds.naming import ClusterName
from meshkit.xds.resources import (
    Cluster,
    ClusterLoadAssignment,
    ClusterType,
    Endpoint,
    LocalityEndpoints,
    PathMatch,
    Route,
    RouteAction,
    RouteConfiguration,
    StringMatch,
    VirtualHost,
    WeightedCluster,
)

from .dns import DNS
from .snapshot import ClusterSnapshot
from .strategy import DirectAddresses, HostPort, Location, Unknown

__all__ = ["Addresses", "Assembly", "Draft", "Naming", "Need", "Resources", "assemble"]

Need = tuple[ResourceType, str]
_MAX_DEPTH = 16  # gRFC A37: aggregates inside aggregates
_EDS_TYPES = (ClusterType.EDS, ClusterType.ORIGINAL_DST)


class Resources(Protocol):
    """What is held of the control plane's resources; an ADS machine is one."""

    def entry(self, kind: ResourceType, name: str, /) -> Entry | None:
        """What is held of one resource."""
        ...

    def complete(self, kind: ResourceType, /) -> bool:
        """Whether all resources of a type are known, so that one without an entry does not exist."""
        ...


class Addresses(Protocol):
    """What is known of the host names of DNS clusters; `meshkit.discovery.dns.HostNames` is one."""

    def assignment(self, cluster: Cluster, /) -> ClusterLoadAssignment | None:
        """The endpoints of a DNS cluster; None while a name has not been answered at all."""
        ...

    def problem(self, cluster: Cluster, /) -> str:
        """Which names were not resolved the last time; "" for none."""
        ...


@dataclass(frozen=True, slots=True)
class Naming:
    """How a control plane names the routes of a host: Istio's default generator, or its ``grpc`` one."""

    generator: str = ""

    @property
    def all_clusters(self) -> bool:
        """Whether clusters come all together, by wildcard, and not by name."""
        return self.generator != "grpc"

    def routes(self, place: HostPort) -> str:
        """The name to ask RDS for."""
        return str(place) if self.all_clusters else self.cluster(place)

    def cluster(self, place: HostPort) -> str:
        """The cluster of the whole host, whose port may be one that has no routes."""
        return str(ClusterName(place.port, "", place.host))


@dataclass(frozen=True, slots=True)
class Draft:
    """A complete configuration: ``host`` None means that the interface is nowhere."""

    host: VirtualHost | None
    authority: str
    clusters: dict[str, ClusterSnapshot]
    notes: dict[str, str]


@dataclass(frozen=True, slots=True)
class Assembly:
    """What became of an interface. ``draft`` is None while something is ``missing``.

    ``needs`` are all resources that take part and therefore must be watched. ``refused``: the routes lead to something
    of which every version was bad. ``trail`` says, per strategy asked, what was asked for and what came of it.
    """

    draft: Draft | None
    needs: frozenset[Need]
    missing: tuple[Need, ...]
    refused: bool
    trail: tuple[str, ...]


class _Walk:
    """One pass over the resources; collects what it needs and what is missing."""

    def __init__(self, resources: Resources, addresses: Addresses, naming: Naming) -> None:
        self._resources = resources
        self._addresses = addresses
        self._naming = naming
        self.needs: dict[Need, None] = {}
        self.missing: dict[Need, None] = {}
        self.refused = False
        self.clusters: dict[str, ClusterSnapshot] = {}
        self.notes: dict[str, str] = {}

    def look(self, kind: ResourceType, name: str) -> Entry | None:
        """The entry of a resource, noted as needed; noted as missing if no answer came for it yet."""
        entry = self._resources.entry(kind, name)
        self.needs[kind, name] = None
        if _unanswered(entry, self._resources.complete(kind)):
            self.missing[kind, name] = None
        return entry

    def host(self, place: HostPort) -> tuple[VirtualHost | None, str, str]:
        """The virtual host of a place, the authority it was found under, and what to say about it."""
        name = self._naming.routes(place)
        entry = self.look(ROUTES, name)
        asked = f"RDS {name}"
        if (ROUTES, name) in self.missing:
            return None, "", f"{asked}: no answer yet"
        config = entry.resource if entry is not None else None
        if isinstance(config, RouteConfiguration) and config.virtual_hosts:
            host, authority = _choose(config, place)
            said = "found" if host is not None else f"no virtual host for {place}"
            return host, authority, f"{asked}: {said}"
        return self._without_routes(place, f"{asked}: {_why_absent(entry, 'it has no routes')}")

    def _without_routes(self, place: HostPort, said: str) -> tuple[VirtualHost | None, str, str]:
        """A port that is not HTTP has no routes, but it has a cluster."""
        name = self._naming.cluster(place)
        entry = self.look(CLUSTERS, name)
        if (CLUSTERS, name) in self.missing:
            return None, "", f"{said}; CDS {name}: no answer yet"
        if entry is None or entry.resource is None:
            return None, "", f"{said}; CDS {name}: {_why_absent(entry, 'it does not exist')}"
        return _route_to(name), str(place), f"{said}; CDS {name}: found"

    def follow(self, host: VirtualHost) -> None:
        """All clusters that the routes of ``host`` lead to."""
        for route in host.routes:
            if isinstance(route.action, RouteAction):
                for weighted in route.action.clusters:
                    self.cluster(weighted.name, _MAX_DEPTH)

    def cluster(self, name: str, depth: int) -> None:
        """One cluster, those it is made of, and the endpoints."""
        if name in self.clusters or name in self.notes:
            return
        entry = self.look(CLUSTERS, name)
        cluster = entry.resource if entry is not None else None
        if isinstance(cluster, Cluster):
            self.clusters[name] = ClusterSnapshot(cluster, self.endpoints(cluster))
            if cluster.aggregate is not None and depth:
                for child in cluster.aggregate.clusters:
                    self.cluster(child, depth - 1)
        elif (CLUSTERS, name) not in self.missing:
            self.lacks(name, f"cluster {name}", entry, "the control plane does not have it")

    def endpoints(self, cluster: Cluster) -> ClusterLoadAssignment:
        """The endpoints of a cluster; none where there are none, with a note saying why."""
        if cluster.dns is not None:
            return self.resolved(cluster)
        if cluster.type not in _EDS_TYPES or (cluster.type is not ClusterType.EDS and "|" not in cluster.name):
            return cluster.assignment or ClusterLoadAssignment(cluster.name)
        name = cluster.service_name or cluster.name
        entry = self.look(ASSIGNMENTS, name)
        if entry is not None and isinstance(entry.resource, ClusterLoadAssignment):
            return entry.resource
        if (ASSIGNMENTS, name) not in self.missing:
            self.lacks(cluster.name, f"endpoints of {name}", entry, "the control plane has none")
        return ClusterLoadAssignment(cluster.name)

    def lacks(self, cluster: str, what: str, entry: Entry | None, otherwise: str) -> None:
        """Calls to a cluster will fail: a note why."""
        self.notes[cluster] = f"{what}: {_why_absent(entry, otherwise)}"
        self.refused = self.refused or (entry is not None and entry.state is EntryState.REFUSED)

    def resolved(self, cluster: Cluster) -> ClusterLoadAssignment:
        """The endpoints of a DNS cluster, with a note on names that do not resolve."""
        self.needs[DNS, cluster.name] = None
        assignment = self._addresses.assignment(cluster)
        if assignment is None:
            self.missing[DNS, cluster.name] = None
        if problem := self._addresses.problem(cluster):
            self.notes[cluster.name] = f"endpoints of {cluster.name}: {problem}"
        return assignment or ClusterLoadAssignment(cluster.name)


def assemble(
    interface: str,
    places: Iterable[tuple[str, Location]],
    resources: Resources,
    addresses: Addresses,
    naming: Naming,
    where: str,
) -> Assembly:
    """The configuration of ``interface``, which strategies by name say is at ``places``, from ``resources``.

    ``where`` is the control plane's address, for explanations.
    """
    walk = _Walk(resources, addresses, naming)
    trail: list[str] = []
    for strategy, place in places:
        host, authority, said = _look_at(interface, place, walk, where)
        trail.append(f"{strategy}: {said}")
        if host is not None:
            walk.follow(host)
            return _result(walk, Draft(host, authority, walk.clusters, walk.notes), trail)
        if walk.missing:
            break
    return _result(walk, Draft(None, "", {}, {}), trail)


def _result(walk: _Walk, draft: Draft, trail: list[str]) -> Assembly:
    complete = None if walk.missing else draft
    return Assembly(complete, frozenset(walk.needs), tuple(walk.missing), walk.refused, tuple(trail))


def _look_at(interface: str, place: Location, walk: _Walk, where: str) -> tuple[VirtualHost | None, str, str]:
    if isinstance(place, Unknown):
        return None, "", place.reason
    if isinstance(place, DirectAddresses):
        snapshot = _direct(interface, place)
        walk.clusters[snapshot.cluster.name] = snapshot
        return _route_to(snapshot.cluster.name), interface, f"{', '.join(place.addresses)}"
    host, authority, said = walk.host(place)
    return host, authority, f"asked {where} for {said}"


def _choose(config: RouteConfiguration, place: HostPort) -> tuple[VirtualHost | None, str]:
    """The virtual host for ``host:port``, or for the host where domains have no ports."""
    authority = str(place)
    found = None if config.ignore_port else find_virtual_host(config, authority)
    return found or find_virtual_host(config, place.host), authority


def _unanswered(entry: Entry | None, complete: bool) -> bool:
    return not complete if entry is None else entry.state is EntryState.REQUESTED


def _why_absent(entry: Entry | None, otherwise: str) -> str:
    if entry is None or not entry.error:
        return otherwise
    return f"refused, {entry.error}" if entry.state is EntryState.REFUSED else entry.error


@lru_cache(maxsize=1024)
def _route_to(cluster: str) -> VirtualHost:
    """A virtual host whose calls all go to one cluster."""
    action = RouteAction((WeightedCluster(cluster, 1),), retry=DEFAULT_POLICY)
    return VirtualHost(cluster, ("*",), (Route(PathMatch(StringMatch.PREFIX, "/"), action, name="default"),))


@lru_cache(maxsize=1024)
def _direct(interface: str, place: DirectAddresses) -> ClusterSnapshot:
    name = f"static|{interface}"
    endpoints = tuple(Endpoint(address) for address in place.addresses)
    assignment = ClusterLoadAssignment(name, (LocalityEndpoints(endpoints),))
    return ClusterSnapshot(Cluster(name, ClusterType.STATIC, assignment=assignment), assignment)
