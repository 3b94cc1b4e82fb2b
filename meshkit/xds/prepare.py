"""Decoders are generated at their first use, which takes milliseconds each.

Those that the resources of every control plane need, and those that Istio's always need, are made ahead, one per slice,
while the first response is on its way. Those of rules that people put in force while a process runs (weights, headers)
are made a little later: nobody's first call waits for them, and none stands still when the first such rule comes. The
others wait until they are met.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator, Set

from meshkit.codec import Schema, compile_schema

from .cluster_tables import CLUSTER, HTTP_PROTOCOL_OPTIONS
from .endpoint_tables import CLUSTER_LOAD_ASSIGNMENT
from .route_tables import ROUTE_CONFIGURATION
from .struct import LIST, STRUCT, VALUE

__all__ = ["prepare", "prepare_rules"]

_COMMON = frozenset(
    {
        "RouteConfiguration",
        "VirtualHost",
        "Route",
        "RouteMatch",
        "RouteAction",
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

_RULES = _COMMON | {"WeightedCluster", "ClusterWeight", "HeaderMatcher", "StringMatcher", "RegexMatcher"}

_OTHERS = (HTTP_PROTOCOL_OPTIONS, STRUCT, VALUE, LIST)  # inside of what is decoded in a second step


def prepare() -> Generator[int, None, None]:
    """Make the common decoders; costs nothing once they are there. Each yield is a place to pause at."""
    roots = (ROUTE_CONFIGURATION, CLUSTER, CLUSTER_LOAD_ASSIGNMENT)
    yield from _make(schema for root in roots for schema in _inside(root, _COMMON))
    yield from _make(_OTHERS)


def prepare_rules() -> Generator[int, None, None]:
    """Make the decoders of weights and header rules too, as `prepare` does."""
    return _make(_inside(ROUTE_CONFIGURATION, _RULES))


def _make(schemas: Iterable[Schema]) -> Generator[int, None, None]:
    for schema in schemas:
        try:
            compile_schema(schema).decode(b"")
        except ValueError:
            pass  # an empty message of this type is refused; its decoder is there now
        yield 1


def _inside(schema: Schema, names: Set[str]) -> Iterator[Schema]:
    """The tables called so that ``schema`` is made of, itself last."""
    for field in schema.fields:
        if field.schema is not None and field.target.type_name in names:
            yield from _inside(field.target, names)
    yield schema
