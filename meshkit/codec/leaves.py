"""Well-known messages that stand for a Python value: wrappers, Duration, Timestamp.

https://protobuf.dev/reference/protobuf/google.protobuf/. Nanoseconds beyond what the Python type holds are lost, as in
betterproto2: a timedelta rounds to the nearest microsecond, a datetime rounds down.
"""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from .schema import Field, Schema

__all__ = ["leaf_reader", "leaf_schema"]

_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MICROSECOND: Final = timedelta(microseconds=1)
_WRAPPERS: Final = {
    "bool": "BoolValue",
    "int32": "Int32Value",
    "int64": "Int64Value",
    "uint32": "UInt32Value",
    "uint64": "UInt64Value",
    "float": "FloatValue",
    "double": "DoubleValue",
    "string": "StringValue",
    "bytes": "BytesValue",
}


def _seconds(seconds: int, nanos: int) -> float:
    return seconds + nanos / 1e9


def _timedelta(seconds: int, nanos: int) -> timedelta:
    return timedelta(seconds=seconds, microseconds=nanos / 1e3)


def _datetime(seconds: int, nanos: int) -> datetime:
    return _EPOCH + timedelta(seconds=seconds, microseconds=nanos // 1000)


def _same(value: Any) -> Any:
    return value


class _Parts:
    """What the encoder of a time reads: ``seconds`` and ``nanos``."""

    __slots__ = ("nanos", "seconds")

    def __init__(self, seconds: int, nanos: int) -> None:
        self.seconds = seconds
        self.nanos = nanos


def _from_seconds(value: float) -> _Parts:
    seconds, nanos = int(value), round((value - int(value)) * 1e9)
    return _Parts(seconds, nanos) if abs(nanos) < 10**9 else _Parts(seconds + (1 if nanos > 0 else -1), 0)


def _from_epoch(value: float) -> _Parts:
    return _Parts(*divmod(round(value * 1e9), 10**9))


def _from_timedelta(value: timedelta) -> _Parts:
    # Duration: seconds and nanos have the same sign.
    total = value // _MICROSECOND
    seconds, micros = divmod(abs(total), 10**6)
    return _Parts(seconds, micros * 1000) if total >= 0 else _Parts(-seconds, -micros * 1000)


def _from_datetime(value: datetime) -> _Parts:
    # Timestamp: nanos count forward, whatever the sign of seconds.
    if value.tzinfo is None:
        raise ValueError("datetime must be timezone aware")
    seconds, micros = divmod((value - _EPOCH) // _MICROSECOND, 10**6)
    return _Parts(seconds, micros * 1000)


_TIME: Final = (Field("seconds", 1, "int64"), Field("nanos", 2, "int32"))
_TIMES: Final = {
    "duration": Schema("google.protobuf.Duration", _TIME, _seconds),
    "timedelta": Schema("google.protobuf.Duration", _TIME, _timedelta),
    "timestamp": Schema("google.protobuf.Timestamp", _TIME, _seconds),
    "datetime": Schema("google.protobuf.Timestamp", _TIME, _datetime),
}
_SCHEMAS: Final = {
    **{
        ("wrapper", kind): Schema(f"google.protobuf.{name}", (Field("value", 1, kind),), _same)
        for kind, name in _WRAPPERS.items()
    },
    **{(kind, ""): schema for kind, schema in _TIMES.items()},
}
_READERS: Final[dict[str, Callable[[Any], Any]]] = {
    "duration": _from_seconds,
    "timestamp": _from_epoch,
    "timedelta": _from_timedelta,
    "datetime": _from_datetime,
}


class _Wrapped:
    """What the encoder of a wrapper reads: ``value``."""

    __slots__ = ("value",)

    def __init__(self, value: Any) -> None:
        self.value = value


def leaf_schema(kind: str, value: str = "") -> Schema | None:
    """The message behind a field of ``kind`` (a wrapper of ``value``); None when the kind is not such a message."""
    return _SCHEMAS.get((kind, value if kind == "wrapper" else ""))


def leaf_reader(kind: str) -> Callable[[Any], Any]:
    """From the Python value to an object that has the fields of the message behind it."""
    return _READERS.get(kind, _Wrapped)
