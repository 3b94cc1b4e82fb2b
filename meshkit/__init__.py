"""meshkit: a proxyless service mesh for Python on asyncio.

The names below are imported when they are first used, so that a process pays for the rooms it enters.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from .lazy import lazily

if TYPE_CHECKING:
    from .errors import MeshkitError, RpcError
    from .mesh import Mesh, MeshServer, Settings
    from .rpc import CallOptions, Context, Metadata, current_context
    from .status import Status
    from .version import __version__

__all__ = [
    "CallOptions",
    "Context",
    "Mesh",
    "MeshServer",
    "MeshkitError",
    "Metadata",
    "RpcError",
    "Settings",
    "Status",
    "__version__",
    "current_context",
]

_ROOMS = {
    "CallOptions": "rpc",
    "Context": "rpc",
    "Mesh": "mesh",
    "MeshServer": "mesh",
    "MeshkitError": "errors",
    "Metadata": "metadata",
    "RpcError": "errors",
    "Settings": "mesh",
    "Status": "status",
    "__version__": "version",
    "current_context": "rpc",
}


__getattr__ = lazily(__name__, _ROOMS)
