"""Objects from decoded values: fast, and the same as if their class had been called."""

from __future__ import annotations

from dataclasses import FrozenInstanceError, dataclass, field
from typing import NamedTuple

import pytest

from meshkit.codec import Field, Schema, compile_schema, maker

FIELDS = (Field("a", 1, "string"), Field("b", 2, "int32", repeated=True))
DATA = b"\x0a\x01x\x12\x02\x01\x02"


@dataclass(frozen=True, slots=True)
class FrozenSlots:
    a: str
    b: tuple[int, ...]
    c: dict[str, int] = field(default_factory=dict[str, int])


@dataclass(frozen=True)
class Frozen:
    a: str
    b: tuple[int, ...]


@dataclass(slots=True)
class Open:
    a: str = "unused"
    b: tuple[int, ...] = ()
    c: int = 7


@dataclass(frozen=True, slots=True)
class Checked:
    a: str
    b: tuple[int, ...]

    def __post_init__(self) -> None:
        if not self.a:
            raise ValueError("a is empty")


class Pair(NamedTuple):
    a: str
    b: tuple[int, ...]


@pytest.mark.parametrize("cls", [FrozenSlots, Frozen, Open, Checked, Pair])
def test_every_kind_of_class(cls: type) -> None:
    built = compile_schema(Schema("t", FIELDS, cls)).decode(DATA)
    assert built == cls("x", (1, 2))
    assert type(built) is cls
    assert repr(built) == repr(cls("x", (1, 2)))


def test_frozen_stays_frozen_and_hashable() -> None:
    built = compile_schema(Schema("t", FIELDS, Frozen)).decode(DATA)
    with pytest.raises(FrozenInstanceError):
        built.a = "y"
    assert hash(built) == hash(Frozen("x", (1, 2)))


def test_fields_that_the_table_lacks_get_their_defaults_each_time() -> None:
    codec = compile_schema(Schema("t", FIELDS, FrozenSlots))
    one, two = codec.decode(DATA), codec.decode(DATA)
    assert one.c == {}
    assert one.c is not two.c


def test_values_in_table_order_for_a_function_and_a_tuple_for_none() -> None:
    assert compile_schema(Schema("t", FIELDS, lambda *values: values)).decode(DATA) == ("x", (1, 2))
    built = compile_schema(Schema("pkg.Name", FIELDS)).decode(DATA)
    assert (built.a, built.b, type(built).__name__) == ("x", (1, 2), "Name")


def test_a_table_of_nothing() -> None:
    assert compile_schema(Schema("t", (Field("a", 1, "ignore"),))).decode(DATA) == ()


def test_a_refusal_of_the_class_is_a_decode_error() -> None:
    with pytest.raises(ValueError, match="Thing: a is empty at byte 0"):
        compile_schema(Schema("Thing", FIELDS, Checked)).decode(b"")


def test_a_table_with_a_field_that_the_class_lacks() -> None:
    codec = compile_schema(Schema("t", (*FIELDS, Field("z", 3, "bool")), Frozen))
    with pytest.raises(TypeError, match="Frozen has no field z"):
        codec.decode(b"")


@pytest.mark.parametrize("cls", [FrozenSlots, Frozen, Open, Checked])
def test_makers(cls: type) -> None:
    values = ["x", (1, 2), {"n": 1}][: len(cls.__dataclass_fields__)]
    assert maker(cls)(*values) == cls(*values)
