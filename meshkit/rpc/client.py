"""The base of generated clients."""

from __future__ import annotations

from collections.abc import AsyncIterable, Iterable, Sequence
from typing import Any, ClassVar

from meshkit.metadata import MetadataLike

from .caller import Caller
from .interceptor import Interceptor
from .method import Method, Rep, Req
from .options import CallOptions, Timeout
from .streams import BidiStream, ClientStream, ServerStream
from .unary import UnaryCall

__all__ = ["Client"]


class Client:
    """A service as its callers see it, bound to a `meshkit.Mesh` or a `meshkit.rpc.Channel`.

    ``interceptors``: around every call of this client, the first one outermost. Attributes of this class start with
    ``_mesh_`` or ``__``, so that no rpc's name can clash with one.
    """

    __service_name__: ClassVar[str] = ""
    __methods__: ClassVar[tuple[Method[Any, Any], ...]] = ()

    def __init__(self, channel: Caller, *, interceptors: Sequence[Interceptor] = ()) -> None:
        self._mesh_caller = channel
        self._mesh_interceptors = (*getattr(channel, "mesh_interceptors", ()), *interceptors)

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self._mesh_caller!r})"

    def _mesh_unary(
        self,
        method: Method[Any, Rep],
        request: Any,
        timeout: Timeout,
        metadata: MetadataLike | None,
        options: CallOptions | None,
    ) -> UnaryCall[Rep]:
        return UnaryCall(self._mesh_caller, method, request, timeout, metadata, options, self._mesh_interceptors)

    def _mesh_server_stream(
        self,
        method: Method[Any, Rep],
        request: Any,
        timeout: Timeout,
        metadata: MetadataLike | None,
        options: CallOptions | None,
    ) -> ServerStream[Rep]:
        return ServerStream(self._mesh_caller, method, request, timeout, metadata, options, self._mesh_interceptors)

    def _mesh_client_stream(
        self,
        method: Method[Req, Rep],
        requests: AsyncIterable[Req] | Iterable[Req] | None,
        timeout: Timeout,
        metadata: MetadataLike | None,
        options: CallOptions | None,
    ) -> ClientStream[Req, Rep]:
        return ClientStream(self._mesh_caller, method, requests, timeout, metadata, options, self._mesh_interceptors)

    def _mesh_bidi(
        self,
        method: Method[Req, Rep],
        requests: AsyncIterable[Req] | Iterable[Req] | None,
        timeout: Timeout,
        metadata: MetadataLike | None,
        options: CallOptions | None,
    ) -> BidiStream[Req, Rep]:
        return BidiStream(self._mesh_caller, method, requests, timeout, metadata, options, self._mesh_interceptors)
