"""What a route does with a call -> Envoy's RouteAction and its neighbours, field by field as Istio emits them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import timedelta

from envoy_data_plane.envoy.config.core import v3 as core
from envoy_data_plane.envoy.config.route import v3 as envoy
from envoy_data_plane.envoy.extensions.filters.common.fault.v3 import FaultDelay
from envoy_data_plane.envoy.extensions.filters.http.fault.v3 import FaultAbort, HttpFault
from envoy_data_plane.envoy.type.matcher.v3 import RegexMatchAndSubstitute, RegexMatcher

from meshkit.status import Status
from meshkit.xds.naming import ClusterName

from .destinations import Targets
from .encoding import encode
from .making import make
from .model import (
    DirectResponse,
    Fault,
    HeaderOperations,
    Headers,
    HttpRoute,
    Mirror,
    Percent,
    Redirect,
    Retries,
    RouteDestination,
)
from .traffic_policy import ConsistentHash
from .values import any_of, fraction

__all__ = ["default_action", "direct_response", "redirect", "route_to"]

_NO_LIMIT = timedelta(0)
_RETRY_ON = "connect-failure,refused-stream,unavailable,cancelled,retriable-status-codes"
_RETRIES = 2
_HOST_ATTEMPTS = 5
_FAULT_FILTER = "envoy.filters.http.fault"
_FAULT_TYPE = "envoy.extensions.filters.http.fault.v3.HTTPFault"
_PREVIOUS_HOSTS = make(
    envoy.RetryPolicyRetryHostPredicate,
    name="envoy.retry_host_predicates.previous_hosts",
    typed_config=any_of("envoy.extensions.retry.host.previous_hosts.v3.PreviousHostsPredicate"),
)
_OVERWRITE = core.HeaderValueOptionHeaderAppendAction.OVERWRITE_IF_EXISTS_OR_ADD
_AUTHORITY = frozenset({"host", ":authority"})
_REDIRECT_CODES = {
    301: envoy.RedirectActionRedirectResponseCode.MOVED_PERMANENTLY,
    302: envoy.RedirectActionRedirectResponseCode.FOUND,
    303: envoy.RedirectActionRedirectResponseCode.SEE_OTHER,
    307: envoy.RedirectActionRedirectResponseCode.TEMPORARY_REDIRECT,
    308: envoy.RedirectActionRedirectResponseCode.PERMANENT_REDIRECT,
}


def default_action(targets: Targets, shares: Sequence[tuple[str, int]] = ()) -> envoy.Route:
    """The route of a host without rules: everything to its own cluster, or to several clusters by weight."""
    action = make(envoy.RouteAction, retry_policy=_retry_policy(None, single_hash=False))
    if shares:
        weights = [make(envoy.WeightedClusterClusterWeight, name=name, weight=weight) for name, weight in shares]
        action.weighted_clusters = make(envoy.WeightedCluster, clusters=weights)
    else:
        cluster = targets.own_cluster()
        hashing = targets.hashing(cluster)
        action.cluster = str(cluster)
        action.hash_policy = [hash_policy(hashing)] if hashing else []
    action.timeout = action.max_grpc_timeout = _NO_LIMIT
    return make(envoy.Route, name="default", match=make(envoy.RouteMatch, prefix="/"), route=action)


def route_to(route: envoy.Route, rule: HttpRoute, targets: Targets, grpc: bool) -> None:
    """Give ``route`` the action of a rule with destinations."""
    action = route.route = make(envoy.RouteAction)
    clusters = [targets.cluster(one.destination) for one in rule.route]
    hashings = [targets.hashing(cluster) for cluster in clusters]
    headers = [rule.headers] if rule.headers else []
    if len(rule.route) == 1:
        action.cluster = str(clusters[0])
        headers += [rule.route[0].headers] if rule.route[0].headers else []
    else:
        action.weighted_clusters = make(envoy.WeightedCluster, clusters=list(_weights(rule.route, clusters)))
    single_hash = len(rule.route) == 1 and hashings[0] is not None
    action.retry_policy = _retry_policy(rule.retries, single_hash=single_hash)
    action.hash_policy = _distinct([hash_policy(hashing) for hashing in hashings if hashing])
    action.request_mirror_policies = list(_mirrors(rule, targets))
    _limit(action, rule.timeout or _NO_LIMIT, grpc)
    _rewrite(action, rule, headers)
    _mutate(route, headers)
    if rule.fault is not None:
        route.typed_per_filter_config = {_FAULT_FILTER: any_of(_FAULT_TYPE, encode(_fault(rule.fault)))}


def _limit(action: envoy.RouteAction, timeout: timedelta, grpc: bool) -> None:
    """gRPC clients look at max_stream_duration (gRFC A31), Envoy at timeout and grpc-timeout's cap; 0 is no limit."""
    action.timeout = timeout
    if grpc:
        action.max_stream_duration = make(envoy.RouteActionMaxStreamDuration, max_stream_duration=timeout)
    else:
        action.max_grpc_timeout = timeout


