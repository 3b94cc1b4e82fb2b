"""Which traffic policy counts for a cluster: the host's, a subset's over it, and port levels in each, as in Istio."""

from __future__ import annotations

from dataclasses import replace

from meshkit.xds.naming import ClusterName

from .traffic_policy import TrafficPolicy
from .world import World

__all__ = ["policy_for"]


def policy_for(world: World, cluster: ClusterName) -> TrafficPolicy:
    """The policy of a cluster. A subset's settings replace the host's one by one; the settings of a port replace all of
    the policy they are in, with defaults for what they leave out."""
    policy = _at_port(world.policy(cluster.host), cluster.port)
    subset = world.subset(cluster.host, cluster.subset) if cluster.subset else None
    if subset is None or subset.policy is None:
        return policy
    over = _at_port(subset.policy, cluster.port)
    return replace(
        policy,
        load_balancer=over.load_balancer or policy.load_balancer,
        connection_pool=over.connection_pool or policy.connection_pool,
        outlier_detection=over.outlier_detection or policy.outlier_detection,
    )


def _at_port(policy: TrafficPolicy, port: int) -> TrafficPolicy:
    for level in policy.port_levels:
        if level.port == port:
            return TrafficPolicy(level.load_balancer, level.connection_pool, level.outlier_detection, level.tls)
    return policy
