"""Deadlines are absolute seconds on a `Clock`; on the wire they are ``grpc-timeout`` (grpc/doc/PROTOCOL-HTTP2.md).

TimeoutValue -> 1 to 8 digits;  TimeoutUnit -> H M S m u n
"""

from __future__ import annotations

import math
from datetime import timedelta

__all__ = ["decode_timeout", "encode_timeout", "seconds_of"]

_UNITS = {b"H": 3600.0, b"M": 60.0, b"S": 1.0, b"m": 1e-3, b"u": 1e-6, b"n": 1e-9}
_MAX = 99_999_999  # eight digits
_STEPS = ((1e-6, b"u"), (1e-3, b"m"), (1.0, b"S"), (60.0, b"M"), (3600.0, b"H"))


def seconds_of(timeout: float | timedelta | None) -> float | None:
    """A user's timeout in seconds: a number, a `timedelta`, or None for no limit."""
    return timeout.total_seconds() if isinstance(timeout, timedelta) else timeout


def encode_timeout(seconds: float) -> bytes:
    """``seconds`` as a ``grpc-timeout`` value, in the finest unit that fits eight digits, rounded up (never early)."""
    if seconds <= 99.0:  # the common case, in one step
        return b"%du" % max(1, math.ceil(seconds * 1e6))
    for unit, suffix in _STEPS:
        count = math.ceil(seconds / unit)
        if count <= _MAX:
            return b"%d%b" % (count, suffix)
    return b"%dH" % _MAX


def decode_timeout(value: bytes) -> float:
    """The seconds of a ``grpc-timeout`` value. Raises ValueError for what the grammar does not allow."""
    digits, unit = value[:-1], _UNITS.get(value[-1:])
    if unit is None or not 1 <= len(digits) <= 8 or not digits.isdigit():
        raise ValueError(f"grpc-timeout {value!r} is not 1 to 8 digits and one of H M S m u n")
    return int(digits) * unit
