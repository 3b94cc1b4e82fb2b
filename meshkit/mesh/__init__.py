"""The composition root: `Mesh`, its settings, and the column that every call goes down."""

from .mesh import Mesh
from .serving import MeshServer
from .settings import Settings

__all__ = ["Mesh", "MeshServer", "Settings"]
