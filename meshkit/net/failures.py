"""What can go wrong with a connection, as errors that name the address and the reason."""

from __future__ import annotations

from meshkit.errors import MeshkitError

__all__ = ["ConnectionFailed", "ConnectionLost"]


class ConnectionFailed(MeshkitError):
    """No connection to ``address`` can be had now: refused, timed out, waiting for the next attempt, or closed here."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"cannot connect to {address}: {reason}")
        self.address = address
        self.reason = reason


class ConnectionLost(MeshkitError):
    """A stream was asked of a connection that is closed or going away; nothing of it was sent."""

    def __init__(self, address: str, reason: str) -> None:
        super().__init__(f"connection to {address} is lost: {reason}")
        self.address = address
        self.reason = reason
