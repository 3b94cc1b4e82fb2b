import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.guard import AttemptOutcome, RetryGuard, backoff, should_retry, unknown_words
from meshkit.guard.outcome import STOP
from meshkit.guard.retry import DEFAULT_POLICY
from meshkit.status import Status
from meshkit.xds.resources import RetryPolicy

ISTIO = RetryPolicy(
    frozenset({"connect-failure", "refused-stream", "unavailable", "cancelled", "retriable-status-codes"}),
    num_retries=2,
    retriable_status_codes=frozenset({503}),
)


def policy(*words: str, retries: int = 1, codes: tuple[int, ...] = ()) -> RetryPolicy:
    return RetryPolicy(frozenset(words), num_retries=retries, retriable_status_codes=frozenset(codes))


def ended(status: Status, **flags: bool) -> AttemptOutcome:
    return AttemptOutcome(status.value, **flags)


NOT_CONNECTED = ended(Status.UNAVAILABLE, connect_failure=True, reset=True)
REFUSED = ended(Status.UNAVAILABLE, unprocessed=True, reset=True)
BROKEN = ended(Status.UNAVAILABLE, reset=True)
ANSWERED = ended(Status.UNAVAILABLE)
TOO_SLOW = ended(Status.DEADLINE_EXCEEDED, reset=True)


@pytest.mark.parametrize(
    ("word", "statuses"),
    [
        ("cancelled", {Status.CANCELLED}),
        ("deadline-exceeded", {Status.DEADLINE_EXCEEDED}),
        ("internal", {Status.INTERNAL}),
        ("resource-exhausted", {Status.RESOURCE_EXHAUSTED}),
        ("unavailable", {Status.UNAVAILABLE}),
        ("5xx", {Status.UNAVAILABLE}),
        ("gateway-error", {Status.UNAVAILABLE}),
        ("connect-failure", set[Status]()),
        ("refused-stream", set[Status]()),
        ("reset", set[Status]()),
        ("retriable-status-codes", set[Status]()),
        ("retriable-4xx", set[Status]()),
    ],
)
def test_statuses_of_a_word(word: str, statuses: set[Status]) -> None:
    failures = [status for status in Status if status is not Status.OK]
    assert {status for status in failures if should_retry(policy(word), ended(status), 1)} == statuses


@pytest.mark.parametrize(
    ("word", "covered"),
    [
        ("connect-failure", [NOT_CONNECTED]),
        ("refused-stream", [REFUSED]),
        ("reset-before-request", [REFUSED]),
        ("reset", [NOT_CONNECTED, REFUSED, BROKEN, TOO_SLOW]),
        ("5xx", [NOT_CONNECTED, REFUSED, BROKEN, ANSWERED, TOO_SLOW]),
        ("gateway-error", [NOT_CONNECTED, REFUSED, BROKEN, ANSWERED, TOO_SLOW]),
        ("unavailable", [NOT_CONNECTED, REFUSED, BROKEN, ANSWERED]),
        ("cancelled", []),
    ],
)
def test_ways_to_fail_of_a_word(word: str, covered: list[AttemptOutcome]) -> None:
    outcomes = [NOT_CONNECTED, REFUSED, BROKEN, ANSWERED, TOO_SLOW]
    assert [outcome for outcome in outcomes if should_retry(policy(word), outcome, 1)] == covered


@pytest.mark.parametrize(
    ("code", "retried"), [(429, True), (502, True), (503, True), (504, True), (500, False), (404, False), (409, False)]
)
def test_http_codes_stand_for_unavailable(code: int, retried: bool) -> None:
    coded = policy("retriable-status-codes", codes=(code,))
    assert should_retry(coded, ANSWERED, 1) is retried
    assert not should_retry(coded, ended(Status.UNKNOWN), 1)
    assert not should_retry(policy("cancelled", codes=(code,)), ANSWERED, 1)


def test_without_a_policy_nothing_is_retried() -> None:
    outcomes = (NOT_CONNECTED, REFUSED, BROKEN, ANSWERED, TOO_SLOW)
    assert not any(should_retry(None, outcome, 1) for outcome in outcomes)


def test_our_default_is_istios() -> None:
    assert DEFAULT_POLICY.num_retries == ISTIO.num_retries
    assert ISTIO.retry_on - DEFAULT_POLICY.retry_on == {"retriable-status-codes"}  # which lists 503: UNAVAILABLE


@given(st.sampled_from([DEFAULT_POLICY, ISTIO, policy("5xx", retries=9)]), st.integers(1, 20))
def test_committed_forbidden_and_used_up(given_policy: RetryPolicy, attempt: int) -> None:
    committed = AttemptOutcome(14, connect_failure=True, unprocessed=True, committed=True, reset=True)
    forbidden = AttemptOutcome(14, connect_failure=True, unprocessed=True, pushback=STOP)
    assert not should_retry(given_policy, committed, attempt)
    assert not should_retry(given_policy, forbidden, attempt)
    allowed = given_policy.num_retries
    assert should_retry(given_policy, NOT_CONNECTED, attempt) is (attempt <= allowed)


