"""Sockets: connections, pools and servers that carry gRPC streams over the `meshkit.wire` engine on asyncio.

What only servers need is imported when it is first used.
"""

from typing import TYPE_CHECKING

from meshkit.lazy import lazily

from .backoff import Backoff, BackoffPolicy
from .client import ClientConnection
from .client_stream import ClientStream
from .connectivity import ConnectivityState
from .failures import ConnectionFailed, ConnectionLost
from .options import ClientOptions, ServerOptions
from .outcome import Outcome
from .pool import Pool
from .resolve import Resolver, system_resolver
from .sinks import CancelReason, ClientSink, ServerSink
from .timers import Timer, Timers
from .tls import TlsSettings, client_context, server_context

if TYPE_CHECKING:
    from .http import HttpAccept, HttpStream
    from .server import Server
    from .server_stream import ServerStream

__all__ = [
    "Backoff",
    "BackoffPolicy",
    "CancelReason",
    "ClientConnection",
    "ClientOptions",
    "ClientSink",
    "ClientStream",
    "ConnectionFailed",
    "ConnectionLost",
    "ConnectivityState",
    "HttpAccept",
    "HttpStream",
    "Outcome",
    "Pool",
    "Resolver",
    "Server",
    "ServerOptions",
    "ServerSink",
    "ServerStream",
    "Timer",
    "Timers",
    "TlsSettings",
    "client_context",
    "server_context",
    "system_resolver",
]

__getattr__ = lazily(
    __name__, {"HttpAccept": "http", "HttpStream": "http", "Server": "server", "ServerStream": "server_stream"}
)
