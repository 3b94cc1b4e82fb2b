"""What can go wrong with a connection, as errors that name the address and the reason."""

from __future__ import annotations

import os
import ssl

from meshkit.errors import MeshkitError

__all__ = ["ConnectionFailed", "ConnectionLost", "reason_of"]


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


def reason_of(error: Exception) -> str:
    """Why a socket failed, in the words of the kernel or of TLS; asyncio's own name the address again."""
    if isinstance(error, ssl.SSLCertVerificationError):
        return f"TLS: {error.verify_message}"
    if isinstance(error, ssl.SSLError):
        return f"TLS: {error.reason or error}"
    if isinstance(error, OSError) and error.errno is not None and error.errno > 0:
        return os.strerror(error.errno)
    return getattr(error, "strerror", None) or str(error) or type(error).__name__
