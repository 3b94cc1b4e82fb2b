"""Handlers across the two servers: grpclib's on ours (`foreign_routes`), ours on grpclib's (`mapping`)."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from grpclib.const import Cardinality, Handler, Status
from grpclib.exceptions import GRPCError, ProtocolError
from multidict import MultiDict

from meshkit.errors import Cancelled, Unknown, error_for
from meshkit.metadata import Metadata, MetadataLike, RawHeaders, encode_metadata
from meshkit.rpc.context import CURRENT, Context
from meshkit.rpc.method import Method

from .client import PeerAdapter, multidict_of, shape_of

if TYPE_CHECKING:
    from grpclib.metadata import Deadline

    from meshkit.rpc.servicer import Servicer

__all__ = ["ServerStreamAdapter", "foreign_files", "foreign_routes", "mapping"]


# grpclib's handlers on our server.


def foreign_routes(servicer: Any) -> list[tuple[Method[Any, Any], Callable[[Any, Any], Any]]]:
    """The rpcs of an object with grpclib's ``__mapping__``. Raises TypeError for an object without."""
    if not callable(getattr(servicer, "__mapping__", None)):
        raise TypeError(f"{type(servicer).__name__} is no servicer: it has neither a generated base nor __mapping__()")
    handlers: Mapping[str, Handler | None] = servicer.__mapping__()
    return [_foreign(path, handler) for path, handler in handlers.items() if handler is not None]


def _foreign(path: str, handler: Any) -> tuple[Method[Any, Any], Callable[[Any, Any], Any]]:
    method: Method[Any, Any] = Method(path, handler.request_type, handler.reply_type, *shape_of(handler.cardinality))
    return method, partial(_serve_streaming if method.server_streaming else _serve_single, method, handler.func)


async def _serve_single(
    method: Method[Any, Any], func: Callable[[Any], Awaitable[None]], request: Any, ctx: Any
) -> Any:
    stream = ServerStreamAdapter(method, request, ctx)
    await func(stream)
    stream.raise_for_status()
    if stream.reply is None:
        raise Unknown("Internal Server Error")  # what grpclib answers for a handler that sent nothing
    return stream.reply


async def _serve_streaming(
    method: Method[Any, Any], func: Callable[[Any], Awaitable[None]], request: Any, ctx: Any
) -> AsyncIterator[Any]:
    stream = ServerStreamAdapter(method, request, ctx)
    await func(stream)
    stream.raise_for_status()
    return _nothing()  # the replies have been sent


async def _nothing() -> AsyncIterator[Any]:
    return
    yield


def foreign_files(servicer: Any) -> tuple[bytes, ...]:
    """The descriptor files of a foreign service: known to protobuf's own classes, so found only where it uses them."""
    found: dict[str, bytes] = {}
    for path, handler in servicer.__mapping__().items():
        descriptor = getattr(getattr(handler, "request_type", None), "DESCRIPTOR", None)
        if descriptor is not None:
            _collect(_service_file(descriptor, path.lstrip("/").rpartition("/")[0]), found)
    return tuple(found.values())


def _service_file(descriptor: Any, service: str) -> Any:
    try:
        return descriptor.file.pool.FindServiceByName(service).file
    except KeyError:
        return descriptor.file


def _collect(file: Any, found: dict[str, bytes]) -> None:
    if file.name not in found:
        found[file.name] = file.serialized_pb
        for dependency in file.dependencies:
            _collect(dependency, found)


class ServerStreamAdapter:
    """``grpclib.server.Stream`` on a call of ours; see there. Misuse raises grpclib's ``ProtocolError``."""

    def __init__(self, method: Method[Any, Any], request: Any, ctx: Any) -> None:
        self._method = method
        self._request = request
        self._ctx = ctx
        self._status: GRPCError | None = None
        self._ended = self._cancelled = False
        self.reply: Any = None

    @property
    def metadata(self) -> MultiDict[str | bytes]:
        """The request's metadata."""
        return multidict_of(self._ctx.metadata)

    @property
    def deadline(self) -> Deadline | None:
        """The deadline in grpclib's form."""
        from grpclib.metadata import Deadline

        left = self._ctx.time_remaining()
        return None if left is None else Deadline.from_timeout(left)

    @property
    def peer(self) -> PeerAdapter:
        """The caller."""
        return PeerAdapter(self._ctx.peer)

    @property
    def user_agent(self) -> str | None:
        """What the caller's library calls itself."""
        agent: str | None = self._ctx.header(b"user-agent")
        return agent

    async def recv_message(self) -> Any:
        """The next request; None at the end."""
        if self._method.client_streaming:
            return await anext(cast("AsyncIterator[Any]", self._request), None)
        request, self._request = self._request, None
        return request

    def __aiter__(self) -> AsyncIterator[Any]:
        return self

    async def __anext__(self) -> Any:
        request = await self.recv_message()
        if request is None:
            raise StopAsyncIteration
        return request

    async def send_initial_metadata(self, *, metadata: MetadataLike | None = None) -> None:
        """Send initial metadata now."""
        try:
            await self._ctx.send_initial_metadata(metadata)
        except RuntimeError as error:
            raise ProtocolError("Initial metadata was already sent") from error

    async def send_message(self, message: Any) -> None:
        """Send a reply."""
        if self._method.server_streaming:
            await self._ctx.send(message)
        elif self.reply is not None:
            raise ProtocolError("Message was already sent")
        else:
            self.reply = message

    async def send_trailing_metadata(
        self,
        *,
        status: Status = Status.OK,
        status_message: str | None = None,
        status_details: Any = None,
        metadata: MetadataLike | None = None,
    ) -> None:
        """Decide how the call ends; it does when the handler returns."""
        if self._ended:
            raise ProtocolError("Trailing metadata was already sent")
        if status is Status.OK and not self._method.server_streaming and self.reply is None:
            raise ProtocolError("Unary response with OK status requires a single message to be sent")
        self._ended = True
        self._ctx.set_trailing_metadata(metadata or {})
        if status is not Status.OK:
            self._status = error_for(status, status_message, status_details)

    async def cancel(self) -> None:
        """Give the call up."""
        if self._cancelled:
            raise ProtocolError("Stream was already cancelled")
        self._cancelled = True
        self._status = Cancelled("the handler cancelled the call")

    def raise_for_status(self) -> None:
        """Raise what the handler decided, if that is not OK."""
        if self._status is not None:
            raise self._status


