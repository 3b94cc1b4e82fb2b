"""Single values as ProtoJSON has them: numbers, base64, times and durations. ValueError says what is wrong with one."""

from __future__ import annotations

import binascii
import math
import re
import struct
from base64 import b64decode
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

__all__ = [
    "EPOCH",
    "expect",
    "join_span",
    "read_bytes",
    "read_float",
    "read_integer",
    "read_span",
    "read_time",
    "split_span",
    "split_time",
    "write_float",
    "write_span",
    "write_time",
]

_NUMBER = re.compile(r"-?(0|[1-9]\d*)(\.\d+)?([eE][+-]?\d+)?\Z", re.ASCII)
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d)(?:\.(\d{1,9}))?(?:Z|([+-])(\d\d):(\d\d))\Z", re.ASCII)
_SPAN = re.compile(r"(-?)(\d{1,12})(?:\.(\d{1,9}))?s\Z", re.ASCII)
_ENDLESS = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
_FIRST, _LAST = -62_135_596_800, 253_402_300_799  # seconds since 1970 of a Timestamp (timestamp.proto)
_LONGEST = 315_576_000_000  # seconds of a Duration (duration.proto)
_SECOND = timedelta(seconds=1)
_MICROSECOND = timedelta(microseconds=1)


def expect(kind: type[Any], value: object) -> Any:
    """``value``, if JSON has it in this type."""
    if not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool):
        said = "null" if value is None else type(value).__name__
        raise ValueError(f"{_WORDS[kind]} is expected, not {said}")
    return value


_WORDS: dict[type[Any], str] = {
    dict: "an object", list: "a list", str: "a text", bool: "true or false", int: "a number", float: "a number"
}  # fmt: skip

# Scalars.


def read_integer(value: object) -> int:
    """An integer of any size, written as a number or as a text."""
    if isinstance(value, str):
        if not _NUMBER.match(value):
            raise ValueError(f"{value!r} is not a number")
        value = float(value) if value.strip("-0123456789") else int(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, float):
        raise ValueError(f"{value!r} is not a whole number")
    return int(expect(int, value))


def write_float(value: float, single: bool) -> float | str:
    """The number, or its name if JSON has none for it; ``single``: of 32 bits."""
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "Infinity" if value > 0 else "-Infinity"
    return _shortest(value) if single else value


def _shortest(value: float) -> float:
    """The shortest number that is the same of 32 bits."""
    kept = struct.pack("f", value)
    (value,) = struct.unpack("f", kept)
    return next(
        (short for digits in range(6, 9) if struct.pack("f", short := float(f"{value:.{digits}g}")) == kept), value
    )


def read_float(value: object) -> float:
    """A number, written as one, as a text, or by its name."""
    if isinstance(value, str):
        if value in _ENDLESS:
            return _ENDLESS[value]
        if not _NUMBER.match(value):
            raise ValueError(f"{value!r} is not a number")
        number = float(value)
    else:
        number = _float(value)
    if math.isinf(number):  # of 1e400, which json.loads takes
        raise ValueError("a number of at most 1.8e308 is expected")
    return number


def _float(value: object) -> float:
    try:
        return float(value if isinstance(value, float) else expect(int, value))
    except OverflowError:
        return math.inf


def read_bytes(value: object) -> bytes:
    """Base64 of either alphabet, padded or not."""
    text = expect(str, value).rstrip("=").replace("-", "+").replace("_", "/")
    try:
        return b64decode(text + "=" * (-len(text) % 4), validate=True)
    except (binascii.Error, ValueError) as error:
        raise ValueError(f"not base64: {error}") from None


# Times.


def _fraction(nanos: int) -> str:
    """Of a second, in as many groups of three digits as it needs."""
    text = f".{nanos:09}"
    while text.endswith("000"):
        text = text[:-3]
    return text if len(text) > 1 else ""


def write_time(seconds: int, nanos: int) -> str:
    """RFC 3339, in UTC. ValueError for what no Timestamp may hold."""
    if not (_FIRST <= seconds <= _LAST and 0 <= nanos < 10**9):
        raise ValueError(f"{seconds} seconds and {nanos} nanoseconds are no time of the years 1 to 9999")
    moment = EPOCH + timedelta(seconds=seconds)
    return f"{moment.replace(tzinfo=None).isoformat()}{_fraction(nanos)}Z"


def read_time(value: object) -> tuple[int, int]:
    """Seconds since 1970 and nanoseconds."""
    found = _TIME.match(expect(str, value))
    if found is None:
        raise ValueError(f"{value!r} is not a time as in 1970-01-01T00:00:00Z")
    whole, fraction, sign, hours, minutes = found.groups()
    offset = timedelta(hours=int(hours or 0), minutes=int(minutes or 0)) * (-1 if sign == "-" else 1)
    seconds = (datetime.fromisoformat(whole).replace(tzinfo=timezone(offset)) - EPOCH) // _SECOND
    if not _FIRST <= seconds <= _LAST:
        raise ValueError(f"{value!r} is not of the years 1 to 9999 in UTC")
    return seconds, int((fraction or "").ljust(9, "0"))


def write_span(seconds: int, nanos: int) -> str:
    """Seconds, as in ``1.500s``. ValueError for what no Duration may hold."""
    if abs(seconds) > _LONGEST or abs(nanos) >= 10**9 or seconds * nanos < 0:
        raise ValueError(f"{seconds} seconds and {nanos} nanoseconds are no duration of at most 10,000 years")
    sign = "-" if seconds < 0 or nanos < 0 else ""
    return f"{sign}{abs(seconds)}{_fraction(abs(nanos))}s"


def read_span(value: object) -> tuple[int, int]:
    """Seconds and nanoseconds, of one sign."""
    found = _SPAN.match(expect(str, value))
    if found is None or int(found[2]) > _LONGEST:
        raise ValueError(f"{value!r} is not a duration as in 1.5s, of at most 10,000 years")
    sign = -1 if found[1] else 1
    return sign * int(found[2]), sign * int((found[3] or "").ljust(9, "0"))


def split_span(span: timedelta) -> tuple[int, int]:
    """Seconds and nanoseconds, of one sign."""
    seconds, rest = divmod(abs(span), _SECOND)
    sign = -1 if span < timedelta() else 1
    return sign * seconds, sign * (rest // _MICROSECOND) * 1000


def split_time(value: datetime) -> tuple[int, int]:
    """Seconds since 1970 and nanoseconds; UTC where it has no zone."""
    since = (value if value.tzinfo is not None else value.replace(tzinfo=UTC)) - EPOCH
    return since // _SECOND, since % _SECOND // _MICROSECOND * 1000


def join_span(seconds: int, nanos: int) -> timedelta:
    """What Python keeps of seconds and nanoseconds: microseconds, the rest cut off."""
    return timedelta(seconds=seconds, microseconds=int(nanos / 1000))
