"""Envoy messages -> bytes, by the codecs that are compiled once per class."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass

from betterproto2 import Message
from envoy_data_plane.google.protobuf import Any as AnyMessage

from meshkit.codec import codec_for

from .making import make

__all__ = ["Encoded", "encode", "encoded"]


@dataclass(frozen=True, slots=True)
class Encoded:
    """A resource as clients get it: ``any`` is a whole google.protobuf.Any.

    ``version`` is a hash of the bytes: equal resources have equal versions, also after a restart, so a client that
    comes back is sent only what differs. ``hollow``: nothing is known of the name (no routes, no endpoints).
    """

    name: str
    version: str
    any: bytes
    hollow: bool = False


def encode(message: Message) -> bytes:
    """The bytes of one of envoy_data_plane's messages."""
    return codec_for(type(message)).encode(message)


def encoded(type_url: str, name: str, body: bytes, *, hollow: bool = False) -> Encoded:
    """A named resource, its message encoded already, with its version."""
    wrapped = encode(make(AnyMessage, type_url=type_url, value=body))
    return Encoded(name, hashlib.blake2b(body, digest_size=8).hexdigest(), wrapped, hollow)
