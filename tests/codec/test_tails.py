"""Looking the rest of a message up gives what reading it gives."""

from __future__ import annotations

from typing import Any

from hypothesis import given
from hypothesis import strategies as st

from meshkit.codec import DecodeError, Field, Schema, compile_schema

SOCKET = Schema(
    "t.Socket",
    (
        Field("protocol", 1, "ignore"),
        Field("host", 2, "string"),
        Field("port", 3, "uint32", oneof="port"),
        Field("named", 4, "string", oneof="port"),
    ),
)
ADDRESS = Schema("t.Address", (Field("", 1, "inline", schema=SOCKET), Field("pipe", 2, "raw")))
ENDPOINT = Schema("t.Endpoint", (Field("", 1, "inline", schema=ADDRESS),))
FIELDS = (
    Field("", 1, "inline", schema=ENDPOINT),
    Field("health", 2, "enum"),
    Field("metadata", 3, "raw"),
    Field("weight", 4, "wrapper", value="uint32", default=1),
)
SHARING = compile_schema(Schema("t.Sharing", FIELDS))
# The same without look-up: a repeated field is mutable.
PLAIN = compile_schema(Schema("t.Plain", (*FIELDS, Field("more", 15, "string", repeated=True))))


def size(data: bytes) -> bytes:
    return bytes((len(data),)) + data


def endpoint(socket: bytes, more: bytes = b"") -> bytes:
    return b"\x0a" + size(b"\x0a" + size(b"\x0a" + size(socket) + more))


def test_only_the_one_looks_up() -> None:
    assert "tails.get(tail)" in SHARING.source
    assert "tails" not in PLAIN.source


def test_the_rest_is_shared() -> None:
    rest = b"\x10\x01\x1a\x08metadata\x22\x02\x08\x05"
    one = SHARING.decode(endpoint(b"\x12\x01h\x18\x90\x3f") + rest)
    two = SHARING.decode(endpoint(b"\x12\x02hi\x18\x90\x3f") + rest)
    assert (two.host, two.port, two.health, two.metadata, two.weight) == ("hi", 8080, 1, b"metadata", 5)
    assert one.metadata is two.metadata


SOCKETS = (
    b"\x12\x01h",
    b"\x12\x02hi",
    b"\x18\x90\x3f",
    b"\x18\x01",
    b"\x22\x01n",
    b"\x08\x01",
    b"\x2a\x01r",
    b"\x92\x00\x01z",
)
sockets = st.lists(st.sampled_from(SOCKETS), max_size=4).map(b"".join)
endpoints = st.builds(endpoint, sockets, st.sampled_from((b"", b"", b"", b"\x12\x02\x08\x01", b"\x1a\x00")))
REST = (
    b"\x10\x01",
    b"\x10\x02",
    b"\x1a\x02\x08\x01",
    b"\x1a\x00",
    b"\x22\x02\x08\x05",
    b"\x22\x00",
    b"\x28\x01",
    b"\x10",
)
parts = st.one_of(endpoints, st.sampled_from(REST), st.sampled_from(REST))


def outcome(codec: Any, data: bytes) -> Any:
    counts: dict[str, int] = {}
    try:
        return (*codec.decode(data, counts)[:7], counts)
    except DecodeError as error:
        return error.path, error.offset, error.reason


@given(
    st.lists(st.builds(lambda first, rest: first + b"".join(rest), endpoints, st.lists(parts, max_size=4)), max_size=8)
)
def test_a_history_of_messages_reads_as_without_look_up(messages: list[bytes]) -> None:
    for data in messages:
        assert outcome(SHARING, data) == outcome(PLAIN, data)
