"""A greeter as a program: ``python -m tests.support.greeter_main NAME``, settings from MESHKIT_* variables."""

import asyncio
import sys

from meshkit.mesh import Mesh
from tests.support.world import Greeter


async def main() -> None:
    async with Mesh() as mesh, mesh.serving(Greeter(sys.argv[1])) as server:
        await server.wait(lambda: print(server.address, flush=True))


asyncio.run(main())
