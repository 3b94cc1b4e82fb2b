"""``api.Greeter`` as Dubbo's test programs have it (tests/peers/dubbo-go-3.3/greeter.proto), on our side.

Some names have a meaning, the same as at the peers: see their READMEs.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator

from meshkit.errors import FailedPrecondition, NotFound
from meshkit.rpc import Context
from tests.support.gen.api import HelloReply, HelloRequest
from tests.support.gen.api.greeter_mesh import GreeterBase

__all__ = ["NO_GREETING", "Greeter", "hello"]

NO_GREETING = "no such greeting: 100% é"


class Greeter(GreeterBase):
    """Says who it is, and remembers how its calls ended that were not to end well."""

    def __init__(self, name: str = "v1") -> None:
        self.name = name
        self.cancelled = asyncio.Event()

    async def say_hello(self, request: HelloRequest, ctx: Context, /) -> HelloReply:
        """One greeting."""
        return await self._hello(request, ctx)

    async def lots_of_replies(self, request: HelloRequest, ctx: Context, /) -> AsyncIterator[HelloReply]:
        """Three greetings."""
        for _ in range(3):
            yield await self._hello(request, ctx)

    async def lots_of_greetings(self, requests: AsyncIterator[HelloRequest], ctx: Context, /) -> HelloReply:
        """One greeting for everybody."""
        return HelloReply(message=f"{self.name}: hello {','.join([request.name async for request in requests])}")

    async def bidi_hello(self, requests: AsyncIterator[HelloRequest], ctx: Context, /) -> AsyncIterator[HelloReply]:
        """A greeting each."""
        async for request in requests:
            yield await self._hello(request, ctx)

    async def _hello(self, request: HelloRequest, ctx: Context) -> HelloReply:
        kind, _, rest = request.name.partition(":")
        if kind == "meta":
            return HelloReply(message=json.dumps(dict(ctx.metadata.pairs)))
        if kind == "limit":
            return HelloReply(message="no deadline" if ctx.deadline is None else "deadline")
        if kind == "trailer":
            ctx.set_initial_metadata({"resp-header": "h1"})
            ctx.set_trailing_metadata({"resp-trailer": "t1"})
        elif kind == "not-found":
            raise NotFound(NO_GREETING)
        elif kind == "details":
            raise FailedPrecondition("precond")
        elif kind == "plain-error":
            raise OSError("plain error")
        elif kind == "big":
            return HelloReply(message="b" * int(rest))
        elif kind in ("sleep", "early"):
            await self._sleep(rest, ctx, early=kind == "early")
        return HelloReply(message=f"{self.name}: hello {request.name}")

    async def _sleep(self, how_long: str, ctx: Context, *, early: bool) -> None:
        """``early`` lets the caller have initial metadata before."""
        if early:
            await ctx.send_initial_metadata({"resp-header": "h1"})
        try:
            await asyncio.sleep(float(how_long.removesuffix("s")))
        except asyncio.CancelledError:
            self.cancelled.set()
            raise


def hello(name: str) -> HelloRequest:
    """A request to greet ``name``."""
    return HelloRequest(name=name)
