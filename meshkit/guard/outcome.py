"""How one attempt of a call ended, as far as retrying is concerned."""

from __future__ import annotations

from dataclasses import dataclass

from meshkit.metadata import RawHeaders

__all__ = ["STOP", "AttemptOutcome", "pushback_of"]

STOP = -1
"""Pushback by which a server forbids a retry."""

_PUSHBACK = b"grpc-retry-pushback-ms"
_LONGEST = 2**31 - 1


@dataclass(frozen=True, slots=True)
class AttemptOutcome:
    """An attempt that failed.

    ``status``: the gRPC code. ``connect_failure``: no connection came about, so nothing was sent. ``unprocessed``: the
    peer surely did not handle it (REFUSED_STREAM, or above the last stream of a GOAWAY). ``committed``: something the
    caller may have seen has arrived, initial metadata to begin with; a Trailers-Only answer does not commit (gRFC A6).
    ``reset``: there is no answer of the peer behind the status: the connection or the stream broke, or the attempt's
    own time was over. ``pushback``: see `pushback_of`.
    """

    status: int
    connect_failure: bool = False
    unprocessed: bool = False
    committed: bool = False
    reset: bool = False
    pushback: int | None = None


def pushback_of(trailers: RawHeaders) -> int | None:
    """What the server's ``grpc-retry-pushback-ms`` asks for: milliseconds to wait, `STOP` for no retry, None if it is
    not there. Negative, unreadable and repeated values mean stop (gRFC A6)."""
    values = [value for name, value in trailers if name == _PUSHBACK]
    if not values:
        return None
    value = values[0]
    if len(values) > 1 or not value.isdigit() or len(value) > 10 or int(value) > _LONGEST:
        return STOP
    return int(value)
