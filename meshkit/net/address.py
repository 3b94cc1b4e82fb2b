"""Addresses as text: "host:port", "[v6]:port", "unix:/path", "unix-abstract:name" (grpc/doc/naming.md)."""

from __future__ import annotations

import ipaddress
from dataclasses import dataclass
from typing import Any, cast

from meshkit.errors import ConfigError

__all__ = ["Address", "is_ip", "join_host_port", "parse_address", "peer_text"]


@dataclass(frozen=True, slots=True)
class Address:
    """Where to connect: a ``host`` and ``port``, or the ``path`` of a unix socket (with a leading NUL: abstract)."""

    text: str
    host: str = ""
    port: int = 0
    path: str | None = None

    @property
    def authority(self) -> bytes:
        """The ``:authority`` of calls to it; "localhost" for unix sockets, as grpc has it."""
        return (
            b"localhost" if self.path is not None else self.text.encode("idna" if not self.text.isascii() else "ascii")
        )


def parse_address(text: str) -> Address:
    """The address that ``text`` means. Raises ConfigError where it means none."""
    if text.startswith("unix-abstract:"):
        return Address(text, path="\0" + text.removeprefix("unix-abstract:"))
    if text.startswith("unix:"):
        path = text.removeprefix("unix:")
        return Address(text, path=path.removeprefix("//") if path.startswith("///") else path)
    host, colon, port = text.rpartition(":")
    if not colon or not host or not port.isdecimal() or int(port) > 65535 or (":" in host and host[0] != "["):
        raise ConfigError(f"address {text!r} is none of host:port, [v6]:port, unix:/path, unix-abstract:name")
    return Address(text, host.strip("[]"), int(port))


def join_host_port(host: str, port: int | str) -> str:
    """``host:port``, an IPv6 address in brackets."""
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def is_ip(host: str) -> bool:
    """Whether a host is an IP address, without brackets; else it is a name, which somebody has to resolve."""
    try:
        ipaddress.ip_address(host)
    except ValueError:
        return False
    return True


def peer_text(name: Any) -> str:
    """An address as the socket module gives it (tuple, path or nothing), as text."""
    if isinstance(name, tuple):
        return join_host_port(*cast("tuple[str, int]", name[:2]))
    if isinstance(name, bytes):
        return "unix-abstract:" + name.lstrip(b"\0").decode("utf-8", "replace")
    return f"unix:{name or ''}"
