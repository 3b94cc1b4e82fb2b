"""The rules for a host -> Envoy's RouteConfiguration, in the shapes of Istio's default and grpc generators.

Names: ``host:port`` (default generator, one virtual host for every authority), ``outbound|port|subset|host`` (grpc
generator, authorities spelled out) and ``port`` (default generator, every host of a port). A host is a service, a host
that only a VirtualService names (port 80, as in Istio), or an interface that running servers provide: then it has the
routes of the service behind it, or a share of each where there are several.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from envoy_data_plane.envoy.config.route import v3 as envoy

from meshkit.xds.naming import ClusterName

from .actions import default_action, direct_response, redirect, route_to
from .destinations import Targets
from .making import make
from .matches import applies, is_catch_all, route_match
from .model import Destination, HttpRoute, VirtualService
from .naming import Proxy, host_port
from .pairs import shares
from .values import istio_metadata
from .world import CLUSTER_DOMAIN, Provider, Service, World

__all__ = ["hosts_read", "route_configuration", "serves"]

_HTTP_PORT = 80
_BODY_LIMIT = 1024 * 1024


def route_configuration(world: World, name: str, proxy: Proxy) -> envoy.RouteConfiguration:
    """The RouteConfiguration ``name``; without virtual hosts where nothing of that name is known, as istiod answers."""
    if proxy.grpc:
        return make(envoy.RouteConfiguration, name=name, virtual_hosts=_for_cluster_name(world, name, proxy))
    hosts = _for_port(world, int(name), proxy) if name.isdecimal() else _for_host(world, name, proxy)
    return make(
        envoy.RouteConfiguration,
        name=name,
        virtual_hosts=hosts,
        validate_clusters=False,
        max_direct_response_body_size_bytes=_BODY_LIMIT,
        ignore_port_in_host_matching=True,
    )


def _for_host(world: World, name: str, proxy: Proxy) -> list[envoy.VirtualHost]:
    asked, port = host_port(name)
    host = world.find(asked, proxy.namespace)
    routes = routes_of(world, host, port, proxy)
    return [_virtual_host(host, port, ["*"], routes)] if routes else []


def _for_cluster_name(world: World, name: str, proxy: Proxy) -> list[envoy.VirtualHost]:
    parsed = ClusterName.parse(name)
    routes = routes_of(world, parsed.host, parsed.port, proxy) if parsed else []
    if parsed is None or not routes:
        return []
    authorities = [form for host in _authorities(world, parsed.host, proxy) for form in (host, f"{host}:{parsed.port}")]
    return [_virtual_host(parsed.host, parsed.port, authorities, routes)]


def _for_port(world: World, port: int, proxy: Proxy) -> list[envoy.VirtualHost]:
    """Every host of a port, and 502 for any other authority (istiod's outboundTrafficPolicy REGISTRY_ONLY)."""
    hosts = sorted({host for host, service in world.services.items() if service.routed(port)})
    if port == _HTTP_PORT:
        hosts = sorted({*hosts, *world.rules, *world.providers})
    found = [(host, routes_of(world, host, port, proxy)) for host in hosts]
    out = [_virtual_host(h, port, _authorities(world, h, proxy), routes) for h, routes in found if routes and h != "*"]
    refused = make(
        envoy.Route,
        name="block_all",
        match=make(envoy.RouteMatch, prefix="/"),
        direct_response=make(envoy.DirectResponseAction, status=502),
    )
    return [*out, make(envoy.VirtualHost, name="block_all", domains=["*"], routes=[refused])]


def _virtual_host(host: str, port: int, domains: list[str], routes: list[envoy.Route]) -> envoy.VirtualHost:
    return make(
        envoy.VirtualHost, name=f"{host}:{port}", domains=domains, routes=routes, include_request_attempt_count=True
    )


def _authorities(world: World, host: str, proxy: Proxy) -> list[str]:
    """What a client may write for a host: the full name, its short forms (the shortest in its own namespace only), and
    the service's addresses."""
    service = world.services.get(host)
    if service is None:
        return [host]
    forms = [host, f"{host}."]
    if host.endswith(f".{CLUSTER_DOMAIN}"):
        name, namespace = host.split(".")[:2]
        forms += [name] if namespace == proxy.namespace else []
        forms += [f"{name}.{namespace}.svc", f"{name}.{namespace}"]
    return [form for form in forms if not form.endswith("*.")] + list(service.addresses)


# -- the routes of one host --------------------------------------------------------------------------------------------


def serves(world: World, host: str, port: int) -> bool:
    """Whether anything is known about calls to this host and port."""
    service = world.services.get(host)
    if service is not None and service.routed(port):
        return True
    return port == _HTTP_PORT and (world.virtual_service(host) is not None or host in world.providers)


def routes_of(world: World, host: str, port: int, proxy: Proxy) -> list[envoy.Route]:
    """The routes for calls to ``host``; empty where it is not known."""
    named = host in world.services or host in world.rules  # a wildcard rule does not name an interface
    if port != _HTTP_PORT or host not in world.providers or named:
        return _own_routes(world, host, port, proxy)
    routes: list[envoy.Route] = []
    for conditions, providers in shares(world.providers[host]):
        for route in _provided(world, providers, port, proxy):
            if conditions and route.match is not None:
                route.match.headers.extend(conditions)
            routes.append(route)
    return routes


def _provided(world: World, providers: Sequence[Provider], port: int, proxy: Proxy) -> list[envoy.Route]:
    """The routes of an interface's only provider, or a share of each."""
    if len(providers) == 1:
        return _own_routes(world, providers[0].host, providers[0].port, proxy)
    weights = [(str(ClusterName(one.port, "", one.host)), one.count) for one in providers]
    return [default_action(Targets(world, port, None), weights)]


def _own_routes(world: World, host: str, port: int, proxy: Proxy) -> list[envoy.Route]:
    """The routes of a service, or of a host that only rules name."""
    service, rules = world.services.get(host), world.virtual_service(host)
    if service is not None and service.routed(port):
        return _ruled(world, rules, service, port, proxy) or [default_action(Targets(world, port, service))]
    if port != _HTTP_PORT:
        return []
    if rules is not None:
        return _ruled(world, rules, None, port, proxy)
    if service is not None and len(service.ports) == 1:  # an interface asks for port 80 whatever its entry's port is
        only = next(iter(service.ports))
        return _own_routes(world, host, only, proxy) if only != port else []
    return []


def _ruled(
    world: World, rules: VirtualService | None, service: Service | None, port: int, proxy: Proxy
) -> list[envoy.Route]:
    """The routes of a VirtualService, up to the first that takes every call."""
    routes: list[envoy.Route] = []
    if rules is None:
        return routes
    targets = Targets(world, port, service, rules.meta.namespace)
    for rule in rules.http:
        for match in rule.match or (None,):
            if match is None or applies(match, proxy, port):
                name = f"{rule.name}.{match.name}" if match and match.name and rule.name else rule.name
                routes.append(_route(rule, name, route_match(match), targets, rules, proxy.grpc))
                if match is None or is_catch_all(routes[-1].match or make(envoy.RouteMatch)):
                    return routes
    return routes


def _route(
    rule: HttpRoute, name: str, match: envoy.RouteMatch, targets: Targets, rules: VirtualService, grpc: bool
) -> envoy.Route:
    route = make(envoy.Route, name=name, match=match, metadata=istio_metadata(rules.meta))
    if rule.redirect is not None:
        route.redirect = redirect(rule.redirect)
    elif rule.direct_response is not None:
        route.direct_response = direct_response(rule.direct_response)
    else:
        route_to(route, rule, targets, grpc)
    return route


def hosts_read(world: World, host: str) -> Iterator[str]:
    """The hosts that the routes of ``host`` are made from: itself, its providers, and their rules' destinations."""
    for one in (host, *(provider.host for provider in world.providers.get(host, ()))):
        yield one
        rules = world.virtual_service(one)
        if rules is not None:
            targets = Targets(world, 0, None, rules.meta.namespace)
            for rule in rules.http:
                yield from (targets.host(destination) for destination in _destinations(rule))


def _destinations(rule: HttpRoute) -> Iterator[Destination]:
    yield from (one.destination for one in rule.route)
    yield from (one.destination for one in rule.mirrors)
    if rule.mirror is not None:
        yield rule.mirror