def _weights(
    routes: Sequence[RouteDestination], clusters: Sequence[ClusterName]
) -> Iterator[envoy.WeightedClusterClusterWeight]:
    for route, cluster in zip(routes, clusters, strict=True):
        if route.weight:  # what gets nothing is left out, as in Istio
            weight = make(envoy.WeightedClusterClusterWeight, name=str(cluster), weight=route.weight)
            headers = [route.headers] if route.headers else []
            _mutate(weight, headers)
            authority = _authority(headers)
            if authority:
                weight.host_rewrite_literal = authority
            yield weight


def _retry_policy(retries: Retries | None, *, single_hash: bool) -> envoy.RetryPolicy | None:
    """Istio's defaults where the rule says nothing; none for 0 attempts. A retry avoids the host that failed, unless
    all calls with one hash belong to one host."""
    if retries is None:
        retries = Retries(attempts=_RETRIES)
    if retries.attempts <= 0:
        return None
    words, codes = _retry_on(retries.retry_on or _RETRY_ON)
    policy = make(
        envoy.RetryPolicy,
        retry_on=words,
        num_retries=retries.attempts,
        per_try_timeout=retries.per_try_timeout,
        host_selection_retry_max_attempts=_HOST_ATTEMPTS,
        retriable_status_codes=codes,
        retry_host_predicate=[_PREVIOUS_HOSTS] if retries.ignore_previous_hosts and not single_hash else [],
    )
    if retries.backoff is not None:
        policy.retry_back_off = make(envoy.RetryPolicyRetryBackOff, base_interval=retries.backoff)
    return policy


def _retry_on(text: str) -> tuple[str, list[int]]:
    """Conditions, and the HTTP statuses among them; those need the condition retriable-status-codes."""
    words = [word for word in text.split(",") if not word.isdigit()]
    codes = [int(word) for word in text.split(",") if word.isdigit()]
    if codes and "retriable-status-codes" not in words:
        words.append("retriable-status-codes")
    return ",".join(words), codes


def hash_policy(hashing: ConsistentHash) -> envoy.RouteActionHashPolicy:
    """Where a call's hash comes from."""
    if hashing.header is not None:
        return make(
            envoy.RouteActionHashPolicy,
            header=make(envoy.RouteActionHashPolicyHeader, header_name=hashing.header.lower()),
        )
    if hashing.cookie is not None:
        name, path, ttl = hashing.cookie
        return make(
            envoy.RouteActionHashPolicy, cookie=make(envoy.RouteActionHashPolicyCookie, name=name, path=path, ttl=ttl)
        )
    if hashing.query_parameter is not None:
        query = make(envoy.RouteActionHashPolicyQueryParameter, name=hashing.query_parameter)
        return make(envoy.RouteActionHashPolicy, query_parameter=query)
    source = make(envoy.RouteActionHashPolicyConnectionProperties, source_ip=True)
    return make(envoy.RouteActionHashPolicy, connection_properties=source)


def _distinct(policies: list[envoy.RouteActionHashPolicy]) -> list[envoy.RouteActionHashPolicy]:
    out: list[envoy.RouteActionHashPolicy] = []
    for policy in policies:
        if policy not in out:
            out.append(policy)
    return out


