"""Which virtual host serves an authority (gRFC A28, "Virtual host selection"; route.v3.VirtualHost.domains)."""

from __future__ import annotations

import re

from meshkit.xds.resources import RouteConfiguration, VirtualHost

__all__ = ["find_virtual_host"]

_PORT = re.compile(r":[0-9]+\Z")


def find_virtual_host(config: RouteConfiguration, authority: str) -> VirtualHost | None:
    """The virtual host whose domain fits ``authority`` best: exact, then ``*suffix``, then ``prefix*``, then ``*``;
    among suffixes and among prefixes the longest; among equals the first. None where nothing fits.

    Case is ignored. A port is part of the authority and never added; it is taken away only if the configuration's
    ``ignore_port`` says so (ignore_port_in_host_matching).
    """
    host = _PORT.sub("", authority.lower()) if config.ignore_port else authority.lower()
    best: VirtualHost | None = None
    best_rank = (0, 0)
    for virtual_host in config.virtual_hosts:
        for domain in virtual_host.domains:
            rank = _rank(domain.lower(), host)
            if rank > best_rank:
                best, best_rank = virtual_host, rank
    return best


def _rank(domain: str, host: str) -> tuple[int, int]:
    """How well ``domain`` fits: (kind, length), higher is better, (0, 0) for not at all.

    A wildcard stands for at least one character (route.v3.VirtualHost.domains).
    """
    if domain == "*":
        return (1, 1)
    if domain == host:
        return (4, len(domain))
    if len(host) < len(domain):
        return (0, 0)
    if domain.startswith("*") and host.endswith(domain[1:]):
        return (3, len(domain))
    if domain.endswith("*") and host.startswith(domain[:-1]):
        return (2, len(domain))
    return (0, 0)
