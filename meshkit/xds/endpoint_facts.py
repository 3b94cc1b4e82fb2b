"""What an endpoint's metadata says of it, read when somebody asks: ten thousand endpoints come in one push, and the
metadata is most of their bytes (Istio: ``istio.workload`` and ``envoy.transport_socket_match.tlsMode``).
"""

from __future__ import annotations

from functools import lru_cache

from meshkit.codec import DecodeError, Field, compile_schema

from .tables import table

__all__ = ["METADATA", "tls_mode_of", "workload_of"]


def _text(string: str) -> str:
    return string


_STRUCT = table(
    "google.protobuf.Struct",
    (
        Field(
            "fields",
            1,
            "map",
            value="message",
            schema=table(
                "google.protobuf.Value",
                (Field("string_value", 3, "string"),),
                "1 null_value 2 number_value 4 bool_value 5 struct_value 6 list_value",
                _text,
            ),
        ),
    ),
)
METADATA = table(
    "envoy.config.core.v3.Metadata",
    (
        Field("filter_metadata", 1, "map", value="message", schema=_STRUCT),
        Field("typed_filter_metadata", 2, "ignore"),
    ),
)


def tls_mode_of(metadata: bytes) -> str:
    """``istio`` where the endpoint speaks Istio's mutual TLS; "" where the metadata does not say, or cannot be read."""
    return _find(metadata, "envoy.transport_socket_match", "tlsMode")


def workload_of(metadata: bytes) -> str:
    """Istio's ``name;namespace;canonical name;revision;cluster``; "" where the metadata does not say."""
    return _find(metadata, "istio", "workload")


@lru_cache(maxsize=1024)
def _find(metadata: bytes, owner: str, key: str) -> str:
    try:
        struct = compile_schema(METADATA).decode(metadata).filter_metadata.get(owner)
    except DecodeError:
        return ""
    return str(struct.fields.get(key, "")) if struct is not None else ""
