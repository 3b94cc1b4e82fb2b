"""What the projection tables share: how one is written, and the messages of core.v3 and type.v3 that several hold.

A table names the fields that we read. All other fields of a message are listed by number and name in ``others``, so
that what a control plane sends and we do not obey can be counted under its own name. Fields of kind ``ignore`` mean
nothing to a client inside the process (names of statistics, hints for Envoy's own memory): they are not counted.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from meshkit.codec import ANY, Field, Schema

__all__ = ["FRACTION", "PERCENT", "REGEX", "STRING_MATCHER", "TYPED_CONFIG", "Invalid", "table"]


class Invalid(ValueError):
    """A resource, or a part of one, that must be refused; the text says which part and why."""


def table(name: str, fields: tuple[Field, ...], others: str = "", build: Callable[..., Any] | None = None) -> Schema:
    """A projection table. ``others``: number and name of each field that is left out, as words."""
    words = others.split()
    return Schema(name, fields, build, dict(zip(map(int, words[::2]), words[1::2], strict=True)))


TYPED_CONFIG = table(
    "envoy.config.core.v3.TypedExtensionConfig",
    (Field("name", 1, "string"), Field("typed_config", 2, "message", schema=ANY)),
)

PERCENT = table("envoy.type.v3.Percent", (Field("value", 1, "double"),))

FRACTION = table(
    "envoy.config.core.v3.RuntimeFractionalPercent",
    (
        Field(
            "default_value",
            1,
            "message",
            schema=table(
                "envoy.type.v3.FractionalPercent", (Field("numerator", 1, "uint32"), Field("denominator", 2, "enum"))
            ),
        ),
        Field("runtime_key", 2, "ignore"),  # gRFC A28: ignored
    ),
)

REGEX = table("envoy.type.matcher.v3.RegexMatcher", (Field("google_re2", 1, "ignore"), Field("regex", 2, "string")))

STRING_MATCHER = table(
    "envoy.type.matcher.v3.StringMatcher",
    (
        Field("exact", 1, "string", oneof="match_pattern"),
        Field("prefix", 2, "string", oneof="match_pattern"),
        Field("suffix", 3, "string", oneof="match_pattern"),
        Field("safe_regex", 5, "message", schema=REGEX, oneof="match_pattern"),
        Field("ignore_case", 6, "bool"),
        Field("contains", 7, "string", oneof="match_pattern"),
        Field("custom", 8, "raw", oneof="match_pattern"),
    ),
)
