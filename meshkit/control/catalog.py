"""Resources by type and name, made and encoded when first asked for and shared by all clients they are equal for.

A catalog belongs to one world. It takes over from its predecessor what was made from the same inputs, so that a change
costs what it touches: equal inputs are recognised without building or encoding anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from envoy_data_plane.envoy.config.endpoint.v3 import ClusterLoadAssignment

from meshkit.observe.log import event_logger
from meshkit.xds.naming import ClusterName

from .clusters import cluster, cluster_names
from .encoding import Encoded, encode, encoded
from .endpoints import assignment_bytes, endpoints_of, has_priorities
from .listeners import listener, listener_names
from .making import make
from .naming import CDS, EDS, LDS, RDS, SHORT, Proxy, host_port
from .routes import hosts_read, route_configuration, serves
from .world import World

__all__ = ["Catalog", "View"]

_LOG = event_logger("meshkit.control")
_Key = tuple[str, str, Proxy]


class Catalog:
    """What can be served of one world."""

    def __init__(self, world: World, previous: Catalog | None = None) -> None:
        self.world = world
        self._made: dict[_Key, tuple[object, Encoded | None]] = {}
        self._old = previous._remembered() if previous else {}
        self._seen: set[tuple[str, str]] = previous._seen if previous else set()
        self._wildcards: dict[tuple[str, Proxy], Mapping[str, Encoded]] = {}

    def __repr__(self) -> str:
        return f"Catalog(services={len(self.world.services)}, made={len(self._made)})"

    def _remembered(self) -> dict[_Key, tuple[object, Encoded | None]]:
        """What a successor may take over: what was asked for, and if that is little, because the next change came
        before clients looked, what the predecessor had."""
        return self._old | self._made if len(self._made) < len(self._old) else self._made

    def get(self, type_url: str, name: str, proxy: Proxy) -> Encoded | None:
        """One resource as this client sees it. Listeners and clusters may not exist; routes and endpoints of unknown
        names are answered empty (`Encoded.hollow`), as istiod does."""
        kind = _KINDS[type_url]
        key = (type_url, name, kind.project(self.world, name, proxy))
        found = self._made.get(key)
        if found is None:
            inputs = kind.inputs(self.world, name, proxy)
            found = self._old.pop(key, None)
            if found is None or found[0] != inputs:
                found = (inputs, self._make(kind, type_url, name, proxy, found[1] if found else None))
            self._made[key] = found
            if found[1] is not None and not found[1].hollow:
                self._seen.add((type_url, name))
        return found[1]

    def _make(self, kind: _Kind, type_url: str, name: str, proxy: Proxy, last: Encoded | None) -> Encoded | None:
        """The resource; the last good one if it cannot be made, since one resource must not end every stream."""
        try:
            return kind.make(self.world, name, proxy)
        except (ValueError, TypeError, OverflowError) as error:  # pydantic's and the codec's errors are ValueErrors
            _LOG.error("resource cannot be made", type=SHORT[type_url], name=name, exc_info=error)
            return last

    def seen(self, type_url: str, name: str) -> bool:
        """Whether this or an earlier catalog had something for that name."""
        return (type_url, name) in self._seen

    def everything(self, type_url: str, proxy: Proxy) -> Mapping[str, Encoded]:
        """All resources of a type: what a wildcard means."""
        kind = _KINDS[type_url]
        key = (type_url, Proxy(proxy.grpc, proxy.namespace, (), proxy.locality))
        if key not in self._wildcards:
            found = ((name, self.get(type_url, name, proxy)) for name in kind.names(self.world, proxy))
            self._wildcards[key] = {name: resource for name, resource in found if resource is not None}
        return self._wildcards[key]

    def named(self, type_url: str, names: Iterable[str], proxy: Proxy) -> dict[str, Encoded]:
        """Those of ``names`` that exist, by the name under which they are answered."""
        expand = _KINDS[type_url].expand
        out: dict[str, Encoded] = {}
        for asked in names:
            for name in expand(self.world, asked, proxy):
                resource = self.get(type_url, name, proxy)
                if resource is not None:
                    out[name] = resource
        return out


@dataclass(frozen=True, slots=True)
class View:
    """A catalog with the eyes of one client. Until it is ``settled`` (some time after the start of the control plane,
    when all servers had time to register again) what is not there may only not be there yet."""

    catalog: Catalog
    proxy: Proxy
    settled: bool = True

    def everything(self, type_url: str) -> Mapping[str, Encoded]:
        """All resources of a type."""
        return self.catalog.everything(type_url, self.proxy)

    def certain(self, type_url: str, name: str) -> bool:
        """Whether a resource that is not there is gone: it was there since the start, or the time to come is over."""
        return self.settled or self.catalog.seen(type_url, name)

    def named(self, type_url: str, names: Iterable[str]) -> dict[str, Encoded]:
        """Those of ``names`` that exist."""
        return self.catalog.named(type_url, names, self.proxy)


# -- the table of types ------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Kind:
    """How resources of a type are made. ``inputs`` is all that ``make`` reads, to compare; ``project`` leaves of the
    client what the resource depends on, so that clients alike share it."""

    make: Callable[[World, str, Proxy], Encoded | None]
    inputs: Callable[[World, str, Proxy], object]
    project: Callable[[World, str, Proxy], Proxy]
    names: Callable[[World, Proxy], Iterable[str]]
    expand: Callable[[World, str, Proxy], Iterable[str]] = lambda world, name, proxy: (name,)


def _no_names(world: World, proxy: Proxy) -> Iterable[str]:
    return ()


def _make_cluster(world: World, name: str, proxy: Proxy) -> Encoded | None:
    parsed = ClusterName.parse(name)
    found = cluster(world, parsed, proxy) if parsed else None
    return encoded(CDS, name, encode(found)) if found else None


def _cluster_inputs(world: World, name: str, proxy: Proxy) -> object:
    parsed = ClusterName.parse(name)
    service = world.services.get(parsed.host) if parsed else None
    if parsed is None or service is None:
        return None
    inline = service.endpoints if service.resolution.startswith("DNS") else None
    return (service.ports.get(parsed.port), service.resolution, service.namespace, inline, *_policy(world, parsed.host))


def _policy(world: World, host: str) -> tuple[object, ...]:
    return (world.destination_rule(host),)


def _cluster_project(world: World, name: str, proxy: Proxy) -> Proxy:
    parsed = ClusterName.parse(name)
    service = world.services.get(parsed.host) if parsed else None
    inline = service is not None and service.resolution.startswith("DNS")
    return Proxy(proxy.grpc, "", (), proxy.locality if inline else ("", "", ""))


def _cluster_names(world: World, proxy: Proxy) -> Iterable[str]:
    return () if proxy.grpc else (str(name) for name in cluster_names(world))


def _make_assignment(world: World, name: str, proxy: Proxy) -> Encoded:
    parsed = ClusterName.parse(name)
    if parsed is None or not endpoints_of(world, parsed):
        return encoded(EDS, name, encode(make(ClusterLoadAssignment, cluster_name=name)), hollow=True)
    return encoded(EDS, name, assignment_bytes(world, parsed, proxy))


def _assignment_inputs(world: World, name: str, proxy: Proxy) -> object:
    parsed = ClusterName.parse(name)
    return (endpoints_of(world, parsed), has_priorities(world, parsed)) if parsed else None


def _assignment_project(world: World, name: str, proxy: Proxy) -> Proxy:
    parsed = ClusterName.parse(name)
    ranked = parsed is not None and has_priorities(world, parsed)
    return Proxy(False, "", (), proxy.locality if ranked else ("", "", ""))


def _make_routes(world: World, name: str, proxy: Proxy) -> Encoded:
    found = route_configuration(world, name, proxy)
    return encoded(RDS, name, encode(found), hollow=not found.virtual_hosts)


def _routes_inputs(world: World, name: str, proxy: Proxy) -> object:
    if name.isdecimal():
        return object()  # all hosts of a port: made anew for each world
    parsed = ClusterName.parse(name)
    host = parsed.host if parsed else world.find(host_port(name)[0], proxy.namespace)
    return tuple(_host_inputs(world, one) for one in dict.fromkeys(hosts_read(world, host)))


def _host_inputs(world: World, host: str) -> object:
    service = world.services.get(host)
    known = (service.ports, service.addresses) if service else None
    return (host, known, world.virtual_service(host), world.providers.get(host), *_policy(world, host))


def _routes_project(world: World, name: str, proxy: Proxy) -> Proxy:
    labels = proxy.labels if world.by_source else ()
    return Proxy(proxy.grpc, proxy.namespace, labels)


def _make_listener(world: World, name: str, proxy: Proxy) -> Encoded | None:
    return encoded(LDS, name, encode(listener(world, name, proxy))) if listener_names(world, name, proxy) else None


def _listener_inputs(world: World, name: str, proxy: Proxy) -> object:
    host = world.find(host_port(name)[0], proxy.namespace)
    service = world.services.get(host)
    return (listener_names(world, name, proxy), service.addresses if service else None)


def _listener_project(world: World, name: str, proxy: Proxy) -> Proxy:
    return Proxy(proxy.grpc, proxy.namespace)


def _listener_names(world: World, proxy: Proxy) -> Iterable[str]:
    """One listener per port of every service for gRPC; none for Envoy, which brings its own and asks for routes."""
    if proxy.grpc:
        for host, service in world.services.items():
            yield from (f"{host}:{port}" for port in service.ports if serves(world, host, port))


def _listener_expand(world: World, name: str, proxy: Proxy) -> Iterable[str]:
    return listener_names(world, name, proxy) if proxy.grpc else ()


_KINDS = {
    CDS: _Kind(_make_cluster, _cluster_inputs, _cluster_project, _cluster_names),
    EDS: _Kind(_make_assignment, _assignment_inputs, _assignment_project, _no_names),
    LDS: _Kind(_make_listener, _listener_inputs, _listener_project, _listener_names, _listener_expand),
    RDS: _Kind(_make_routes, _routes_inputs, _routes_project, _no_names),
}
