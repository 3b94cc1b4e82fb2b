"""The names that Istio gives to resources, and the type URLs of those that we serve."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

__all__ = ["CDS", "EDS", "INBOUND", "LDS", "PUSH_ORDER", "RDS", "SHORT", "ClusterName", "Proxy", "host_port"]

_PREFIX = "type.googleapis.com/envoy.config."
CDS = _PREFIX + "cluster.v3.Cluster"
EDS = _PREFIX + "endpoint.v3.ClusterLoadAssignment"
LDS = _PREFIX + "listener.v3.Listener"
RDS = _PREFIX + "route.v3.RouteConfiguration"

PUSH_ORDER = (CDS, EDS, LDS, RDS)
"""Make before break: what is pointed at goes before what points (xDS protocol, "Eventual consistency")."""

SHORT = {CDS: "CDS", EDS: "EDS", LDS: "LDS", RDS: "RDS"}

INBOUND = "xds.istio.io/grpc/lds/inbound/"
"""Listener names of gRPC servers are this and ``ip:port``."""


class ClusterName(NamedTuple):
    """``outbound|port|subset|host``."""

    port: int
    subset: str
    host: str

    def __str__(self) -> str:
        return f"outbound|{self.port}|{self.subset}|{self.host}"

    @classmethod
    def parse(cls, text: str) -> ClusterName | None:
        """The name read back; None for anything that is not of this form."""
        parts = text.split("|")
        if len(parts) != 4 or parts[0] != "outbound" or not parts[1].isdecimal():
            return None
        return cls(int(parts[1]), parts[2], parts[3])


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
