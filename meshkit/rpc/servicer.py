"""The base of generated service bases."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, ClassVar

from .method import Method

if TYPE_CHECKING:
    from grpclib.const import Handler

__all__ = ["Servicer"]


class Servicer:
    """A service as its implementation sees it; generated bases fill in the class attributes.

    ``__service_name__`` is the full name; ``__methods__`` its rpcs, each served by the attribute ``method.name``;
    ``__file_descriptor__`` the serialized ``FileDescriptorProto`` of its file, and ``__dependencies__()`` those of all
    files that this one imports, directly or not, for reflection.
    """

    __service_name__: ClassVar[str] = ""
    __methods__: ClassVar[tuple[Method[Any, Any], ...]] = ()
    __file_descriptor__: ClassVar[bytes] = b""

    @staticmethod
    def __dependencies__() -> tuple[bytes, ...]:
        """The serialized files that the service's own file imports."""
        return ()

    def __mapping__(self) -> dict[str, Handler]:
        """Handlers for a stock ``grpclib.server.Server``, which may serve this object as it is."""
        from .compat.handlers import mapping

        return mapping(self)
