"""From what a generated function ran into to a `DecodeError` or an `EncodeError` with a path.

Generated functions spend nothing on telling where they are: when they fail, the line of the traceback says which field.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from typing import Final

from .errors import DecodeError, EncodeError
from .mismatch import mismatch
from .schema import Schema

__all__ = ["DECODE_FAULTS", "ENCODE_FAULTS", "MERGED", "decode_fault", "encode_fault", "overrun"]

#: What unreadable bytes make a generated function raise; ValueError also comes from `Field.convert` and `Schema.build`.
DECODE_FAULTS: Final = (IndexError, ValueError, OverflowError, struct.error)
#: What values of a wrong type or out of range make it raise.
ENCODE_FAULTS: Final = (*DECODE_FAULTS, TypeError, AttributeError, RecursionError)
#: Mark after the place of lines that read pieces put together from several occurrences: offsets in there mean nothing.
MERGED: Final = "*"
_DIVERTED: Final = "?"

_Places = Callable[[int], str]


def overrun(tag: int, names: dict[int, str]) -> DecodeError:
    """A field ended after the message did; ``names`` maps the numbers of the message's fields to their paths."""
    return DecodeError(_DIVERTED, names.get(tag >> 3, ""), 0, "truncated")


def decode_fault(fault: Exception, message: str, places: _Places, offset: int) -> DecodeError:
    """``fault`` as a `DecodeError` of ``message``, caught in the generated function that ``places`` is about."""
    place = places(_line(fault))
    if not isinstance(fault, DecodeError):
        return DecodeError(message, place.removesuffix(MERGED), offset, _reason(fault))
    if fault.message == _DIVERTED:
        return DecodeError(message, fault.path, offset, fault.reason)
    inner = offset if place.endswith(MERGED) else fault.offset
    return DecodeError(message, _join(place.removesuffix(MERGED), fault.path), inner, fault.reason)


def encode_fault(fault: Exception, schema: Schema, places: _Places, message: object) -> EncodeError:
    """``fault`` as an `EncodeError`: ``message`` has a value that ``schema`` cannot write."""
    place = places(_line(fault))
    if isinstance(fault, EncodeError):
        return EncodeError(schema.type_name, _join(place, fault.path), fault.reason)
    path, reason = ("", "") if isinstance(fault, RecursionError) else mismatch(schema, place, message)
    if reason:
        return EncodeError(schema.type_name, path, reason)
    return EncodeError(schema.type_name, place, _value_reason(fault))


def _line(fault: Exception) -> int:
    return fault.__traceback__.tb_lineno if fault.__traceback__ else 1


def _join(*parts: str) -> str:
    return ".".join(filter(None, parts))


def _reason(fault: Exception) -> str:
    match fault:
        case IndexError() | struct.error():
            return "truncated"
        case UnicodeDecodeError():
            return "invalid UTF-8"
        case OverflowError():
            return f"out of range ({fault})"
        case _:
            return str(fault)


def _value_reason(fault: Exception) -> str:
    match fault:
        case UnicodeEncodeError():
            return "text has a lone surrogate, which UTF-8 cannot hold"
        case RecursionError():
            return "nested too deep, or a message contains itself"
        case ValueError():
            return str(fault)
        case struct.error() | OverflowError():
            return f"out of range ({fault})"
        case _:
            return f"wrong type ({fault})"
