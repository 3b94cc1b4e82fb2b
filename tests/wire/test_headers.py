"""Which header lists are requests, responses and trailers (RFC 9113 sections 8.2 and 8.3)."""

import tracemalloc

import pytest

from meshkit.wire.headers import CheckedLists, check_request, check_response, check_trailers
from tests.support.engines import OK, REQUEST, RESPONSE

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


def often(lists: CheckedLists, fields):
    """The verdict of the third time, of a tuple made anew."""
    for _ in range(2):
        lists(tuple(field for field in fields))
    return lists(tuple(field for field in fields))


def test_an_equal_list_gives_the_same_fields():
    lists = CheckedLists(check_request)
    assert lists(REQUEST) == check_request(REQUEST)
    again = often(lists, REQUEST)
    assert again == check_request(REQUEST)
    assert often(lists, REQUEST).fields is again.fields


@pytest.mark.parametrize(
    "fields",
    [
        (*REQUEST, (b"authorization", b"Bearer secret")),
        (*REQUEST, (b"x-api-key", b"secret")),
        (*REQUEST, (b"cookie", b"secret")),
        (*REQUEST[:2], (b":path", b"/page?token=secret"), REQUEST[3]),  # not gRPC's
        (*REQUEST, (b"user-agent", b"x" * 1000)),
        (*REQUEST, *[(b"te", b"trailers")] * 30),
        (*REQUEST, (b"connection", b"close")),  # malformed
    ],
)
def test_what_is_an_applications_or_long_or_wrong_is_checked_each_time(fields):
    lists = CheckedLists(check_request)
    assert often(lists, fields) == check_request(fields)
    assert not lists.known


def test_messages_of_errors_are_not_kept_but_their_absence_is():
    lists = CheckedLists(check_trailers)
    often(lists, (*OK, (b"grpc-message", b"no user bob")))
    assert not lists.known
    often(lists, (*OK, (b"grpc-message", b"")))
    assert len(lists.known) == 1


def test_lists_that_come_once_are_not_kept_and_attackers_fill_little():
    lists = CheckedLists(check_request)
    for number in range(1000):
        lists((*REQUEST, (b"grpc-timeout", b"%du" % number)))
    assert not lists.known
    tracemalloc.start()
    try:
        for number in range(5000):
            often(lists, (*REQUEST, (b"user-agent", b"%d" % number + b"x" * 600)))
        assert tracemalloc.get_traced_memory()[0] < 1 << 19
    finally:
        tracemalloc.stop()
    assert often(lists, REQUEST).fields is often(lists, REQUEST).fields
