"""Generated text: found by inspect, and named in tracebacks."""

from __future__ import annotations

import inspect
import re
import sys
import traceback
import types
from pathlib import Path

import pytest

from meshkit.codec import DecodeError, EncodeError, Field, Schema, codec_for, compile_schema
from meshkit.codec.program import function
from meshkit.codec.text import Text

LEAF = Schema("a.Leaf", (Field("n", 1, "int32"),))
OTHER_LEAF = Schema("b.Leaf", (Field("s", 1, "string"),))
TOP = Schema("a.Top", (Field("one", 1, "message", schema=LEAF), Field("two", 2, "message", schema=OTHER_LEAF)))


def test_functions_are_made_once() -> None:
    assert function("decode", TOP) is function("decode", TOP)


def test_two_messages_of_one_name() -> None:
    made = compile_schema(TOP).decode(b"\x0a\x02\x08\x05\x12\x03\x0a\x01x")
    assert (made.one.n, made.two.s) == (5, "x")
    assert compile_schema(TOP).encode(made) == b"\x0a\x02\x08\x05\x12\x03\x0a\x01x"


def test_names_that_the_text_uses_itself() -> None:
    fault = Schema("t.fault", (Field("value", 1, "int32"),))
    odd = Schema("t.Some-thing", (Field("tag", 1, "int32"),))
    table = Schema(
        "t.Odd",
        (
            Field("start", 1, "wrapper", value="int32"),
            Field("start_at", 2, "wrapper", value="int32"),
            Field("at", 3, "int32"),
            Field("data", 4, "message", schema=fault),
            Field("pos", 5, "message", schema=odd),
            Field("end", 6, "string", repeated=True),
        ),
    )
    codec = compile_schema(table)
    data = b"\x0a\x02\x08\x01\x12\x02\x08\x02\x18\x03\x22\x02\x08\x04\x2a\x02\x08\x05\x32\x01x"
    made = codec.decode(data)
    assert (made.start, made.start_at, made.at, made.data.value, made.pos.tag, made.end) == (1, 2, 3, 4, 5, ("x",))
    assert codec.encode(made) == data
    with pytest.raises(DecodeError, match=r"Odd\.data\.value"):
        codec.decode(b"\x22\x02\x08\x80")


def test_the_text_is_found() -> None:
    assert "_one = decode_Leaf(" in inspect.getsource(function("decode", TOP))
    assert "m.two" in inspect.getsource(function("encode", TOP))


def test_tracebacks_show_the_line() -> None:
    with pytest.raises(EncodeError) as caught:
        compile_schema(LEAF).encode(object())
    assert "meshkit.codec encode a.Leaf" in "".join(traceback.format_exception(caught.value))


def test_lines_know_what_they_are_about() -> None:
    text = Text()
    with text.block("if x:"), text.about("field"):
        text.add("y = 1")
    text.add("")
    assert str(text) == "if x:\n    y = 1\n\n"
    assert [text.place_of(line) for line in (1, 2, 3)] == ["", "field", ""]


def test_the_documented_text_is_what_is_generated(monkeypatch: pytest.MonkeyPatch) -> None:
    text = (Path(__file__).parents[2] / "docs" / "codec.md").read_text()
    code, encode, decode = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    module = types.ModuleType("people")
    monkeypatch.setitem(sys.modules, "people", module)
    exec(code, vars(module))
    codec = codec_for(module.Person)
    assert inspect.getsource(codec.encode) == encode
    assert inspect.getsource(codec.decode) == decode
    assert codec.decode(codec.encode(module.Person("Ada", 36))) == module.Person("Ada", 36)
