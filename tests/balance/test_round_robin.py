import random

from hypothesis import given
from hypothesis import strategies as st

from meshkit.balance import build_picker
from meshkit.balance.round_robin import RoundRobin, WeightedRoundRobin
from meshkit.xds.resources import LbPolicy
from tests.support.backends import FakeBackend, backends, counts

ROUND_ROBIN = LbPolicy("ROUND_ROBIN")
SEEDS = st.integers(0, 2**32)
WEIGHTS = st.lists(st.integers(1, 50), min_size=1, max_size=12)


@given(st.integers(1, 30), st.integers(0, 200), SEEDS)
def test_every_window_serves_all_alike(size: int, skip: int, seed: int) -> None:
    picker = build_picker(ROUND_ROBIN, backends([3] * size), random.Random(seed).random)
    assert isinstance(picker, RoundRobin)
    counts(picker, skip)
    assert set(counts(picker, size).values()) == {1}


def test_keeps_the_order() -> None:
    picker = RoundRobin(backends([1] * 4), lambda: 0.5)
    assert [picker.pick().name for _ in range(6)] == [2, 3, 0, 1, 2, 3]


def test_clients_start_apart() -> None:
    source = random.Random(1).random
    starts = {RoundRobin(backends([1] * 8), source).pick().name for _ in range(200)}
    assert starts == set(range(8))


@given(WEIGHTS, SEEDS, st.integers(0, 300))
def test_weighted_window_serves_by_weight(weights: list[int], seed: int, skip: int) -> None:
    """Exactly by weight, but for ties of deadlines at the window's two ends, which rounding may order either way."""
    picker = build_picker(ROUND_ROBIN, backends(weights), random.Random(seed).random)
    counts(picker, skip)
    served = counts(picker, sum(weights))
    assert all(abs(served[name] - weight) <= 1 for name, weight in enumerate(weights))


@given(WEIGHTS, SEEDS)
def test_weights_hold_over_many_rounds(weights: list[int], seed: int) -> None:
    picker = WeightedRoundRobin(backends(weights), weights, random.Random(seed).random)
    served = counts(picker, 20 * sum(weights))
    assert all(abs(served[name] - 20 * weight) <= 1 for name, weight in enumerate(weights))


def test_turns_are_spread_out() -> None:
    """A backend of half of all weight is never picked three times running."""
    picker = WeightedRoundRobin(backends([5, 1, 1, 1, 1, 1]), [5, 1, 1, 1, 1, 1], random.Random(2).random)
    picks = "".join("x" if picker.pick().name == 0 else "." for _ in range(1000))
    assert picks.count("x") == 500
    assert "xxx" not in picks


def test_equal_weights_need_no_schedule() -> None:
    assert isinstance(build_picker(ROUND_ROBIN, backends([7, 7]), random.random), RoundRobin)
    assert isinstance(build_picker(ROUND_ROBIN, backends([7, 8]), random.random), WeightedRoundRobin)


def test_a_list_changed_later_changes_nothing() -> None:
    given_list = backends([1, 1])
    picker = build_picker(ROUND_ROBIN, given_list, random.random)
    given_list.append(FakeBackend(9))
    assert 9 not in counts(picker, 10)
