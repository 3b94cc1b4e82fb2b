"""The composition root: `Mesh`, its settings, and the column that every call goes down.

What only servers need is imported when it is first used.
"""

from typing import TYPE_CHECKING

from meshkit.lazy import lazily

from .mesh import Mesh
from .settings import Settings

if TYPE_CHECKING:
    from .serving import MeshServer

__all__ = ["Mesh", "MeshServer", "Settings"]

__getattr__ = lazily(__name__, {"MeshServer": "serving"})
