"""The resource types that we ask a control plane for, and how each behaves on an ADS stream (xDS protocol, "ADS")."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["ASSIGNMENTS", "CLUSTERS", "LISTENERS", "ROUTES", "TYPES", "WILDCARD", "ResourceType", "type_of"]

WILDCARD = "*"
"""The name that asks for every resource of a type (xDS protocol, "How the client specifies what to return")."""


@dataclass(frozen=True, slots=True)
class ResourceType:
    """One xDS resource type.

    ``whole``: each state-of-the-world response holds all resources of the type, so what is missing from it is deleted
    (true of LDS and CDS; for RDS and EDS absence means nothing).
    """

    url: str
    name: str
    whole: bool


_PREFIX = "type.googleapis.com/envoy.config."
CLUSTERS = ResourceType(_PREFIX + "cluster.v3.Cluster", "CDS", whole=True)
ASSIGNMENTS = ResourceType(_PREFIX + "endpoint.v3.ClusterLoadAssignment", "EDS", whole=False)
LISTENERS = ResourceType(_PREFIX + "listener.v3.Listener", "LDS", whole=True)
ROUTES = ResourceType(_PREFIX + "route.v3.RouteConfiguration", "RDS", whole=False)

TYPES = (CLUSTERS, ASSIGNMENTS, LISTENERS, ROUTES)
"""In the order in which a new stream asks, which is the order a control plane should push in (make before break)."""

_BY_URL = {kind.url: kind for kind in TYPES}


def type_of(url: str) -> ResourceType | None:
    """The type of a type URL, or None for one that we never ask for."""
    return _BY_URL.get(url)
