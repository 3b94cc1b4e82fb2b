"""Modules as source text."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache

from jinja2 import Template
from meshkit_templates import environment

from .comments import docstring_text
from .model import Module

__all__ = ["render"]

_WIDTH = 100
_ESCAPES = {0x09: "\\t", 0x0A: "\\n", 0x0D: "\\r", 0x22: '\\"', 0x5C: "\\\\"}
# How each byte is written between double quotes.
_PIECES = tuple(_ESCAPES.get(byte) or (chr(byte) if 0x20 <= byte < 0x7F else f"\\x{byte:02x}") for byte in range(256))


def render(module: Module) -> str:
    """The source of ``module``: the same for the same input, on every machine."""
    return _template().render(module=module)


@cache
def _template() -> Template:
    return environment(docstring=_docstring, literal=_literal).get_template("services.py.j2")


def _docstring(text: str, indent: int) -> str:
    """``text`` as a docstring expression whose further lines are indented by ``indent`` spaces."""
    first, *rest = docstring_text(text).split("\n")
    if not rest:
        return f'"""{first}"""'
    margin = " " * indent
    lines = [f'"""{first}', *(f"{margin}{line}".rstrip() for line in rest), f'{margin}"""']
    return "\n".join(lines)


def _literal(data: bytes, indent: int) -> str:
    """``data`` as adjacent bytes literals, one a line."""
    margin = " " * indent
    return "\n".join(f'{margin}b"{line}"' for line in _escaped_lines(data))


def _escaped_lines(data: bytes) -> Iterator[str]:
    line: list[str] = []
    width = 0
    for byte in data:
        line.append(_PIECES[byte])
        width += len(_PIECES[byte])
        if width >= _WIDTH:
            yield "".join(line)
            line, width = [], 0
    if line or not data:
        yield "".join(line)
