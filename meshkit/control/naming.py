"""The type URLs of the resources that we serve, and what of a client they depend on."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["CDS", "EDS", "LDS", "PUSH_ORDER", "RDS", "SHORT", "Proxy", "host_port"]

_PREFIX = "type.googleapis.com/envoy.config."
CDS = _PREFIX + "cluster.v3.Cluster"
EDS = _PREFIX + "endpoint.v3.ClusterLoadAssignment"
LDS = _PREFIX + "listener.v3.Listener"
RDS = _PREFIX + "route.v3.RouteConfiguration"

PUSH_ORDER = (CDS, EDS, LDS, RDS)
"""Make before break: what is pointed at goes before what points (xDS protocol, "Eventual consistency")."""

SHORT = {CDS: "CDS", EDS: "EDS", LDS: "LDS", RDS: "RDS"}


def host_port(name: str) -> tuple[str, int]:
    """``host:port`` taken apart; port 0 where there is none."""
    host, _, port = name.rpartition(":")
    return (host, int(port)) if host and port.isdecimal() else (name, 0)


@dataclass(frozen=True, slots=True)
class Proxy:
    """What of a client its configuration depends on. ``grpc`` is the generator: ``GENERATOR=grpc`` in node metadata;
    ``dialect`` is set for a client that has to be shown older forms (`dialect`)."""

    grpc: bool = False
    namespace: str = "default"
    labels: tuple[tuple[str, str], ...] = ()
    locality: tuple[str, str, str] = ("", "", "")
    dialect: str = ""
