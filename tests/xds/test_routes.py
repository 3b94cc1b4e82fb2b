"""RouteConfiguration: what is taken, what is left out, what is refused (gRFC A28, A44, A63; Envoy)."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest
from envoy.config.route.v3 import route_pb2

from meshkit.xds.resources import (
    DirectResponse,
    Fraction,
    HeaderMatch,
    PathMatch,
    Redirect,
    RetryPolicy,
    Route,
    RouteAction,
    RouteConfiguration,
    StringMatch,
    WeightedCluster,
)
from meshkit.xds.routes import decode_routes
from meshkit.xds.tables import Invalid

Change = Callable[[Any], Any]


def config(change: Change = lambda route: None, change_all: Change = lambda message: None) -> RouteConfiguration:
    message = route_pb2.RouteConfiguration(name="r")
    host = message.virtual_hosts.add(name="h", domains=["*"])
    route = host.routes.add(name="x")
    route.match.prefix = "/"
    route.route.cluster = "c"
    change(route)
    change_all(message)
    return decode_routes(message.SerializeToString())


def one(change: Change) -> Route:
    (route,) = config(change).virtual_hosts[0].routes
    return route


def left_out(change: Change) -> str:
    found = config(change)
    assert found.virtual_hosts[0].routes == ()
    (path,) = found.unobeyed
    return path


def header(**fields: Any) -> Route:
    return one(lambda route: route.match.headers.add(name="X-Name", **fields))


PATHS: list[tuple[Change, PathMatch]] = [
    (lambda m: setattr(m, "prefix", "/a"), PathMatch(StringMatch.PREFIX, "/a")),
    (lambda m: setattr(m, "path", "/a/B"), PathMatch(StringMatch.EXACT, "/a/B")),
    (lambda m: setattr(m, "path_separated_prefix", "/a"), PathMatch(StringMatch.PREFIX, "/a", separated=True)),
    (lambda m: setattr(m.case_sensitive, "value", False), PathMatch(StringMatch.PREFIX, "/", case_sensitive=False)),
]


@pytest.mark.parametrize(("change", "expected"), PATHS)
def test_paths(change: Change, expected: PathMatch) -> None:
    assert one(lambda route: change(route.match)).path == expected


def test_regex_paths_match_whole() -> None:
    path = one(lambda route: setattr(route.match.safe_regex, "regex", "/a/.*")).path
    assert path.kind is StringMatch.REGEX
    assert path.regex is not None
    assert path.regex.fullmatch("/a/b")
    assert not path.regex.fullmatch("x/a/b")


def test_headers() -> None:
    def text(kind: StringMatch, value: str, **more: Any) -> HeaderMatch:
        return HeaderMatch("x-name", kind, value, **more)

    exact = text(StringMatch.EXACT, "v")
    assert header(exact_match="v").headers == (exact,)
    assert header(string_match={"exact": "v"}).headers == (exact,)
    assert header(prefix_match="v").headers == (text(StringMatch.PREFIX, "v"),)
    assert header(string_match={"suffix": "v"}).headers == (text(StringMatch.SUFFIX, "v"),)
    assert header(contains_match="v").headers == (text(StringMatch.CONTAINS, "v"),)
    assert header(string_match={"prefix": "v", "ignore_case": True}).headers == (
        text(StringMatch.PREFIX, "v", ignore_case=True),
    )
    assert header(present_match=False).headers == (HeaderMatch("x-name", present=False),)
    assert header().headers == (HeaderMatch("x-name", present=True),)
    assert header(range_match={"start": -1, "end": 5}).headers == (HeaderMatch("x-name", range=(-1, 5)),)
    inverted = header(exact_match="v", invert_match=True, treat_missing_header_as_empty=True).headers
    assert inverted == (text(StringMatch.EXACT, "v", invert=True, treat_missing_as_empty=True),)
    (regex,) = header(string_match={"safe_regex": {"regex": "a+"}, "ignore_case": True}).headers
    assert not regex.ignore_case
    assert regex.regex is not None
    (old,) = header(safe_regex_match={"regex": "a+"}).headers
    assert old.regex is not None


@pytest.mark.parametrize(
    ("numerator", "denominator", "parts"), [(50, 0, 500_000), (200, 0, 1_000_000), (1, 1, 100), (7, 2, 7), (0, 0, 0)]
)
def test_fractions(numerator: int, denominator: int, parts: int) -> None:
    def change(route: Any) -> None:
        value = route.match.runtime_fraction.default_value
        value.SetInParent()
        value.numerator, value.denominator = numerator, denominator

    assert one(change).fraction == Fraction(parts)


def test_actions() -> None:
    assert one(lambda r: None).action == RouteAction((WeightedCluster("c", 1),))
    assert one(lambda r: r.redirect.SetInParent()).action == Redirect()
    assert one(lambda r: r.non_forwarding_action.SetInParent()).action is None
    assert one(lambda r: r.ClearField("route")).action is None
    assert one(lambda r: setattr(r.direct_response, "status", 503)).action == DirectResponse(503)

    def body(route: Any) -> None:
        route.direct_response.status = 418
        route.direct_response.body.inline_bytes = b"tea"

    assert one(body).action == DirectResponse(418, "tea")


def weights(*pairs: tuple[str, int | None]) -> Change:
    def change(route: Any) -> None:
        for name, weight in pairs:
            item = route.route.weighted_clusters.clusters.add(name=name)
            if weight is not None:
                item.weight.value = weight

    return change


def test_weighted_clusters_leave_out_zeros() -> None:
    action = one(weights(("a", 90), ("zero", 0), ("unset", None), ("b", 10))).action
    assert isinstance(action, RouteAction)
    assert action.clusters == (WeightedCluster("a", 90), WeightedCluster("b", 10))


def test_the_tightest_timeout_wins_and_zero_is_none() -> None:
    def limit(**seconds: int) -> float | None:
        def change(route: Any) -> None:
            action = route.route
            for name, value in seconds.items():
                target = action if name in ("timeout", "max_grpc_timeout") else action.max_stream_duration
                getattr(target, name).FromSeconds(value)

        action = one(change).action
        assert isinstance(action, RouteAction)
        return action.timeout

    assert limit() is None
    assert limit(timeout=0) is None
    assert limit(timeout=3) == 3.0
    assert limit(timeout=3, max_stream_duration=2) == 2.0
    assert limit(max_stream_duration=2, grpc_timeout_header_max=5) == 5.0
    assert limit(timeout=0, max_grpc_timeout=4) == 4.0


def test_retries() -> None:
    def change(route: Any) -> None:
        policy = route.route.retry_policy
        policy.retry_on = "connect-failure, unavailable,"
        policy.num_retries.value = 3
        policy.retriable_status_codes.extend([503, 504])
        policy.per_try_timeout.FromMilliseconds(500)
        policy.retry_back_off.base_interval.FromMicroseconds(100)
        policy.retry_host_predicate.add(name="envoy.retry_host_predicates.previous_hosts")

    action = one(change).action
    assert isinstance(action, RouteAction)
    assert action.retry == RetryPolicy(
        frozenset({"connect-failure", "unavailable"}), 3, 0.5, 0.001, 0.01, frozenset({503, 504}), other_hosts=True
    )
    plain = one(lambda r: setattr(r.route.retry_policy, "retry_on", "unavailable")).action
    assert isinstance(plain, RouteAction)
    assert plain.retry == RetryPolicy(frozenset({"unavailable"}), 1, None, 0.025, 0.25)
    zero = one(lambda r: setattr(r.route.retry_policy.num_retries, "value", 0)).action
    assert isinstance(zero, RouteAction)
    assert zero.retry is not None
    assert zero.retry.num_retries == 0


def test_retries_of_the_virtual_host() -> None:
    def change(message: Any) -> None:
        message.virtual_hosts[0].retry_policy.retry_on = "cancelled"

    host = config(change_all=change).virtual_hosts[0]
    assert host.retry is not None
    assert host.retry.retry_on == {"cancelled"}


def test_routes_that_never_apply_are_left_out_and_counted() -> None:
    assert left_out(lambda r: r.match.connect_matcher.SetInParent()) == "virtual_hosts.routes.match.connect_matcher"
    assert left_out(lambda r: r.match.dynamic_metadata.add()) == "virtual_hosts.routes.match.dynamic_metadata"
    assert left_out(lambda r: r.match.filter_state.add()) == "virtual_hosts.routes.match.filter_state"


def test_unknown_ways_to_choose_a_cluster_are_left_out_and_counted() -> None:
    base = "virtual_hosts.routes.route."
    assert left_out(lambda r: setattr(r.route, "cluster_header", "x")) == base + "cluster_header"
    assert left_out(lambda r: setattr(r.route, "cluster_specifier_plugin", "x")) == base + "cluster_specifier_plugin"
    assert left_out(lambda r: r.route.ClearField("cluster")) == base + "cluster_specifier"


def test_what_is_not_obeyed_is_counted_by_path() -> None:
    def change(message: Any) -> None:
        message.request_headers_to_remove.append("x")
        host = message.virtual_hosts[0]
        host.typed_per_filter_config["f.host"].type_url = "t"
        route = host.routes[0]
        route.typed_per_filter_config["f.route"].type_url = "t"
        route.route.prefix_rewrite = "/x"
        route.route.request_mirror_policies.add(cluster="m")
        route.route.request_mirror_policies.add(cluster="n")
        route.decorator.operation = "only for traces"

    assert config(change_all=change).unobeyed == {
        "request_headers_to_remove": 1,
        "virtual_hosts.routes.route.prefix_rewrite": 1,
        "virtual_hosts.routes.route.request_mirror_policies": 2,
        "virtual_hosts.routes.typed_per_filter_config[f.route]": 1,
        "virtual_hosts.typed_per_filter_config[f.host]": 1,
    }


def uri_template(route: Any) -> None:
    route.match.path_match_policy.name = "template"


def back_off(base: int, longest: int) -> Change:
    def change(route: Any) -> None:
        interval = route.route.retry_policy.retry_back_off
        interval.base_interval.FromMilliseconds(base)
        interval.max_interval.FromMilliseconds(longest)

    return change


REFUSED: list[tuple[Change, str]] = [
    (lambda r: r.ClearField("match"), "match is not set"),
    (lambda r: r.match.ClearField("prefix"), "no path specifier"),
    (uri_template, "path_match_policy 'template' is not supported"),
    (lambda r: setattr(r.match.safe_regex, "regex", "("), "regex"),
    (lambda r: r.match.headers.add(name="h", safe_regex_match={"regex": r"\1"}), "regex"),
    (lambda r: r.match.headers.add(name="h", prefix_match=""), "empty prefix"),
    (lambda r: r.match.headers.add(name="h", string_match={"suffix": ""}), "empty suffix"),
    (lambda r: r.match.headers.add(name="h", string_match={"contains": ""}), "empty contains"),
    (lambda r: r.match.headers.add(name="h", string_match={}), "no pattern"),
    (lambda r: r.match.headers.add(exact_match="v"), "no name"),
    (weights(("a", 0)), "sum to 0"),
    (weights(("a", 2**32 - 1), ("b", 1)), "sum to 4294967296"),
    (weights(("", 1)), "without a name"),
    (back_off(0, 10), "base_interval"),
    (back_off(20, 10), "base_interval"),
    (lambda r: setattr(r.match.runtime_fraction.default_value, "denominator", 9), "denominator 9"),
]


@pytest.mark.parametrize(("change", "reason"), REFUSED, ids=[reason for _, reason in REFUSED])
def test_refused(change: Change, reason: str) -> None:
    with pytest.raises(Invalid, match=reason) as caught:
        config(change)
    assert "virtual host 'h': routes[0] 'x'" in str(caught.value)


@pytest.mark.parametrize("domain", ["", "a*b", "*a*", "**"])
def test_bad_domains_are_refused(domain: str) -> None:
    with pytest.raises(Invalid, match="domain"):
        config(change_all=lambda m: m.virtual_hosts[0].domains.append(domain))


@pytest.mark.parametrize("domain", ["*", "*.a", "a.*", "a", "-*"])
def test_good_domains(domain: str) -> None:
    assert config(change_all=lambda m: m.virtual_hosts[0].domains.append(domain)).virtual_hosts[0].domains[1] == domain


def test_no_query_is_ever_there() -> None:
    route = one(lambda r: r.match.query_parameters.add(name="q", present_match=True))
    assert [parameter.name for parameter in route.query] == ["q"]
