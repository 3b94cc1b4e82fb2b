"""What the server and the client under Connect's conformance tests share: framing on stdin and stdout, headers, errors.

Their messages are generated when the tests run, by `meshkit gen`, from the protos that come with the runner.
"""

from __future__ import annotations

import base64
import struct
import sys
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO

from connectrpc.conformance.v1 import service_pb2  # type: ignore[import-untyped]
from google.rpc import status_pb2

from meshkit.metadata import Metadata

__all__ = ["decode_error", "decode_headers", "encode_headers", "read", "write"]


def read(kind: Any, source: BinaryIO | None = None) -> Any:
    """The next message of ``kind`` on stdin; None at its end."""
    source = source or sys.stdin.buffer
    head = source.read(4)
    if len(head) < 4:
        return None
    return kind.FromString(source.read(struct.unpack(">I", head)[0]))


def write(message: Any) -> None:
    """Put ``message`` on stdout."""
    data = message.SerializeToString()
    sys.stdout.buffer.write(struct.pack(">I", len(data)) + data)
    sys.stdout.buffer.flush()


def encode_headers(metadata: Metadata) -> list[Any]:
    """Metadata as the tests write it: binary values in base64."""
    return [
        service_pb2.Header(name=name, value=[_text(value) for value in metadata.getall(name)]) for name in set(metadata)
    ]


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else base64.b64encode(value).decode().rstrip("=")


def decode_headers(headers: Iterable[Any]) -> Sequence[tuple[str, str | bytes]]:
    """Metadata of what the tests wrote."""
    return [(header.name.lower(), _value(header.name.lower(), value)) for header in headers for value in header.value]


def _value(name: str, text: str) -> str | bytes:
    return base64.b64decode(text + "=" * (-len(text) % 4)) if name.endswith("-bin") else text


def decode_error(error: Any) -> Any:
    """The tests' form of an RpcError."""
    details = status_pb2.Status.FromString(error.details).details if isinstance(error.details, bytes) else ()
    return service_pb2.Error(code=error.status.value, message=error.message or "", details=details)
