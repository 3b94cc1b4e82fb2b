"""Codecs of tables: projections, counting what is left out, slices."""

from __future__ import annotations

from enum import Enum
from typing import Any

import pytest

from meshkit.codec import DecodeError, EncodeError, Field, Schema, compile_schema


class Health(Enum):
    UNKNOWN = 0
    GOOD = 1


SOCKET = Schema(
    "t.SocketAddress",
    (
        Field("protocol", 1, "ignore"),
        Field("host", 2, "string"),
        Field("port", 3, "uint32", oneof="port"),
        Field("named", 4, "ignore", oneof="port"),
    ),
    others={5: "resolver"},
)
ADDRESS = Schema("t.Address", (Field("", 1, "inline", schema=SOCKET), Field("pipe", 2, "raw")))
ENDPOINT = Schema(
    "t.Endpoint",
    (
        Field("", 1, "inline", schema=ADDRESS),
        Field("health", 2, "enum", enum=Health),
        Field("metadata", 3, "raw"),
        Field("weight", 4, "wrapper", value="uint32", default=1),
        Field("timeout", 5, "duration"),
        Field("since", 6, "timestamp"),
        Field("labels", 7, "map"),
        Field("sizes", 8, "uint32", repeated=True, convert=lambda size: size * 2),
    ),
    others={9: "hostname"},
)
SHARED = Schema("t.Shared", tuple(field for field in ENDPOINT.fields if field.kind not in ("map", "uint32")))
NODE = Schema("t.Node", (Field("endpoint", 1, "message", schema=ENDPOINT), Field("seen", 2, "bool")))


def size(data: bytes) -> bytes:
    return bytes((len(data),)) + data


SOCKET_DATA = b"\x12\x01h\x18\x90\x3f"
ADDRESS_DATA = b"\x0a" + size(b"\x0a" + size(SOCKET_DATA))


def shared(data: bytes, counts: dict[str, int] | None = None) -> Any:
    return compile_schema(SHARED).decode(data, counts)


def decode(data: bytes, counts: dict[str, int] | None = None) -> Any:
    return compile_schema(ENDPOINT).decode(data, counts)


def test_lifted_fields_and_well_known_values() -> None:
    rest = b"\x10\x01\x1a\x02\x08\x01\x22\x02\x08\x05\x2a\x02\x08\x02\x32\x06\x10\x80\xca\xb5\xee\x01\x42\x02\x01\x02"
    made = decode(ADDRESS_DATA + rest)
    assert (made.host, made.port, made.health, made.metadata, made.weight) == ("h", 8080, Health.GOOD, b"\x08\x01", 5)
    assert (made.timeout, made.since, made.labels, made.sizes) == (2.0, 0.5, {}, (2, 4))


def test_what_absent_fields_are() -> None:
    made = decode(b"")
    assert tuple(made) == ("", None, None, Health.UNKNOWN, None, 1, None, None, {}, ())


def test_a_first_field_that_comes_late_or_twice_is_read_all_the_same() -> None:
    rest = b"\x10\x01\x22\x02\x08\x05"
    for _ in range(2):
        counts: dict[str, int] = {}
        assert shared(ADDRESS_DATA + rest + b"\x48\x01", counts).weight == 5
        assert counts == {"#9": 1}
        assert shared(ADDRESS_DATA + rest).weight == 5
        late = shared(b"\x1a\x01m" + ADDRESS_DATA + rest)
        assert (late.metadata, late.weight, late.host) == (b"m", 5, "h")
        twice = shared(ADDRESS_DATA + rest + b"\x0a\x07\x0a\x05\x0a\x03\x12\x01z")
        assert (twice.host, twice.port, twice.weight) == ("h", 8080, 5)
        twice = shared(ADDRESS_DATA + rest + b"\x0a\x05\x0a\x03\x12\x01z")
        assert (twice.host, twice.port, twice.weight) == ("z", 8080, 5)


def test_raw_and_wrapped_values_that_come_twice_are_merged() -> None:
    made = decode(b"\x1a\x02\x08\x01\x22\x02\x08\x05\x1a\x02\x10\x02\x22\x00")
    assert (made.metadata, made.weight) == (b"\x08\x01\x10\x02", 5)
    assert decode(b"\x2a\x02\x08\x01\x2a\x06\x10\x80\xca\xb5\xee\x01").timeout == 1.5


def test_pieces_of_two_levels_do_not_mix() -> None:
    # Field 2 of the address (pipe) and field 3 of the endpoint (metadata) are both raw.
    made = decode(b"\x0a\x08\x12\x02\x08\x01\x12\x02\x08\x02\x1a\x02\x08\x03\x1a\x02\x08\x04")
    assert (made.pipe, made.metadata) == (b"\x08\x01\x08\x02", b"\x08\x03\x08\x04")


def test_an_ignored_member_of_a_oneof_clears_the_others() -> None:
    made = decode(b"\x0a" + size(b"\x0a" + size(SOCKET_DATA + b"\x22\x01n")))
    assert made.port is None