# Our handlers on grpclib's server.

_SHAPES = {shape_of(shape): shape for shape in Cardinality}


def mapping(servicer: Servicer) -> dict[str, Handler]:
    """What ``__mapping__`` of a generated base gives to a stock ``grpclib.server.Server``."""
    return {method.path: _handler(method, getattr(servicer, method.name)) for method in servicer.__methods__}


def _handler(method: Method[Any, Any], handler: Callable[[Any, Any], Any]) -> Handler:
    shape = _SHAPES[method.client_streaming, method.server_streaming]
    return Handler(partial(_serve_on_grpclib, method, handler), shape, method.request, method.reply)


class _GrpclibTransport:
    """A ``grpclib.server.Stream`` as a context's transport."""

    def __init__(self, stream: Any) -> None:
        self.fields: RawHeaders = encode_metadata([*stream.metadata.items()])
        self.deadline: float | None = None
        if stream.deadline is not None:
            self.deadline = time.monotonic() + stream.deadline.time_remaining()
        address = stream.peer.addr() if stream.peer is not None else ""
        self.peer = f"{address[0]}:{address[1]}" if isinstance(address, tuple) else str(address)
        self.peer_identity: str | None = None

    def send_headers(self, fields: RawHeaders = ()) -> None:
        raise RuntimeError("unreachable: grpclib sends headers by awaiting")


class _GrpclibContext(Context):
    """The context of a handler of ours on grpclib's server. ``compression`` does nothing there."""

    __slots__ = ("_given", "_grpclib", "trailing")

    def __init__(self, method: Method[Any, Any], stream: Any) -> None:
        super().__init__(method, _GrpclibTransport(stream))
        self._grpclib = stream
        self._given: Metadata = Metadata()
        self.trailing: Metadata = Metadata()

    def set_initial_metadata(self, metadata: MetadataLike) -> None:
        super().set_initial_metadata(metadata)
        self._given = Metadata.of(metadata)

    async def send_initial_metadata(self, metadata: MetadataLike | None = None) -> None:
        self.set_initial_metadata(self._given if metadata is None else metadata)
        self._headers_sent = True
        await self._grpclib.send_initial_metadata(metadata=multidict_of(self._given))

    def set_trailing_metadata(self, metadata: MetadataLike) -> None:
        self.trailing = Metadata.of(metadata)

    async def reply(self, message: Any) -> None:
        """Send a reply, after the initial metadata."""
        if not self._headers_sent:
            await self.send_initial_metadata()
        await self._grpclib.send_message(message)

    async def finish(self, error: GRPCError | None) -> None:
        """Send the status."""
        status = Status.OK if error is None else error.status
        message, details = (None, None) if error is None else (error.message, error.details)
        await self._grpclib.send_trailing_metadata(
            status=status,
            status_message=message,
            status_details=details if _packable(details) else None,
            metadata=multidict_of(self.trailing),
        )


def _packable(details: Any) -> bool:
    """grpclib packs protobuf's own messages, and nothing else."""
    return isinstance(details, list | tuple) and all(hasattr(each, "DESCRIPTOR") for each in cast("list[Any]", details))


async def _serve_on_grpclib(method: Method[Any, Any], handler: Callable[[Any, Any], Any], stream: Any) -> None:
    context = _GrpclibContext(method, stream)
    CURRENT.set(context)
    try:
        request = stream if method.client_streaming else await stream.recv_message()
        if method.server_streaming:
            await _reply_all(handler(request, context), context)
        else:
            await context.reply(await handler(request, context))
    except GRPCError as error:
        await context.finish(error)
    else:
        await context.finish(None)


async def _reply_all(replies: Any, context: _GrpclibContext) -> None:
    if not hasattr(replies, "__aiter__"):
        replies = await replies
    async for reply in replies:
        await context.reply(reply)
