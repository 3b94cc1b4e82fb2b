"""Names in Python of names in proto files, the same that betterproto2 gives, so that both outputs fit together.

betterproto2's rules are those of its ``casing`` module (0.9, 0.10); the tests compare the two on generated names.
"""

from __future__ import annotations

import keyword
import re

__all__ = ["class_name", "field_name", "is_importable", "method_name", "module_stem", "snake_case"]

_SNAKE_BOUNDARIES = (
    re.compile(r"(?<=[a-z0-9])(?=[A-Z])"),  # getThing -> get_Thing
    re.compile(r"(?<=[A-Z])(?=[A-Z][a-z])"),  # HTTPStatus -> HTTP_Status
    re.compile(r"(?<=[a-zA-Z])(?=[0-9])"),  # http2 -> http_2
)
# A run of capitals that no small letter follows, or one word with optional capitals before and digits behind it.
_PASCAL_WORD = re.compile(r"[^a-zA-Z0-9]*([A-Z]+(?![a-z])[0-9]*|[A-Z]*[a-z]*[0-9]*)")


def snake_case(name: str) -> str:
    """``GetHTTPStatus`` -> ``get_http_status``. A name that has an underscore already, or no capital, is kept."""
    if "_" in name or not any(map(str.isupper, name)):
        return name
    for boundary in _SNAKE_BOUNDARIES:
        name = boundary.sub("_", name)
    return name.lower()


def field_name(name: str) -> str:
    """The attribute of a message for its field ``name``: ``getURL`` -> ``get_url``, ``None`` -> ``none``."""
    name = snake_case(name)
    return f"{name}_" if keyword.iskeyword(name) else name


def method_name(rpc: str) -> str:
    """The attribute of servicer and client for the rpc named ``rpc``.

    As betterproto2, and beyond it: names that Python would treat apart (``__x``), and the prefix that the runtime keeps
    for itself (``_mesh_``), step aside.
    """
    name = snake_case(rpc)
    if keyword.iskeyword(name):
        return f"{name}_"
    if name.startswith("__"):
        return f"_{name.strip('_')}"
    return f"{name}_" if name.startswith("_mesh_") else name


def class_name(name: str) -> str:
    """The class for a message, enum or service: ``http_server`` -> ``HttpServer``, nested ``A.B`` -> ``AB``."""
    return _PASCAL_WORD.sub(lambda found: found[1].capitalize(), name)


def module_stem(proto: str) -> str:
    """The module name for the file ``proto`` ("a/b-c.proto" -> "b_c"), always an identifier when a suffix follows."""
    stem = proto.rpartition("/")[2].removesuffix(".proto")
    stem = re.sub(r"\W", "_", stem)
    return f"_{stem}" if stem[:1].isdigit() else stem


def is_importable(name: str) -> bool:
    """Whether ``name`` can stand in an import statement."""
    return name.isidentifier() and not keyword.iskeyword(name)
