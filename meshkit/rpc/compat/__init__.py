"""Adapters between this package and code written for grpclib: stubs on our channels, handlers on our server, our
servicers on grpclib's server.  grpclib's own transport is not used here and not imported."""

from .client import GrpclibCompat
from .handlers import foreign_files, foreign_routes, mapping

__all__ = ["GrpclibCompat", "foreign_files", "foreign_routes", "mapping"]
