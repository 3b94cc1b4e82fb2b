"""Ports for programs that cannot tell which one they were given."""

from __future__ import annotations

import socket
from contextlib import ExitStack


def free_port() -> int:
    """A port of 127.0.0.1 that was free a moment ago."""
    (port,) = free_ports(1)
    return port


def free_ports(count: int) -> list[int]:
    """So many different ones: asked for one by one, two of them could be the same."""
    with ExitStack() as stack:
        found = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in found:
            one.bind(("127.0.0.1", 0))
        return [one.getsockname()[1] for one in found]
