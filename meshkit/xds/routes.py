"""RouteConfiguration: bytes to frozen value, checked (gRFC A28, A44, A63; Envoy's rules where Istio relies on them).

Refused (`Invalid`, which becomes a NACK): no path specifier, a URI template, a pattern that is not RE2, an empty
prefix, suffix or contains pattern, a weighted cluster whose weights sum to 0 or above 2^32-1, back-off that is not
positive.
Left out, so that matching goes on with the next route: routes that only apply to what a gRPC call from this process
never has (CONNECT, dynamic metadata, filter state) and those whose action picks its cluster in a way we do not know
(A28: ignored); each is counted under its field's path. Filters' per-route settings are counted by the filter's name.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from meshkit.codec import compile_schema

from .regex import RegexError, compile_regex
from .resources import (
    DirectResponse,
    Fraction,
    HeaderMatch,
    PathMatch,
    QueryParameterMatch,
    Redirect,
    RetryPolicy,
    Route,
    RouteAction,
    RouteConfiguration,
    StringMatch,
    VirtualHost,
    WeightedCluster,
)
from .route_tables import ROUTE_CONFIGURATION
from .tables import Invalid

__all__ = ["decode_routes"]

Counts = dict[str, int]

_MAX_WEIGHT = 2**32 - 1
_MILLION = 1_000_000
_PARTS = (10_000, 100, 1)  # HUNDRED, TEN_THOUSAND, MILLION: what one part is in millionths
_PREVIOUS_HOSTS = "envoy.retry_host_predicates.previous_hosts"
_MATCH = "virtual_hosts.routes.match"
_ACTION = "virtual_hosts.routes.route"

# What no gRPC call from inside the process has; a route that asks for it never applies.
_NEVER = ("connect_matcher", "dynamic_metadata", "filter_state")
_UNKNOWN_CLUSTERS = ("cluster_header", "cluster_specifier_plugin", "inline_cluster_specifier_plugin")
_STRINGS = (
    ("exact", StringMatch.EXACT),
    ("prefix", StringMatch.PREFIX),
    ("suffix", StringMatch.SUFFIX),
    ("contains", StringMatch.CONTAINS),
)


def decode_routes(data: bytes) -> RouteConfiguration:
    """The bytes of an envoy.config.route.v3.RouteConfiguration. Raises `Invalid` or DecodeError."""
    counts: Counts = {}
    raw = compile_schema(ROUTE_CONFIGURATION).decode(data, counts)
    _count_filters(raw, "", counts)
    hosts = tuple(_virtual_host(host, counts) for host in raw.virtual_hosts)
    return RouteConfiguration(raw.name, hosts, dict(sorted(counts.items())), raw.ignore_port_in_host_matching)


def _count(counts: Counts, path: str) -> None:
    counts[path] = counts.get(path, 0) + 1


def _count_filters(raw: Any, prefix: str, counts: Counts) -> None:
    for name in raw.typed_per_filter_config:
        _count(counts, f"{prefix}typed_per_filter_config[{name}]")


def _virtual_host(raw: Any, counts: Counts) -> VirtualHost:
    _count_filters(raw, "virtual_hosts.", counts)
    try:
        _check_domains(raw.domains)
        routes = tuple(_routes(raw.routes, counts))
        return VirtualHost(raw.name, raw.domains, routes, _retry(raw.retry_policy))
    except Invalid as error:
        raise Invalid(f"virtual host {raw.name!r}: {error}") from None


def _check_domains(domains: tuple[str, ...]) -> None:
    for domain in domains:
        if not domain or "*" in domain[1:-1] or (domain.count("*") == 2 and domain != "*"):
            raise Invalid(f"domain {domain!r} is not a name, *suffix, prefix* or *")


def _routes(raws: Iterable[Any], counts: Counts) -> Iterable[Route]:
    for index, raw in enumerate(raws):
        try:
            route = _route(raw, counts)
        except (Invalid, RegexError) as error:
            raise Invalid(f"routes[{index}]{f' {raw.name!r}' if raw.name else ''}: {error}") from None
        if route is not None:
            yield route


def _route(raw: Any, counts: Counts) -> Route | None:
    _count_filters(raw, "virtual_hosts.routes.", counts)
    match = raw.match
    if match is None:
        raise Invalid("match is not set")
    if _never_applies(match, counts):
        return None
    path, headers, fraction = _path(match), tuple(map(_header, match.headers)), _fraction(match.runtime_fraction)
    query = tuple(QueryParameterMatch(parameter.name) for parameter in match.query_parameters)
    action = _action(raw, counts)
    return None if action is _IGNORED else Route(path, action, raw.name, headers, query, fraction)


def _never_applies(match: Any, counts: Counts) -> bool:
    found = [name for name in _NEVER if getattr(match, name) not in (None, ())]
    for name in found:
        _count(counts, f"{_MATCH}.{name}")
    return bool(found)


# -- matching


def _path(match: Any) -> PathMatch:
    case = match.case_sensitive is not False
    if match.prefix is not None:
        return PathMatch(StringMatch.PREFIX, match.prefix, case)
    if match.path is not None:
        return PathMatch(StringMatch.EXACT, match.path, case)
    if match.safe_regex is not None:
        regex = match.safe_regex.regex
        return PathMatch(StringMatch.REGEX, regex, case, regex=compile_regex(regex))
    if match.path_separated_prefix is not None:
        return PathMatch(StringMatch.PREFIX, match.path_separated_prefix, case, separated=True)
    if match.path_match_policy is not None:
        raise Invalid(f"match.path_match_policy {match.path_match_policy.name!r} is not supported")
    raise Invalid("match has no path specifier")


def _header(raw: Any) -> HeaderMatch:
    name = raw.name.lower()
    if not name:
        raise Invalid("a header matcher has no name")
    common: dict[str, Any] = {"invert": raw.invert_match, "treat_missing_as_empty": raw.treat_missing_header_as_empty}
    if raw.present_match is not None:
        return HeaderMatch(name, present=raw.present_match, **common)
    if raw.range_match is not None:
        return HeaderMatch(name, range=(raw.range_match.start, raw.range_match.end), **common)
    kind, text, ignore_case = _string(raw, name)
    if kind is None:  # Envoy: no specifier means "present"
        return HeaderMatch(name, present=True, **common)
    regex = compile_regex(text) if kind is StringMatch.REGEX else None
    return HeaderMatch(name, kind, text, regex, ignore_case, **common)


def _string(raw: Any, name: str) -> tuple[StringMatch | None, str, bool]:
    """The text comparison of a header matcher, in its own field or as one of the deprecated ones beside it."""
    matcher = raw.string_match
    if matcher is None:
        if raw.safe_regex_match is not None:
            return StringMatch.REGEX, raw.safe_regex_match.regex, False
        found = next(((k, v) for word, k in _STRINGS if (v := getattr(raw, f"{word}_match")) is not None), None)
        return (None, "", False) if found is None else (found[0], _pattern(*found, name), False)
    if matcher.safe_regex is not None:  # gRFC A63: ignore_case does not apply to a regex
        return StringMatch.REGEX, matcher.safe_regex.regex, False
    for word, kind in _STRINGS:
        if (text := getattr(matcher, word)) is not None:
            return kind, _pattern(kind, text, name), matcher.ignore_case
    raise Invalid(f"header {name!r}: string_match has no pattern that is supported")


def _pattern(kind: StringMatch, text: str, name: str) -> str:
    if not text and kind is not StringMatch.EXACT:
        raise Invalid(f"header {name!r}: empty {kind.value} pattern")
    return text


def _fraction(raw: Any) -> Fraction | None:
    if raw is None or raw.default_value is None:
        return None
    numerator, denominator = int(raw.default_value.numerator), int(raw.default_value.denominator)
    if not 0 <= denominator < len(_PARTS):
        raise Invalid(f"runtime_fraction: denominator {denominator} is not known")
    return Fraction(min(_MILLION, numerator * _PARTS[denominator]))


# -- acting

_IGNORED = Redirect()  # told by identity: an action whose route is to be left out


def _action(raw: Any, counts: Counts) -> RouteAction | DirectResponse | Redirect | None:
    if raw.route is not None:
        return _route_action(raw.route, counts)
    if raw.direct_response is not None:
        body = raw.direct_response.body
        return DirectResponse(raw.direct_response.status, "" if body is None else _body(body))
    return Redirect() if raw.redirect is not None else None


def _body(source: Any) -> str:
    if source.inline_string is not None:
        return str(source.inline_string)
    return (source.inline_bytes or b"").decode("utf-8", "replace")


def _route_action(raw: Any, counts: Counts) -> RouteAction | Redirect:
    if raw.cluster is not None:
        clusters: tuple[WeightedCluster, ...] = (WeightedCluster(raw.cluster, 1),)
    elif raw.weighted_clusters is not None:
        clusters = _weighted(raw.weighted_clusters.clusters, counts)
    else:
        unknown = next((name for name in _UNKNOWN_CLUSTERS if getattr(raw, name) is not None), "cluster_specifier")
        _count(counts, f"{_ACTION}.{unknown}")
        return _IGNORED
    return RouteAction(clusters, _timeout(raw), _retry(raw.retry_policy))


def _weighted(raws: Iterable[Any], counts: Counts) -> tuple[WeightedCluster, ...]:
    clusters: list[WeightedCluster] = []
    for raw in raws:
        _count_filters(raw, f"{_ACTION}.weighted_clusters.clusters.", counts)
        if not raw.weight:
            continue  # gRFC A28: as if it were not there
        if not raw.name:
            raise Invalid("weighted_clusters: a cluster without a name")
        clusters.append(WeightedCluster(raw.name, raw.weight))
    total = sum(cluster.weight for cluster in clusters)
    if not 0 < total <= _MAX_WEIGHT:
        raise Invalid(f"weighted_clusters: the weights sum to {total}, which is not 1 to 2^32-1")
    return tuple(clusters)


def _timeout(raw: Any) -> float | None:
    """The tightest limit; 0 is none (gRFC A31 for max_stream_duration; Istio sends ``timeout`` to sidecars)."""
    stream = raw.max_stream_duration
    limits: tuple[float | None, ...] = (raw.timeout, raw.max_grpc_timeout)
    if stream is not None:
        header_max = stream.grpc_timeout_header_max
        limits += (header_max if header_max is not None else stream.max_stream_duration,)
    finite = [float(limit) for limit in limits if limit]
    return min(finite) if finite else None


def _retry(raw: Any) -> RetryPolicy | None:
    if raw is None:
        return None
    base, longest = _back_off(raw.retry_back_off)
    return RetryPolicy(
        retry_on=frozenset(word for text in raw.retry_on.split(",") if (word := text.strip())),
        num_retries=1 if raw.num_retries is None else raw.num_retries,
        per_try_timeout=raw.per_try_timeout or None,
        base_interval=base,
        max_interval=longest,
        retriable_status_codes=frozenset(raw.retriable_status_codes),
        other_hosts=any(predicate.name == _PREVIOUS_HOSTS for predicate in raw.retry_host_predicate),
    )


def _back_off(raw: Any) -> tuple[float, float]:
    """Base and longest interval (gRFC A44: below a millisecond is one; the longest is 10 times the base if not set)."""
    if raw is None:
        return 0.025, 0.25
    base, longest = raw.base_interval, raw.max_interval
    if base is None or base <= 0 or (longest is not None and longest < base):
        raise Invalid(f"retry_back_off: base_interval {base} and max_interval {longest} must be positive and in order")
    base = max(base, 0.001)
    return base, base * 10 if longest is None else max(longest, base)
