"""The listeners of Istio's grpc generator: ``host:port`` for clients, `naming.INBOUND` + ``ip:port`` for servers."""

from __future__ import annotations

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.listener.v3 import ApiListener, Filter, FilterChain, Listener
from envoy_data_plane.envoy.config.route.v3 import (
    NonForwardingAction,
    Route,
    RouteConfiguration,
    RouteMatch,
    VirtualHost,
)
from envoy_data_plane.envoy.extensions.filters.network.http_connection_manager import v3 as hcm

from meshkit.xds.naming import INBOUND, ClusterName

from .encoding import encode
from .making import make
from .naming import Proxy, host_port
from .routes import serves
from .values import any_of
from .world import World

__all__ = ["listener", "listener_names"]

_MANAGER = "envoy.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager"
_FAULT = make(
    hcm.HttpFilter,
    name="envoy.filters.http.fault",
    typed_config=any_of("envoy.extensions.filters.http.fault.v3.HTTPFault"),
)
_ROUTER = make(
    hcm.HttpFilter,
    name="envoy.filters.http.router",
    typed_config=any_of("envoy.extensions.filters.http.router.v3.Router"),
)


def listener_names(world: World, name: str, proxy: Proxy) -> list[str]:
    """The listeners that a requested name stands for: itself, or each port of a host without a port. Empty where
    nothing is known of it."""
    if name.startswith(INBOUND):
        return [name] if host_port(name.removeprefix(INBOUND))[1] else []
    asked, port = host_port(name)
    host = world.find(asked, proxy.namespace)
    if port:
        return [name] if serves(world, host, port) else []
    service = world.services.get(host)
    ports = [number for number in service.ports if service.routed(number)] if service is not None else []
    return [f"{asked}:{number}" for number in ports]


def listener(world: World, name: str, proxy: Proxy) -> Listener:
    """A listener under the name that was asked for, short or full."""
    if name.startswith(INBOUND):
        return _inbound(name)
    asked, port = host_port(name)
    host = world.find(asked, proxy.namespace)
    source = make(core.ConfigSource, ads=make(core.AggregatedConfigSource))
    manager = make(
        hcm.HttpConnectionManager,
        rds=make(hcm.Rds, config_source=source, route_config_name=str(ClusterName(port, "", host))),
        http_filters=[_FAULT, _ROUTER],
    )
    service = world.services.get(host)
    address = service.addresses[0] if service is not None and service.addresses else "0.0.0.0"
    return make(
        Listener,
        name=name,
        address=_address(address, port),
        api_listener=make(ApiListener, api_listener=any_of(_MANAGER, encode(manager))),
    )


def _inbound(name: str) -> Listener:
    """What a gRPC server needs to serve in plain text: one chain, every path, no policy."""
    address, port = host_port(name.removeprefix(INBOUND))
    route = make(Route, match=make(RouteMatch, prefix="/"), non_forwarding_action=make(NonForwardingAction))
    manager = make(
        hcm.HttpConnectionManager,
        route_config=make(
            RouteConfiguration, name="inbound", virtual_hosts=[make(VirtualHost, domains=["*"], routes=[route])]
        ),
        http_filters=[_ROUTER],
    )
    chain = make(
        FilterChain,
        name="inbound-passthrough",
        filters=[make(Filter, name="inbound-hcm", typed_config=any_of(_MANAGER, encode(manager)))],
    )
    return make(Listener, name=name, address=_address(address.strip("[]"), port), filter_chains=[chain])


def _address(host: str, port: int) -> core.Address:
    return make(core.Address, socket_address=make(core.SocketAddress, address=host, port_value=port))
