import random
from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from meshkit.metadata import Metadata
from meshkit.route import RouteTable
from meshkit.route.headers import CallHeaders
from meshkit.route.table import _REMEMBERED  # pyright: ignore[reportPrivateUsage]  # the bound is under test
from meshkit.xds.resources import (
    DirectResponse,
    Fraction,
    HeaderMatch,
    PathMatch,
    QueryParameterMatch,
    RetryPolicy,
    Route,
    RouteAction,
    StringMatch,
    VirtualHost,
    WeightedCluster,
)
from tests.support.route_model import first_route

EXACT, PREFIX = StringMatch.EXACT, StringMatch.PREFIX
HELLO = "/helloworld.v1.Greeter/SayHello"


def route(
    cluster: str, path: str = "", *headers: HeaderMatch, kind: StringMatch = PREFIX, fraction: Fraction | None = None
) -> Route:
    action = RouteAction((WeightedCluster(cluster, 1),))
    return Route(PathMatch(kind, path), action, name=cluster, headers=headers, fraction=fraction)


def table(*routes: Route, **options: object) -> RouteTable:
    return RouteTable(VirtualHost("vh", ("*",), routes), **options)  # type: ignore[arg-type]  # passed on


def goes(routes: RouteTable, path: str = HELLO, headers: CallHeaders = None) -> str | None:
    decision = routes.select(path, headers)
    return None if decision is None else decision.cluster()


def test_the_first_route_that_fits_wins() -> None:
    routes = table(route("a", "/x"), route("b", HELLO, kind=EXACT), route("c"))
    assert goes(routes) == "b"
    assert goes(routes, "/xyz") == "a"
    assert goes(routes, "/other") == "c"


def test_no_route_fits() -> None:
    assert table().select(HELLO) is None
    assert table(route("a", "/x")).select(HELLO) is None


def test_headers_decide() -> None:
    admin = HeaderMatch("user", string=EXACT, value="admin")
    routes = table(route("v2", "", admin), route("v1"))
    assert goes(routes, headers=Metadata((("user", "admin"),))) == "v2"
    assert goes(routes, headers={"user": "admin"}) == "v2"
    assert goes(routes, headers={"user": "guest"}) == "v1"
    assert goes(routes) == "v1"


def test_all_headers_must_fit() -> None:
    both = (HeaderMatch("a", present=True), HeaderMatch("b", present=True))
    routes = table(route("both", "", *both), route("rest"))
    assert goes(routes, headers={"a": "1"}) == "rest"
    assert goes(routes, headers={"b": "1"}) == "rest"
    assert goes(routes, headers={"a": "1", "b": "1"}) == "both"


def test_nothing_is_built_per_call() -> None:
    routes = table(route("a"))
    assert routes.select(HELLO) is routes.select("/other") is routes.select(HELLO, {"h": "v"})


def test_routes_with_query_parameters_never_apply() -> None:
    asked = replace(route("q"), query=(QueryParameterMatch("debug"),))
    assert goes(table(asked, route("a"))) == "a"


def test_routes_to_nowhere_are_passed_over() -> None:
    nowhere = Route(PathMatch(PREFIX, ""), RouteAction(()))
    assert goes(table(nowhere, route("a"))) == "a"


def test_answers_of_the_route_itself_are_chosen() -> None:
    teapot = Route(PathMatch(PREFIX, ""), DirectResponse(418))
    decision = table(teapot, route("a")).select(HELLO)
    assert decision is not None
    assert decision.direct == DirectResponse(418)


@pytest.mark.parametrize(
    ("name", "value", "fits"),
    [
        (":method", "POST", True),
        (":method", "GET", False),
        (":scheme", "http", True),
        (":scheme", "https", False),
        (":authority", "greeter:80", True),
        (":authority", "greeter", False),
        ("host", "greeter:80", True),
        (":path", HELLO, True),
        (":path", "/", False),
        (":status", "200", False),
        ("content-type", "application/grpc", True),
        ("content-type", "application/grpc+proto", False),
        ("blob-bin", "x", False),
    ],
)
def test_headers_that_no_metadata_can_change(name: str, value: str, fits: bool) -> None:
    metadata = Metadata(((name, value), (name, "other"), ("blob-bin", b"x")))
    for invert in (False, True):
        match = HeaderMatch(name, string=EXACT, value=value, invert=invert)
        found = goes(table(route("a", "", match), authority="greeter:80"), headers=metadata)
        absent = name in (":status", "blob-bin")
        assert (found == "a") is (not absent and fits is not invert)


def test_binary_headers_count_as_absent() -> None:
    absent = HeaderMatch("blob-bin", present=False)
    assert goes(table(route("a", "", absent)), headers=Metadata((("blob-bin", b"x"),))) == "a"


def test_an_unknown_authority_is_absent() -> None:
    match = HeaderMatch(":authority", string=EXACT, value="", invert=True)
    assert goes(table(route("a", "", match))) is None


def test_fraction_takes_its_share() -> None:
    routes = table(route("some", fraction=Fraction(250_000)), route("rest"), random=random.Random(3).random)
    taken = sum(goes(routes) == "some" for _ in range(10_000))
    assert abs(taken - 2_500) < 4 * (10_000 * 0.25 * 0.75) ** 0.5


def test_fraction_bounds_are_exact() -> None:
    assert goes(table(route("a", fraction=Fraction(1)), route("b"), random=lambda: 0.0)) == "a"
    assert goes(table(route("a", fraction=Fraction(1)), route("b"), random=lambda: 0.000_001)) == "b"
    assert goes(table(route("a", fraction=Fraction(0)), route("b"), random=lambda: 0.0)) == "b"
    assert goes(table(route("a", fraction=Fraction(1_000_000)), random=lambda: 1.0)) == "a"


