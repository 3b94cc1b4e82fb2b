"""Metadata: what users give, what the wire carries, and back."""

from __future__ import annotations

import binascii

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.metadata import EMPTY, Metadata, decode_metadata, encode_metadata

names = st.from_regex(r"[a-z][0-9a-z_.\-]{0,10}", fullmatch=True).filter(
    lambda name: not name.startswith("grpc-")
    and not name.endswith("-bin")
    and name not in {"te", "content-type", "user-agent", "host", "connection", "transfer-encoding"}
)
text = st.tuples(names, st.text(st.characters(min_codepoint=0x20, max_codepoint=0x7E), max_size=20))
binary = st.tuples(names.map(lambda name: name + "-bin"), st.binary(max_size=20))


@given(st.lists(text | binary))
def test_what_is_encoded_decodes(pairs: list[tuple[str, str | bytes]]) -> None:
    assert list(decode_metadata(encode_metadata(pairs)).pairs) == pairs


@given(st.binary(max_size=30), st.booleans())
def test_binary_values_may_be_padded(value: bytes, padded: bool) -> None:
    encoded = binascii.b2a_base64(value, newline=False)
    field = (b"x-bin", encoded if padded else encoded.rstrip(b"="))
    assert decode_metadata([field])["x-bin"] == value


@given(st.lists(st.tuples(st.binary(max_size=10), st.binary(max_size=10))))
def test_decoding_raises_nothing_but_value_error(fields: list[tuple[bytes, bytes]]) -> None:
    try:
        decode_metadata(fields)
    except ValueError:
        pass


def test_binary_values_may_be_joined() -> None:
    assert decode_metadata([(b"x-bin", b"YQ, Yg==")]).getall("x-bin") == [b"a", b"b"]
    assert decode_metadata([(b"x", b"a, b")]).getall("x") == ["a, b"]


def test_what_is_the_protocols_own_is_left_out() -> None:
    fields = [(b":path", b"/a"), (b"te", b"trailers"), (b"grpc-timeout", b"1S"), (b"user-agent", b"x")]
    assert decode_metadata(fields) is EMPTY


def test_the_mapping() -> None:
    metadata = Metadata.of([("A", "1"), ("b", "2"), ("a", "3")])
    assert (metadata["a"], metadata.getall("a"), list(metadata), len(metadata)) == ("1", ["1", "3"], ["a", "b"], 2)
    assert Metadata.of(metadata) is metadata
    assert Metadata.of(None) is EMPTY
    assert (metadata + {"C": "4"}).pairs == (("a", "1"), ("b", "2"), ("a", "3"), ("c", "4"))
    assert repr(Metadata([("a", "1")])) == "Metadata([('a', '1')])"
    with pytest.raises(KeyError):
        metadata["c"]


@pytest.mark.parametrize(
    ("metadata", "error", "words"),
    [
        ({"a b": "x"}, ValueError, "only 0-9 a-z"),
        ({"": "x"}, ValueError, "only 0-9 a-z"),
        ({"te": "x"}, ValueError, "reserved"),
        ({"Content-Length": "5"}, ValueError, "reserved by gRPC or HTTP"),
        ({"keep-alive": "x"}, ValueError, "reserved"),
        ({"GRPC-timeout": "x"}, ValueError, "reserved"),
        ({"a": "ä"}, ValueError, "0x20-0x7E"),
        ({"a": "x\n"}, ValueError, "0x20-0x7E"),
        ({"a": b"x"}, TypeError, "must be str"),
        ({"a-bin": "x"}, TypeError, "must be bytes"),
    ],
)
def test_what_users_may_not_send(metadata: dict[str, str | bytes], error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        encode_metadata(metadata)


def test_bad_base64_is_named() -> None:
    with pytest.raises(ValueError, match="'x-bin' is not base64"):
        decode_metadata([(b"x-bin", b"!")])