def _mirrors(rule: HttpRoute, targets: Targets) -> Iterator[envoy.RouteActionRequestMirrorPolicy]:
    mirrors = list(rule.mirrors)
    if rule.mirror is not None:
        mirrors.insert(0, Mirror(rule.mirror, rule.mirror_percentage))
    for mirror in mirrors:
        percent = mirror.percentage or Percent(100)
        if percent.value > 0:
            yield make(
                envoy.RouteActionRequestMirrorPolicy,
                cluster=str(targets.cluster(mirror.destination)),
                runtime_fraction=make(core.RuntimeFractionalPercent, default_value=fraction(percent)),
                trace_sampled=False,
                disable_shadow_host_suffix_append=True,
            )


def _rewrite(action: envoy.RouteAction, rule: HttpRoute, headers: Sequence[Headers]) -> None:
    authority = _authority(headers)
    if rule.rewrite is not None:
        authority = rule.rewrite.authority or authority
        if rule.rewrite.uri_regex_rewrite is not None:
            pattern = make(RegexMatcher, regex=rule.rewrite.uri_regex_rewrite.match)
            substitution = rule.rewrite.uri_regex_rewrite.rewrite
            action.regex_rewrite = make(RegexMatchAndSubstitute, pattern=pattern, substitution=substitution)
        else:
            action.prefix_rewrite = rule.rewrite.uri
    if authority:
        action.host_rewrite_literal = authority


def _authority(headers: Sequence[Headers]) -> str:
    """Setting the host header means rewriting the authority."""
    for one in headers:
        for operations in (one.request.set, one.request.add):
            for name, value in operations.items():
                if name.lower() in _AUTHORITY:
                    return value
    return ""


def _mutate(target: envoy.Route | envoy.WeightedClusterClusterWeight, headers: Sequence[Headers]) -> None:
    for one in headers:
        target.request_headers_to_add += _options(one.request)
        target.request_headers_to_remove += [name for name in one.request.remove if not name.startswith(":")]
        target.response_headers_to_add += _options(one.response)
        target.response_headers_to_remove += [name for name in one.response.remove if not name.startswith(":")]


def _options(operations: HeaderOperations) -> list[core.HeaderValueOption]:
    """What is set, then what is added, each by name. Pseudo-headers and the host cannot be set like this."""
    out: list[core.HeaderValueOption] = []
    for action, values in ((_OVERWRITE, operations.set), (None, operations.add)):
        for name, value in sorted(values.items()):
            if not name.startswith(":") and name.lower() not in _AUTHORITY:
                option = make(core.HeaderValueOption, header=make(core.HeaderValue, key=name, value=value))
                if action is not None:
                    option.append_action = action
                out.append(option)
    return out


def _fault(fault: Fault) -> HttpFault:
    out = make(HttpFault)
    if fault.delay is not None:
        delay = fault.delay
        out.delay = make(FaultDelay, fixed_delay=delay.fixed_delay, percentage=fraction(delay.percentage))
    if fault.abort is not None:
        out.abort = make(FaultAbort, percentage=fraction(fault.abort.percentage))
        if fault.abort.grpc_status is not None:
            out.abort.grpc_status = Status[fault.abort.grpc_status].value
        else:
            out.abort.http_status = fault.abort.http_status
    return out


def redirect(rule: Redirect) -> envoy.RedirectAction:
    """HTTPRedirect."""
    action = make(envoy.RedirectAction, host_redirect=rule.authority, port_redirect=rule.port or 0)
    action.response_code = _REDIRECT_CODES[rule.redirect_code]
    if rule.uri:
        action.path_redirect = rule.uri
    if rule.scheme:
        action.scheme_redirect = rule.scheme
    return action


def direct_response(rule: DirectResponse) -> envoy.DirectResponseAction:
    """HTTPDirectResponse."""
    body = make(core.DataSource, inline_string=rule.body) if rule.body is not None else None
    return make(envoy.DirectResponseAction, status=rule.status, body=body)
