"""``grpc-timeout``: never early, never more than eight digits."""

from __future__ import annotations

from datetime import timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.deadline import decode_timeout, encode_timeout, seconds_of


@given(st.floats(min_value=1e-7, max_value=3e11))
def test_what_is_encoded_decodes_to_no_less(seconds: float) -> None:
    value = encode_timeout(seconds)
    assert len(value) <= 9
    assert decode_timeout(value) >= seconds * (1 - 1e-12)
    assert decode_timeout(value) <= seconds * (1 + 1e-5) + 2e-6 or seconds < 1e-6


def test_the_common_values() -> None:
    assert encode_timeout(5) == b"5000000u"
    assert encode_timeout(0.001) == b"1000u"
    assert encode_timeout(100) == b"100000m"
    assert encode_timeout(1e20) == b"99999999H"
    assert encode_timeout(-1) == b"1u"
    assert decode_timeout(b"1H") == 3600
    assert decode_timeout(b"00000001n") == 1e-9


@pytest.mark.parametrize("value", [b"", b"S", b"1", b"1s", b"-1S", b"+1S", b"1.5S", b"123456789S", b" 1S", b"\xb21S"])
def test_what_the_grammar_does_not_allow(value: bytes) -> None:
    with pytest.raises(ValueError, match="grpc-timeout"):
        decode_timeout(value)


def test_what_users_give() -> None:
    assert seconds_of(timedelta(minutes=1)) == 60
    assert seconds_of(2.5) == 2.5
    assert seconds_of(None) is None
