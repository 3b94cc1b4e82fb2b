"""Decoders are generated at their first use, which takes milliseconds each. Those that the resources of every control
plane need, and those that Istio's always need, are made ahead, one per slice, while the first response is on its way;
rarer ones wait until they are met.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator

from meshkit.codec import Schema, compile_schema

from .cluster_tables import CLUSTER, HTTP_PROTOCOL_OPTIONS
from .endpoint_tables import CLUSTER_LOAD_ASSIGNMENT
from .route_tables import ROUTE_CONFIGURATION
from .struct import LIST, STRUCT, VALUE

__all__ = ["prepare"]

_COMMON = frozenset(
    {
        "RouteConfiguration",
        "VirtualHost",
        "Route",
        "RouteMatch",
        "RouteAction",
        "WeightedCluster",
        "ClusterWeight",
        "RetryPolicy",
        "RetryHostPredicate",
        "Cluster",
        "EdsClusterConfig",
        "ConfigSource",
        "CircuitBreakers",
        "Thresholds",
        "CommonLbConfig",
        "Metadata",
        "Any",
        "ClusterLoadAssignment",
        "LocalityLbEndpoints",
        "Locality",
        "LbEndpoint",
    }
)

_OTHERS = (HTTP_PROTOCOL_OPTIONS, STRUCT, VALUE, LIST)  # inside of what is decoded in a second step


def prepare() -> Generator[int, None, None]:
    """Make the common decoders; costs nothing once they are there. Each yield is a place to pause at."""
    for schema in (*_inside(ROUTE_CONFIGURATION), *_inside(CLUSTER), *_inside(CLUSTER_LOAD_ASSIGNMENT), *_OTHERS):
        try:
            compile_schema(schema).decode(b"")
        except ValueError:
            pass  # an empty message of this type is refused; its decoder is there now
        yield 1


def _inside(schema: Schema) -> Iterator[Schema]:
    """The common tables that ``schema`` is made of, itself last."""
    for field in schema.fields:
        if field.schema is not None and field.target.type_name in _COMMON:
            yield from _inside(field.target)
    yield schema
