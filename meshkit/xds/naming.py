"""The names that Istio gives to clusters, and to the listeners of gRPC servers."""

from __future__ import annotations

from typing import NamedTuple

__all__ = ["INBOUND", "ClusterName"]

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
