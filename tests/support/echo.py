"""A grpc.aio server that answers every unary call of any method with its own name, and remembers the metadata.

Metadata can ask for worse: ``sleep: 0.5`` delays the answer, ``down: v1`` makes the backend v1 answer UNAVAILABLE.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from types import TracebackType
from typing import Any, Self

import grpc
import grpc.aio

__all__ = ["EchoBackend", "call", "shares"]


class _AnyMethod(grpc.GenericRpcHandler):
    def __init__(self, backend: EchoBackend) -> None:
        self.backend = backend

    def service(self, details: Any) -> Any:
        async def handle(request: bytes, context: Any) -> bytes:
            metadata = dict(context.invocation_metadata())
            self.backend.calls.append((details.method, metadata))
            await asyncio.sleep(float(metadata.get("sleep", "0")))
            if metadata.get("down") == self.backend.name:
                await context.abort(grpc.StatusCode.UNAVAILABLE, "as asked")
            return self.backend.name.encode()

        return grpc.unary_unary_rpc_method_handler(handle)


class EchoBackend:
    """``async with EchoBackend("v1") as backend``; ``address`` is where it listens, ``calls`` what came in."""

    def __init__(self, name: str, host: str = "127.0.0.1") -> None:
        self.name = name
        self.host = host
        self.port = 0
        self.calls: list[tuple[str, dict[str, str]]] = []
        self._server = grpc.aio.server()

    @property
    def address(self) -> str:
        return f"{self.host}:{self.port}"

    async def __aenter__(self) -> Self:
        self._server.add_generic_rpc_handlers((_AnyMethod(self),))
        self.port = self._server.add_insecure_port(f"{self.host}:0")
        await self._server.start()
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self._server.stop(None)


async def call(
    channel: grpc.aio.Channel, method: str = "/helloworld.v1.Greeter/SayHello", *, timeout: float = 30, **metadata: str
) -> str:
    """One call; the name of the backend that answered."""
    rpc = channel.unary_unary(method)
    reply: bytes = await rpc(b"", timeout=timeout, metadata=tuple(metadata.items()))
    return reply.decode()


async def shares(channel: grpc.aio.Channel, calls: int, **metadata: str) -> Counter[str]:
    """How many of so many calls each backend answered."""
    return Counter([await call(channel, **metadata) for _ in range(calls)])
