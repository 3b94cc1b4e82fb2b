"""Which header lists are requests, responses and trailers (RFC 9113 sections 8.2 and 8.3)."""

import pytest

from meshkit.wire.headers import check_request, check_response, check_trailers
from tests.support.engines import REQUEST, RESPONSE

MALFORMED_REQUESTS = {
    "no :method": REQUEST[1:],
    "no :path": (REQUEST[0], REQUEST[1], *REQUEST[3:]),
    "an empty :path": (REQUEST[0], REQUEST[1], (b":path", b""), *REQUEST[3:]),
    ":path twice": ((b":path", b"/"), *REQUEST),
    "a response's pseudo-header": ((b":status", b"200"), *REQUEST),
    "an unknown pseudo-header": ((b":protocol", b"websocket"), *REQUEST),
    "a pseudo-header after the others": (*REQUEST, (b":authority", b"x")),
    "a name in upper case": (*REQUEST, (b"Accept", b"x")),
    "an empty name": (*REQUEST, (b"", b"x")),
    "a name with a space": (*REQUEST, (b"a b", b"x")),
    "a name with a colon": (*REQUEST, (b"a:b", b"x")),
    "a value with a line feed": (*REQUEST, (b"a", b"x\ny")),
    "a value with a carriage return": (*REQUEST, (b"a", b"x\r")),
    "a value with a zero": (*REQUEST, (b"a", b"\0")),
    "a pseudo-header's value with a line feed": ((b":method", b"POST\n"), *REQUEST[1:]),
    "te that is not trailers": (*REQUEST[:4], (b"te", b"gzip")),
    "content-length that is no number": (*REQUEST, (b"content-length", b"-1")),
    "content-length twice": (*REQUEST, (b"content-length", b"1"), (b"content-length", b"2")),
    "CONNECT": ((b":method", b"CONNECT"), (b":authority", b"x:1")),
    **{
        f"connection-specific {name.decode()}": (*REQUEST, (name, b"x"))
        for name in (b"connection", b"proxy-connection", b"keep-alive", b"transfer-encoding", b"upgrade")
    },
}


@pytest.mark.parametrize("fields", MALFORMED_REQUESTS.values(), ids=MALFORMED_REQUESTS)
def test_malformed_requests(fields):
    assert check_request(fields).malformed


def test_a_request_and_what_the_engine_needs_of_it():
    fields = (*REQUEST, (b"grpc-encoding", b"gzip"), (b"content-length", b"12"), (b"content-length", b"12"))
    found = check_request(fields)
    assert (found.fields, found.malformed, found.grpc, found.encoding, found.length) == (fields, "", True, b"gzip", 12)
    assert not check_request(REQUEST[:4]).grpc


@pytest.mark.parametrize("status", [b"", b"20", b"2000", b"abc"])
def test_malformed_responses(status):
    assert check_response(((b":status", status),)).malformed
    assert check_response(()).malformed
    assert not check_response(RESPONSE).malformed


def test_trailers_have_no_pseudo_headers():
    assert check_trailers(((b"grpc-status", b"0"), (b":path", b"/"))).malformed
    assert not check_trailers(((b"grpc-status", b"0"), (b"x-bin", b"AAAA"))).malformed
    assert not check_trailers(()).malformed
