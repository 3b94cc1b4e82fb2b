"""Ready-made tables: google.protobuf.Any and Empty, google.rpc.Status."""

from __future__ import annotations

from typing import Final, NamedTuple

from .schema import Field, Schema

__all__ = ["ANY", "EMPTY", "STATUS", "Any", "Empty", "Status"]


class Any(NamedTuple):
    """google.protobuf.Any: the bytes of a message, and the URL that names its type."""

    type_url: str = ""
    value: bytes = b""


class Empty(NamedTuple):
    """google.protobuf.Empty."""


class Status(NamedTuple):
    """google.rpc.Status: ``code`` is the gRPC status."""

    code: int = 0
    message: str = ""
    details: tuple[Any, ...] = ()


ANY: Final = Schema("google.protobuf.Any", (Field("type_url", 1, "string"), Field("value", 2, "bytes")), Any)
EMPTY: Final = Schema("google.protobuf.Empty", (), lambda: Empty())
STATUS: Final = Schema(
    "google.rpc.Status",
    (
        Field("code", 1, "int32"),
        Field("message", 2, "string"),
        Field("details", 3, "message", repeated=True, schema=ANY),
    ),
    Status,
)
