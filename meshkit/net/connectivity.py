"""The states of a channel (grpc/doc/connectivity-semantics-and-api.md)."""

from __future__ import annotations

from enum import Enum

__all__ = ["ConnectivityState"]


class ConnectivityState(Enum):
    """Where the connections to one address are."""

    IDLE = "idle"
    CONNECTING = "connecting"
    READY = "ready"
    TRANSIENT_FAILURE = "transient failure"
    SHUTDOWN = "shutdown"
