import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.net.requests import Refusal, Request, read_request

BASE = {b":method": b"POST", b":path": b"/a.B/C", b"content-type": b"application/grpc"}


def read(**changes: bytes) -> Request | Refusal:
    fields = {**BASE, **{name.replace("_", "-").encode(): value for name, value in changes.items()}}
    return read_request(tuple(fields.items()))


def test_a_request():
    assert read(grpc_timeout=b"2S", grpc_encoding=b"gzip") == Request("/a.B/C", b"application/grpc", 2.0, b"gzip")


@pytest.mark.parametrize("kind", [b"application/grpc+proto", b"application/grpc;charset=utf-8"])
def test_subtypes_and_parameters_are_welcome(kind):
    assert read(content_type=kind) == Request("/a.B/C", kind, None, None)


def test_refusals_are_trailers_only_to_grpc_and_have_a_body_for_others():
    assert read(grpc_timeout=b"x").body == b""
    assert dict(read(grpc_timeout=b"x").fields())[b"content-type"] == b"application/grpc"
    assert b"text/html" in read(content_type=b"text/html").body


@given(st.dictionaries(st.binary(min_size=1), st.binary()))
def test_any_fields_are_read_or_refused(fields):
    assert isinstance(read_request(((b":path", b"/"), *fields.items())), Refusal | Request)
