"""Host names to IP addresses, off the event loop."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Sequence

__all__ = ["Resolver", "system_resolver"]

Resolver = Callable[[str], Awaitable[Sequence[str]]]
"""From a host name to its IP addresses, best first. Raises OSError where it has none or nobody can say."""


async def system_resolver(host: str) -> list[str]:
    """What the operating system says: its hosts file, DNS... in RFC 6724's order. It blocks a thread, not the loop."""
    found = await asyncio.get_running_loop().getaddrinfo(host, None, type=socket.SOCK_STREAM)
    return list(dict.fromkeys(_text(name) for _, _, _, _, name in found))


def _text(name: tuple[str, int] | tuple[str, int, int, int] | tuple[int, bytes]) -> str:
    """A link-local IPv6 address means something on its interface only."""
    host = str(name[0])
    return f"{host}%{name[3]}" if len(name) == 4 and name[3] and "%" not in host else host
