"""Text comparisons compiled to plain functions (type.matcher.v3.StringMatcher)."""

from __future__ import annotations

import re
from collections.abc import Callable

from meshkit.xds.resources import StringMatch

__all__ = ["TextTest", "compile_text"]

TextTest = Callable[[str], bool]
"""Whether a text fits."""


def compile_text(kind: StringMatch, value: str, pattern: re.Pattern[str] | None, ignore_case: bool) -> TextTest:
    """The comparison of ``kind`` with ``value``. Case is ignored on demand, except by REGEX, as Envoy does.

    REGEX fits whole texts only; ``pattern`` is its compiled form where there is one.
    """
    if kind is StringMatch.REGEX:
        return _regex(re.compile(value) if pattern is None else pattern)
    if ignore_case:
        return _folded(_LITERAL[kind](value.lower()))
    return _LITERAL[kind](value)


def _regex(pattern: re.Pattern[str]) -> TextTest:
    full_match = pattern.fullmatch
    return lambda text: full_match(text) is not None


def _folded(test: TextTest) -> TextTest:
    return lambda text: test(text.lower())


def _exact(value: str) -> TextTest:
    return lambda text: text == value


def _prefix(value: str) -> TextTest:
    return lambda text: text.startswith(value)


def _suffix(value: str) -> TextTest:
    return lambda text: text.endswith(value)


def _contains(value: str) -> TextTest:
    return lambda text: value in text


_LITERAL: dict[StringMatch, Callable[[str], TextTest]] = {
    StringMatch.EXACT: _exact,
    StringMatch.PREFIX: _prefix,
    StringMatch.SUFFIX: _suffix,
    StringMatch.CONTAINS: _contains,
}
