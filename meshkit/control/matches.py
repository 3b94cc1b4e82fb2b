"""A VirtualService's match -> Envoy's RouteMatch; and the conditions that are decided here, as istiod does:
``port``, ``sourceLabels``, ``sourceNamespace`` and ``gateways`` never reach a client."""

from __future__ import annotations

from collections.abc import Iterator

from envoy_data_plane.envoy.config.route.v3 import HeaderMatcher, QueryParameterMatcher, RouteMatch
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatcher, StringMatcher

from .making import make
from .model import HttpMatch, StringMatch
from .naming import Proxy

__all__ = ["applies", "is_catch_all", "route_match"]


def applies(match: HttpMatch, proxy: Proxy, port: int) -> bool:
    """Whether a rule is for calls of this client to this port at all."""
    if match.port is not None and match.port != port:
        return False
    if match.gateways and "mesh" not in match.gateways:
        return False
    if match.source_namespace is not None and match.source_namespace != proxy.namespace:
        return False
    return match.source_labels.items() <= dict(proxy.labels).items()


def route_match(match: HttpMatch | None) -> RouteMatch:
    """The match that a client evaluates; None matches every call."""
    if match is None:
        return make(RouteMatch, prefix="/")
    found = _path(match.uri)
    found.case_sensitive = not match.ignore_uri_case
    found.headers = list(_headers(match))
    found.query_parameters = [_query(name, value) for name, value in sorted(match.query_params.items())]
    return found


def _path(uri: StringMatch | None) -> RouteMatch:
    if uri is None:
        return make(RouteMatch, prefix="/")
    if uri.exact is not None:
        return make(RouteMatch, path=uri.exact)
    if uri.prefix is not None:
        return make(RouteMatch, prefix=uri.prefix)
    return make(RouteMatch, safe_regex=make(RegexMatcher, regex=uri.regex or ""))


def _headers(match: HttpMatch) -> Iterator[HeaderMatcher]:
    """By name, then the pseudo-headers."""
    plain = [(name, value, False) for name, value in match.headers.items()]
    without = [(name, value, True) for name, value in match.without_headers.items()]
    for name, value, invert in sorted(plain + without, key=lambda entry: entry[0]):
        yield _header(name, value, invert)
    for name, pseudo in ((":method", match.method), (":authority", match.authority), (":scheme", match.scheme)):
        if pseudo is not None:
            yield _header(name, pseudo, False)


def _header(name: str, value: StringMatch, invert: bool) -> HeaderMatcher:
    string = _string(value)
    if string is None:
        return make(HeaderMatcher, name=name.lower(), present_match=True, invert_match=invert)
    # withoutHeaders holds for a call that does not have the header at all (treat_missing_header_as_empty)
    return make(
        HeaderMatcher, name=name.lower(), string_match=string, invert_match=invert, treat_missing_header_as_empty=invert
    )


def _query(name: str, value: StringMatch) -> QueryParameterMatcher:
    string = _string(value)
    if string is None:
        return make(QueryParameterMatcher, name=name, present_match=True)
    return make(QueryParameterMatcher, name=name, string_match=string)


def _string(value: StringMatch) -> StringMatcher | None:
    if value.exact is not None:
        return make(StringMatcher, exact=value.exact)
    if value.prefix is not None:
        return make(StringMatcher, prefix=value.prefix)
    if value.regex is not None:
        return None if value.regex == "*" else make(StringMatcher, safe_regex=make(RegexMatcher, regex=value.regex))
    return None


def is_catch_all(match: RouteMatch) -> bool:
    """Whether the match holds for every call, so that no later route can be reached."""
    everything = match.prefix == "/" or (match.safe_regex is not None and match.safe_regex.regex == ".*")
    return everything and not match.headers and not match.query_parameters
