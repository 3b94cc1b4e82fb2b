"""Finding interfaces: the one ADS stream, what each interface needs of it, and a snapshot of each, published whole."""

from .bootstrap import Bootstrap, find_bootstrap
from .discovery import Discovery, DiscoveryStatistics
from .local import LocalPort, LocalWatch
from .node import NodeIdentity, Registration, build_node
from .options import DiscoveryOptions
from .pod import Pod, read_pod
from .snapshot import ClusterSnapshot, Snapshot, SnapshotState
from .strategy import DirectAddresses, HostPort, Location, Strategy, Unknown
from .stream import StreamStatistics
from .watch import InterfaceStatistics, InterfaceWatch

__all__ = [
    "Bootstrap",
    "ClusterSnapshot",
    "DirectAddresses",
    "Discovery",
    "DiscoveryOptions",
    "DiscoveryStatistics",
    "HostPort",
    "InterfaceStatistics",
    "InterfaceWatch",
    "LocalPort",
    "LocalWatch",
    "Location",
    "NodeIdentity",
    "Pod",
    "Registration",
    "Snapshot",
    "SnapshotState",
    "Strategy",
    "StreamStatistics",
    "Unknown",
    "build_node",
    "find_bootstrap",
    "read_pod",
]
