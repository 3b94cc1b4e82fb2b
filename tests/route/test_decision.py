import random
from collections import Counter

import pytest

from meshkit.route import Decision
from meshkit.xds.resources import (
    DirectResponse,
    PathMatch,
    Redirect,
    RetryPolicy,
    Route,
    RouteAction,
    StringMatch,
    WeightedCluster,
)

PATH = PathMatch(StringMatch.PREFIX, "")
OURS, HOSTS = RetryPolicy(frozenset({"unavailable"})), RetryPolicy(frozenset({"cancelled"}))


def split(*weights: int) -> Route:
    return Route(PATH, RouteAction(tuple(WeightedCluster(f"c{index}", weight) for index, weight in enumerate(weights))))


def always(value: float) -> "Decision":
    return Decision(split(1, 3), None, lambda: value)


def test_one_cluster_draws_nothing() -> None:
    def refuse() -> float:
        raise AssertionError("drawn")

    assert Decision(split(7), None, refuse).cluster() == "c0"


def test_the_draw_decides_by_cumulative_weight() -> None:
    assert always(0.0).cluster() == "c0"
    assert always(0.2499).cluster() == "c0"
    assert always(0.25).cluster() == "c1"
    assert always(0.999_999_999).cluster() == "c1"


def test_no_draw_points_past_the_last() -> None:
    assert Decision(split(2**32 - 2, 1), None, lambda: 1.0).cluster() == "c1"


def test_shares_follow_weights() -> None:
    decision = Decision(split(90, 10), None, random.Random(7).random)
    counts = Counter(decision.cluster() for _ in range(10_000))
    deviation = (10_000 * 0.9 * 0.1) ** 0.5
    assert abs(counts["c0"] - 9_000) < 4 * deviation


@pytest.mark.parametrize(("given", "limit"), [(None, None), (0.0, None), (1.5, 1.5)])
def test_no_timeout_and_zero_are_the_same(given: float | None, limit: float | None) -> None:
    route = Route(PATH, RouteAction((WeightedCluster("c", 1),), timeout=given))
    assert Decision(route, None, random.random).timeout == limit


@pytest.mark.parametrize(
    ("of_route", "of_host", "expected"),
    [(OURS, HOSTS, OURS), (None, HOSTS, HOSTS), (OURS, None, OURS), (None, None, None)],
)
def test_the_routes_retry_policy_comes_first(
    of_route: RetryPolicy | None, of_host: RetryPolicy | None, expected: RetryPolicy | None
) -> None:
    route = Route(PATH, RouteAction((WeightedCluster("c", 1),), retry=of_route))
    assert Decision(route, of_host, random.random).retry is expected


def test_answers_without_a_server() -> None:
    answer = DirectResponse(418, "tea")
    assert Decision(Route(PATH, answer), HOSTS, random.random).direct is answer
    assert Decision(Route(PATH, answer), HOSTS, random.random).retry is None
    assert isinstance(Decision(Route(PATH, Redirect()), None, random.random).direct, Redirect)
    assert Decision(split(1), None, random.random).direct is None


def test_an_action_that_is_no_clients_says_so() -> None:
    direct = Decision(Route(PATH, None, name="inbound"), None, random.random).direct
    assert isinstance(direct, DirectResponse)
    assert direct.status == 503
    assert "'inbound'" in direct.body


def test_repr_names_route_and_clusters() -> None:
    assert repr(Decision(split(1, 2), None, random.random)) == "Decision(route='', to=['c0', 'c1'])"
