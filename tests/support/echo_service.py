"""The service of `tests/support/pb/echo/v1/echo.proto` on our server, on grpc.aio's and on grpclib's."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import grpc
import grpclib.client
import grpclib.server
from grpclib.const import Status as GrpclibStatus

from meshkit.errors import error_for
from meshkit.net import ServerOptions
from meshkit.rpc import Channel, Context, Server
from meshkit.status import status_of
from tests.support.gen.echo.v1 import EchoReply, EchoRequest
from tests.support.gen.echo.v1.echo_mesh import EchoBase, EchoClient
from tests.support.gen.google.protobuf import Empty
from tests.support.pb.echo.v1 import echo_grpc, echo_pb2, echo_pb2_grpc


class EchoService(EchoBase):
    """Echoes; ``cancelled`` has an entry for each handler that was cancelled."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.running = 0
        self.contexts: list[Context] = []
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()

    async def _begin(self, request: EchoRequest, ctx: Context) -> None:
        self.contexts.append(ctx)
        self.started.set()
        if request.sleep_ms:
            try:
                await asyncio.sleep(request.sleep_ms / 1000)
            except asyncio.CancelledError:
                self.cancelled.append(request.text)
                self.stopped.set()
                raise
        if request.fail:
            raise error_for(status_of(request.fail), request.text)

    def _echo_metadata(self, ctx: Context) -> None:
        if "echo-initial" in ctx.metadata:
            ctx.set_initial_metadata([("echo-initial", value) for value in ctx.metadata.getall("echo-initial")])
        if "echo-trailing-bin" in ctx.metadata:
            ctx.set_trailing_metadata({"echo-trailing-bin": ctx.metadata["echo-trailing-bin"]})

    async def unary(self, request: EchoRequest, ctx: Context, /) -> EchoReply:
        self._echo_metadata(ctx)
        await self._begin(request, ctx)
        return EchoReply(text=request.text, payload=request.payload or bytes(request.count))

    async def split(self, request: EchoRequest, ctx: Context, /) -> AsyncIterator[EchoReply]:
        self._echo_metadata(ctx)
        self.started.set()
        try:
            for number in range(request.count):
                yield EchoReply(text=request.text, payload=request.payload, number=number)
                if request.sleep_ms:
                    await asyncio.sleep(request.sleep_ms / 1000)
        except (asyncio.CancelledError, GeneratorExit):
            self.cancelled.append(request.text)
            self.stopped.set()
            raise
        if request.fail:
            raise error_for(status_of(request.fail), request.text)

    async def join(self, requests: AsyncIterator[EchoRequest], ctx: Context, /) -> EchoReply:
        self._echo_metadata(ctx)
        self.started.set()
        texts = []
        try:
            async for request in requests:
                await self._begin(request, ctx)
                texts.append(request.text)
        except asyncio.CancelledError:
            self.cancelled.append(",".join(texts))
            self.stopped.set()
            raise
        return EchoReply(text=",".join(texts), number=len(texts))

    async def chat(self, requests: AsyncIterator[EchoRequest], ctx: Context, /) -> AsyncIterator[EchoReply]:
        self._echo_metadata(ctx)
        self.started.set()
        number = 0
        try:
            async for request in requests:
                await self._begin(request, ctx)
                yield EchoReply(text=request.text, payload=request.payload, number=number)
                number += 1
        except asyncio.CancelledError:
            self.cancelled.append(str(number))
            self.stopped.set()
            raise

    async def nothing(self, request: Empty, ctx: Context, /) -> Empty:
        return request


@asynccontextmanager
async def serving(
    service: Any = None, *, options: ServerOptions | None = None, **settings: Any
) -> AsyncIterator[tuple[Server, str]]:
    """Our server with ``service``, and its address."""
    server = Server([EchoService() if service is None else service], options=options, **settings)
    port = await server.listen()
    try:
        yield server, f"127.0.0.1:{port}"
    finally:
        await server.close()


@asynccontextmanager
async def calling(
    service: Any = None, *, interceptors: Sequence[Any] = (), **settings: Any
) -> AsyncIterator[EchoClient]:
    """Our client of our server."""
    async with serving(service, **settings) as (_, address), Channel(address) as channel:
        yield EchoClient(channel, interceptors=interceptors)