def test_counting_by_path() -> None:
    counts: dict[str, int] = {"endpoint.hostname": 1}
    inner = b"\x0a" + size(b"\x0a" + size(b"\x08\x01\x2a\x01r\x78\x01") + b"\x2a\x01x") + b"\x4a\x01h\x4a\x01i\x78\x01"
    data = b"\x0a" + size(inner) + b"\x18\x01"
    compile_schema(NODE).decode(data, counts)
    assert counts == {
        "endpoint.hostname": 3,
        "endpoint.#15": 1,
        "endpoint.Address.#5": 1,
        "endpoint.Address.SocketAddress.resolver": 1,
        "endpoint.Address.SocketAddress.#15": 1,
        "#3": 1,
    }
    assert compile_schema(NODE).decode(data).seen is False


def test_errors_name_message_path_and_offset() -> None:
    with pytest.raises(DecodeError) as caught:
        compile_schema(NODE).decode(b"\x10\x01\x0a" + size(b"\x0a" + size(b"\x0a" + size(b"\x12\x02\xff\xff"))))
    error = caught.value
    assert (error.message, error.path) == ("Node", "endpoint.Address.SocketAddress.host")
    assert (error.offset, error.reason) == (8, "invalid UTF-8")
    assert str(error) == "Node.endpoint.Address.SocketAddress.host: invalid UTF-8 at byte 8"


@pytest.mark.parametrize("cut", range(1, 40))
def test_cut_anywhere_it_is_refused_or_is_a_shorter_message(cut: int) -> None:
    data = b"\x0a" + size(ADDRESS_DATA + b"\x10\x01\x1a\x02\x08\x01\x22\x02\x08\x05\x3a\x06\x0a\x01a\x12\x01b")
    if cut < len(data):
        with pytest.raises(DecodeError):
            compile_schema(NODE).decode(data[:cut])


def test_tables_that_only_read_say_so() -> None:
    with pytest.raises(TypeError, match="read only"):
        _ = compile_schema(ENDPOINT).encode


def test_writing_needs_attributes_only() -> None:
    class Thing:
        name = "n"
        health = Health.GOOD
        weight = None

    table = Schema(
        "t.Thing",
        (
            Field("name", 1, "string"),
            Field("health", 2, "enum", enum=Health),
            Field("weight", 3, "wrapper", value="uint32"),
            Field("gone", 4, "ignore"),
        ),
    )
    assert compile_schema(table).encode(Thing()) == b"\x0a\x01n\x10\x01"
    with pytest.raises(EncodeError, match=r"Thing\.name"):
        compile_schema(table).encode(object())


def test_slices_pause_after_so_many_items() -> None:
    item = Schema("t.Item", (Field("n", 1, "uint32"),))
    many = compile_schema(Schema("t.Many", (Field("items", 1, "message", schema=item, repeated=True, bulk=True),)))
    data = b"".join(b"\x0a\x02\x08" + bytes((n,)) for n in range(100)) + b"\x0a\x02\x08\x01" * 100
    steps, pauses = many.sliced(data), 0
    while True:
        try:
            pauses += next(steps)
        except StopIteration as stop:
            assert stop.value == many.decode(data)
            break
    assert pauses == 192


def test_a_table_without_bulk_fields_has_no_pauses() -> None:
    with pytest.raises(StopIteration) as stopped:
        next(compile_schema(NODE).sliced(b"\x10\x01"))
    assert stopped.value.value.seen is True


def test_the_generated_text_can_be_read() -> None:
    source = compile_schema(NODE).source
    assert source.startswith("def decode(")
    assert "_seen = " in source


def _recursive() -> Schema:
    fields = (
        Field("child", 1, "message", schema=lambda: RECURSIVE),
        Field("children", 2, "map", value="message", schema=lambda: RECURSIVE),
    )
    return Schema("t.Recursive", fields)


RECURSIVE = _recursive()


def test_a_message_that_comes_twice_is_merged() -> None:
    made = compile_schema(RECURSIVE).decode(b"\x0a\x02\x0a\x00\x0a\x02\x12\x00")
    assert made.child.child is not None
    assert list(made.child.children) == [""]
    entry = b"\x12\x08\x12\x02\x0a\x00\x12\x02\x12\x00"
    assert compile_schema(RECURSIVE).decode(entry).children[""] == made.child


@pytest.mark.parametrize("key", [b"\x0a", b"\x12"])
def test_messages_that_double_at_every_level_are_refused_not_read_for_ever(key: bytes) -> None:
    data = b""
    for _ in range(40):
        twice = key + _sized(data) + key + b"\x00"
        data = twice if key == b"\x0a" else b"\x12" + _sized(twice)
    with pytest.raises(DecodeError, match="nested too deep"):
        compile_schema(RECURSIVE).decode(data)


def _sized(data: bytes) -> bytes:
    size = len(data)
    return (bytes((size,)) if size < 128 else bytes((size & 127 | 128, size >> 7))) + data
