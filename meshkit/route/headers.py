"""Header matchers compiled to conditions on a call's metadata (gRFC A28, A63; route.v3.HeaderMatcher).

- Several values of one name are joined with ",". (Envoy did so too until 1.39; its runtime feature
  ``match_headers_individually`` has since made it look at them one by one.)
- An absent header fits nothing, inverted or not, except through ``present`` and ``treat_missing_as_empty``.
- ``-bin`` headers count as absent (A28); ``content-type`` is always ``application/grpc``.
- Unlike gRPC, which hides them, pseudo-headers are seen: Istio writes its ``method``, ``scheme`` and ``authority``
  matches as headers, and a sidecar would obey them.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping

from meshkit.metadata import Metadata
from meshkit.xds.resources import HeaderMatch

from .text import compile_text

__all__ = ["CallHeaders", "Condition", "ValueTest", "compile_value_test", "fixed_headers", "on_metadata"]

CallHeaders = Mapping[str, str | bytes] | None
"""What a call carries: its `Metadata`, or a mapping from lower-case names, or None for nothing."""

Condition = Callable[[CallHeaders], bool]
"""Whether a route applies to a call with these headers."""

ValueTest = Callable[[str | None], bool]
"""Whether a header's joined value fits; None where the header is absent."""

# As strconv.ParseInt and absl::SimpleAtoi read them; int() alone would take "1_0" and digits of other scripts.
_INTEGER = re.compile(r"([+-]?)0*([0-9]{1,19})")


def fixed_headers(authority: str | None) -> dict[str, str]:
    """The headers that every gRPC call to ``authority`` has; Envoy reads ``host`` as ``:authority``."""
    fixed = {":method": "POST", ":scheme": "http", "content-type": "application/grpc"}
    if authority is not None:
        fixed[":authority"] = fixed["host"] = authority
    return fixed


def compile_value_test(match: HeaderMatch) -> ValueTest:
    """What ``match`` asks of its header's value."""
    if match.string is None and match.range is None:
        return _presence(match)
    test = _in_range(*match.range) if match.range is not None else _string(match)
    invert = match.invert
    if match.treat_missing_as_empty:
        return lambda value: test(value or "") is not invert
    return lambda value: value is not None and test(value) is not invert


def _presence(match: HeaderMatch) -> ValueTest:
    """present_match; a matcher that says nothing else asks for presence too (route.v3.HeaderMatcher)."""
    wanted = (match.present is not False) is not match.invert
    if match.treat_missing_as_empty:
        return lambda value: wanted
    return lambda value: (value is not None) is wanted


def _string(match: HeaderMatch) -> Callable[[str], bool]:
    assert match.string is not None
    return compile_text(match.string, match.value, match.regex, match.ignore_case)


def _in_range(start: int, end: int) -> Callable[[str], bool]:
    def test(value: str) -> bool:
        digits = _INTEGER.fullmatch(value)
        return digits is not None and start <= int(digits[1] + digits[2]) < end

    return test


def on_metadata(name: str, test: ValueTest) -> Condition:
    """``test`` applied to the header ``name`` of a call's metadata."""
    return lambda headers: test(_joined(headers, name))


def _joined(headers: CallHeaders, name: str) -> str | None:
    if headers is None:
        return None
    if isinstance(headers, Metadata):
        return _joined_values(headers, name)
    value = headers.get(name)
    return value if isinstance(value, str) else None


def _joined_values(headers: Metadata, name: str) -> str | None:
    joined: str | None = None
    for key, value in headers.pairs:
        if key == name and isinstance(value, str):
            joined = value if joined is None else f"{joined},{value}"
    return joined
