"""What a client is shown that reads older forms than all others, chosen by what its node says of itself.

dubbo-go 3.0 to 3.3.0 in xDS mode is such a client: a copy of grpc-go 1.45's xDS client, changed to watch every cluster
there is, and never repaired since. Found out with dubbo-go 3.1.1 against this control plane; left out, calls fail:

- clusters by EDS alone, routes in old forms (`dialect_routes`), every locality with its name;
- a cluster whose host is the control plane's own, as the client writes it, with one endpoint: at its IP, port 8080, the
  client reads /debug/adsz;
- the client's own IP, once, in a cluster of the service that it belongs to. It identifies and is never called: port 1,
  UNHEALTHY. Twice, and the client panics; so an endpoint that really has this IP is written as IPv4 in IPv6 form;
- an endpoint that is gone is called until it is said to be UNHEALTHY; two clusters gone at once stop the client for
  good. So what is gone stays, in this form, for as long as the control plane runs;
- a stream begins without versions, even that of a client with state; what it has shows in the endpoints it asks for;
- it looks for its service once, when it starts. Started before its WorkloadEntry was there, it registers interfaces for
  a host made of the name of its pod, for ever: that is read as the service, once there is one (`at_home`).
"""

from __future__ import annotations

import json
from collections import defaultdict
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from ipaddress import ip_address
from typing import Any

from envoy_data_plane.envoy.config.cluster import v3 as clusters
from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as endpoints

from meshkit.discovery.interface_map import LABEL
from meshkit.observe.log import event_logger
from meshkit.xds.naming import ClusterName

from .catalog import View
from .dialect_routes import route_configuration
from .encoding import Encoded, encode, encoded
from .endpoints import endpoints_of
from .making import make
from .naming import CDS, EDS, RDS, host_port
from .node import Node
from .registration import Registration
from .world import CLUSTER_DOMAIN, Provider, World

__all__ = ["BURST", "DubboGoView", "Plane", "Told", "at_home", "dialect_of", "doubts", "shown_metadata", "view_for"]

BURST = 0.1
"""Seconds in which the requests of a new stream come that a client with state sends at once."""

_LOG = event_logger("meshkit.control")
_DEBUG_PORT = 8080  # of /debug/adsz; it cannot be told another
_GONE = 256  # endpoints of a cluster that are remembered though they are gone
_HOME_PORT = 80
Address = tuple[str, int]
_Addresses = tuple[Address, ...]


@dataclass(frozen=True, slots=True)
class Plane:
    """The control plane as one client knows it: the ``host`` and ``port`` that it calls, and the IP behind them."""

    host: str
    port: int
    ip: str

    @classmethod
    def called(cls, authority: str, listening: str) -> Plane:
        """The plane that a client calls by ``authority`` and that listens at the address ``listening``, which may stand
        for every address of the machine: then the client's word counts, if it is an IP."""
        host, port = host_port(authority)
        return cls(host, port, next(filter(_is_specific, (listening, host)), "127.0.0.1"))

    @property
    def cluster(self) -> ClusterName:
        """The cluster that it is to the client."""
        return ClusterName(self.port, "", self.host)


def _is_specific(address: str) -> bool:
    try:
        return not ip_address(address).is_unspecified
    except ValueError:
        return False


@dataclass(slots=True)
class Told:
    """Clusters, and their endpoints, that clients of this dialect were told of since the start."""

    clusters: dict[str, None] = field(default_factory=dict[str, None])
    endpoints: defaultdict[str, dict[Address, None]] = field(default_factory=lambda: defaultdict(dict))

    def gone(self, cluster: str, live: Iterable[Address]) -> tuple[Address, ...]:
        """The endpoints that a cluster had and has no more; ``live`` are those that it has."""
        now = dict.fromkeys(live)
        gone = [address for address in self.endpoints[cluster] if address not in now][-_GONE:]
        self.endpoints[cluster] = dict.fromkeys(gone) | now
        return tuple(gone)


