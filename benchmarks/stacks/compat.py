"""Handlers and stubs written for grpclib, unchanged, on meshkit's server and mesh."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

from benchmarks.stacks import grpclib_stack
from meshkit.mesh import Mesh
from meshkit.rpc import Server


async def serve(announce: Callable[[int], None]) -> None:
    async with Server([grpclib_stack.Echo()]) as server:
        announce(await server.listen("127.0.0.1", 0))
        await asyncio.get_running_loop().create_future()


class Client(grpclib_stack.Client):
    """grpclib's stubs, given a mesh for a channel."""

    def __init__(self, port: int) -> None:
        self._mesh = Mesh(interfaces={grpclib_stack.SERVICE: f"static:127.0.0.1:{port}"})
        super().__init__(port, self._mesh)

    async def close(self) -> None:
        await self._mesh.aclose()
