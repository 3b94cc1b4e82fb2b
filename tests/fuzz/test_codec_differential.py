"""Our codec against upb and betterproto2, over generated schemas, values and damage.

`docs/codec.md` lists what is meant to differ.
"""

from __future__ import annotations

import os
import warnings
from random import Random
from typing import Any

from google.protobuf.message import DecodeError as UpbError
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from meshkit.codec import DecodeError, codec_for, compile_schema
from tests.support.message_types import KEYS, SCALARS, WRAPPED, FieldSpec, Types, make_types
from tests.support.wire_cases import betterproto2_errs, damage, fill, normalized, tables_of

CASES = int(os.environ.get("MESHKIT_FUZZ_CASES", "2000"))
VALUES = 20 if CASES <= 2000 else 200
SCHEMAS = max(CASES // VALUES, 1)
# What we refuse and upb takes: a time in pieces of which one alone is none that Python can hold, and field number 0
# inside a group that is skipped.
STRICTER = ("out of range", "field number 0")


@st.composite
def schemas(draw: st.DrawFn) -> Types:
    count = draw(st.integers(1, 3))
    kinds = st.sampled_from((*SCALARS, *WRAPPED, *(f"M{i}" for i in range(count))))
    field = st.tuples(
        kinds, st.sampled_from(("", "", "optional", "repeated", "map", "oneof", "oneof")), st.sampled_from(KEYS)
    )
    specs = []
    for _ in range(count):
        numbers = draw(st.lists(st.integers(1, 20), min_size=1, max_size=9, unique=True))
        chosen = draw(st.lists(field, min_size=len(numbers), max_size=len(numbers)))
        specs.append(tuple(_spec(number, *each) for number, each in zip(numbers, chosen, strict=True)))
    return make_types(tuple(specs))


def _spec(number: int, kind: str, label: str, key: str) -> FieldSpec:
    return FieldSpec(number, kind, label, key)


def budget(function: Any) -> Any:
    quiet = (HealthCheck.too_slow, HealthCheck.data_too_large, HealthCheck.large_base_example)
    return settings(max_examples=SCHEMAS, deadline=None, suppress_health_check=quiet, database=None)(function)


def _upb(cls: Any, data: bytes) -> Any:
    """upb's message, or None where it refuses."""
    try:
        return cls.FromString(data)
    except UpbError:
        return None


def _mine(codec: Any, data: bytes) -> Any:
    try:
        return codec.decode(data)
    except DecodeError as error:
        return error


@budget
@given(schemas(), st.integers(0, 2**32))
def test_valid_messages_are_equal_to_upb_and_betterproto2(types: Types, seed: int) -> None:
    random = Random(seed)
    cls, upb = types.mine[0], types.upb[0]
    codec = codec_for(cls)
    for _ in range(VALUES):
        message = fill(random, types, 0)
        data = message.SerializeToString(deterministic=True)
        decoded = codec.decode(data)
        encoded = codec.encode(decoded)
        assert upb.FromString(encoded).SerializeToString(deterministic=True) == data
        assert codec.encode(codec.decode(encoded)) == encoded
        if not betterproto2_errs(message):
            _compare_with_betterproto2(cls, codec, data, decoded, encoded)


def _compare_with_betterproto2(cls: Any, codec: Any, data: bytes, decoded: Any, encoded: bytes) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        assert bytes(decoded) == encoded
        assert codec.encode(cls.parse(data)) == encoded


@budget
@given(schemas(), st.integers(0, 2**32))
def test_tables_read_and_write_the_same(types: Types, seed: int) -> None:
    random, upb = Random(seed), types.upb[0]
    codec = compile_schema(tables_of(types)[0])
    for _ in range(VALUES):
        data = fill(random, types, 0).SerializeToString(deterministic=True)
        assert upb.FromString(codec.encode(codec.decode(data))).SerializeToString(deterministic=True) == data
        data = damage(random, data, fill(random, types, 0).SerializeToString())
        theirs, ours = _upb(upb, data), _mine(codec, data)
        if isinstance(ours, DecodeError):
            assert theirs is None or ours.reason.startswith(STRICTER), (
                data.hex(),
                types.specs,
            )
        else:
            assert theirs is not None
            theirs.DiscardUnknownFields()
            if not any(field.label == "map" for spec in types.specs for field in spec):
                assert normalized(upb.FromString(codec.encode(ours))) == normalized(theirs), (data.hex(), types.specs)


@budget
@given(schemas(), st.integers(0, 2**32))
def test_damaged_messages_are_read_or_refused_as_by_upb(types: Types, seed: int) -> None:
    random = Random(seed)
    cls, upb = types.mine[0], types.upb[0]
    codec = codec_for(cls)
    for _ in range(VALUES):
        one, two = fill(random, types, 0), fill(random, types, 0)
        data = damage(random, one.SerializeToString(), two.SerializeToString())
        theirs, ours = _upb(upb, data), _mine(codec, data)
        try:
            expected = None if theirs is None else normalized(theirs)
        except OverflowError:
            expected = None
        if isinstance(ours, DecodeError):
            assert expected is None or ours.reason.startswith(STRICTER), (data.hex(), types.specs, ours)
        else:
            assert expected is not None, (data.hex(), types.specs)
            again = upb.FromString(codec.encode(ours))
            assert normalized(again) == expected, (data.hex(), types.specs)
