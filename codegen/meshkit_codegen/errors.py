"""What can be wrong with proto files, told in one line each."""

from __future__ import annotations

from meshkit.errors import MeshkitError

__all__ = ["ProtoError"]


class ProtoError(MeshkitError):
    """The proto files, or the options of the generator, cannot be turned into code; the text names the places."""
