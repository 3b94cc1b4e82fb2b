"""Adapters between this package and code written for grpclib: stubs on our channels, handlers on our server, our
servicers on grpclib's server.  grpclib's own transport is not used here and not imported; what only servers need is
imported when it is first used."""

from typing import TYPE_CHECKING

from meshkit.lazy import lazily

from .client import GrpclibCompat

if TYPE_CHECKING:
    from .handlers import foreign_files, foreign_routes, mapping

__all__ = ["GrpclibCompat", "foreign_files", "foreign_routes", "mapping"]

__getattr__ = lazily(__name__, dict.fromkeys(("foreign_files", "foreign_routes", "mapping"), "handlers"))
