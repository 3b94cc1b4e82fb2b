"""Envoy's messages made without pydantic's checks.

envoy_data_plane's classes check their arguments with validators that pydantic builds when a class is first used: 20 to
40 ms a class, which add up to a second in which no client is answered, and 20 us for each object after that. Our
arguments come from checked values, mypy and pyright check the calls, and the codec checks types and ranges again.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from functools import cache
from typing import Any, ParamSpec, TypeVar, cast

from betterproto2 import Message

__all__ = ["make"]

P = ParamSpec("P")
M = TypeVar("M", bound=Message)


def make(kind: Callable[P, M], *_: P.args, **values: P.kwargs) -> M:
    """``kind(**values)``. Raises TypeError for a field that the message does not have."""
    cls = cast("type[M]", kind)
    fixed, made = _defaults(cls)
    message = cls.__new__(cls)
    attributes = vars(message)
    attributes.update(fixed)
    for name, factory in made:
        attributes[name] = factory()
    attributes.update(values)
    if len(attributes) != len(fixed) + len(made):
        raise TypeError(f"{cls.__name__} has no field {', '.join(values.keys() - fixed.keys() - dict(made).keys())}")
    return message


@cache
def _defaults(cls: type[Message]) -> tuple[dict[str, Any], list[tuple[str, Callable[[], Any]]]]:
    """The fields' defaults: values that may be shared, and makers of those that may not (lists and mappings)."""
    fixed: dict[str, Any] = {"_unknown_fields": b""}
    made: list[tuple[str, Callable[[], Any]]] = []
    for field in dataclasses.fields(cast(Any, cls)):
        factory = cast("Callable[[], Any]", field.default_factory)
        if factory in (list, dict):
            made.append((field.name, factory))
        else:
            fixed[field.name] = factory()
    return fixed, made
