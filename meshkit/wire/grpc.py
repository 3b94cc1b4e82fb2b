"""gRPC's own words over HTTP/2 (grpc/doc/PROTOCOL-HTTP2.md, http-grpc-status-mapping.md)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Final

from .codes import ErrorCode

__all__ = ["decode_status_message", "encode_status_message", "http_to_grpc", "is_grpc", "rst_to_grpc"]

_KIND: Final = b"application/grpc"
_KINDS: Final = (b"application/grpc+", b"application/grpc;")
_OK_UNKNOWN: Final = 2
_HTTP: Final[Mapping[int, int]] = {400: 13, 401: 16, 403: 7, 404: 12, 429: 14, 431: 13, 502: 14, 503: 14, 504: 14}
_RST: Final[Mapping[int, int]] = {
    ErrorCode.NO_ERROR: 13,
    ErrorCode.PROTOCOL_ERROR: 13,
    ErrorCode.INTERNAL_ERROR: 13,
    ErrorCode.FLOW_CONTROL_ERROR: 13,
    ErrorCode.SETTINGS_TIMEOUT: 13,
    ErrorCode.FRAME_SIZE_ERROR: 13,
    ErrorCode.REFUSED_STREAM: 14,
    ErrorCode.CANCEL: 1,
    ErrorCode.COMPRESSION_ERROR: 13,
    ErrorCode.CONNECT_ERROR: 13,
    ErrorCode.ENHANCE_YOUR_CALM: 8,
    ErrorCode.INADEQUATE_SECURITY: 7,
}

_PLAIN = re.compile(rb"[ -$&-~]*\Z")  # 0x20 to 0x7E without "%"
_ESCAPE = re.compile(rb"[^ -$&-~]")
_ESCAPED = re.compile(rb"%([0-9A-Fa-f]{2})")


def http_to_grpc(status: int) -> int:
    """The gRPC code of an HTTP status, for a response without grpc-status."""
    return _HTTP.get(status, _OK_UNKNOWN)


def rst_to_grpc(code: int) -> int:
    """The gRPC code of an RST_STREAM error code; UNKNOWN for codes that are not defined."""
    return _RST.get(code, _OK_UNKNOWN)


def encode_status_message(message: str) -> bytes:
    """Text as ``grpc-message``: UTF-8, percent-encoded outside of printable ASCII and for ``%``."""
    raw = message.encode("utf-8", "replace")
    if _PLAIN.match(raw):
        return raw
    return _ESCAPE.sub(lambda match: b"%%%02X" % match.group()[0], raw)


def is_grpc(content_type: bytes) -> bool:
    """Whether bodies of this content-type are gRPC messages: ``application/grpc``, alone or with ``+`` or ``;`` and
    more. Other protocols' names begin alike: application/grpc-web."""
    return content_type == _KIND or content_type.startswith(_KINDS)


def decode_status_message(raw: bytes) -> str:
    """The text of ``grpc-message``; never fails: what is not an escape is taken as it is.

    It should have nothing but ASCII. dubbo-java writes a byte per character, HTTP's older charset (RFC 9110, 5.5).
    """
    text = _ESCAPED.sub(lambda match: bytes((int(match.group(1), 16),)), raw)
    try:
        return text.decode()
    except UnicodeDecodeError:
        return text.decode("utf-8", "replace") if raw.isascii() else text.decode("latin-1")
