"""RE2 syntax: what is taken means what RE2 says, what RE2 refuses is refused."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from meshkit.xds.regex import RegexError, compile_regex

MEANS = [
    ("a.*b", ["ab", "axxb"], ["ab\n", "xab", "a\nb"]),
    ("(?s)a.*b", ["a\nb"], []),
    ("^/a$", ["/a"], ["/a\n", "/ab"]),
    (r"\A/a\z", ["/a"], ["/a\n"]),
    ("(?m)a$\nb", ["a\nb"], ["a"]),
    ("a(?i)b|c", ["ab", "aB", "c", "C"], ["AB"]),
    ("(a(?i)b|c)d", ["aBd", "Cd"], ["aBD", "Abd"]),
    ("(?i:a)b", ["Ab"], ["aB"]),
    ("(?i)a(?-i)b", ["Ab"], ["AB"]),
    ("(?U)a+", ["aa"], [""]),
    (r"\Qa.b\E+", ["a.b", "a.bb"], ["axb"]),
    (r"\Qa.b", ["a.b"], ["axb"]),
    (r"[[:alpha:]_-]+", ["aZ_-"], ["1"]),
    (r"[[:^digit:]]", ["a", "\u00e9"], ["1"]),
    (r"[^\d\s]", ["a", "\v"], ["1", " "]),
    (r"[]a]+", ["]a"], ["b"]),
    (r"[a\]-]+", ["]-a"], ["b"]),
    (r"[[a&&b~~c||+--e]+", ["&", "~", "|", "[", ","], ["f"]),
    (r"\d\w\s", ["1_ "], ["\u0661a "]),
    (r"\S", ["\v"], [" "]),
    (r"\x41\x{42}\103\0", ["ABC\0"], []),
    ("a{", ["a{"], []),
    ("a{,5}", ["a{,5}"], ["aa"]),
    ("a{2,3}?", ["aa", "aaa"], ["a"]),
    ("(?P<x>a)(?<y>b)", ["ab"], []),
    (r"\_\-\/", ["_-/"], []),
    ("", [""], ["a"]),
    ("a|", ["a", ""], ["b"]),
    (r"/helloworld\.v1\.Greeter/.*", ["/helloworld.v1.Greeter/SayHello"], ["/helloworldxv1.Greeter/SayHello"]),
]


@pytest.mark.parametrize(("pattern", "matching", "other"), MEANS, ids=[case[0] for case in MEANS])
def test_meaning(pattern: str, matching: list[str], other: list[str]) -> None:
    compiled = compile_regex(pattern)
    assert all(compiled.fullmatch(text) for text in matching)
    assert not any(compiled.fullmatch(text) for text in other)


@pytest.mark.parametrize(
    "pattern",
    ["(?=a)", "(?!a)", "(?<=a)", "(?<!a)", "(?>a)", "(?#c)", r"(a)\1", "(?P=x)", "(?x)a", "a**", "a*+", "a{2}{3}", "*a",
     "(", ")", "(a", "a)", "[a", "[", r"\pL", r"\p{Greek}", r"\C", r"\Z", r"\q", "\\", "a{1001}", "(*a)", "|*", "[z-a]",
     "[[:nope:]]", r"\x{110000}", r"\x{", "(?", "(?P<1>a)", "[a-", r"[\w-"],
)  # fmt: skip
def test_refused(pattern: str) -> None:
    with pytest.raises(RegexError, match="regex"):
        compile_regex(pattern)


@given(st.text(st.sampled_from("ab\\()[]{}*+?|^$.-:=!<>PQEUimsxpdw012,&~\n"), max_size=16))
def test_any_text_compiles_or_is_refused(pattern: str) -> None:
    try:
        assert isinstance(compile_regex(pattern), re.Pattern)
    except RegexError as error:
        assert "regex" in str(error)


@given(st.text(max_size=12))
def test_quoted_text_matches_itself_only(text: str) -> None:
    quoted = compile_regex("".join(f"\\{char}" if char.isascii() and not char.isalnum() else char for char in text))
    assert quoted.fullmatch(text)
    assert not quoted.fullmatch(text + "x")
