import random
from collections import Counter

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.balance import UnknownPolicy, build_locality_picker
from meshkit.balance.localities import LocalityPicker
from meshkit.balance.round_robin import RoundRobin
from meshkit.xds.resources import LbPolicy
from tests.support.backends import FakeBackend, backends, counts

ROUND_ROBIN = LbPolicy("ROUND_ROBIN")


def named(*names: int, weight: int = 1) -> list[FakeBackend]:
    return [FakeBackend(name, weight) for name in names]


def served(
    *localities: tuple[int | None, int, list[FakeBackend]], picks: int, policy: LbPolicy = ROUND_ROBIN
) -> Counter[int]:
    picker = build_locality_picker(localities, policy, random.Random(1).random)
    assert picker is not None
    return counts(picker, picks)


def test_nothing_usable() -> None:
    assert build_locality_picker([], ROUND_ROBIN, random.random) is None
    assert build_locality_picker([(1, 0, []), (1, 1, [])], ROUND_ROBIN, random.random) is None


def test_the_highest_priority_that_has_backends_takes_all() -> None:
    assert served((1, 1, named(1)), (1, 0, named(0)), picks=10) == {0: 10}
    assert served((1, 0, []), (1, 2, named(2)), (1, 1, named(1)), picks=10) == {1: 10}


def test_localities_are_served_by_their_weight_and_round_robin_within() -> None:
    assert served((3, 0, named(0, 1)), (1, 0, named(2)), picks=8) == {0: 3, 1: 3, 2: 2}


def test_who_says_that_weights_are_even_is_believed() -> None:
    """Nobody looks at ten thousand weights then; the list is the picker's own all the same."""
    given_list = named(0, 1, weight=3)
    picker = build_locality_picker([(None, 0, given_list)], ROUND_ROBIN, random.random, even=True)
    assert isinstance(picker, RoundRobin)
    given_list.append(FakeBackend(9, 1))
    assert counts(picker, 10) == {0: 5, 1: 5}
    with pytest.raises(ValueError, match="weight must be 1 or more"):
        build_locality_picker([(None, 0, named(0, weight=0))], ROUND_ROBIN, random.random, even=True)


def test_a_locality_without_a_weight_is_left_out_beside_one_that_has_one() -> None:
    assert served((1, 0, named(0)), (None, 0, named(1)), (0, 0, named(2)), picks=10) == {0: 10}


def test_without_any_weight_all_are_one() -> None:
    assert served((None, 0, named(0, 1)), (None, 0, named(2)), picks=9) == {0: 3, 1: 3, 2: 3}
    assert served((0, 0, named(0)), (None, 0, named(1)), picks=4) == {0: 2, 1: 2}


def test_weights_that_add_nothing_leave_the_choice_to_the_policy() -> None:
    """Istio's locality weight is the sum of its endpoints' weights."""
    one, other = named(0, 1, weight=2), named(2, weight=2)
    picker = build_locality_picker([(4, 0, one), (2, 0, other)], LbPolicy("LEAST_REQUEST"), random.Random(1).random)
    assert picker is not None
    assert not isinstance(picker, LocalityPicker)
    other[0].in_flight = 9
    assert counts(picker, 100)[2] == 0


def test_the_only_locality_in_use_needs_no_turns() -> None:
    picker = build_locality_picker([(5, 0, named(0, 1)), (5, 1, named(2))], ROUND_ROBIN, random.random)
    assert not isinstance(picker, LocalityPicker)


def test_the_policys_errors_come_through() -> None:
    with pytest.raises(UnknownPolicy):
        build_locality_picker([(1, 0, named(0)), (2, 0, named(1))], LbPolicy("NONE"), random.random)


LOCALITIES = st.lists(
    st.tuples(st.one_of(st.none(), st.integers(0, 20)), st.integers(0, 2), st.lists(st.integers(1, 5), max_size=4)),
    max_size=6,
)


@given(LOCALITIES, st.integers(0, 2**32))
def test_shares_of_localities(given_localities: list[tuple[int | None, int, list[int]]], seed: int) -> None:
    localities = [(weight, priority, backends(weights)) for weight, priority, weights in given_localities]
    picker = build_locality_picker(localities, ROUND_ROBIN, random.Random(seed).random)
    usable = [locality for locality in localities if locality[2]]
    if picker is None:
        assert not usable
        return
    top = [locality for locality in usable if locality[1] == min(priority for _, priority, _ in usable)]
    weighed = [locality for locality in top if locality[0]]
    expected = [(locality[0] or 0) if weighed else sum(one.weight for one in locality[2]) for locality in top]
    home = {id(one): position for position, locality in enumerate(top) for one in locality[2]}
    rounds = 600
    seen = Counter(home[id(picker.pick())] for _ in range(rounds))
    # As many localities as there are turns may each be one turn early or late, a flat picker's endpoints alike.
    slack = 1 + max(len(locality[2]) for locality in top)
    for position, weight in enumerate(expected):
        assert abs(seen[position] - rounds * weight / sum(expected)) <= slack
