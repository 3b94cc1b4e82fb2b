"""From a `Schema` to functions: generate, compile, link. Each function is made at its first use, once.

The text of a function is found by `inspect.getsource` and shown in tracebacks.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import cache, partial
from typing import Any

from .decoder import write_decoder
from .encoder import write_encoder
from .frame import Frame
from .schema import Schema

__all__ = ["function"]


@cache
def function(kind: str, schema: Schema) -> Callable[..., Any]:
    """The ``decode``, ``merge`` or ``encode`` function of ``schema``."""
    scope: dict[str, Any] = {}
    frame = _write(kind, schema, scope)
    scope.update(frame.scope)
    exec(frame.text.compile(f"meshkit.codec {kind} {schema.name} {id(schema):x}", partial(_text, kind, schema)), scope)
    made: Callable[..., Any] = scope["encode" if kind == "encode" else "decode"]
    return made


def _write(kind: str, schema: Schema, scope: dict[str, Any]) -> Frame:
    """Generate; functions of other schemas come into ``scope`` as they are named."""
    names: dict[tuple[str, Schema], str] = {}

    def link(wanted: str, other: Schema) -> str:
        name = names.get((wanted, other))
        if name is None:
            name = names[wanted, other] = _unique(f"{wanted}_{other.type_name}", scope)
            scope[name] = _later(scope, name, wanted, other)
        return name

    return write_encoder(schema, link) if kind == "encode" else write_decoder(schema, link, kind == "merge")


def _text(kind: str, schema: Schema) -> str:
    return str(_write(kind, schema, {}).text)


def _later(scope: dict[str, Any], name: str, kind: str, schema: Schema) -> Callable[..., Any]:
    """A stand-in that makes the function when it is called first, and puts it in its own place."""

    def call(*arguments: Any) -> Any:
        scope[name] = made = function(kind, schema)
        return made(*arguments)

    return call


def _unique(name: str, scope: dict[str, Any]) -> str:
    name = re.sub(r"\W", "_", name)
    while name in scope or name.endswith("_fault"):  # that is what the helpers are called
        name += "_"
    return name