class GrpcioEcho(echo_pb2_grpc.EchoServicer):
    """The service on grpc.aio."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []
        self.started = asyncio.Event()
        self.stopped = asyncio.Event()

    async def _begin(self, request: Any, context: Any) -> None:
        self.started.set()
        metadata = context.invocation_metadata()
        initial = [(key, value) for key, value in metadata if key == "echo-initial"]
        if initial:
            await context.send_initial_metadata(initial)
        context.set_trailing_metadata([(key, value) for key, value in metadata if key == "echo-trailing-bin"])
        try:
            if request.sleep_ms:
                await asyncio.sleep(request.sleep_ms / 1000)
        except asyncio.CancelledError:
            self.cancelled.append(request.text)
            self.stopped.set()
            raise
        if request.fail:
            await context.abort(next(code for code in grpc.StatusCode if code.value[0] == request.fail), request.text)

    async def Unary(self, request: Any, context: Any) -> Any:
        await self._begin(request, context)
        return echo_pb2.EchoReply(text=request.text, payload=request.payload or bytes(request.count))

    async def Split(self, request: Any, context: Any) -> Any:
        for number in range(request.count):
            yield echo_pb2.EchoReply(text=request.text, payload=request.payload, number=number)
        await self._begin(request, context)

    async def Join(self, requests: Any, context: Any) -> Any:
        texts = []
        async for request in requests:
            await self._begin(request, context)
            texts.append(request.text)
        return echo_pb2.EchoReply(text=",".join(texts), number=len(texts))

    async def Chat(self, requests: Any, context: Any) -> Any:
        number = 0
        async for request in requests:
            await self._begin(request, context)
            yield echo_pb2.EchoReply(text=request.text, payload=request.payload, number=number)
            number += 1

    async def Nothing(self, request: Any, context: Any) -> Any:
        return request


@asynccontextmanager
async def grpcio_serving(service: GrpcioEcho | None = None, **settings: Any) -> AsyncIterator[str]:
    """grpc.aio's server; gives its address."""
    server = grpc.aio.server(**settings)
    echo_pb2_grpc.add_EchoServicer_to_server(service or GrpcioEcho(), server)
    port = server.add_insecure_port("127.0.0.1:0")
    await server.start()
    try:
        yield f"127.0.0.1:{port}"
    finally:
        await server.stop(0)


class GrpclibEcho(echo_grpc.EchoBase):
    """The service as grpclib's users write it."""

    def __init__(self) -> None:
        self.cancelled: list[str] = []

    async def _begin(self, request: Any, stream: Any) -> None:
        metadata = stream.metadata
        if "echo-initial" in metadata:
            await stream.send_initial_metadata(
                metadata=[("echo-initial", value) for value in metadata.getall("echo-initial")]
            )
        if request.sleep_ms:
            try:
                await asyncio.sleep(request.sleep_ms / 1000)
            except asyncio.CancelledError:
                self.cancelled.append(request.text)
                raise
        if request.fail:
            raise grpclib.GRPCError(GrpclibStatus(request.fail), request.text)

    async def Unary(self, stream: Any) -> None:
        request = await stream.recv_message()
        await self._begin(request, stream)
        await stream.send_message(
            echo_pb2.EchoReply(text=request.text, payload=request.payload or bytes(request.count))
        )
        if "echo-trailing-bin" in stream.metadata:
            value = stream.metadata["echo-trailing-bin"]
            await stream.send_trailing_metadata(metadata={"echo-trailing-bin": value})

    async def Split(self, stream: Any) -> None:
        request = await stream.recv_message()
        for number in range(request.count):
            await stream.send_message(echo_pb2.EchoReply(text=request.text, payload=request.payload, number=number))
        await self._begin(request, stream)

    async def Join(self, stream: Any) -> None:
        texts = []
        async for request in stream:
            await self._begin(request, stream)
            texts.append(request.text)
        await stream.send_message(echo_pb2.EchoReply(text=",".join(texts), number=len(texts)))

    async def Chat(self, stream: Any) -> None:
        number = 0
        async for request in stream:
            await self._begin(request, stream)
            await stream.send_message(echo_pb2.EchoReply(text=request.text, payload=request.payload, number=number))
            number += 1

    async def Nothing(self, stream: Any) -> None:
        await stream.send_message(await stream.recv_message())


@asynccontextmanager
async def grpclib_serving(service: Any = None) -> AsyncIterator[str]:
    """grpclib's server; gives its address."""
    server = grpclib.server.Server([service or GrpclibEcho()])
    await server.start("127.0.0.1", 0)
    try:
        assert server._server is not None
        yield f"127.0.0.1:{server._server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()
