import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.balance import build_picker
from meshkit.balance.least_request import LeastRequest, WeightedLeastRequest
from meshkit.xds.resources import LbPolicy
from tests.support.backends import backends, counts

LEAST = LbPolicy("LEAST_REQUEST")
SEEDS = st.integers(0, 2**32)


def test_two_backends_always_the_less_busy() -> None:
    both = backends([1, 1])
    both[1].in_flight = 1
    assert counts(build_picker(LEAST, both, random.Random(1).random), 100) == {0: 100}


@given(st.lists(st.integers(0, 5), min_size=2, max_size=20), SEEDS)
def test_never_the_one_that_is_busier_than_all_others(loads: list[int], seed: int) -> None:
    several = backends([1] * len(loads))
    for backend, load in zip(several, loads, strict=True):
        backend.in_flight = load
    several[0].in_flight = 6
    assert counts(build_picker(LEAST, several, random.Random(seed).random), 50)[0] == 0


def test_load_is_read_live() -> None:
    both = backends([1, 1])
    picker = build_picker(LEAST, both, random.Random(1).random)
    for busy in (0, 1, 0, 1):
        both[busy].in_flight, both[1 - busy].in_flight = 5, 0
        assert picker.pick() is both[1 - busy]


def test_calls_that_stay_open_level_out() -> None:
    several = backends([1] * 10)
    picker = build_picker(LEAST, several, random.Random(4).random)
    for _ in range(1000):
        picker.pick().in_flight += 1
    loads = [backend.in_flight for backend in several]
    assert max(loads) - min(loads) <= 6


def test_idle_backends_share_alike() -> None:
    served = counts(build_picker(LEAST, backends([1] * 5), random.Random(5).random), 10_000)
    assert all(abs(count - 2_000) < 4 * (10_000 * 0.2 * 0.8) ** 0.5 for count in served.values())


def test_one_backend() -> None:
    assert counts(build_picker(LEAST, backends([1]), random.random), 10) == {0: 10}


@pytest.mark.parametrize(("asked", "used"), [(None, 2), (1, 2), (2, 2), (5, 5), (10, 10), (100, 10)])
def test_choice_count_is_held_in_bounds(asked: int | None, used: int) -> None:
    draws = 0

    def draw() -> float:
        nonlocal draws
        draws += 1
        return 0.5

    policy = LEAST if asked is None else LbPolicy("LEAST_REQUEST", {"choice_count": asked})
    build_picker(policy, backends([1] * 20), draw).pick()
    assert draws == used


def test_more_choices_find_idle_backends_more_often() -> None:
    def idle_share(choices: int) -> int:
        several = backends([1] * 20)
        for backend in several[1:]:
            backend.in_flight = 1
        return counts(LeastRequest(several, random.Random(6).random, choices), 2000)[0]

    assert idle_share(2) < idle_share(5) < idle_share(10)


@given(st.lists(st.integers(1, 20), min_size=2, max_size=8).filter(lambda weights: len(set(weights)) > 1), SEEDS)
def test_idle_weighted_backends_are_served_by_weight(weights: list[int], seed: int) -> None:
    picker = build_picker(LEAST, backends(weights), random.Random(seed).random)
    assert isinstance(picker, WeightedLeastRequest)
    served = counts(picker, 10 * sum(weights))
    assert all(abs(served[name] - 10 * weight) <= 1 for name, weight in enumerate(weights))


def weighted_share_of_busy(bias: float | None) -> float:
    both = backends([2, 1])
    both[0].in_flight = 3
    policy = LEAST if bias is None else LbPolicy("LEAST_REQUEST", {"active_request_bias": bias})
    return counts(build_picker(policy, both, random.Random(8).random), 3000)[0] / 3000


def test_a_busy_weighted_backend_counts_for_less() -> None:
    assert weighted_share_of_busy(None) == pytest.approx((2 / 4) / (2 / 4 + 1), abs=0.01)
    assert weighted_share_of_busy(2.0) == pytest.approx((2 / 16) / (2 / 16 + 1), abs=0.01)
    assert weighted_share_of_busy(0.0) == pytest.approx(2 / 3, abs=0.01)