@dataclass(frozen=True, slots=True, kw_only=True)
class DubboGoView(View):
    """A catalog with the eyes of a dubbo-go client. ``ip`` is its own address, ``pod`` its ``name.namespace``."""

    ip: str
    pod: str
    plane: Plane
    told: Told

    @property
    def home(self) -> ClusterName:
        """The cluster by which the client finds out what it belongs to, which is what it registers interfaces for: that
        of the endpoint with the name of its pod, else with its address, else one of its own."""
        return _home(self.catalog.world, self.pod, self.ip) or self.own_home

    @property
    def own_home(self) -> ClusterName:
        """The cluster made for it alone."""
        return ClusterName(_HOME_PORT, "", _own_host(self.pod))

    def everything(self, type_url: str) -> Mapping[str, Encoded]:
        """All clusters, those that are gone too; nothing of another type can be asked for as a whole."""
        if type_url != CDS:
            return {}
        self.told.clusters.update(dict.fromkeys(_cluster_names(self.catalog.world)))
        names = dict.fromkeys((str(self.plane.cluster), str(self.own_home), *self.told.clusters))
        return {name: _cluster(name) for name in names}

    def named(self, type_url: str, names: Iterable[str]) -> dict[str, Encoded]:
        """Endpoints and routes of these names; hollow where there is nothing."""
        make_one = {EDS: self._assignments, RDS: self._routes}.get(type_url)
        return dict(make_one(names)) if make_one else {}

    def certain(self, type_url: str, name: str) -> bool:
        """Whether a resource that is not there is gone: endpoints are that were told of since the start."""
        return self.settled or (type_url == EDS and bool(self.told.endpoints.get(name)))

    def _assignments(self, names: Iterable[str]) -> Iterator[tuple[str, Encoded]]:
        home = self.home
        return ((name, self._assignment(name, home)) for name in names)

    def _assignment(self, name: str, home: ClusterName) -> Encoded:
        cluster = ClusterName.parse(name)
        if cluster is None:
            return _assignment(name)  # the client asks for "" too
        if cluster == self.plane.cluster:
            return _assignment(name, ((self.plane.ip, self.plane.port),))
        own = ((self.ip, 1),) if cluster == home else ()
        if cluster == self.own_home:
            return _assignment(name, own=own)
        self.told.clusters[name] = None
        live = tuple(dict.fromkeys(self._addresses(cluster)))
        return _assignment(name, live, self.told.gone(name, live), own)

    def _addresses(self, cluster: ClusterName) -> Iterable[Address]:
        for one in endpoints_of(self.catalog.world, cluster, resolved=False):
            if not one.address.startswith("unix:"):
                yield (f"::ffff:{one.address}" if one.address == self.ip else one.address), one.port

    def _routes(self, names: Iterable[str]) -> Iterator[tuple[str, Encoded]]:
        for name in names:
            try:
                found = route_configuration(self.catalog.world, name, self.proxy)
                yield name, encoded(RDS, name, encode(found), hollow=not found.virtual_hosts)
            except (ValueError, TypeError, OverflowError) as error:  # one resource must not end every stream
                _LOG.error("resource cannot be made", type="RDS", name=name, exc_info=error)


def _own_host(pod: str) -> str:
    return f"{pod}.{CLUSTER_DOMAIN}"


def _home(world: World, pod: str, ip: str) -> ClusterName | None:
    """The service of a pod: of the endpoint of its name, else of its address."""
    name, _, namespace = pod.rpartition(".")
    served = [
        (ClusterName(port, "", host), one)
        for host, service in world.services.items()
        for port, found in service.endpoints.items()
        if service.routed(port)
        for one in found
    ]
    named = (cluster for cluster, one in served if one.workload.split(";")[:2] == [name, namespace])
    return next(named, None) or next((cluster for cluster, one in served if one.address == ip), None)


def _cluster_names(world: World) -> Iterable[str]:
    for host, service in world.services.items():
        rule = world.destination_rule(host)
        subsets = ("", *(one.name for one in rule.subsets)) if rule else ("",)
        for port in filter(service.routed, service.ports):
            for subset in subsets:
                yield str(ClusterName(port, subset, host))


@lru_cache(maxsize=4096)
def _cluster(name: str) -> Encoded:
    """Policies mean nothing to the client; all that it reads is where the endpoints are from."""
    source = make(core.ConfigSource, ads=make(core.AggregatedConfigSource))
    eds = make(clusters.ClusterEdsClusterConfig, eds_config=source, service_name=name)
    made = make(clusters.Cluster, name=name, type=clusters.ClusterDiscoveryType.EDS, eds_cluster_config=eds)
    return encoded(CDS, name, encode(made))


