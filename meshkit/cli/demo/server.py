"""A server process of the demo: ``python -m meshkit.cli.demo.server FOLDER``, where FOLDER has ``gen``.

Its settings are MESHKIT_* variables."""

from __future__ import annotations

import os
import sys
from typing import Any

from meshkit.cli.loop import run_on_best_loop
from meshkit.mesh import Mesh


def _greeter() -> Any:
    from gen.helloworld.v1 import HelloReply, HelloRequest  # type: ignore[import-not-found]
    from gen.helloworld.v1.greeter_mesh import GreeterBase  # type: ignore[import-not-found]

    version = os.environ["MESHKIT_LABELS"].partition("version=")[2]
    who = f"{os.environ['MESHKIT_SERVICE']} {version} {os.getpid()}"

    class Greeter(GreeterBase):  # type: ignore[misc]
        async def say_hello(self, request: HelloRequest, ctx: Any, /) -> HelloReply:
            return HelloReply(message=who)

    return Greeter()


async def _serve() -> None:
    async with Mesh() as mesh, mesh.serving(_greeter()) as server:
        print(server.address, flush=True)
        await server.wait()


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    run_on_best_loop(_serve())
