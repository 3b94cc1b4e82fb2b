import random
from collections.abc import Callable, Iterator, Sequence

import pytest

from meshkit.balance import Picker, UnknownPolicy, build_picker, known_policies, register
from meshkit.balance.registry import _FACTORIES  # pyright: ignore[reportPrivateUsage]  # put back after the test
from meshkit.errors import ConfigError
from meshkit.xds.resources import LbPolicy
from tests.support.backends import FakeBackend, backends


@pytest.fixture
def restored() -> Iterator[None]:
    before = dict(_FACTORIES)
    yield
    _FACTORIES.clear()
    _FACTORIES.update(before)


class First:
    def __init__(self, several: Sequence[FakeBackend]) -> None:
        self.several = several

    def pick(self) -> FakeBackend:
        return self.several[0]


def first(policy: LbPolicy, several: Sequence[FakeBackend], draw: Callable[[], float]) -> Picker[FakeBackend]:
    return First(several)


def test_a_policy_is_a_name_and_a_factory(restored: None) -> None:
    register("FIRST", first)
    assert "FIRST" in known_policies()
    assert build_picker(LbPolicy("FIRST"), backends([1, 1]), random.random).pick().name == 0


def test_an_unknown_name_tells_the_known_ones() -> None:
    with pytest.raises(UnknownPolicy, match=r"'RING_HASH'; there are LEAST_REQUEST, RANDOM, ROUND_ROBIN") as caught:
        build_picker(LbPolicy("RING_HASH"), backends([1]), random.random)
    assert isinstance(caught.value, ConfigError)


@pytest.mark.parametrize("name", ["LEAST_REQUEST", "RANDOM", "ROUND_ROBIN"])
def test_what_no_picker_can_be_built_over(name: str) -> None:
    with pytest.raises(ValueError, match="at least one"):
        build_picker(LbPolicy(name), backends([]), random.random)
    with pytest.raises(ValueError, match="1 or more"):
        build_picker(LbPolicy(name), backends([1, 0]), random.random)