@lru_cache(maxsize=4096)
def _assignment(name: str, live: _Addresses = (), gone: _Addresses = (), own: _Addresses = ()) -> Encoded:
    """Weights, localities and priorities mean nothing to the client. It is hollow when all are gone, though it says so:
    then it takes something away, which has to wait for the routes."""
    found = [_endpoint(address, core.HealthStatus.UNKNOWN) for address in live]
    found += [_endpoint(address, core.HealthStatus.UNHEALTHY) for address in (*gone, *own)]
    locality = make(endpoints.LocalityLbEndpoints, locality=make(core.Locality), lb_endpoints=found)
    localities = [locality] if found else []
    made = make(endpoints.ClusterLoadAssignment, cluster_name=name, endpoints=localities)
    return encoded(EDS, name, encode(made), hollow=not live and not own)


def _endpoint(address: Address, health: core.HealthStatus) -> endpoints.LbEndpoint:
    socket = make(core.SocketAddress, address=address[0], port_value=address[1])
    endpoint = make(endpoints.Endpoint, address=make(core.Address, socket_address=socket))
    return make(endpoints.LbEndpoint, endpoint=endpoint, health_status=health)


# -- what comes from it ------------------------------------------------------------------------------------------------


def at_home(world: World) -> World:
    """The world, with interfaces provided by services where they were registered for a pod of theirs."""
    providers = {name: _moved(world, found) for name, found in world.providers.items()}
    return world if providers == world.providers else replace(world, providers=providers)


def _moved(world: World, providers: tuple[Provider, ...]) -> tuple[Provider, ...]:
    counts: dict[Provider, int] = defaultdict(int)
    for one in providers:
        host, port = _place(world, one.host, one.port)
        counts[replace(one, host=host, port=port, count=0)] += one.count
    return tuple(replace(one, count=count) for one, count in counts.items())


def _place(world: World, host: str, port: int) -> tuple[str, int]:
    """Where an interface is that was registered for a host and port."""
    pod, suffix, _ = host.partition(f".{CLUSTER_DOMAIN}")
    if not suffix or port != _HOME_PORT or host in world.services:
        return host, port
    home = _home(world, pod, "")
    return (home.host, home.port) if home else (host, port)


def shown_metadata(view: View, node: Node) -> dict[str, Any]:
    """The metadata of a client, for other clients that read interfaces in it: with its service as it is now."""
    metadata = dict(node.metadata)
    if isinstance(view, DubboGoView):
        old, new = (json.dumps(f"{one.host}:{one.port}") for one in (view.own_home, view.home))
        labels = node.labels
        metadata["LABELS"] = {**labels, LABEL: labels[LABEL].replace(old, new)}
    return metadata


def doubts(view: View, registration: Registration, debug_port: int | None) -> Iterator[str]:
    """What keeps a client from finding others or from being found, and what to do about it; for the log."""
    if not isinstance(view, DubboGoView):
        return
    if debug_port != _DEBUG_PORT:
        yield f"it finds no interfaces, as it reads them at port {_DEBUG_PORT}: start with --debug-port {_DEBUG_PORT}"
    if registration.interfaces and view.home == view.own_home:
        name, _, namespace = view.pod.rpartition(".")
        yield f"it provides interfaces and no ServiceEntry has it: write a WorkloadEntry {name} in {namespace} for it"


# -- who speaks it -----------------------------------------------------------------------------------------------------


def dialect_of(node: Node) -> str:
    """The dialect that a client speaks; "" for all that need none."""
    return next((name for name, (spoken, _) in _DIALECTS.items() if spoken(node)), "")


def view_for(view: View, node: Node, plane: Plane, told: Told) -> View:
    """What a client is shown of ``view``: the view itself, unless it speaks a dialect."""
    name = dialect_of(node)
    if not name:
        return view
    return _DIALECTS[name][1](replace(view, proxy=replace(view.proxy, dialect=name)), node, plane, told)


def _is_dubbo_go(node: Node) -> bool:
    """A grpc-go of 2022 that shows, from its first stream on, the label in which it registers interfaces."""
    return node.agent == "gRPC Go 1.45.0" and LABEL in node.labels and node.id.count("~") == 3


def _dubbo_go(view: View, node: Node, plane: Plane, told: Told) -> View:
    ip = node.id.split("~")[1]
    return DubboGoView(view.catalog, view.proxy, view.settled, ip=ip, pod=node.name, plane=plane, told=told)


_DIALECTS: Mapping[str, tuple[Callable[[Node], bool], Callable[[View, Node, Plane, Told], View]]] = {
    "dubbo-go": (_is_dubbo_go, _dubbo_go),
}
