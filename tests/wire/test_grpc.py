from hypothesis import given
from hypothesis import strategies as st

from meshkit.wire import ErrorCode, decode_status_message, encode_status_message, http_to_grpc, rst_to_grpc


@given(st.text())
def test_status_messages_survive(message):
    raw = encode_status_message(message)
    assert all(0x20 <= byte <= 0x7E for byte in raw)
    assert decode_status_message(raw) == message.encode("utf-8", "replace").decode()


@given(st.binary())
def test_reading_a_status_message_never_fails(raw):
    decode_status_message(raw)


def test_status_messages_of_the_specification():
    special = "\t\ntest with whitespace\r\nand Unicode BMP ☺ and non-BMP 😈\t\n"
    assert encode_status_message("50% off") == b"50%25 off"
    assert b"%E2%98%BA" in encode_status_message(special)
    assert decode_status_message(b"50% off %zz %4") == "50% off %zz %4"
    assert decode_status_message(b"%e2%98%ba%FF") == "☺�"


def test_messages_that_should_have_been_escaped():
    assert decode_status_message("100% é".encode()) == "100% é"
    assert decode_status_message("100% é".encode("latin-1")) == "100% é"


def test_http_statuses():
    known = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 431: 13, 502: 14, 503: 14, 504: 14}
    assert {status: http_to_grpc(status) for status in known} == known
    assert {http_to_grpc(status) for status in (200, 204, 301, 415, 418, 500, 505)} == {2}


def test_reset_codes():
    assert [rst_to_grpc(code) for code in ErrorCode] == [13, 13, 13, 13, 13, 2, 13, 14, 1, 13, 13, 8, 7, 2]
    assert rst_to_grpc(99) == 2
