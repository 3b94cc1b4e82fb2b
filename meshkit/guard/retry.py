"""Retries by Envoy's words on gRPC's outcomes (route.v3.RetryPolicy, gRFC A44 and A6).

What a word means for a gRPC call:

- ``cancelled``, ``deadline-exceeded``, ``internal``, ``resource-exhausted``, ``unavailable``: the status of that name;
- ``connect-failure``: no connection; ``refused-stream``, ``reset-before-request``: surely not handled by the peer;
- ``reset``: no answer of the peer, whatever was in the way;
- ``5xx``, ``gateway-error``: UNAVAILABLE, or no answer;
- ``retriable-status-codes``: UNAVAILABLE if the policy lists 429, 502, 503 or 504, the HTTP codes that stand for it
  (grpc/doc/http-grpc-status-mapping.md). Other codes stand for UNKNOWN or for faults of the call itself; an
  application's own UNKNOWN must not be retried because of them, as Envoy would not.

Without a policy nothing is retried that may have reached a handler: Istio sends none for ``attempts: 0``, and its
default, which is `DEFAULT_POLICY`, for a route without ``retries``.

An attempt that the peer surely never handled is tried again once, at once, without counting, whatever the policy says,
if it was the first (gRFC A6, "Transparent retries"). ``num_retries`` is obeyed as written, as Envoy does, without
gRPC's cap of four. Nothing is retried once an attempt is committed.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache

from meshkit.status import Status
from meshkit.xds.resources import RetryPolicy

from .outcome import STOP, AttemptOutcome

__all__ = ["DEFAULT_POLICY", "RetryGuard", "backoff", "should_retry", "unknown_words"]

DEFAULT_POLICY = RetryPolicy(
    retry_on=frozenset({"connect-failure", "refused-stream", "unavailable", "cancelled"}), num_retries=2
)
"""Istio's for routes that say nothing of retries ; for routes of our own making."""

_STATUS_WORDS = {
    "cancelled": Status.CANCELLED,
    "deadline-exceeded": Status.DEADLINE_EXCEEDED,
    "internal": Status.INTERNAL,
    "resource-exhausted": Status.RESOURCE_EXHAUSTED,
    "unavailable": Status.UNAVAILABLE,
    "5xx": Status.UNAVAILABLE,
    "gateway-error": Status.UNAVAILABLE,
}
_CONNECT_WORDS = frozenset({"connect-failure", "reset", "5xx", "gateway-error"})
_UNPROCESSED_WORDS = frozenset({"refused-stream", "reset-before-request", "reset", "5xx", "gateway-error"})
_RESET_WORDS = frozenset({"reset", "5xx", "gateway-error"})
_CODES_WORD = "retriable-status-codes"
_KNOWN_WORDS = _CONNECT_WORDS | _UNPROCESSED_WORDS | _STATUS_WORDS.keys() | {_CODES_WORD}
_UNAVAILABLE_CODES = frozenset({429, 502, 503, 504})

_SHORTEST_INTERVAL = 0.001
# Past any maximum, and far from where a product with a float overflows.
_DOUBLINGS = 60


def unknown_words(policy: RetryPolicy) -> frozenset[str]:
    """The words of ``retry_on`` that have no effect here, to be reported when configuration changes."""
    return policy.retry_on - _KNOWN_WORDS


@lru_cache(maxsize=1024)
def _statuses(policy: RetryPolicy) -> frozenset[int]:
    """The status codes that ``policy`` retries."""
    codes = {_STATUS_WORDS[word].value for word in policy.retry_on & _STATUS_WORDS.keys()}
    if _CODES_WORD in policy.retry_on and policy.retriable_status_codes & _UNAVAILABLE_CODES:
        codes.add(Status.UNAVAILABLE.value)
    return frozenset(codes)


def should_retry(policy: RetryPolicy | None, outcome: AttemptOutcome, attempt: int) -> bool:
    """Whether to follow ``attempt`` (the first is 1), which ended in ``outcome``, with another one that counts."""
    if policy is None or outcome.committed or outcome.pushback == STOP or attempt > policy.num_retries:
        return False
    return _covers(policy, outcome)


def _covers(policy: RetryPolicy, outcome: AttemptOutcome) -> bool:
    words = policy.retry_on
    return (
        outcome.status in _statuses(policy)
        or (outcome.connect_failure and not words.isdisjoint(_CONNECT_WORDS))
        or (outcome.unprocessed and not words.isdisjoint(_UNPROCESSED_WORDS))
        or (outcome.reset and not words.isdisjoint(_RESET_WORDS))
    )


def backoff(policy: RetryPolicy, attempt: int, random: Callable[[], float]) -> float:
    """Seconds to wait after ``attempt`` (the first is 1): the base doubled with every further attempt up to the
    maximum, times a random factor from 0.8 to 1.2 (gRFC A44). ``random`` gives numbers in [0, 1)."""
    base = max(policy.base_interval, _SHORTEST_INTERVAL)
    doubled = base * (1 << min(attempt - 1, _DOUBLINGS))
    return min(doubled, max(policy.max_interval, base)) * (0.8 + 0.4 * random())


class RetryGuard:
    """The retries of one call; made when its first attempt has failed, told of every failure.

    ``previous``: how many attempts came before the one to make next (or in the making) and count; it goes out as
    ``grpc-previous-rpc-attempts`` where it is not 0.
    """

    __slots__ = ("_doublings", "_policy", "_random", "_transparent", "previous")

    def __init__(self, policy: RetryPolicy | None, random: Callable[[], float]) -> None:
        self._policy = policy
        self._random = random
        self._transparent = True
        self._doublings = 0
        self.previous = 0

    def next_delay(self, outcome: AttemptOutcome) -> float | None:
        """Seconds to wait before the next attempt, 0.0 for at once; None if ``outcome`` is the call's result.

        The caller ends the call if its deadline comes first.
        """
        if self._is_transparent(outcome):
            self._transparent = False
            return 0.0
        if not should_retry(self._policy, outcome, self.previous + 1):
            return None
        self.previous += 1
        return self._pause(outcome.pushback)

    def _is_transparent(self, outcome: AttemptOutcome) -> bool:
        untouched = (outcome.connect_failure or outcome.unprocessed) and not outcome.committed
        return untouched and self._transparent and self.previous == 0

    def _pause(self, pushback: int | None) -> float:
        """What the server asks for, which starts the backoff anew, or the next backoff (gRFC A6)."""
        if pushback is not None:
            self._doublings = 0
            return pushback / 1000
        self._doublings += 1
        assert self._policy is not None  # without one nothing is retried after a pause
        return backoff(self._policy, self._doublings, self._random)
