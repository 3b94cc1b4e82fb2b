"""Routes in the forms that dubbo-go 3.1 reads (`dialect`): made from those of every other client, so that they mean the
same, and cut down to what it looks at, since anything that it does not know makes it refuse all routes of a host.

It compares paths without the service (``/SayHello``), takes string attachments for headers, and looks at no retry,
timeout, fault, mirror or rewrite. A weighted cluster without endpoints would fail its share of the calls although there
are others, as it has no second try that looks elsewhere: such a cluster gets no share.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator
from itertools import product
from typing import Any

from envoy_data_plane.envoy.config.route import v3 as envoy
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher

from meshkit.xds.naming import ClusterName

from . import routes
from .endpoints import endpoints_of
from .making import make
from .naming import Proxy, host_port
from .world import World

__all__ = ["route_configuration"]

_NOWHERE = "BlackHoleCluster"
_FIXED = {":method": "POST", ":scheme": "http"}
_TOKEN = re.compile(r"\\.|\[\^?\]?(?:\\.|[^\]\\])*\]|.")  # of a pattern: an escape, a class, any other character
_FORMS = {"exact": "exact_match", "prefix": "prefix_match", "suffix": "suffix_match", "safe_regex": "safe_regex_match"}


def route_configuration(world: World, name: str, proxy: Proxy) -> envoy.RouteConfiguration:
    """The RouteConfiguration ``host:port``; without virtual hosts where nothing of that name is known."""
    full = routes.route_configuration(world, name, proxy)
    interfaces = _interfaces(world, *host_port(name))
    hosts = [
        make(
            envoy.VirtualHost,
            name=host.name,
            domains=["*"],
            routes=[older for route in host.routes for older in _routes(world, route, interfaces)],
        )
        for host in full.virtual_hosts
    ]
    return make(envoy.RouteConfiguration, name=name, virtual_hosts=hosts)


def _interfaces(world: World, host: str, port: int) -> frozenset[str]:
    """What is provided at a host and port; empty where nobody said."""
    target = (host.lower(), port)
    table = world.providers.items()
    return frozenset(name for name, providers in table if target in [(one.host, one.port) for one in providers])


def _routes(world: World, route: envoy.Route, interfaces: frozenset[str]) -> Iterator[envoy.Route]:
    """One route, or none if its path cannot be of these interfaces, or several if headers have to be spelled out."""
    match = route.match or make(envoy.RouteMatch, prefix="/")
    path = _path(match, interfaces)
    if path is None or match.query_parameters:
        return
    action = _action(world, route.route)
    for headers in product(*(_headers(header) for header in match.headers)):
        older = make(envoy.RouteMatch, case_sensitive=match.case_sensitive, **path)
        older.headers = [header for header in headers if header is not None]
        yield make(envoy.Route, name=route.name, match=older, route=action)


# -- paths -------------------------------------------------------------------------------------------------------------


def _path(match: envoy.RouteMatch, interfaces: frozenset[str]) -> dict[str, Any] | None:
    """The path without its service; None if no method of these interfaces has such a path."""
    if match.path is not None:
        service, slash, method = match.path.removeprefix("/").partition("/")
        return {"path": f"/{method}"} if slash and _one_of(service, interfaces) else None
    if match.safe_regex is not None:
        regex = _method_regex(match.safe_regex.regex, interfaces)
        return {"safe_regex": make(RegexMatcher, regex=regex)} if regex else None
    service, slash, method = (match.prefix or "/").removeprefix("/").partition("/")
    known = _one_of(service, interfaces) if slash else _begins_one_of(service, interfaces)
    return {"prefix": f"/{method}"} if known else None


def _one_of(service: str, interfaces: frozenset[str]) -> bool:
    return not interfaces or service.lower() in interfaces


def _begins_one_of(start: str, interfaces: frozenset[str]) -> bool:
    return not interfaces or any(name.startswith(start.lower()) for name in interfaces)


def _method_regex(regex: str, interfaces: frozenset[str]) -> str | None:
    """The part of a pattern behind the service; the pattern itself where no slash tells the two apart."""
    text = regex.removeprefix("^").removeprefix("/")
    slash = _first_slash(text)
    if slash < 0:
        return regex
    service, method = text[:slash], text[slash:]
    known = not interfaces or any(re.fullmatch(service, name, re.IGNORECASE) for name in interfaces)
    return method if known else None


def _first_slash(regex: str) -> int:
    """Where the first slash is that belongs to the pattern as a whole; -1 if there is none."""
    depth = 0
    for token in _TOKEN.finditer(regex):
        depth += (token[0] == "(") - (token[0] == ")")
        if depth == 0 and token[0] in "/|":
            return token.start() if token[0] == "/" else -1
    return -1


# -- headers -----------------------------------------------------------------------------------------------------------


def _headers(header: envoy.HeaderMatcher) -> list[envoy.HeaderMatcher | None]:
    """The ways in which a condition can hold, each as one matcher of the old forms; None is no condition at all.

    A condition that must not hold does hold where the header is missing, which the client sees otherwise: it is told of
    that as a second way.
    """
    string = header.string_match
    if header.name.startswith(":"):
        fixed = _FIXED.get(header.name)
        return [None] if fixed and string and _holds(string, fixed) != header.invert_match else []
    name, invert = header.name, header.invert_match
    if string is None:
        return [make(envoy.HeaderMatcher, name=name, present_match=True, invert_match=invert)]
    older = make(envoy.HeaderMatcher, name=name, invert_match=invert, **_older(string))
    missing = make(envoy.HeaderMatcher, name=name, present_match=True, invert_match=True)
    return [missing, older] if invert else [older]


def _older(string: StringMatcher) -> dict[str, Any]:
    """The field that a HeaderMatcher had before string_match."""
    return next({older: value} for newer, older in _FORMS.items() if (value := getattr(string, newer)) is not None)


def _holds(string: StringMatcher, value: str) -> bool:
    if string.safe_regex is not None:
        return re.fullmatch(string.safe_regex.regex, value) is not None
    return string.exact == value if string.exact is not None else value.startswith(string.prefix or "")


# -- where calls go ----------------------------------------------------------------------------------------------------


def _action(world: World, action: envoy.RouteAction | None) -> envoy.RouteAction:
    """A cluster, or several with the sum of their weights. What is answered without a cluster (a redirect, a direct
    response) goes to one that nobody is in: the client would take it for leave to call anyone."""
    if action is None:
        return make(envoy.RouteAction, cluster=_NOWHERE)
    if action.weighted_clusters is None:
        return make(envoy.RouteAction, cluster=action.cluster)
    weights = _weights(world, action.weighted_clusters)
    clusters = [make(envoy.WeightedClusterClusterWeight, name=name, weight=weight) for name, weight in weights.items()]
    weighted = make(envoy.WeightedCluster, clusters=clusters, total_weight=weights.total())
    return make(envoy.RouteAction, weighted_clusters=weighted)


def _weights(world: World, weighted: envoy.WeightedCluster) -> Counter[str]:
    shares: Counter[str] = Counter()
    for one in weighted.clusters:
        shares[one.name] += one.weight or 0
    alive = Counter({name: share for name, share in shares.items() if _alive(world, name)})
    return alive or shares


def _alive(world: World, cluster: str) -> bool:
    parsed = ClusterName.parse(cluster)
    return parsed is not None and bool(endpoints_of(world, parsed, resolved=False))
