"""What a real istiod sent for ``tests/fixtures/istio/input_config.yaml``, and what our own makes of it.

Left out on both sides, since our control plane does not do them: TLS, CORS, decorators (names of tracing spans), and
Istio's own filters.
"""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Any

from envoy.extensions.filters.http.fault.v3 import fault_pb2
from envoy.extensions.filters.network.http_connection_manager.v3 import http_connection_manager_pb2
from envoy.extensions.upstreams.http.v3 import http_protocol_options_pb2
from envoy.service.discovery.v3 import discovery_pb2

from meshkit.control.library import Library
from meshkit.control.naming import CDS, EDS, LDS, RDS, Proxy
from meshkit.control.world import World, join
from tests.support.ads_client import unpack

__all__ = ["CDS", "EDS", "ENVOY", "FOLDER", "GRPC", "LDS", "RDS", "captured", "comparable", "input_world", "response"]

_INNER: dict[str, Any] = {
    "HTTPFault": fault_pb2.HTTPFault,
    "HttpConnectionManager": http_connection_manager_pb2.HttpConnectionManager,
    "HttpProtocolOptions": http_protocol_options_pb2.HttpProtocolOptions,
}
FOLDER = Path(__file__).parents[1] / "fixtures" / "istio"
ENVOY = Proxy(False, "demo", (), ("r1", "z1", "s1"))
GRPC = Proxy(True, "demo", (), ("r1", "z1", "s1"))


@cache
def input_world() -> World:
    """The world of istiod's input."""
    library = Library()
    library.update({"input_config.yaml": (FOLDER / "input_config.yaml").read_bytes()})
    return join(library.resources.values())


def response(name: str) -> Any:
    """One capture (``grpc_rds``, ``sidecar_cds``, ...): a DiscoveryResponse."""
    return discovery_pb2.DiscoveryResponse.FromString((FOLDER / f"{name}.bin").read_bytes())


def captured(name: str) -> dict[str, Any]:
    """The resources of one capture by name."""
    found = [unpack(one) for one in response(name).resources]
    return {getattr(one, "cluster_name", "") or one.name: one for one in found}


def comparable(message: Any) -> Any:
    """A copy without what our control plane leaves out."""
    out = type(message).FromString(message.SerializeToString())
    for host in getattr(out, "virtual_hosts", ()):
        for route in host.routes:
            route.ClearField("decorator")
            route.typed_per_filter_config.pop("envoy.filters.http.cors", None)
            for value in route.typed_per_filter_config.values():
                _order(value)
    for name in ("transport_socket", "transport_socket_matches", "filters"):
        if name in type(out).DESCRIPTOR.fields_by_name:
            out.ClearField(name)
    for part in getattr(out, "endpoints", ()):
        for one in part.lb_endpoints:
            one.metadata.filter_metadata.pop("envoy.transport_socket_match", None)
    for value in getattr(out, "typed_extension_protocol_options", {}).values():
        _order(value)
    if getattr(out, "api_listener", None):
        _order(out.api_listener.api_listener)
    for name in ("least_request_lb_config", "round_robin_lb_config"):
        if name in type(out).DESCRIPTOR.fields_by_name:
            getattr(out, name).slow_start_config.aggression.ClearField("runtime_key")
            if getattr(out, name).ByteSize() <= 4:
                out.ClearField(name)
    return out


def _order(value: Any) -> None:
    """Encode what is in an Any the one way that protobuf does, whatever order its fields came in."""
    message = _INNER[value.type_url.rpartition(".")[2]].FromString(value.value)
    value.value = message.SerializeToString(deterministic=True)
