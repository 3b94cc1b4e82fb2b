"""A destination as a VirtualService writes it -> the cluster it means, and how calls to it are hashed."""

from __future__ import annotations

from dataclasses import dataclass

from meshkit.xds.naming import ClusterName

from .model import Destination
from .policies import policy_for
from .traffic_policy import ConsistentHash
from .world import Service, World, resolve_host

__all__ = ["Targets"]


@dataclass(frozen=True, slots=True)
class Targets:
    """The destinations of one host's rules: ``port`` is the port that was called, ``namespace`` that of the rules."""

    world: World
    port: int
    service: Service | None
    namespace: str = "default"

    def host(self, destination: Destination) -> str:
        """The full host of a destination."""
        return resolve_host(destination.host, self.namespace)

    def cluster(self, destination: Destination) -> ClusterName:
        """The cluster of a destination. Without a port it is the service's only one, or the port that was called."""
        host = self.host(destination)
        port = destination.port
        if port is None:
            service = self.world.services.get(host)
            port = next(iter(service.ports)) if service is not None and len(service.ports) == 1 else self.port
        return ClusterName(port, destination.subset, host)

    def own_cluster(self) -> ClusterName:
        """The cluster of the host itself, without rules."""
        return ClusterName(self.port, "", self.service.host if self.service else "")

    def hashing(self, cluster: ClusterName) -> ConsistentHash | None:
        """The consistentHash that the cluster's policy asks for; a subset's policy goes before the host's."""
        balancer = policy_for(self.world, cluster).load_balancer
        return balancer.consistent_hash if balancer else None
