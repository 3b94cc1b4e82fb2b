"""A server process of the demo: ``python -m meshkit.cli.demo.server FOLDER``, where FOLDER has ``gen``.

Its settings are MESHKIT_* variables."""

from __future__ import annotations

import os
import sys
from importlib import import_module
from typing import Any

from meshkit.cli.loop import run_on_best_loop
from meshkit.mesh import Mesh


def _greeter() -> Any:
    """An instance of the generated base, which exists at run time only."""
    reply = import_module("gen.helloworld.v1").HelloReply
    base = import_module("gen.helloworld.v1.greeter_mesh").GreeterBase
    version = os.environ["MESHKIT_LABELS"].partition("version=")[2]
    who = f"{os.environ['MESHKIT_SERVICE']} {version} {os.getpid()}"

    async def say_hello(self: Any, request: Any, ctx: Any, /) -> Any:
        return reply(message=who)

    return type("Greeter", (base,), {"say_hello": say_hello})()


async def _serve() -> None:
    async with Mesh() as mesh, mesh.serving(_greeter()) as server:
        await server.wait(lambda: print(server.address, flush=True))


if __name__ == "__main__":
    sys.path.insert(0, sys.argv[1])
    run_on_best_loop(_serve())
