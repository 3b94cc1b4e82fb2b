import pytest
from hpack.huffman import HuffmanEncoder
from hpack.huffman_constants import REQUEST_CODES, REQUEST_CODES_LENGTH
from hypothesis import given
from hypothesis import strategies as st

from meshkit.wire.huffman import _MOST_STEPS, _STEPS, LENGTHS, HuffmanError, canonical_codes, huffman_decode

ORACLE = HuffmanEncoder(REQUEST_CODES, REQUEST_CODES_LENGTH)


def test_the_code_is_that_of_appendix_b():
    assert list(LENGTHS) == REQUEST_CODES_LENGTH
    assert canonical_codes(LENGTHS) == REQUEST_CODES


@given(st.binary(max_size=200))
def test_text_survives(text):
    assert huffman_decode(ORACLE.encode(text)) == text


@pytest.mark.parametrize(
    "code",
    [
        b"\xff",  # eight ones of padding
        b"\x1f\xff",  # "a" and eleven
        b"\x18",  # "a" (00011) and padding of zeros
        b"\xff\xff\xff\xff",  # the end-of-string symbol
        b"\x00\xff\xff\xff\xff\x00",  # the same, inside
    ],
)
def test_bad_padding_and_the_end_symbol_are_errors(code):
    with pytest.raises(HuffmanError):
        huffman_decode(code)


@given(st.binary(max_size=50))
def test_every_byte_string_decodes_or_fails_as_declared(code):
    try:
        text = huffman_decode(code)
    except HuffmanError:
        return
    assert ORACLE.encode(text) == code  # the code has one form only


def test_remembered_steps_are_bounded():
    for first in range(256):
        text = bytes((first, *range(256))) * 2
        assert huffman_decode(ORACLE.encode(text)) == text
        assert len(_STEPS) <= _MOST_STEPS