def test_fraction_is_drawn_only_where_it_decides() -> None:
    draws: list[float] = []

    def draw() -> float:
        draws.append(0.0)
        return 0.0

    routes = table(route("a", "", HeaderMatch("h", present=True), fraction=Fraction(500_000)), random=draw)
    assert goes(routes) is None
    assert draws == []
    assert goes(routes, headers={"h": ""}) == "a"
    assert len(draws) == 1


def test_paths_whose_calls_all_go_one_way_are_known_without_a_call() -> None:
    canary = route("canary", HELLO, HeaderMatch("x-canary", present=True))
    routes = table(route("other", "/other.V1.Other/"), canary, route("main"))
    assert routes.always(HELLO) is None
    assert (decision := routes.always("/a.B/C")) is routes.select("/a.B/C") and decision is not None
    assert decision.straight == "main"
    shared = table(Route(PathMatch(PREFIX, ""), RouteAction((WeightedCluster("a", 1), WeightedCluster("b", 1)))))
    assert (decision := shared.always(HELLO)) is not None and decision.straight is None
    for action in (
        RouteAction((WeightedCluster("a", 1),), timeout=2.0),
        RouteAction((WeightedCluster("a", 1),), retry=RetryPolicy(frozenset(), per_try_timeout=1.0)),
    ):
        limited = table(Route(PathMatch(PREFIX, ""), action)).always(HELLO)
        assert limited is not None and limited.straight is None
    assert table(route("other", "/x")).always(HELLO) is None


def test_memory_is_bounded_and_right_when_full() -> None:
    routes = table(route("a", "/a"), route("b", "/b"))
    for number in range(_REMEMBERED + 100):
        assert goes(routes, f"/{'ab'[number % 2]}{number}") == "ab"[number % 2]
    assert goes(routes, "/a0") == "a"
    assert len(routes._remembered) == _REMEMBERED  # pyright: ignore[reportPrivateUsage]


def test_repr_counts_routes() -> None:
    never = replace(route("q"), query=(QueryParameterMatch("debug"),))
    assert repr(table(never, route("a"))) == "RouteTable('vh', 1 of 2 routes usable)"


# -- against the plain model -----------------------------------------------------------------------------------------

SEGMENTS = st.text("abAB/", max_size=4).map("/".__add__)
PATTERNS = st.sampled_from(["/a.*", "/[ab]+", "", ".*", "/(a|b)/?", "a|b", "[0-9]+", "x+"])
PATHS = st.one_of(
    st.builds(PathMatch, st.sampled_from([EXACT, PREFIX]), SEGMENTS, case_sensitive=st.booleans()),
    st.builds(PathMatch, st.just(PREFIX), SEGMENTS, case_sensitive=st.booleans(), separated=st.just(True)),
    st.builds(PathMatch, st.just(StringMatch.REGEX), PATTERNS),
)
HEADER_NAMES = st.sampled_from(
    ["h", "user", "x-bin", "content-type", ":method", ":authority", ":scheme", ":path", "host"]
)
VALUES = st.one_of(st.text("abA,", max_size=3), st.integers(-12, 12).map(str), st.sampled_from(["POST", "/a", "http"]))
FLAGS = {"invert": st.booleans(), "treat_missing_as_empty": st.booleans()}
HEADERS = st.one_of(
    st.builds(
        HeaderMatch,
        HEADER_NAMES,
        string=st.sampled_from([EXACT, PREFIX, StringMatch.SUFFIX, StringMatch.CONTAINS]),
        value=VALUES,
        ignore_case=st.booleans(),
        **FLAGS,
    ),
    st.builds(HeaderMatch, HEADER_NAMES, string=st.just(StringMatch.REGEX), value=PATTERNS, **FLAGS),
    st.builds(HeaderMatch, HEADER_NAMES, present=st.booleans(), **FLAGS),
    st.builds(HeaderMatch, HEADER_NAMES, range=st.tuples(st.integers(-10, 5), st.integers(0, 12)), **FLAGS),
)
ROUTES = st.builds(
    Route,
    PATHS,
    st.sampled_from([RouteAction((WeightedCluster("c", 1),)), RouteAction(()), DirectResponse(404), None]),
    headers=st.lists(HEADERS, max_size=2).map(tuple),
    query=st.sampled_from([(), (), (), (QueryParameterMatch("q"),)]),
    fraction=st.sampled_from([None, None, Fraction(0), Fraction(1_000_000)]),
)
PAIRS = st.lists(
    st.one_of(st.tuples(st.sampled_from(["h", "user"]), VALUES), st.just(("x-bin", b"abc"))), max_size=4
).map(tuple)


@settings(max_examples=400)
@given(
    st.lists(ROUTES, max_size=8).map(tuple),
    st.lists(st.tuples(SEGMENTS, PAIRS), min_size=1, max_size=6),
    st.sampled_from([None, "/a", "greeter"]),
)
def test_agrees_with_the_plain_model(
    routes: tuple[Route, ...],
    calls: list[tuple[str, tuple[tuple[str, str | bytes], ...]]],
    authority: str | None,
) -> None:
    host = VirtualHost("vh", ("*",), routes)
    compiled = RouteTable(host, authority=authority)
    for path, pairs in calls:
        decision = compiled.select(path, Metadata(pairs))
        assert (decision and decision.route) is first_route(host, path, pairs, authority)
