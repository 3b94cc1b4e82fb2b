import random

from hypothesis import given
from hypothesis import strategies as st

from meshkit.balance.schedule import Schedule


def test_earliest_first() -> None:
    schedule = Schedule([1.0, 0.5], lambda: 0.382)
    served: list[int] = []
    for _ in range(6):
        served.append(schedule.first())
        schedule.postpone([1.0, 0.5][served[-1]])
    # Deadlines: entry 0 at 0.382, 1.382...; entry 1 at 0.00002, 0.50002, 1.00002, 1.50002...
    assert served == [1, 0, 1, 1, 0, 1]


@given(st.lists(st.floats(0.01, 10), min_size=1, max_size=10), st.integers(0, 2**32))
def test_a_postponed_entry_comes_no_sooner_than_the_others_that_wait(steps: list[float], seed: int) -> None:
    schedule = Schedule(steps, random.Random(seed).random)
    last = -1.0
    deadlines: dict[int, float] = {}
    for _ in range(50):
        index = schedule.first()
        deadline, _ = schedule._heap[0]  # pyright: ignore[reportPrivateUsage]  # virtual time is not shown elsewhere
        assert deadline >= last
        assert deadlines.get(index, deadline) == deadline
        last = deadline
        schedule.postpone(steps[index])
        deadlines[index] = deadline + steps[index]
