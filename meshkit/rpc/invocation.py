"""What every call of a client has in common: where to, until when, with which header fields."""

from __future__ import annotations

import math
import time
from datetime import timedelta
from typing import Any

from meshkit.deadline import encode_timeout, seconds_of
from meshkit.errors import RpcError, error_for
from meshkit.metadata import EMPTY, Metadata, MetadataLike, RawHeaders, decode_metadata, encode_metadata
from meshkit.net import Outcome
from meshkit.status import status_of

from .context import CURRENT, Context
from .method import Method
from .options import DEFAULT, CallOptions, Timeout

__all__ = ["CANCELLED", "Invocation", "deadline_outcome", "error_of", "lenient_metadata"]

_DEADLINE_EXCEEDED = 4
CANCELLED = Outcome(1, "the caller cancelled the call")
"""The end of a call that its caller gave up."""

_TIMEOUTS: dict[float | timedelta, tuple[float, RawHeaders]] = {}  # programs use few different ones
_MAX_TIMEOUTS = 256
_UNNOTICED = 0.01  # seconds that may pass before an attempt and leave its ``grpc-timeout`` as it was given


class Invocation:
    """The parts of a call that routing and attempts read.

    ``method``, ``options``; ``fields``: the custom metadata as header fields, ``grpc-timeout`` not among them;
    ``deadline``: seconds of ``time.monotonic()`` or None, brought forward with `limit`; ``attempts``: how many attempts
    have been started; ``previous``: how many of them count as retries before the next one (gRFC A6).
    """

    __slots__ = ("_told", "attempts", "deadline", "fields", "method", "options", "previous")

    def __init__(
        self,
        method: Method[Any, Any],
        timeout: Timeout,
        metadata: MetadataLike | None,
        options: CallOptions | None,
    ) -> None:
        self.method = method
        self.options = DEFAULT if options is None else options
        self.attempts: int = 0
        self.previous: int = 0
        self.fields: RawHeaders = encode_metadata(metadata) if metadata else ()
        known = None if timeout is None else _TIMEOUTS.get(timeout) or _learn(timeout)
        self.deadline: float | None = None
        self._told = known  # what the server is told while it is true; None: what is left
        if known is not None:
            self.deadline = time.monotonic() + known[0]
        context = CURRENT.get()
        if context is not None:
            self._inherit(context)

    def _inherit(self, context: Context) -> None:
        if self.options.propagate_deadline and (deadline := context.deadline) is not None:
            self.limit(deadline)
        if self.options.propagate_trace and (trace := context.trace_fields()):
            given = {name for name, _ in self.fields}
            self.fields = (*self.fields, *(field for field in trace if field[0] not in given))

    def in_time(self, outcome: Outcome) -> Outcome:
        """``outcome``; where the server reset the call as cancelled and the deadline has passed, that is the reason:
        its timer was a little faster than the one here."""
        deadline = self.deadline
        if outcome is CANCELLED or outcome.trailers or deadline is None or time.monotonic() < deadline:
            return outcome
        return deadline_outcome(self.method)

    def adopt(self, metadata: Metadata, deadline: float | None) -> None:
        """Take over what interceptors made of metadata and deadline."""
        self.fields = encode_metadata(metadata)
        if deadline is not None:
            self.limit(deadline)
        context = CURRENT.get()
        if context is not None:
            self._inherit(context)

    def limit(self, deadline: float) -> None:
        """End at ``deadline`` (``time.monotonic()``) at the latest."""
        if self.deadline is None or deadline < self.deadline:
            self.deadline = deadline
            self._told = None

    def limit_to(self, seconds: float) -> None:
        """End within ``seconds`` from now; the server is told this very number, so that calls look alike."""
        known = _TIMEOUTS.get(seconds) or _learn(seconds)
        if known is None:
            return
        deadline = time.monotonic() + known[0]
        if self.deadline is None or deadline < self.deadline:
            self.deadline, self._told = deadline, known

    def time_remaining(self) -> float | None:
        """Seconds until `deadline`, below zero when it has passed; None without one."""
        return None if self.deadline is None else self.deadline - time.monotonic()

    def headers(self) -> Metadata | None:
        """The custom metadata for route matching; None where there is none."""
        return decode_metadata(self.fields) if self.fields else None

    def wire_fields(self, now: float) -> RawHeaders:
        """``grpc-timeout``, ``grpc-previous-rpc-attempts`` and `fields`, for an attempt that starts at ``now``.

        An attempt sends the timeout as the user gave it, while hardly any of it has passed: equal header blocks are
        cheap at both ends. One that had to wait, for a route, a connection or an attempt before it, sends what is left.
        """
        deadline, told = self.deadline, self._told
        timeout: RawHeaders = ()
        if deadline is not None:
            left = deadline - now
            timeout = told[1] if told and left > told[0] - _UNNOTICED else ((b"grpc-timeout", encode_timeout(left)),)
        if self.previous:
            timeout = (*timeout, (b"grpc-previous-rpc-attempts", b"%d" % self.previous))
        return (*timeout, *self.fields) if self.fields else timeout


def _learn(timeout: float | timedelta) -> tuple[float, RawHeaders] | None:
    """Seconds and header field of a timeout, remembered; None for an infinite one."""
    seconds = seconds_of(timeout)
    if seconds is None or seconds == math.inf:
        return None
    if not seconds < math.inf:
        raise ValueError(f"timeout {timeout!r} is not a number of seconds")
    known = (seconds, ((b"grpc-timeout", encode_timeout(seconds)),))
    if len(_TIMEOUTS) < _MAX_TIMEOUTS:
        _TIMEOUTS[timeout] = known
    return known


def error_of(outcome: Outcome, initial: Metadata = EMPTY) -> RpcError:
    """The error of an attempt that did not end with OK."""
    return error_for(
        status_of(outcome.status),
        outcome.message or None,
        outcome.details,
        initial_metadata=initial.pairs,
        trailing_metadata=lenient_metadata(outcome.trailers).pairs,
    )


def lenient_metadata(fields: RawHeaders) -> Metadata:
    """The metadata a server sent; values that break the base64 of ``-bin`` names are left out."""
    try:
        return decode_metadata(fields)
    except ValueError:
        return decode_metadata([field for field in fields if not field[0].endswith(b"-bin")])


def deadline_outcome(method: Method[Any, Any]) -> Outcome:
    """The end of a call whose deadline passed at this end."""
    return Outcome(_DEADLINE_EXCEEDED, f"the deadline of {method.path} passed")
