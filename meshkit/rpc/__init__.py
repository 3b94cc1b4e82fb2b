"""Calls: what generated clients and servicers are made of, a channel, a server, interceptors, health, reflection.

What only servers need is imported when it is first used.
"""

from typing import TYPE_CHECKING

from meshkit.lazy import lazily
from meshkit.metadata import Metadata, MetadataLike
from meshkit.net import ClientOptions, ServerOptions, TlsSettings

from .attempts import stream_attempt
from .caller import Caller
from .channel import Channel, connection_for, try_again
from .client import Client
from .compat import GrpclibCompat
from .context import Context, current_context
from .details import error_details
from .exchange import Exchange
from .generated import generated_by
from .interceptor import Call, Interceptor, Proceed
from .method import Idempotency, Method
from .options import CallOptions, Timeout
from .servicer import Servicer
from .streams import BidiStream, ClientStream, ServerStream
from .unary import UnaryCall

if TYPE_CHECKING:
    from .descriptors import DescriptorIndex
    from .health import Health, HealthCheckRequest, HealthCheckResponse, ServingStatus
    from .server import Server
    from .server_call import Observer

__all__ = [
    "BidiStream",
    "Call",
    "CallOptions",
    "Caller",
    "Channel",
    "Client",
    "ClientOptions",
    "ClientStream",
    "Context",
    "DescriptorIndex",
    "Exchange",
    "GrpclibCompat",
    "Health",
    "HealthCheckRequest",
    "HealthCheckResponse",
    "Idempotency",
    "Interceptor",
    "Metadata",
    "MetadataLike",
    "Method",
    "Observer",
    "Proceed",
    "Server",
    "ServerOptions",
    "ServerStream",
    "Servicer",
    "ServingStatus",
    "Timeout",
    "TlsSettings",
    "UnaryCall",
    "connection_for",
    "current_context",
    "error_details",
    "generated_by",
    "stream_attempt",
    "try_again",
]

__getattr__ = lazily(
    __name__,
    {
        "DescriptorIndex": "descriptors",
        "Health": "health",
        "HealthCheckRequest": "health",
        "HealthCheckResponse": "health",
        "Observer": "server_call",
        "Server": "server",
        "ServingStatus": "health",
    },
)
