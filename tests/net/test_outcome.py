import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.net.outcome import from_http, from_loss, from_reset, from_trailers, not_grpc
from meshkit.wire import encode_status_message

GRPC = ((b":status", b"200"), (b"content-type", b"application/grpc"))


def test_ok():
    outcome = from_trailers(((b"grpc-status", b"0"),), trailers_only=False)
    assert (outcome.status, outcome.message, outcome.headers_received) == (0, "", True)


@given(st.integers(0, 16), st.text())
def test_status_and_message(status, message):
    fields = ((b"grpc-status", b"%d" % status), (b"grpc-message", encode_status_message(message)))
    outcome = from_trailers(fields, trailers_only=True)
    assert outcome.status == status
    assert outcome.message == message.encode("utf-8", "replace").decode()


@given(st.lists(st.tuples(st.binary(min_size=1), st.binary())))
def test_whatever_comes_there_is_an_outcome(fields):
    assert from_trailers(tuple(fields), trailers_only=False).status in range(10**9)
    assert from_trailers(tuple(fields), trailers_only=True).status in range(10**9)


@pytest.mark.parametrize("raw", [b"", b"x", b"-1", b"1.0", b"99999999999"])
def test_a_status_that_is_no_number_is_unknown(raw):
    assert from_trailers(((b"grpc-status", raw),), trailers_only=False).status == 2


@pytest.mark.parametrize(("raw", "details"), [(b"CAk=", b"\x08\t"), (b"CAk", b"\x08\t"), (b"!", None)])
def test_details(raw, details):
    fields = ((b"grpc-status", b"5"), (b"grpc-status-details-bin", raw))
    assert from_trailers(fields, trailers_only=False).details == details


def test_the_first_of_two_statuses_counts():
    assert from_trailers(((b"grpc-status", b"5"), (b"grpc-status", b"0")), trailers_only=False).status == 5


def test_what_is_not_grpc():
    assert not_grpc(GRPC) == ""
    assert not_grpc((GRPC[0], (b"content-type", b"application/grpc+proto"))) == ""
    assert "404" in not_grpc(((b":status", b"404"), GRPC[1]))
    assert "text/html" in from_http((GRPC[0], (b"content-type", b"text/html"))).message


def test_a_body_is_told_in_one_printable_line():
    fields = ((b":status", b"502"), (b"content-type", b"text/html"))
    body = b"<html>\r\n<h1>502\x1b[2J Bad\tGateway\xff</h1>\n" + b"x" * 1000
    message = from_http(fields, body).message
    said = "<html> <h1>502 [2J Bad Gateway\ufffd</h1> xx"
    assert message.startswith(f"unexpected response: HTTP status 502, content-type 'text/html': {said}")
    assert message.isprintable() and message.endswith("x...") and len(message) < 300
    assert from_http(fields, b" \n").message == from_http(fields).message


def test_a_reset_code_nobody_defined_is_unknown():
    outcome = from_reset(99, unprocessed=False, headers_received=False)
    assert outcome.status == 2
    assert "0x63" in outcome.message


def test_a_loss_names_peer_and_reason():
    outcome = from_loss("10.0.0.1:80", "Connection reset by peer", unprocessed=True, headers_received=False)
    assert outcome.status == 14
    assert "10.0.0.1:80" in outcome.message
    assert "Connection reset by peer" in outcome.message
    assert outcome.unprocessed
