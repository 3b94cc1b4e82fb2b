"""What a table may say."""

from __future__ import annotations

from enum import Enum

import pytest

from meshkit.codec import Field, Schema
from meshkit.codec.schema import zero


class Letter(Enum):
    NONE = 0
    A = 1


def test_tags_and_presence() -> None:
    assert Field("a", 1, "string").tag == 10
    assert Field("a", 16, "double").tag == 129
    assert not Field("a", 1, "string").present
    assert Field("a", 1, "string", optional=True).present
    assert Field("a", 1, "string", oneof="x").present
    assert Field("a", 1, "wrapper", value="bool").present
    assert not Field("a", 1, "raw", repeated=True).present


def test_what_an_absent_field_is() -> None:
    assert Field("a", 1, "string").missing == ""
    assert Field("a", 1, "double").missing == 0.0
    assert Field("a", 1, "enum", enum=Letter).missing is Letter.NONE
    assert Field("a", 1, "enum").missing == 0
    assert Field("a", 1, "message", schema=Schema("x", ())).missing is None
    assert Field("a", 1, "wrapper", value="uint32", default=1).missing == 1
    assert zero("bytes") == b""


def test_a_schema_by_name_or_by_call() -> None:
    inner = Schema("pkg.Inner", ())
    assert inner.type_name == "Inner"
    assert Field("a", 1, "message", schema=inner).target is inner
    assert Field("a", 1, "message", schema=lambda: inner).target is inner


@pytest.mark.parametrize(
    ("number", "kind", "options", "words"),
    [
        (1, "integer", {}, "unknown kind 'integer'"),
        (0, "int32", {}, "number 0 is out of range"),
        (2**29, "int32", {}, "out of range"),
        (1, "message", {}, "needs a schema"),
        (1, "string", {"bulk": True, "repeated": True}, "only a repeated message"),
    ],
)
def test_tables_that_make_no_sense(number: int, kind: str, options: dict[str, bool], words: str) -> None:
    with pytest.raises(ValueError, match=words):
        Field("a", number, kind, **options)