def test_num_retries_is_obeyed_as_written() -> None:
    assert should_retry(policy("unavailable", retries=10), ANSWERED, 10)
    assert not should_retry(policy("unavailable", retries=0), ANSWERED, 1)


def test_istios_default() -> None:
    retried = [status for status in Status if status.value and should_retry(ISTIO, ended(status), 2)]
    assert retried == [Status.CANCELLED, Status.UNAVAILABLE]


def test_words_without_effect_are_named() -> None:
    assert unknown_words(ISTIO) == frozenset()
    assert unknown_words(policy("5xx", "retriable-headers", "ratelimited")) == {"retriable-headers", "ratelimited"}


# -- backoff ---------------------------------------------------------------------------------------------------------


def test_backoff_doubles_up_to_ten_times_the_base() -> None:
    waits = [backoff(DEFAULT_POLICY, attempt, lambda: 0.5) for attempt in range(1, 8)]
    assert waits == pytest.approx([0.025, 0.05, 0.1, 0.2, 0.25, 0.25, 0.25])


@given(st.floats(0.0, 10.0), st.floats(0.0, 100.0), st.integers(1, 10_000), st.floats(0.0, 1.0, exclude_max=True))
def test_backoff_stays_in_its_bounds(base: float, maximum: float, attempt: int, draw: float) -> None:
    timed = RetryPolicy(frozenset(), base_interval=base, max_interval=maximum)
    wait = backoff(timed, attempt, lambda: draw)
    shortest = max(base, 0.001)
    assert 0.8 * shortest * 0.999 <= wait <= 1.2 * max(maximum, shortest) * 1.001


# -- the retries of one call -----------------------------------------------------------------------------------------


def guard(given_policy: RetryPolicy | None) -> RetryGuard:
    return RetryGuard(given_policy, lambda: 0.5)


def test_counts_and_waits() -> None:
    retries = guard(policy("unavailable", retries=3))
    assert retries.previous == 0
    assert [retries.next_delay(ANSWERED) for _ in range(4)] == [pytest.approx(0.025), 0.05, 0.1, None]
    assert retries.previous == 3


def test_an_unprocessed_first_attempt_is_tried_again_at_once_and_free_whatever_the_policy() -> None:
    retries = guard(policy("cancelled", retries=1))
    assert retries.next_delay(REFUSED) == 0.0
    assert retries.previous == 0
    assert retries.next_delay(REFUSED) is None


def test_the_free_attempt_is_for_the_first_only() -> None:
    retries = guard(policy("unavailable", retries=2))
    assert retries.next_delay(ANSWERED) == pytest.approx(0.025)
    assert retries.next_delay(REFUSED) == pytest.approx(0.05)
    assert retries.next_delay(REFUSED) is None


def test_connect_failures_by_default() -> None:
    retries = guard(DEFAULT_POLICY)
    delays = [retries.next_delay(NOT_CONNECTED) for _ in range(4)]
    assert delays == [0.0, pytest.approx(0.025), pytest.approx(0.05), None]


def test_without_a_policy_only_the_free_attempt_is_made() -> None:
    retries = guard(None)
    assert [retries.next_delay(NOT_CONNECTED) for _ in range(2)] == [0.0, None]


def test_pushback_is_waited_for_exactly_and_starts_the_backoff_anew() -> None:
    retries = guard(policy("unavailable", retries=9))
    retries.next_delay(ANSWERED)
    retries.next_delay(ANSWERED)
    assert retries.next_delay(AttemptOutcome(14, pushback=1500)) == 1.5
    assert retries.next_delay(AttemptOutcome(14, pushback=0)) == 0.0
    assert retries.next_delay(ANSWERED) == pytest.approx(0.025)
    assert retries.next_delay(AttemptOutcome(14, pushback=STOP)) is None


def test_pushback_does_not_make_a_status_retriable() -> None:
    assert guard(policy("unavailable")).next_delay(AttemptOutcome(Status.INTERNAL.value, pushback=10)) is None


OUTCOMES = st.builds(
    AttemptOutcome,
    st.integers(1, 16),
    connect_failure=st.booleans(),
    unprocessed=st.booleans(),
    committed=st.booleans(),
    reset=st.booleans(),
    pushback=st.sampled_from([None, None, 0, 100, STOP]),
)


@given(st.sampled_from([None, ISTIO, policy("5xx", retries=4)]), st.lists(OUTCOMES, max_size=12))
def test_never_more_attempts_than_allowed(given_policy: RetryPolicy | None, outcomes: list[AttemptOutcome]) -> None:
    retries = RetryGuard(given_policy, random.Random(1).random)
    made = 0
    for outcome in outcomes:
        delay = retries.next_delay(outcome)
        if delay is None:
            break
        assert not outcome.committed
        assert delay >= 0
        made += 1
    assert made <= (given_policy.num_retries if given_policy else 0) + 1
    assert retries.previous in (made, made - 1)
