"""HTTP/2 and gRPC framing as a pure engine: bytes in, events and bytes out (RFC 9113, RFC 7541, gRPC over HTTP/2)."""

from .codes import ErrorCode, Role
from .compression import ENCODINGS, InflateError, TooLarge, compress, inflate
from .connection import Connection, ConnectionStatistics
from .events import (
    Body,
    Event,
    Fault,
    GoAway,
    HalfClosed,
    Headers,
    Message,
    Messages,
    PingReceived,
    Pong,
    Reset,
    SettingsChanged,
    Terminated,
    Trailers,
    UnaryRequests,
    UnaryResponses,
    Writable,
)
from .faults import HeadersTooLarge, StreamsExhausted
from .grpc import decode_status_message, encode_status_message, http_to_grpc, is_grpc, rst_to_grpc
from .limits import Limits
from .stream import Stream

__all__ = [
    "ENCODINGS",
    "Body",
    "Connection",
    "ConnectionStatistics",
    "ErrorCode",
    "Event",
    "Fault",
    "GoAway",
    "HalfClosed",
    "Headers",
    "HeadersTooLarge",
    "InflateError",
    "Limits",
    "Message",
    "Messages",
    "PingReceived",
    "Pong",
    "Reset",
    "Role",
    "SettingsChanged",
    "Stream",
    "StreamsExhausted",
    "Terminated",
    "TooLarge",
    "Trailers",
    "UnaryRequests",
    "UnaryResponses",
    "Writable",
    "compress",
    "decode_status_message",
    "encode_status_message",
    "http_to_grpc",
    "inflate",
    "is_grpc",
    "rst_to_grpc",
]
