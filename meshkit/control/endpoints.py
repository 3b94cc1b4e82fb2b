"""A cluster's name -> Envoy's ClusterLoadAssignment: the endpoints that carry the subset's labels, grouped by locality.

Priorities are computed for the client that asks: same zone first, then same region, then the rest, but only where
outlier detection is on, since without it a client would never leave the first (as in Istio).
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from functools import lru_cache

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.endpoint import v3 as envoy

from meshkit.xds.naming import ClusterName

from .encoding import encode
from .making import make
from .naming import Proxy
from .policies import policy_for
from .service_entry import is_address
from .values import struct
from .world import Endpoint, World

__all__ = ["assignment_bytes", "endpoints_of", "has_priorities", "load_assignment", "locality_of"]

Locality = tuple[str, str, str]


def locality_of(text: str) -> Locality:
    """``region/zone/subzone`` taken apart; what is missing is empty."""
    region, zone, sub_zone, *_ = [*text.split("/", 2), "", "", ""]
    return region, zone, sub_zone


def endpoints_of(world: World, name: ClusterName, *, resolved: bool = True) -> tuple[Endpoint, ...]:
    """The endpoints of a cluster; with ``resolved`` only those with an address that needs no DNS."""
    service = world.services.get(name.host)
    if service is None:
        return ()
    found = service.endpoints.get(name.port, ())
    if name.subset:
        subset = world.subset(name.host, name.subset)
        if subset is None:
            return ()
        found = tuple(one for one in found if subset.labels.items() <= one.labels.items())
    return tuple(one for one in found if is_address(one.address)) if resolved else found


def has_priorities(world: World, name: ClusterName) -> bool:
    """Whether the answer depends on where the client is."""
    return policy_for(world, name).outlier_detection is not None


def load_assignment(world: World, name: ClusterName, proxy: Proxy) -> envoy.ClusterLoadAssignment:
    """The assignment that a cluster by DNS brings with it: names are left for the client to resolve."""
    localities: list[envoy.LocalityLbEndpoints] = []
    for key, priority, endpoints in _grouped(world, name, proxy, resolved=False):
        locality = _locality(key, endpoints, priority)
        locality.lb_endpoints = [_lb_endpoint(one.address, one.port, one.weight, one.workload) for one in endpoints]
        localities.append(locality)
    return make(envoy.ClusterLoadAssignment, cluster_name=str(name), endpoints=localities)


def assignment_bytes(world: World, name: ClusterName, proxy: Proxy) -> bytes:
    """The assignment of a cluster, encoded; without endpoints where there are none, or no such cluster.

    There may be thousands of endpoints and one of them changes: each is encoded once, and the parts are put together as
    the wire has them (in both messages the list is field 2).
    """
    out = [encode(make(envoy.ClusterLoadAssignment, cluster_name=str(name)))]
    for key, priority, endpoints in _grouped(world, name, proxy, resolved=True):
        parts = [encode(_locality(key, endpoints, priority))]
        parts += [_encoded(one.address, one.port, one.weight, one.workload) for one in endpoints]
        out.append(_field_2(b"".join(parts)))
    return b"".join(out)


def _grouped(
    world: World, name: ClusterName, proxy: Proxy, *, resolved: bool
) -> list[tuple[Locality, int, list[Endpoint]]]:
    """The endpoints by locality, nearest first."""
    groups: defaultdict[Locality, list[Endpoint]] = defaultdict(list)
    for endpoint in endpoints_of(world, name, resolved=resolved):
        groups[locality_of(endpoint.locality)].append(endpoint)
    ranks = _priorities(groups, proxy.locality) if has_priorities(world, name) else dict.fromkeys(groups, 0)
    return [(key, ranks[key], groups[key]) for key in sorted(groups, key=lambda key: ranks[key])]


def _field_2(body: bytes) -> bytes:
    """A length-delimited field (protobuf, "Message Structure")."""
    length, prefix = len(body), bytearray(b"\x12")
    while length > 0x7F:
        prefix.append(length & 0x7F | 0x80)
        length >>= 7
    prefix.append(length)
    return bytes(prefix) + body


def _priorities(localities: Iterable[Locality], own: Locality) -> dict[Locality, int]:
    """0, 1, ... without a gap, by how much of the locality is the client's own."""
    distance = {locality: _distance(locality, own) for locality in localities}
    ranks = {value: rank for rank, value in enumerate(sorted(set(distance.values())))}
    return {locality: ranks[value] for locality, value in distance.items()}


def _distance(locality: Locality, own: Locality) -> int:
    if locality[0] != own[0]:
        return 3
    if locality[1] != own[1]:
        return 2
    return 0 if locality[2] == own[2] else 1


def _locality(key: Locality, endpoints: list[Endpoint], priority: int) -> envoy.LocalityLbEndpoints:
    """A locality, its endpoints still to be put in."""
    return make(
        envoy.LocalityLbEndpoints,
        locality=make(core.Locality, region=key[0], zone=key[1], sub_zone=key[2]),
        load_balancing_weight=sum(max(1, endpoint.weight) for endpoint in endpoints),
        priority=priority,
    )


@lru_cache(maxsize=65536)
def _encoded(address: str, port: int, weight: int, workload: str) -> bytes:
    return _field_2(encode(_lb_endpoint(address, port, weight, workload)))


def _lb_endpoint(address: str, port: int, weight: int, workload: str) -> envoy.LbEndpoint:
    return make(
        envoy.LbEndpoint,
        endpoint=make(envoy.Endpoint, address=_address(address, port)),
        metadata=make(core.Metadata, filter_metadata={"istio": struct(workload=workload)}) if workload else None,
        load_balancing_weight=max(1, weight),
    )


def _address(address: str, port: int) -> core.Address:
    if address.startswith("unix://"):
        return make(core.Address, pipe=make(core.Pipe, path=address.removeprefix("unix://")))
    return make(core.Address, socket_address=make(core.SocketAddress, address=address, port_value=port))
