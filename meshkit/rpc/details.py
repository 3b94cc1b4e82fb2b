"""Typed details of errors: ``google.rpc.Status`` in ``grpc-status-details-bin`` (https://grpc.io/docs/guides/error/).

``raise NotFound("no such thing", details=[RetryInfo(...)])`` at the server, and at the client
``error_details(error, RetryInfo)``.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Any, TypeVar, cast

from grpclib.exceptions import GRPCError

from meshkit.codec import compile_schema
from meshkit.codec.wellknown import STATUS, Status
from meshkit.codec.wellknown import Any as AnyMessage

from .method import message_codec

__all__ = ["encode_details", "error_details"]

_PREFIX = "type.googleapis.com/"
_STATUS = compile_schema(STATUS)
M = TypeVar("M")


def encode_details(error: GRPCError) -> bytes | None:
    """What travels of ``error.details``: bytes as they are, messages packed into a ``google.rpc.Status``."""
    details: Any = error.details
    if details is None:
        return None
    if isinstance(details, bytes):
        return details
    packed = tuple(_pack(detail) for detail in cast("Sequence[Any]", details))
    return _STATUS.encode(Status(error.status.value, error.message or "", packed))


def error_details(error: GRPCError, kind: type[M]) -> list[M]:
    """The details of class ``kind`` that came with ``error``, in order. Raises `meshkit.codec.DecodeError`."""
    details = error.details
    if details is None:
        return []
    if not isinstance(details, bytes):
        return [detail for detail in details if isinstance(detail, kind)]
    url, codec = type_url(kind), message_codec(kind)
    packed: tuple[AnyMessage, ...] = _STATUS.decode(details).details
    return [
        codec.decode(detail.value) for detail in packed if detail.type_url.rpartition("/")[2] == url.rpartition("/")[2]
    ]


def _pack(detail: Any) -> AnyMessage:
    if isinstance(detail, AnyMessage):
        return detail
    kind: type[Any] = detail.__class__
    return AnyMessage(type_url(kind), message_codec(kind).encode(detail))


def type_url(kind: type[Any]) -> str:
    """The ``type_url`` of messages of class ``kind``. Raises TypeError for what is not a message class."""
    descriptor = getattr(kind, "DESCRIPTOR", None)
    if descriptor is not None:
        return f"{_PREFIX}{descriptor.full_name}"
    pool = getattr(sys.modules.get(kind.__module__), "default_message_pool", None)  # betterproto2: one per output tree
    url: str | None = None if pool is None else pool.type_to_url.get(kind)
    if url is None:
        raise TypeError(
            f"{kind.__module__}.{kind.__qualname__} is not a message class: error details must be messages or bytes"
        )
    return url
