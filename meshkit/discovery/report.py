"""Says what the control plane asks for and we do not do yet: of each resource once, and again where that changes."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from meshkit.balance import known_policies
from meshkit.guard import unknown_words
from meshkit.observe.log import event_logger
from meshkit.xds import Entry, Key, Resource, ResourceType
from meshkit.xds.resources import Cluster, ClusterLoadAssignment, RouteAction, RouteConfiguration

__all__ = ["Report", "unobeyed"]

_LOG = event_logger("meshkit.discovery")
_RETRY_ON = "virtual_hosts.routes.route.retry_policy.retry_on"
_NOTHING: tuple[Key, Mapping[str, int]] = (b"", {})
_TLS_MODE = "endpoints.lb_endpoints.metadata.tlsMode[istio]"


def unobeyed(resource: Resource) -> Mapping[str, int]:
    """The fields of a resource that are not obeyed, by path; so are balancing policies that nobody registered, reasons
    to retry that have no effect, and endpoints that want Istio's mutual TLS."""
    find = _FINDERS.get(type(resource))
    return resource.unobeyed if find is None else {**resource.unobeyed, **find(resource)}


def _of_cluster(cluster: Cluster) -> Mapping[str, int]:
    return {} if cluster.lb.name in known_policies() else {f"lb_policy[{cluster.lb.name}]": 1}


def _of_routes(config: RouteConfiguration) -> Mapping[str, int]:
    words = Counter(_retry_words(config))
    return {f"{_RETRY_ON}[{word}]": words[word] for word in sorted(words)}


def _of_assignment(assignment: ClusterLoadAssignment) -> Mapping[str, int]:
    """The first endpoint of each locality speaks for the others: there may be ten thousand."""
    first = [group.endpoints[0] for group in assignment.localities if group.endpoints]
    encrypted = sum(endpoint.tls_mode == "istio" for endpoint in first)
    return {_TLS_MODE: encrypted} if encrypted else {}


def _retry_words(config: RouteConfiguration) -> Iterator[str]:
    for host in config.virtual_hosts:
        policies = [host.retry, *(route.action.retry for route in host.routes if isinstance(route.action, RouteAction))]
        for policy in policies:
            yield from () if policy is None else unknown_words(policy)


_FINDERS: dict[type, Callable[[Any], Mapping[str, int]]] = {
    Cluster: _of_cluster,
    RouteConfiguration: _of_routes,
    ClusterLoadAssignment: _of_assignment,
}


class Report:
    """Remembers what of each resource was reported."""

    def __init__(self) -> None:
        self._told: dict[tuple[ResourceType, str], tuple[Key, Mapping[str, int]]] = {}

    def tell(self, kind: ResourceType, entry: Entry | None) -> None:
        """Warn about an entry's resource, unless the same was said of the version before."""
        if entry is None or entry.resource is None:
            return
        key, before = self._told.get((kind, entry.name), _NOTHING)
        if key == entry.key:
            return
        fields = unobeyed(entry.resource)
        self._told[kind, entry.name] = entry.key, fields
        if fields and fields.keys() != before.keys():
            _LOG.warning(
                "configuration that is not obeyed yet",
                type=kind.name,
                resource=entry.name,
                version=entry.version,
                fields=dict(fields),
            )

    def forget(self, kind: ResourceType, name: str) -> None:
        """Nobody uses the resource any more."""
        self._told.pop((kind, name), None)
