"""Guards around a call's attempts: whether, when and how often a failed attempt is tried again."""

from .outcome import AttemptOutcome, pushback_of
from .retry import DEFAULT_POLICY, RetryGuard, backoff, should_retry, unknown_words

__all__ = ["DEFAULT_POLICY", "AttemptOutcome", "RetryGuard", "backoff", "pushback_of", "should_retry", "unknown_words"]
