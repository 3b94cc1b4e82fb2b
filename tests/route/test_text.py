import re

import pytest

from meshkit.route.text import compile_text
from meshkit.xds.resources import StringMatch


@pytest.mark.parametrize(
    ("kind", "value", "fits", "misfits"),
    [
        (StringMatch.EXACT, "abc", ["abc"], ["ab", "abcd", "ABC", ""]),
        (StringMatch.PREFIX, "ab", ["ab", "abc"], ["a", "cab", "AB"]),
        (StringMatch.SUFFIX, "bc", ["bc", "abc"], ["c", "bca", "BC"]),
        (StringMatch.CONTAINS, "b", ["b", "abc"], ["ac", "B", ""]),
        (StringMatch.REGEX, "a+|b", ["a", "aaa", "b"], ["ab", "xb", "a\n", ""]),
    ],
)
def test_comparison(kind: StringMatch, value: str, fits: list[str], misfits: list[str]) -> None:
    test = compile_text(kind, value, None, ignore_case=False)
    assert all(test(text) for text in fits)
    assert not any(test(text) for text in misfits)


@pytest.mark.parametrize("kind", [StringMatch.EXACT, StringMatch.PREFIX, StringMatch.SUFFIX, StringMatch.CONTAINS])
def test_case_can_be_ignored(kind: StringMatch) -> None:
    assert compile_text(kind, "aBc", None, ignore_case=True)("AbC")


def test_case_counts_in_patterns() -> None:
    assert not compile_text(StringMatch.REGEX, "abc", None, ignore_case=True)("ABC")


def test_a_compiled_pattern_is_used_as_it_is() -> None:
    assert compile_text(StringMatch.REGEX, "", re.compile("x."), ignore_case=False)("xy")
