"""The bootstrap of an Envoy that stands between gRPC clients and servers, by hand and without a control plane."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["bootstrap", "listener"]

_TYPES = "type.googleapis.com/envoy.extensions."
_MANAGER = _TYPES + "filters.network.http_connection_manager.v3.HttpConnectionManager"
_ROUTER = _TYPES + "filters.http.router.v3.Router"
_OPTIONS = "envoy.extensions.upstreams.http.v3.HttpProtocolOptions"
_PREVIOUS = "extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"
_RETRIES = {  # at another server than before, where there is one
    "retry_on": "connect-failure,refused-stream,reset-before-request",
    "num_retries": 3,
    "host_selection_retry_max_attempts": 5,
    "retry_host_predicate": [
        {
            "name": "envoy.retry_host_predicates.previous_hosts",
            "typed_config": {"@type": "type.googleapis.com/envoy." + _PREVIOUS},
        }
    ],
}


def bootstrap(upstreams: Mapping[str, tuple[int, ...]], **listeners: dict[str, Any]) -> dict[str, Any]:
    """Clusters by name, each with servers on these ports of 127.0.0.1, and what `listener` made, by name."""
    return {
        "static_resources": {
            "listeners": [{"name": name, **made} for name, made in listeners.items()],
            "clusters": [_cluster(name, ports) for name, ports in upstreams.items()],
        }
    }


def listener(cluster: str, *, route: Mapping[str, Any] | None = None, **manager: Any) -> dict[str, Any]:
    """A listener in front of ``cluster``; ``manager`` and ``route`` add to the connection manager and the route."""
    action = {"cluster": cluster, "timeout": "0s", "retry_policy": _RETRIES, **(route or {})}
    config = {
        "@type": _MANAGER,
        "stat_prefix": cluster,
        "codec_type": "HTTP2",
        "route_config": {
            "virtual_hosts": [
                {"name": "all", "domains": ["*"], "routes": [{"match": {"prefix": "/"}, "route": action}]}
            ]
        },
        "http_filters": [{"name": "envoy.filters.http.router", "typed_config": {"@type": _ROUTER}}],
        **manager,
    }
    chain = {"filters": [{"name": "envoy.filters.network.http_connection_manager", "typed_config": config}]}
    return {"address": _address(0), "filter_chains": [chain]}


def _cluster(name: str, ports: tuple[int, ...]) -> dict[str, Any]:
    http2 = {"@type": "type.googleapis.com/" + _OPTIONS, "explicit_http_config": {"http2_protocol_options": {}}}
    servers = [{"endpoint": {"address": _address(port)}} for port in ports]
    return {
        "name": name,
        "type": "STATIC",
        "connect_timeout": "1s",
        "circuit_breakers": {"thresholds": [{"max_retries": 1000}]},  # three at a time by default
        "typed_extension_protocol_options": {_OPTIONS: http2},
        "load_assignment": {"cluster_name": name, "endpoints": [{"lb_endpoints": servers}]},
    }


def _address(port: int) -> dict[str, Any]:
    return {"socket_address": {"address": "127.0.0.1", "port_value": port}}
