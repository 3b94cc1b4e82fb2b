import random

from hypothesis import given, settings
from hypothesis import strategies as st

from meshkit.balance import build_picker
from meshkit.balance.random import Random, WeightedRandom
from meshkit.xds.resources import LbPolicy
from tests.support.backends import backends, counts

RANDOM = LbPolicy("RANDOM")


@settings(max_examples=30)
@given(st.lists(st.integers(1, 100), min_size=1, max_size=8), st.integers(0, 2**32))
def test_shares_follow_weights(weights: list[int], seed: int) -> None:
    picks = 4000
    served = counts(build_picker(RANDOM, backends(weights), random.Random(seed).random), picks)
    for name, weight in enumerate(weights):
        share = weight / sum(weights)
        assert abs(served[name] - picks * share) <= 6 * (picks * share * (1 - share)) ** 0.5 + 1


def test_weights_are_used_where_they_differ() -> None:
    assert isinstance(build_picker(RANDOM, backends([2, 2]), random.random), Random)
    assert isinstance(build_picker(RANDOM, backends([2, 3]), random.random), WeightedRandom)


def test_draws_at_the_bounds() -> None:
    three = backends([1, 2, 1])
    draws = iter((0.0, 0.25, 0.74, 0.75))
    picker = WeightedRandom(three, [1, 2, 1], lambda: next(draws))
    assert [picker.pick().name for _ in range(4)] == [0, 1, 1, 2]
    assert WeightedRandom(three, [1, 2, 1], lambda: 1.0).pick().name == 2
