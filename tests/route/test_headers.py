import pytest

from meshkit.metadata import Metadata
from meshkit.route.headers import CallHeaders, compile_value_test, fixed_headers, on_metadata
from meshkit.xds.resources import HeaderMatch, StringMatch

EXACT, REGEX = StringMatch.EXACT, StringMatch.REGEX


def fits(match: HeaderMatch, value: str | None) -> bool:
    return compile_value_test(match)(value)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize(
    "match",
    [
        {"string": EXACT, "value": "a"},
        {"string": EXACT, "value": ""},
        {"string": REGEX, "value": ".*"},
        {"range": (0, 10)},
    ],
)
def test_an_absent_header_fits_nothing_inverted_or_not(match: dict[str, object], invert: bool) -> None:
    assert not fits(HeaderMatch("h", invert=invert, **match), None)  # type: ignore[arg-type]  # table of keywords


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("present", [False, True])
def test_presence(present: bool, invert: bool) -> None:
    match = HeaderMatch("h", present=present, invert=invert)
    assert fits(match, "x") is (present is not invert)
    assert fits(match, "") is (present is not invert)
    assert fits(match, None) is (present is invert)


@pytest.mark.parametrize("invert", [False, True])
@pytest.mark.parametrize("present", [False, True])
def test_a_missing_header_taken_as_empty_is_present(present: bool, invert: bool) -> None:
    match = HeaderMatch("h", present=present, invert=invert, treat_missing_as_empty=True)
    assert fits(match, None) is (present is not invert)


def test_a_matcher_that_asks_nothing_asks_for_presence() -> None:
    assert fits(HeaderMatch("h"), "x")
    assert not fits(HeaderMatch("h"), None)


def test_istio_without_headers() -> None:
    """withoutHeaders {user: {exact: admin}}: everybody but admin, those without the header too."""
    match = HeaderMatch("user", string=EXACT, value="admin", invert=True, treat_missing_as_empty=True)
    assert fits(match, None)
    assert fits(match, "guest")
    assert not fits(match, "admin")


def test_istio_without_headers_by_presence() -> None:
    match = HeaderMatch("user", present=True, invert=True)
    assert fits(match, None)
    assert not fits(match, "anybody")


def test_envoys_examples_of_missing_as_empty() -> None:
    assert fits(HeaderMatch("h", range=(0, 10), invert=True, treat_missing_as_empty=True), None)
    assert not fits(HeaderMatch("h", range=(0, 10), treat_missing_as_empty=True), None)
    assert fits(HeaderMatch("h", string=REGEX, value=".*", treat_missing_as_empty=True), None)


@pytest.mark.parametrize(
    ("value", "inside"),
    [
        ("-5", True),
        ("+9", True),
        ("0", True),
        ("0009", True),
        ("0" * 5000 + "7", True),
        ("10", False),
        ("-6", False),
        ("9" * 5000, False),
        ("", False),
        ("1.5", False),
        ("1_0", False),
        (" 1", False),
        ("5x", False),
        ("٣", False),
        ("--1", False),
    ],
)
def test_range_holds_its_start_and_not_its_end(value: str, inside: bool) -> None:
    assert fits(HeaderMatch("h", range=(-5, 10)), value) is inside
    assert fits(HeaderMatch("h", range=(-5, 10), invert=True), value) is not inside


@pytest.mark.parametrize(
    ("headers", "value"),
    [
        (None, None),
        ({}, None),
        ({"h": "1"}, "1"),
        ({"h": b"1"}, None),
        (Metadata(), None),
        (Metadata((("h", "1"),)), "1"),
        (Metadata((("h", "1"), ("x", "y"), ("h", "2"))), "1,2"),
        (Metadata((("h", ""), ("h", ""))), ","),
        (Metadata((("H", "1"),)), None),
    ],
)
def test_values_are_joined(headers: CallHeaders, value: str | None) -> None:
    assert on_metadata("h", lambda found: found == value)(headers)


def test_fixed_headers() -> None:
    assert fixed_headers("greeter:80")[":authority"] == "greeter:80"
    assert fixed_headers("greeter:80")["host"] == "greeter:80"
    assert ":authority" not in fixed_headers(None)
    assert fixed_headers(None) == {":method": "POST", ":scheme": "http", "content-type": "application/grpc"}
