"""Finding interfaces: the one ADS stream, what each interface needs of it, and a snapshot of each, published whole.

What only servers need is imported when it is first used.
"""

from typing import TYPE_CHECKING

from meshkit.lazy import lazily

from .bootstrap import Bootstrap, find_bootstrap
from .discovery import Discovery, DiscoveryStatistics
from .node import NodeIdentity, Registration, build_node
from .options import DiscoveryOptions
from .pod import Pod, read_pod
from .snapshot import ClusterSnapshot, Snapshot, SnapshotState
from .strategy import DirectAddresses, HostPort, Location, Strategy, Unknown
from .stream import StreamStatistics
from .watch import InterfaceStatistics, InterfaceWatch

if TYPE_CHECKING:
    from .local import LocalPort, LocalWatch

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

__getattr__ = lazily(__name__, dict.fromkeys(("LocalPort", "LocalWatch"), "local"))
