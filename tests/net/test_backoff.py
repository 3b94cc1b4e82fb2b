from hypothesis import given
from hypothesis import strategies as st

from meshkit.net import Backoff, BackoffPolicy


def test_delays_grow_as_grpc_says():
    backoff = Backoff(BackoffPolicy(), lambda: 0.5)
    assert [round(backoff.next(), 3) for _ in range(4)] == [1.0, 1.6, 2.56, 4.096]
    assert backoff.failures == 4


def test_it_stops_at_the_maximum_and_begins_anew():
    backoff = Backoff(BackoffPolicy(), lambda: 0.5)
    for _ in range(30):
        last = backoff.next()
    assert last == 120.0
    backoff.reset()
    assert backoff.next() == 1.0


@given(st.floats(0, 1, exclude_max=True), st.integers(0, 40))
def test_jitter_is_a_fifth_either_way(chance, failures):
    plain, jittered = Backoff(BackoffPolicy(), lambda: 0.5), Backoff(BackoffPolicy(), lambda: chance)
    for _ in range(failures):
        plain.next()
        jittered.next()
    middle = plain.next()
    assert 0.8 * middle <= jittered.next() <= 1.2 * middle
