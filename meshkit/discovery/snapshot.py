"""All that a call needs to know about an interface, frozen: it is published whole or not at all."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import Enum

from meshkit.route import RouteTable
from meshkit.xds.resources import Cluster, ClusterLoadAssignment

__all__ = ["ClusterSnapshot", "Snapshot", "SnapshotState"]


class SnapshotState(Enum):
    """PENDING: nobody has answered yet. READY: calls can go. ABSENT: everybody asked has said no."""

    PENDING = "pending"
    READY = "ready"
    ABSENT = "absent"


@dataclass(frozen=True, slots=True)
class ClusterSnapshot:
    """A cluster with its endpoints: those of EDS, or the ones that it carries itself. No endpoints: unreachable."""

    cluster: Cluster
    assignment: ClusterLoadAssignment


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The configuration of one interface.

    ``routes`` is there when READY, compiled for calls that send ``authority``; ``clusters`` has every cluster that they
    can lead to, by name, except those that the control plane does not have: ``notes`` says why, by cluster. ``reason``
    says why a snapshot is not READY. ``version`` counts the snapshots of this interface.
    """

    interface: str
    state: SnapshotState
    reason: str = ""
    routes: RouteTable | None = None
    clusters: Mapping[str, ClusterSnapshot] = field(default_factory=dict[str, ClusterSnapshot])
    authority: str = ""
    notes: Mapping[str, str] = field(default_factory=dict[str, str])
    version: int = 0

    def __repr__(self) -> str:
        endpoints = sum(len(locality.endpoints) for c in self.clusters.values() for locality in c.assignment.localities)
        facts = (
            f"{len(self.clusters)} clusters, {endpoints} endpoints"
            if self.state is SnapshotState.READY
            else self.reason
        )
        return f"Snapshot({self.interface!r}, {self.state.value} v{self.version}: {facts})"

    @property
    def ready(self) -> bool:
        """Whether calls can go."""
        return self.state is SnapshotState.READY
