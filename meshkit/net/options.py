"""Every setting of connections, with its default and where that comes from.  Times are seconds; infinity is off."""

from __future__ import annotations

import math
from dataclasses import dataclass, field

from meshkit.version import __version__
from meshkit.wire import Limits

from .backoff import BackoffPolicy
from .resolve import Resolver, system_resolver

__all__ = ["ClientOptions", "ServerOptions"]


@dataclass(frozen=True, slots=True)
class ClientOptions:
    """How a client connects and keeps its connections.

    ``connect_timeout``: longest wait for one attempt: TCP, TLS and the server's SETTINGS (connection-backoff.md).
    ``resolver``: finds the IP addresses of a host name.
    ``happy_eyeballs_delay``: how long the first address family may take before the next is tried beside it (RFC 8305).
    ``keepalive_time``: silence after which a PING asks for a sign of life; ``keepalive_timeout``: how long the answer
    may take, also the TCP_USER_TIMEOUT (gRFC A18); ``keepalive_without_calls``: ask even while no call runs.
    ``idle_timeout``: an unused connection is closed after this (gRPC: 30 minutes).
    ``max_connection_age``: a connection is replaced, its calls finishing, after this.
    ``max_unread``: reading pauses while more bytes of messages than this wait for the application.
    ``user_agent``: the ``user-agent`` header.
    """

    limits: Limits = field(default_factory=Limits)
    backoff: BackoffPolicy = field(default_factory=BackoffPolicy)
    connect_timeout: float = 20.0
    resolver: Resolver = system_resolver
    happy_eyeballs_delay: float = 0.25
    keepalive_time: float = math.inf
    keepalive_timeout: float = 20.0
    keepalive_without_calls: bool = False
    idle_timeout: float = 1800.0
    max_connection_age: float = math.inf
    max_unread: int = 32 << 20
    user_agent: bytes = f"grpc-python-meshkit/{__version__}".encode()


@dataclass(frozen=True, slots=True)
class ServerOptions:
    """What a server grants its peers.

    ``max_connections``: further ones wait in the listen backlog.  ``handshake_timeout``: TLS and the HTTP/2 preface.
    ``max_handlers``: handlers that run for one connection, counted until they really ended
    (None: ``limits.max_concurrent_streams``).
    ``keepalive_time`` / ``keepalive_timeout``: our own PING (gRPC: 2 h, 20 s).
    ``permit_keepalive_time``: PINGs of a peer closer together than this are strikes (2 h while no call runs, unless
    ``permit_keepalive_without_calls``); more than ``max_ping_strikes`` end the connection (gRFC A8, A9).
    ``max_connection_idle``, ``max_connection_age`` (spread by ``age_jitter``), ``max_connection_age_grace``: gRFC A9.
    ``drain_timeout``: how long the first GOAWAY of a graceful close waits for its PING's answer.
    ``write_timeout``: a peer whose socket takes none of the waiting bytes for so long is cut off.
    ``body_timeout``: how long the body of a request of plain HTTP may take, with a second more for each 4 KiB of it;
    ``write_timeout`` is how long nothing of it may come.
    ``stream_write_timeout``: a stream whose window lets none of its waiting bytes go for so long is reset.
    ``max_unread``: reading pauses while more bytes of messages than this wait for the application.
    ``max_buffered``: while more bytes than this wait for a peer, its new streams are refused.
    """

    limits: Limits = field(default_factory=Limits)
    backlog: int = 1024
    max_connections: int = 10_000
    handshake_timeout: float = 15.0
    max_handlers: int | None = None
    keepalive_time: float = 7200.0
    keepalive_timeout: float = 20.0
    permit_keepalive_time: float = 300.0
    permit_keepalive_without_calls: bool = False
    max_ping_strikes: int = 2
    max_connection_idle: float = math.inf
    max_connection_age: float = math.inf
    age_jitter: float = 0.1
    max_connection_age_grace: float = math.inf
    drain_timeout: float = 5.0
    write_timeout: float = 60.0
    body_timeout: float = 60.0
    stream_write_timeout: float = 300.0
    max_unread: int = 32 << 20
    max_buffered: int = 32 << 20
