import pytest

from meshkit.guard import pushback_of
from meshkit.guard.outcome import STOP


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], None),
        ([b"0"], 0),
        ([b"250"], 250),
        ([b"0000250"], 250),
        ([b"2147483647"], 2147483647),
        ([b"2147483648"], STOP),
        ([b"9" * 5000], STOP),
        ([b"-1"], STOP),
        ([b""], STOP),
        ([b"soon"], STOP),
        ([b"1.5"], STOP),
        ([b"1_0"], STOP),
        ([b"\xb2"], STOP),
        ([b"10", b"10"], STOP),
    ],
)
def test_pushback(values: list[bytes], expected: int | None) -> None:
    trailers = [(b"x", b"1"), *((b"grpc-retry-pushback-ms", value) for value in values), (b"grpc-status", b"14")]
    assert pushback_of(trailers) == expected
